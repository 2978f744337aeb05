"""Whether what streams made visible is what batch computed of the same messages: served rows against stored ones."""

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.inputs.rows import RawInputs, high_water_of
from seqplat_resources.batch.inputs.shards import shard_column
from seqplat_resources.comparison.causes.rules import UNEXPLAINED
from seqplat_resources.comparison.contract import DIFFERS, LEGACY, ColumnRule, Matching
from seqplat_resources.comparison.events import EventComparison, compare_events
from seqplat_resources.comparison.sequences import IDENTICAL, IDS, compare_sequences
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.engine.status import CellStatus
from seqplat_resources.lake.append import position
from seqplat_resources.lake.layout import DAY
from seqplat_resources.quality.differences import Definitions, first_served, only_batch, only_stream
from seqplat_resources.quality.frame import DETAIL, PASSED, per_day
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.rules.identity import IDENTITY
from seqplat_resources.rules.order import SOURCE_ORDER, newest_first
from seqplat_resources.rules.precedence import winners
from sequence_defs.compiler.project import attached, status_column

# What may differ before a day does not pass: an event nobody can explain, and a column's value.
UNEXPLAINED_SHARE = 0.0005
DIFFERING_SHARE = 0.001

# Known to differ: when and by which release a row was made, where its copy lay. The rest are keys.
_PLACE = ("available_time", "source_partition", "offset", "release", "shard", SOURCE_ORDER)
_NOT_COMPARED = frozenset({"tenant", "event_type", *IDENTITY, *_PLACE})
# Of the comparison's two sides what was built is ours, and what streams served is the other.
_STREAM = LEGACY


def consistency(runtime: Runtime, event_type: str, days: Sequence[dt.date]) -> pl.DataFrame:
    """Compare ``served/<event_type>`` with ``events/<event_type>``, as far as each bucket has read the log.

    An event that was served more than once counts as what a reader saw: highest rev, then lowest ``ingest_time``.
    Shapes:
        Out: per day ``matched`` events; ``only_stream`` and ``only_batch`` ones, each with a column per explanation
        and ``..._unexplained``; ``not_read``: served, and later than what the bucket has read; ``healed`` cells that
        were PENDING or ERROR when served and are not in batch; ``differs_<column>``: share of matched rows whose
        values differ, healed ones left out; ``same_order``: share of users whose explained events lie in the same
        order on both sides.
    """
    plan = EventPlan.of(runtime.loaded, event_type)
    compared = [column.name for column in plan.columns if column.name not in _NOT_COMPARED]
    comparison = _Comparison(runtime, plan, compared)
    counted = [(day, comparison.of_day(day)) for day in days]
    rows = [{DAY: day, **_row(counts, compared)} for day, counts in counted]
    return per_day(days, pl.DataFrame(rows, infer_schema_length=None))


def _row(counts: Counter[str], compared: Sequence[str]) -> dict[str, Any]:
    matched, users = counts["matched"], counts["users"]
    total = matched + counts["only_stream"] + counts["only_batch"]
    differs = {name: counts[f"{DIFFERS}{name}"] / matched if matched else 0.0 for name in compared}
    unexplained = counts["only_stream_unexplained"] + counts["only_batch_unexplained"]
    said = [f"{name} differs in {100 * share:.2f} %" for name, share in differs.items() if share > DIFFERING_SHARE]
    if total and unexplained / total > UNEXPLAINED_SHARE:
        only = (f"{counts[f'only_{side}_unexplained']} only in {side}" for side in ("stream", "batch"))
        said.insert(0, f"{' and '.join(only)}, unexplained")
    return {
        PASSED: not said,
        **{name: counts[name] for name in _COUNTED},
        "unexplained_share": unexplained / total if total else 0.0,
        **{f"{DIFFERS}{name}": share for name, share in differs.items()},
        "same_order": counts["users_same_order"] / users if users else 1.0,
        DETAIL: "; ".join(said),
    }


_COUNTED = (
    "matched",
    "only_stream",
    "only_stream_moved",
    "only_stream_redefined",
    "only_stream_unexplained",
    "only_batch",
    "only_batch_by_file",
    "only_batch_not_kept",
    "only_batch_before_stream",
    "only_batch_redefined",
    "only_batch_unexplained",
    "corrected",
    "other_copy",
    "not_read",
    "healed",
    "users",
)


