"""Make a training set: labels and a sequence to a folder of Parquet files with a manifest.

>>> at = dt.datetime(2024, 5, 2, 12, tzinfo=dt.UTC)
>>> labels = pl.DataFrame({"user": ["ann", "bob"], "time": [at, at]})
>>> made = build(shop, TrainingQuestion("basket", mode="as_corrected"), labels, folder / "set")
>>> pl.read_parquet(folder / "set/*.parquet").select("user", "product").rows()
[('ann', ['bread', 'tea']), ('bob', ['jam'])]
>>> made.manifest.facts["labels"], build(shop, TrainingQuestion("basket", mode="as_corrected"), labels, made.out).is_new
({'given': 2, 'kept': 2, 'counts': {}}, False)
"""

import datetime as dt
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import polars as pl

from seqplat_resources.errors import Final
from seqplat_resources.release.query import QueryError
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.release.sequence_plan import SequencePlan
from seqplat_resources.times import LAST_US
from seqplat_resources.training.answered.labelled import ServedLabels
from seqplat_resources.training.answered.match import AnswerMatch
from seqplat_resources.training.folder import Unfinished
from seqplat_resources.training.given import labels as labelling
from seqplat_resources.training.given.labels import LABEL_ID, LabelColumns, LabelPolicy, LabelRows
from seqplat_resources.training.given.split import SPLIT, LabelSplit
from seqplat_resources.training.manifest import POINTERS, Manifest, NoTrainingSet, Shard, ShardCounts
from seqplat_resources.training.point_in_time import Span
from seqplat_resources.training.question import Form, Mode, TrainingQuestion
from seqplat_resources.training.revisions import TIME, RevisionReader
from seqplat_resources.training.shard import Collapsing, write_pointers, write_shard

_MB, _GB = 1_000_000, 1_000_000_000
# What bytes depend on besides what is asked.
_LIBRARIES = ("seqplat", "polars", "numpy", "zstandard")
# Of a row that is read: as it is scanned, sorted, and ready to be stored; and told apart from its revisions.
_COPIES: Mapping[Mode, int] = {"as_corrected": 4, "as_known": 8, "as_served": 8}
# What a process of ours takes before it reads anything, and row groups on their way out.
_BASE_BYTES = 400 * _MB
_LABELS_A_SHARD = 1_000_000


@dataclass(frozen=True)
class TrainingLimits:
    """``memory_bytes`` of the whole process, about; less of it makes more files. ``row_group_bytes`` when read."""

    memory_bytes: int = 2 * _GB
    row_group_bytes: int = 64 * _MB


@dataclass(frozen=True)
class BuiltSet:
    """``is_new`` unless the folder had this very set before; ``reused`` counts files that a run before had finished."""

    out: Path
    manifest: Manifest
    is_new: bool = True
    reused: int = 0


class TrainingSetDiffers(Final):
    """A folder has a training set that was made of something else; ``moved`` says of what."""

    def __init__(self, message: str, moved: Collection[str]) -> None:
        self.moved = tuple(moved)
        super().__init__(message)


@dataclass(frozen=True)
class TrainingProgress:
    """``done`` of ``labels`` are written, in ``shard`` of ``shards`` files."""

    done: int
    labels: int
    shard: int
    shards: int
    values: int


@dataclass(frozen=True)
class _Work:
    runtime: Runtime
    question: TrainingQuestion
    plan: SequencePlan
    reader: RevisionReader
    served: ServedLabels | None
    labels: LabelRows
    limits: TrainingLimits
    now: dt.datetime
    prefix: str
    policy: LabelPolicy
    pii: tuple[str, ...]
    form: Form
    split: LabelSplit | None

    @cached_property
    def span(self) -> Span:
        if self.served is not None:  # an answer was cut when it was given
            return Span(length=self.question.query.limit)
        question, embargo_us = self.question, self.question.embargo // dt.timedelta(microseconds=1)
        return self.reader.span(question.query, self.now, embargo_us=embargo_us, inclusive=question.inclusive)

    @cached_property
    def days(self) -> tuple[dt.date, dt.date]:
        """The first and the last day with anything that a label may see; of answers that were recorded none is told."""
        if self.served is not None:
            return dt.date.min, dt.date.min
        rows, span = self.labels.rows, self.span
        shown = rows.filter(~pl.col(LABEL_ID).is_in(self.labels.empty.implode()))
        times = shown[self.labels.columns.time].drop_nulls()
        if not times.len():
            return dt.date.min, dt.date.min
        return span.days(times.min(), times.max())  # type: ignore[arg-type]


