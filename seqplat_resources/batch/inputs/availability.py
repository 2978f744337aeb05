"""When rows were first visible to online reads: as streams recorded it, else their receipt and the serving delay.

>>> plan = EventPlan.of(shop.loaded, "purchase")
>>> Availability.open(shop, plan, days).delay
ServingDelay(seconds=0.0, how='unknown')
"""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from seqplat_resources.batch.inputs import tables
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.engine.superseded import SHOWN
from seqplat_resources.lake.append import first_position, position
from seqplat_resources.lake.layout import DAY, shard_of
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.times import LAST_US, instant

# The note in a bucket's files: what rows that no stream recorded were given on top of their receipt.
SERVING_DELAY = "serving_delay"
# Another: of source partitions whose messages the bucket was made of and streams had not recorded, where that began.
UNRECORDED = "unrecorded"
# Of so few rows it is looked up by user when they were visible, instead of for whole days.
_FEW_ROWS = 10_000
# Of so many it is kept in memory for all shards of the days that are built together: 64 MB.
_MANY_ROWS = 4_000_000

Ints = npt.NDArray[np.int64]
# By source partition, offsets in order and when the rows there became visible.
_Times: TypeAlias = dict[str, tuple[Ints, Ints]]


@dataclass(frozen=True)
class ServingDelay:
    """How long after its receipt a row is taken to be visible, and how that is known: ``declared`` by the event type,
    ``measured`` (the median of what its streams served of the same days, or else last), or ``unknown`` and so none.
    """

    seconds: float
    how: Literal["declared", "measured", "unknown"]


@dataclass(frozen=True)
class Availability:
    """Of one event type, for builds of some ``days``; ``served`` is what its streams recorded, pinned."""

    plan: EventPlan
    served: LakeTable | None
    days: Sequence[dt.date]
    now: dt.datetime

    @classmethod
    def open(cls, runtime: Runtime, plan: EventPlan, days: Sequence[dt.date]) -> "Availability":
        """To be called after the archive is pinned: what is served is kept after what it was made of."""
        served = tables.served(runtime, plan).pinned() if plan.source.topic else None
        return cls(plan, served if served is not None and served.exists() else None, days, runtime.clock.now())

    @cached_property
    def delay(self) -> ServingDelay:
        if (declared := self.plan.event_type.serving_delay_s) is not None:
            return ServingDelay(declared, "declared")
        seconds = self._measured()
        return ServingDelay(0.0, "unknown") if seconds is None else ServingDelay(seconds, "measured")

    def notes(self, marks: Mapping[str, int]) -> dict[str, str]:
        """What buckets note that have read up to ``marks`` (source partition -> offset, exclusive)."""
        streamed = [name for name in marks if name.startswith(f"{self.plan.source.topic}:")]  # files are no stream's
        ends = {partition: (self.served and position(self.served, partition)) or 0 for partition in streamed}
        behind = {partition: end for partition, end in ends.items() if end < marks[partition]}
        found = {SERVING_DELAY: json.dumps(asdict(self.delay), sort_keys=True)}
        return found | ({UNRECORDED: json.dumps(behind, sort_keys=True)} if behind else {})

    def _measured(self) -> float | None:
        if self.served is None:
            return None
        there = sorted({dt.date.fromisoformat(day) for (day,) in self.served.buckets()})
        days = [day for day in self.days if day in there] or there[-1:]
        took = (pl.col("available_time") - pl.col("ingest_time")).dt.total_milliseconds()
        median = self.served.scan().filter(pl.col(DAY).is_in(days)).select(took.median()).collect().item()
        return None if median is None else max(0.0, median / 1000)

    def stamped(self, events: pl.DataFrame) -> pl.DataFrame:
        """Events with their ``available_time`` and ``SHOWN`` (see ``engine.superseded``).

        A row that streams passed by without showing it was not visible by itself. Where it counts all the same (by a
        definition of today, say), it is taken to be as late as one that only batch saw. One that a stream archived
        and has not recorded, because it ended between the two, is known from now on, which is too late and not too
        early; the day is dirty once that is recorded (``batch.days.ledger``), and built again has its time.
        Shapes:
            In: position, ``ingest_time``, ``event_time`` and the user. Out: the same rows in the same order.
        """
        if self.served is None or not events.height:
            return events.with_columns(self._assumed(events), pl.lit(True).alias(SHOWN))
        times = _times_of(events, self._recorded(self.served, events))
        is_recorded = times.is_not_null()
        if is_recorded.all():
            return events.with_columns(times, pl.lit(True).alias(SHOWN))
        at, (first, end) = pl.col("offset"), self._bounds(events["source_partition"])
        unrecorded = pl.max_horizontal(self._assumed(events), pl.lit(self.now).cast(events.schema["ingest_time"]))
        assumed = pl.when(at >= end).then(unrecorded).otherwise(self._assumed(events))
        return events.with_columns(
            pl.when(is_recorded).then(times).otherwise(assumed).alias("available_time"),
            (is_recorded | ~((at >= first) & (at < end)).fill_null(False)).alias(SHOWN),
        )

    def _assumed(self, events: pl.DataFrame) -> pl.Expr:
        later = pl.col("ingest_time") + pl.duration(microseconds=round(self.delay.seconds * 1e6), time_unit="us")
        latest = pl.lit(instant(LAST_US))
        return pl.min_horizontal(later, latest).cast(events.schema["ingest_time"]).alias("available_time")

    def _recorded(self, served: LakeTable, events: pl.DataFrame) -> _Times:
        """Of all positions that the events may have."""
        days = events["event_time"].dt.date().unique()
        if days.is_in(self.days).all() and self._of_days is not None:
            return self._of_days
        where = pl.col(DAY).is_in(days.implode())
        if events.height <= _FEW_ROWS:
            where &= pl.col("user_id").is_in(events["user_id"].unique().implode())
        elif self.plan.source.shards > 1:
            shard = shard_of("user_id", self.plan.source.shards)
            where &= shard.is_in(events.select(shard).to_series().unique().implode())
        return _read(served, where)

    @cached_property
    def _of_days(self) -> _Times | None:
        """Of the days, read once for all of their shards; None where that would take too much memory."""
        if self.served is None:
            return None
        rows = self.served.files().filter(pl.col(DAY).is_in([str(day) for day in self.days]))["rows"].sum()
        return _read(self.served, pl.col(DAY).is_in(self.days)) if rows <= _MANY_ROWS else None

    def _bounds(self, partitions: pl.Series) -> tuple[pl.Expr, pl.Expr]:
        """By row of these source partitions, where what was served of it begins and ends; null where none was."""
        assert self.served is not None
        ends = {name: at for name in partitions.unique() if (at := position(self.served, name)) is not None}
        begins = {name: first_position(self.served, name) or 0 for name in ends}
        of = pl.col("source_partition")
        first, end = (of.replace_strict(each, default=None, return_dtype=pl.Int64()) for each in (begins, ends))
        return (first, end)


