"""All checks of a release as rows of cells: what was promised beside what was found, and what nobody looked at."""

import datetime as dt
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, TypeAlias

import polars as pl

from seqplat_resources.batch.days.existing import missed_span
from seqplat_resources.batch.days.partitions import DayRange
from seqplat_resources.batch.days.schedule import late_after
from seqplat_resources.health.attention import Attention, AttentionState
from seqplat_resources.health.checks import STREAM, VERDICT, PromisedCheck, promised
from seqplat_resources.health.incidents import Broken, Kind, by_cause
from seqplat_resources.health.interrupted import interrupted
from seqplat_resources.health.results import NewestVerdicts, Results
from seqplat_resources.health.view import Cell, CheckRow, Health, Incident, rank
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.days.window import DAYS as VERDICT_DAYS
from seqplat_resources.times import EPOCH

DAYS = 30
# A stream tells of itself far more often while it runs; what it said before that is no news of now.
STREAM_SILENT = dt.timedelta(hours=1)
# What a cell shows of a reason; ``Results.history`` has all of it.
SHOWN_CHARS = 600

NOTHING = "nothing has been checked"
_NOTHING_RAN = "no run of this home has told any result yet"
_NEVER = "it never ran"
_NOT_BUILT = "not built"
_NOT_JUDGED = "built, and not judged"
_BUILT_SINCE = "built anew since it was judged"
_DEFINED_SINCE = "defined otherwise since it was judged"
_SILENT = "the stream has said nothing since"
_NOT_KEPT = "what a later run built or found is not known"

_STALE: Kind = "stale"
_OTHER = {"stale": _BUILT_SINCE, "redefined": _DEFINED_SINCE}
_Key: TypeAlias = tuple[str, str, dt.date | None]
# A verdict as a cell, the asset with its cause, in which way it is about something else than there is now, and whether
# it just passed.
_Row: TypeAlias = tuple[Cell, str, Literal["", "stale", "redefined"], bool]


@dataclass(frozen=True)
class CheckRecords:
    """What a home has of its checks: everything that a view is made of."""

    found: NewestVerdicts
    said: AttentionState


def look(runtime: Runtime, *, days: int = DAYS, results: Results | None = None) -> CheckRecords:
    """Read the results of a window, and what people said of them; who looks again and again has ``results`` open.

    Raises:
        LogDamaged, CannotSay, and what storage says: what is there cannot be read.
    """
    found = (results or Results(runtime.home, runtime.clock)).newest(window(runtime, days)[0])
    found = replace(found, unrecorded=(*found.unrecorded, *interrupted(runtime)))
    return CheckRecords(found, Attention(runtime.home, runtime.clock).current())


def health(
    runtime: Runtime, seen: CheckRecords, *, days: int = DAYS, channel: str | None = None, errors: Sequence[str] = ()
) -> Health:
    """The view of a window; reads nothing but the clock. ``errors`` are what could not be read since."""
    board = _Board(runtime, seen.found, days)
    causes = list(by_cause([each for _, _, broken in board.rows for each in broken], board.window[-1]))
    ids = {(b.asset, b.check, b.cell.day): incident.id for incident, found in causes for b in found}
    if not seen.found.ran and not seen.found.buckets.height:
        causes = [(replace(incident, title=NOTHING, because=_NOTHING_RAN), found) for incident, found in causes]
    today = board.now.date()
    incidents = {of.id: seen.said.noted(_since_well(of, found, seen), today) for of, found in causes}
    never = [key for key in board.promises if key not in seen.found.ran]
    never_ran = frozenset(never)
    rows = [_row(promise, cells, broken, ids, incidents, never_ran) for promise, cells, broken in board.rows]
    assets, unwell = {row.asset for row in rows}, {row.asset for row in rows if row.worst != "pass"}
    lost = [f"{each.asset}: something of it is not known: {each.why}" for each in seen.found.unrecorded]
    return Health(
        release=runtime.loaded.id,
        channel=channel or runtime.channel,
        days=tuple(board.window),
        data_up_to=board.newest,
        rows=tuple(sorted(rows, key=lambda row: rank(row.worst))),
        incidents=tuple(sorted(incidents.values(), key=_worst_first)),
        assets=len(assets),
        healthy=len(assets - unwell),
        need_you=sum(each.needs_you for each in incidents.values()),
        never_ran=tuple(never),
        at=board.now,
        as_of=seen.found.as_of,
        errors=(*errors, *lost),
    )