def build(
    runtime: Runtime,
    question: TrainingQuestion,
    labels: str | Path | pl.DataFrame,
    out: str | Path,
    *,
    columns: LabelColumns = LabelColumns(),
    policy: LabelPolicy = LabelPolicy(),
    limits: TrainingLimits = TrainingLimits(),
    prefix: str = "",
    pii: Collection[str] = (),
    form: Form = "lists",
    split: LabelSplit | None = None,
    replace: bool = False,
    again: Manifest | None = None,
    match: AnswerMatch = AnswerMatch(),
    progress: Callable[[TrainingProgress], None] = lambda _: None,
) -> BuiltSet:
    """Make the training set ``out``, or find that it is there.

    Shapes:
        A row per label: ``label_id``, the columns of the labels, and a list per asked column of the sequence, newest
        event first, whose name begins with ``prefix``. Rows are by user, then by time, then by ``label_id``. In the
        form ``pointers`` there are pointers in place of lists, and events in files of their own. Where it is ``split``,
        a column of that name is behind those of the labels.
    Again:
        With the manifest of another set, the tables are read as they were for that one; what is asked, by which release
        and of which labels must be the same.
    Crashes:
        ``out`` is not there before all of it is. What was finished is found again by a run that asks the same.
    As served:
        The list of a label is what the answer had that ``match`` finds for it; events of it that the lake does not have
        are left out and counted (``gone``).
    Raises:
        LabelsRefused, UnknownSequence, UnknownSequenceColumn, QueryError: it cannot be answered as it is asked.
        TrainingSetDiffers: ``out`` is a training set that was made of something else, and ``replace`` was not said; or
            ``again`` was made of something else.
        VersionGone: a table is not there any more as it was for ``again``.
        TrainingSetBusy: another run makes ``out``.
    """
    out, now, versions = Path(out), runtime.clock.now(), dict[str, int]()
    if again is not None:
        now, versions = dt.datetime.fromisoformat(again.facts["made_at"]), again.inputs["tables"]
    work = _opened(
        runtime,
        question,
        labels,
        columns,
        policy,
        limits,
        prefix,
        tuple(sorted(pii)),
        form,
        split,
        now,
        versions,
        match,
    )
    known, counted = _known(work)
    inputs, ordered = _inputs(work), known.rows if split is None else split.told(known.rows, columns.user)
    if again is not None and (moved := again.moved(inputs)):
        raise TrainingSetDiffers(f"it cannot be made again byte by byte: {'; '.join(moved)}", moved)
    before = _before(out, inputs, replace=replace)
    if before is not None:
        return BuiltSet(out, before, is_new=False)
    with Unfinished(out, inputs) as unfinished:
        parts, shards, reused = _parts(work, ordered, counted), list[Shard](), 0
        for number, (first, last) in enumerate(parts):
            shard = unfinished.finished(number)
            reused += shard is not None
            if shard is None:
                write = unfinished.write if form == "lists" else unfinished.write_two
                shard = write(number, partial(_fill, work, ordered[first:last]))
            shards.append(shard)
            values = sum(each.values for each in shards)
            progress(TrainingProgress(last, ordered.height, number + 1, len(parts), values))
        if again is not None and (moved := [f"{one.file}: other bytes" for one in shards if one not in again.shards]):
            raise TrainingSetDiffers(f"it came out otherwise, of equal inputs: {'; '.join(moved)}", moved)
        manifest = Manifest(inputs, shards, _facts(work, known, shards) | _parted(ordered, split))
        unfinished.finish(manifest)
    return BuiltSet(out, manifest, reused=reused)


def _known(work: _Work) -> tuple[LabelRows, pl.DataFrame]:
    """The labels that stay, and how many rows their users have (``_user``, ``rows``)."""
    if work.served is not None:
        return work.served.kept(), work.served.counted()
    counted = work.reader.users(work.labels.rows[work.labels.columns.user].drop_nulls(), *work.days)
    return labelling.without_unknown(work.labels, counted["_user"], work.policy), counted