def unrecorded_of(notes: Mapping[str, str]) -> dict[str, int]:
    """By source partition, the first offset that no stream had recorded; empty where none was lacking."""
    return {partition: int(end) for partition, end in json.loads(notes.get(UNRECORDED, "{}")).items()}


def _read(served: LakeTable, where: pl.Expr) -> _Times:
    rows = served.scan().filter(where).select("source_partition", "offset", "available_time").collect()
    found: _Times = {}
    for (partition,), theirs in rows.partition_by("source_partition", as_dict=True).items():
        # As a rule in order already, file by file.
        in_order = theirs if theirs["offset"].is_sorted() else theirs.sort("offset")
        found[str(partition)] = in_order["offset"].to_numpy(), in_order["available_time"].to_physical().to_numpy()
    return found


def _times_of(events: pl.DataFrame, recorded: _Times) -> pl.Series:
    """By event the time recorded at its position; null where none is.

    Offsets are looked up in arrays, partition by partition: a join by two keys takes five times as long.
    """
    found, known = np.zeros(events.height, np.int64), np.zeros(events.height, np.bool_)
    offsets, partitions = events["offset"].to_numpy(), events["source_partition"]
    for partition, (at, times) in recorded.items():
        mine = np.flatnonzero((partitions == partition).to_numpy())
        places = np.minimum(np.searchsorted(at, offsets[mine]), at.size - 1)
        is_there = at[places] == offsets[mine]
        found[mine[is_there]], known[mine[is_there]] = times[places[is_there]], True
    times_of = pl.DataFrame({"at": found, "known": known}).select(pl.when("known").then("at").alias("available_time"))
    return times_of.to_series().cast(events.schema["ingest_time"])