class _Comparison:
    """Both tables as they were when this was made."""

    def __init__(self, runtime: Runtime, plan: EventPlan, compared: Sequence[str]) -> None:
        self._plan, self._compared = plan, compared
        # Served first: what is appended in between is then later than the bucket's mark, not missing from it.
        self._served = tables.served(runtime, plan).pinned()
        self._events = tables.events(runtime, plan).pinned()
        self._inputs = RawInputs.open(runtime, plan)
        self._definitions = Definitions(runtime, plan.event_type.name)

    def of_day(self, day: dt.date) -> Counter[str]:
        """All numbers of a day. Memory holds one shard of it, from both sides."""
        marks = high_water_of(self._events.notes({DAY: day}))
        counts: Counter[str] = Counter()
        for where in self._pieces(day):
            counts += self._of_piece(day, where, marks)
        return counts

    def _pieces(self, day: dt.date) -> Iterator[pl.Expr]:
        shards, of_day = self._plan.source.shards, pl.col(DAY) == day
        at = shard_column([self._served, self._events], "user_id", "shard", shards, of_day)
        for shard in range(shards):
            yield of_day & (at == shard)

    def _of_piece(self, day: dt.date, where: pl.Expr, marks: Mapping[str, int]) -> Counter[str]:
        names = list(self._plan.schema)
        every = self._served.scan().filter(where).select(names).collect()
        # Of a day that was never streamed, payloads would be read for nothing.
        needed = names if every.height else [column.name for column in self._plan.system_columns]
        batch = self._events.scan().filter(where).select(needed).collect()
        read = every.filter(pl.col("offset") < _mark(marks))
        later = every.filter(pl.col("offset") >= _mark(marks)).join(read, on=IDENTITY, how="anti")
        later = later.join(batch, on=IDENTITY, how="anti")
        stream = read.filter(winners(read, IDENTITY, self._plan.horizon) == pl.int_range(read.height, eager=True))
        rules = dict.fromkeys(self._compared if every.height else (), ColumnRule())
        found = compare_events(batch, stream, rules, Matching())
        gone, new = found.only_legacy, found.only_ours
        counts = Counter(matched=found.pairs.height, only_stream=gone.height, only_batch=new.height)
        counts["not_read"] = later.select(IDENTITY).n_unique()
        releases = set(batch["release"]) or {self._plan.release}
        why_gone = only_stream(gone, day, self._inputs, self._definitions, releases)
        counts.update({f"only_stream_{why}": count for why, count in tally(why_gone).items()})
        positions = {p: position(self._served, p) for p in new["source_partition"].unique()}
        firsts, topic = first_served(self._served, new), self._plan.source.topic
        why_new = only_batch(new, topic, positions, firsts, self._definitions, set(every["release"]))
        counts.update({f"only_batch_{why}": count for why, count in tally(why_new).items()})
        counts.update(self._differences(found))
        strange = (gone.filter(why_gone == UNEXPLAINED), new.filter(why_new == UNEXPLAINED))
        counts.update(_orders(batch, stream, pl.concat([frame.select(IDENTITY) for frame in (found.pairs, *strange)])))
        return counts

    def _differences(self, found: EventComparison) -> Counter[str]:
        """What differs in pairs of the same revision; a file may have brought a higher one than the log."""
        if not found.pairs.height:
            return Counter()
        same = found.pairs.filter(pl.col("rev") == pl.col(f"{_STREAM}rev"))
        place = [pl.col(name) == pl.col(f"{_STREAM}{name}") for name in ("source_partition", "offset")]
        same = same.with_columns(_same_copy=pl.all_horizontal(place))
        counts = Counter(corrected=found.pairs.height - same.height, other_copy=int((~same["_same_copy"]).sum()))
        left_out: dict[str, pl.Expr] = {"ingest_time": ~pl.col("_same_copy")}
        for use, enrichment in self._plan.attachments:
            status = status_column(enrichment.name)
            healed = _waits(f"{_STREAM}{status}") & ~_waits(status)
            counts["healed"] += int(same.select(healed.sum()).item())
            left_out |= dict.fromkeys((status, *attached(use, enrichment)), healed)
        differ = [(pl.col(f"{DIFFERS}{name}") & ~left_out.get(name, pl.lit(False))).sum() for name in found.compared]
        counts.update(same.select(differ).row(0, named=True))
        return counts


def tally(why: pl.Series) -> dict[str, int]:
    """How many there are of each explanation."""
    return dict(why.value_counts().iter_rows())


def _mark(marks: Mapping[str, int]) -> pl.Expr:
    """By source partition, the offset up to which the bucket has read."""
    return pl.col("source_partition").replace_strict(dict(marks), default=0, return_dtype=pl.Int64())


def _waits(status: str) -> pl.Expr:
    return pl.col(status).fill_null(CellStatus.PENDING).is_in([CellStatus.PENDING, CellStatus.ERROR])


def _orders(batch: pl.DataFrame, stream: pl.DataFrame, wanted: pl.DataFrame) -> dict[str, int]:
    """Users, and those whose wanted events, retracted ones apart, are the same and in the same order on both sides."""
    sides = []
    for side in (batch, stream):
        rows = side.filter(pl.col("op") == "upsert").join(wanted, on=IDENTITY, how="semi")
        sides.append(newest_first(rows).group_by("user_id", maintain_order=True).agg(pl.col("event_id").alias(IDS)))
    users = compare_sequences(sides[0], sides[1]).kinds
    return {"users": sum(users.values()), "users_same_order": users[IDENTICAL]}