def _since_well(incident: Incident, broken: Sequence[Broken], seen: CheckRecords) -> Incident:
    """One that somebody spoke of with the time when something of it passed last: what broke again since is another."""
    if incident.id not in seen.said.acknowledged and incident.id not in seen.said.muted:
        return incident
    schema = {name: seen.found.passed.schema[name] for name in ("asset", "check", "judged")}
    keys = pl.DataFrame([(b.asset, b.check, b.cell.day) for b in broken], schema=schema, orient="row")
    passed = seen.found.passed.join(keys, on=list(schema), how="semi", nulls_equal=True)["at"].max()
    return replace(incident, well_at=passed if isinstance(passed, dt.datetime) else None)


def _worst_first(each: Incident) -> tuple[bool, int, int]:
    return not each.needs_you, rank(each.status), -len(each.touches)


def _row(
    promise: PromisedCheck,
    cells: Sequence[Cell],
    broken: Sequence[Broken],
    ids: Mapping[_Key, str],
    incidents: Mapping[str, Incident],
    never: Container[tuple[str, str]],
) -> CheckRow:
    """A row of which nothing was to be looked at is well, unless nobody ever did."""
    key = (promise.asset, promise.check.name)
    worst = min((each.cell for each in broken), key=lambda cell: rank(cell.status), default=None)
    if broken:
        named = {each.cell.day: replace(each.cell, incident=ids[(*key, each.cell.day)]) for each in broken}
        cells = [named.get(cell.day, cell) for cell in cells]
    cause = incidents[ids[(*key, worst.day)]] if worst else None
    return CheckRow(
        asset=promise.asset,
        layer=promise.layer,
        name=promise.name,
        tenant=promise.of.tenant,
        owner=promise.of.owner,
        check=promise.check.name,
        description=promise.check.description,
        blocking=promise.check.blocking,
        cells=tuple(cells),
        worst=worst.status if worst else "unjudged" if key in never else "pass",
        muted_until=cause.muted_until if cause else None,
    )


def window(runtime: Runtime, days: int, newest: dt.date | None = None) -> list[dt.date]:
    """The ``days`` up to the last one that any asset should have; up to ``newest`` where that is later, for the clock
    may have been set back. One so far ahead that the window would show nothing of now hides none of it.
    """
    dated = {asset: of[0].days for asset, of in promised(runtime).items() if of[0].days is not None}
    first_late = min((late_after(runtime.release, asset) for asset in dated), default=dt.timedelta())
    yesterday, ranges = (runtime.clock.now() - first_late).date() - dt.timedelta(days=1), set(dated.values())
    ends = [min(each.end - dt.timedelta(days=1), yesterday) if each.end else yesterday for each in ranges]
    due = max(ends, default=yesterday)
    last = newest if newest and dt.timedelta() < newest - due < dt.timedelta(days=days) else due
    return [last - dt.timedelta(days=n) for n in reversed(range(days))]