def _parted(labels: pl.DataFrame, split: LabelSplit | None) -> dict[str, Any]:
    """How many labels each part has."""
    if split is None:
        return {}
    counts = dict(labels[SPLIT].value_counts().iter_rows())
    return {SPLIT: {name: counts.get(name, 0) for name, _ in split.shares}}


def _facts(work: _Work, labels: LabelRows, shards: Collection[Shard]) -> dict[str, Any]:
    """What is worth knowing of a training set besides what it was made of."""
    return {
        "made_at": work.now.isoformat(),
        "labels": {"given": labels.given, "kept": labels.rows.height, "counts": labels.counts},
        "empty": sum(each.empty for each in shards),
        **({"gone": sum(each.gone for each in shards), "dropped": work.served.reader.dropped()} if work.served else {}),
        **({"bounded": bounded} if (bounded := sum(each.bounded for each in shards)) else {}),
        "days": [str(day) for day in work.days],
        "newest_day": str(work.reader.newest_day),
        "not_built": {
            name: {"days": len(days), "first": str(days[0]), "last": str(days[-1])}
            for name, days in work.reader.not_built(*work.days).items()
        },
        "serving_delays": work.reader.serving_delays(),
        "pointers": list(POINTERS) if work.form == "pointers" else [],
    }


def _opened(
    runtime: Runtime,
    question: TrainingQuestion,
    labels: str | Path | pl.DataFrame,
    columns: LabelColumns,
    policy: LabelPolicy,
    limits: TrainingLimits,
    prefix: str,
    pii: tuple[str, ...],
    form: Form,
    split: LabelSplit | None,
    now: dt.datetime,
    versions: Mapping[str, int],
    match: AnswerMatch,
) -> _Work:
    plan = SequencePlan.of(runtime.loaded, question.sequence, pii=pii)
    reader = RevisionReader.open(runtime, plan, question.query, question.mode, versions)
    rows = labelling.read(labels, columns, policy, reader.user, now=now)
    taken = {LABEL_ID, *rows.rows.columns}
    if split is not None and SPLIT in taken:
        raise QueryError(SPLIT, f"labels have a column {SPLIT!r} already", fix="rename it, or leave the split out")
    taken |= {SPLIT} if split is not None else set()
    if question.mode == "as_served" and plan.collapse is not None:
        what = (
            f"answers of sequence {question.sequence!r} are rows that stand for several events, which are not recorded"
        )
        raise QueryError("mode", what, fix="use as_known, which is what an answer at that time could see")
    if form == "pointers" and plan.collapse is not None:
        what = f"pointers lead to single events, and a row of sequence {question.sequence!r} stands for several"
        raise QueryError("form", what, fix="leave the form out, which gives lists")
    if form == "pointers" and (reserved := sorted(taken & {*POINTERS})):
        raise QueryError("form", f"labels have {', '.join(reserved)}, which pointers are called", fix="rename it")
    clash = sorted({f"{prefix}{name}" for name in reader.selection.asked} & taken)
    if clash:
        what = f"labels and the sequence both have {', '.join(clash)}"
        which = "another --prefix" if prefix else "--prefix seq_"
        raise QueryError("columns", what, fix=f"say {which}, which goes before the names of the sequence")
    is_served = question.mode == "as_served"
    served = ServedLabels.open(runtime, reader, question.query, rows, match, versions) if is_served else None
    return _Work(runtime, question, plan, reader, served, rows, limits, now, prefix, policy, pii, form, split)


def _inputs(work: _Work) -> dict[str, Any]:
    """All that decides the bytes of the files."""
    release = work.runtime.release
    labels = {"source": work.labels.digest, "columns": asdict(work.labels.columns), "policy": asdict(work.policy)}
    types = [release.event_types[name] for name in work.reader.selection.kinds]
    return {
        "question": work.question.said(),
        **({"form": work.form} if work.form != "lists" else {}),
        **({SPLIT: work.split.said()} if work.split else {}),
        "prefix": work.prefix,
        "pii": list(work.pii),
        "channel": work.runtime.channel,
        "release": work.runtime.loaded.id,
        "meaning": release.hashes[f"sequences/{work.question.sequence}"].semantic,
        "executors": {each.executor: release.executors.get(each.executor, "") for each in types},
        "tables": work.served.reader.versions if work.served else work.reader.versions,
        **({"answers": work.served.match.said()} if work.served else {}),
        "window_ends": work.span.newest_day if work.span.window_days is not None else None,
        "labels": labels,
        "limits": asdict(work.limits),
        "libraries": {name: version(name) for name in _LIBRARIES},
    }