class _Board:
    """Cells of every promise, as was found."""

    def __init__(self, runtime: Runtime, found: NewestVerdicts, days: int) -> None:
        self.runtime, self.found = runtime, found
        self.now = runtime.clock.now()
        self.promises = {(each.asset, each.check.name): each for of in promised(runtime).values() for each in of}
        self.newest = max(found.newest.values(), default=None)
        self.window = window(runtime, days, self.newest)

    @cached_property
    def rows(self) -> list[tuple[PromisedCheck, list[Cell], list[Broken]]]:
        """Each promise with its cells, in the order of days, and those that are broken."""
        return [(promise, *self._cells(promise)) for promise in self.promises.values()]

    @cached_property
    def _built(self) -> Mapping[str, set[dt.date]]:
        return {str(asset): set(days) for asset, days in self.found.buckets.group_by("asset").agg("judged").iter_rows()}

    @cached_property
    def _missed(self) -> Mapping[str, DayRange]:
        """By asset, days that are over and that nobody built."""
        spans = {}
        for asset, (first, *_) in promised(self.runtime).items():
            built = {self.found.newest[asset]} if asset in self.found.newest else set[dt.date]()
            late = late_after(self.runtime.release, asset)
            if first.days and (span := missed_span(first.days, built, self.now, late, dt.date.min)):
                spans[asset] = span
        return spans

    @cached_property
    def _holes(self) -> Mapping[str, set[dt.date]]:
        """By asset, days of the window between some that are built."""
        holes = {}
        for asset, (first, *_) in promised(self.runtime).items():
            if first.days and (built := self._built.get(asset)):
                between = [day for day in self.window if min(built) < day < max(built) and day in first.days]
                holes[asset] = set(between) - built
        return holes

    @cached_property
    def _unkept(self) -> set[str]:
        return {each.asset for each in self.found.unrecorded}

    @cached_property
    def _lost(self) -> Mapping[tuple[str, dt.date | None], str]:
        return {(each.asset, day): each.why for each in self.found.unrecorded for day in (*each.days, None)}

    @cached_property
    def _verdicts(self) -> Mapping[tuple[str, str], Mapping[dt.date | None, _Row]]:
        """By asset and check, then by day."""
        of = [(p.asset, p.check.name, bucket) for p in self.promises.values() for bucket in p.judges]
        by = [(p.asset, p.check.name, p.definition) for p in self.promises.values()]
        definitions = pl.DataFrame(by, schema=dict.fromkeys(("asset", "check", "_definition"), pl.String), orient="row")
        judges = pl.DataFrame(of, schema={"asset": pl.String, "check": pl.String, "bucket": pl.String}, orient="row")
        buckets = self.found.buckets.select(pl.col("asset").alias("bucket"), "judged", "mark", "number")
        now = judges.join(buckets, on="bucket")
        by_day = now.group_by("asset", "check", "judged").agg(_mark=pl.col("mark").sum(), _built=pl.col("number").max())
        key = ["asset", "check", "judged"]
        expected = pl.concat([by_day, _together(now.filter(pl.col("check") == VERDICT))])
        rows = self.found.verdicts.join(expected, on=key, how="left", nulls_equal=True, maintain_order="left")
        rows = rows.join(definitions, on=key[:2], how="left", maintain_order="left")
        # One of a day that could not be looked at has no mark; it is out of date once the day was built.
        could_not = pl.col("mark").is_null() & (pl.col("_built") <= pl.col("number"))
        is_other = pl.col("_mark").ne_missing(pl.col("mark")) & pl.col("_mark").is_not_null() & ~could_not
        is_redefined = (pl.col("_definition") != pl.col("definition")).fill_null(False)
        other = pl.when(is_other.fill_null(False)).then(pl.lit("stale")).when(is_redefined).then(pl.lit("redefined"))
        said = pl.col("because").str.head(SHOWN_CHARS)
        at = pl.col("at").dt.timestamp("us")
        is_about = other.otherwise(pl.lit("")).alias("other")
        shown = rows.select(*key, "status", "value", "limit", said, at, "run", "root", is_about)
        found, times = dict[tuple[str, str], dict[dt.date | None, _Row]](), dict[int, dt.datetime]()
        for asset, check, day, status, value, limit, because, at_us, run, root, other in shown.rows():
            told_at = times.get(at_us) or times.setdefault(at_us, EPOCH + dt.timedelta(microseconds=at_us))
            cell = Cell(day, status, None, value, limit, because, told_at, run)
            found.setdefault((asset, check), {})[day] = (cell, root, other, status == "pass" and not other)
        return found

    def _cells(self, promise: PromisedCheck) -> tuple[list[Cell], list[Broken]]:
        days: Sequence[dt.date | None] = self.window if promise.check.measure is not None else [None]
        known, missed = (
            self._verdicts.get((promise.asset, promise.check.name), {}),
            self._missed.get(promise.asset),
        )
        cells, broken, is_plain = list[Cell](), list[Broken](), promise.asset not in self._unkept
        for day in days:
            row = known.get(day)
            if row is not None and day is not None and row[3] and is_plain:  # as nearly all are
                cells.append(row[0])
                continue
            cell, kind, root = self._looked(promise, row, missed) if row else self._unlooked(promise, day, missed)
            cells.append(cell)
            if cell.status != "pass" and cell.is_due:
                broken.append(Broken(promise, cell, kind, root))
        return cells, broken

    def _looked(self, promise: PromisedCheck, row: _Row, missed: DayRange | None) -> tuple[Cell, Kind, str]:
        cell, root, other, _ = row
        why, kind = (_OTHER[other], other) if other else self._outdated(promise, cell, missed)
        if not why:
            unjudged = cell.status == "unjudged"
            return cell, "refused" if unjudged else "judged", root or (promise.asset if unjudged else "")
        if cell.status == "unjudged":
            return replace(cell, because=f"{_NOT_JUDGED}; before that: {cell.because}"[:SHOWN_CHARS]), "unjudged", ""
        told = f"{why}; it said: {cell.because}" if cell.because else why
        return replace(cell, status="stale", was=cell.status, because=told[:SHOWN_CHARS]), kind, ""

    def _unlooked(self, promise: PromisedCheck, day: dt.date | None, missed: DayRange | None) -> tuple[Cell, Kind, str]:
        if day is None:
            return Cell(None, "unjudged", because=_NEVER), "never", ""
        if day in self._built.get(promise.asset, ()):
            ran = (promise.asset, promise.check.name) in self.found.ran
            return Cell(day, "unjudged", because=_NOT_JUDGED), "unjudged" if ran else "never", ""
        is_missed = (missed and day in missed) or day in self._holes.get(promise.asset, ())
        return Cell(day, "unjudged", because=_NOT_BUILT if is_missed else ""), "missed", ""

    def _outdated(self, promise: PromisedCheck, cell: Cell, missed: DayRange | None) -> tuple[str, Kind]:
        """Why a verdict on the buckets of now says nothing all the same; blank where it does."""
        if (why := self._lost.get((promise.asset, cell.day))) is not None:
            return f"{_NOT_KEPT}: {why}", _STALE
        if cell.day is None and cell.at is not None and self.now - cell.at > STREAM_SILENT and promise.layer == STREAM:
            return _SILENT, _STALE
        if cell.day is None and cell.status == "pass" and missed:
            last = (missed.end or missed.start) - dt.timedelta(days=1)
            return f"{missed.start} to {last} were not built", "missed"
        return "", _STALE


def _together(now: pl.DataFrame) -> pl.DataFrame:
    """For verdicts on days together: the marks of the newest days that the asset itself has, added up."""
    own = now.filter(pl.col("bucket") == pl.col("asset")).select("asset", "check", "judged")
    newest = pl.col("judged").max().over("asset", "check")
    recent = own.filter(pl.col("judged") > newest - pl.duration(days=VERDICT_DAYS))
    summed = now.join(recent, on=["asset", "check", "judged"], how="semi").group_by("asset", "check")
    marks = summed.agg(_mark=pl.col("mark").sum(), _built=pl.col("number").max())
    return marks.select("asset", "check", pl.lit(None, pl.Date).alias("judged"), "_mark", "_built")