def _before(out: Path, inputs: Mapping[str, Any], *, replace: bool) -> Manifest | None:
    """The training set that is there already, where it is this one.

    Raises:
        TrainingSetDiffers: it is another one.
    """
    if not out.exists():
        return None
    try:
        found = Manifest.read(out)
    except NoTrainingSet as error:
        if out.is_dir() and not any(out.iterdir()):
            out.rmdir()
            return None
        raise TrainingSetDiffers(f"{out} is there and is no training set ({error}); give another folder", []) from error
    moved = found.moved(inputs)
    if not moved:
        return found
    if replace:
        return None
    raise TrainingSetDiffers(
        f"{out} has a training set that was made of something else ({'; '.join(moved[:5])}); give another folder, or "
        f"say --replace",
        moved,
    )


def _parts(work: _Work, ordered: pl.DataFrame, counted: pl.DataFrame) -> list[tuple[int, int]]:
    """Labels in ranges that are made one after the other, each with all labels of its users; one at least.

    A user alone may be more than memory should have; then it takes more.
    """
    user = work.labels.columns.user
    row_bytes = work.reader.row_bytes() * _COPIES[work.question.mode]
    label_bytes = 2 * int(ordered.estimated_size()) // max(ordered.height, 1)
    runs = ordered.group_by(user, maintain_order=True).agg(pl.len().cast(pl.Int64).alias("labels"))
    sized = runs.join(counted, left_on=user, right_on="_user", how="left", maintain_order="left")
    rows, labels = (sized[name].fill_null(0).to_numpy() for name in ("rows", "labels"))
    budget = max(work.limits.memory_bytes - _BASE_BYTES - int(ordered.estimated_size()), 50 * _MB)
    filled = np.cumsum(rows * row_bytes + labels * label_bytes)
    number = np.maximum(filled // budget, np.cumsum(labels) // _LABELS_A_SHARD)
    edges = np.flatnonzero(np.diff(number, prepend=number[:1]))
    ends = np.concatenate([[0], np.cumsum(labels)])
    starts = [0, *ends[edges].tolist()] if ordered.height else [0]
    return list(zip(starts, [*starts[1:], ordered.height], strict=True))


def _fill(work: _Work, labels: pl.DataFrame, file: BinaryIO, events: BinaryIO | None = None) -> ShardCounts:
    corrected = work.question.mode != "as_known"
    if work.served is None:
        rows, users, times = _of_users(work, labels)
        gone = 0
    else:
        rows, users, gone = work.served.read(labels)
        # Numbers of answers stand for users; each answer is whole, whatever the times in it.
        times = pl.repeat(LAST_US, labels.height, dtype=pl.Int64, eager=True).cast(rows.schema[TIME])
    rows = rows.rename({name: f"{work.prefix}{name}" for name in work.reader.selection.fetched})
    if events is not None:
        counts = write_pointers(file, events, rows, labels, users, times, work.span, corrected=corrected)
    else:
        counts = write_shard(
            file,
            rows,
            labels,
            users,
            times,
            work.span,
            corrected=corrected,
            row_group_bytes=work.limits.row_group_bytes,
            metadata={"seqplat.sequence": work.question.sequence, "seqplat.release": work.runtime.loaded.id},
            collapsing=_collapsing(work),
        )
    return counts._replace(gone=gone)


def _collapsing(work: _Work) -> Collapsing | None:
    """None where each event is a row."""
    selection = work.reader.selection
    if selection.collapse is None:
        return None
    lists = {f"{work.prefix}{name}": name for name in selection.asked}
    said = {name: of for name, of in lists.items() if of not in selection.fetched}
    return Collapsing(selection.collapse.within_us, list(lists), said)


def _of_users(work: _Work, labels: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series, pl.Series]:
    """Revisions of the labels' users, and of each label its user, null where nothing is to be shown, and its time."""
    columns, is_empty = work.labels.columns, labels[LABEL_ID].is_in(work.labels.empty.implode())
    users = labels[columns.user].filter(~is_empty).unique().drop_nulls().sort()
    shown = labels.select(pl.when(~is_empty).then(columns.user)).to_series()
    return work.reader.read(users, *work.days), shown, labels[columns.time]
