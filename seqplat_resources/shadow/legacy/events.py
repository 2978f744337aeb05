"""The events of an older pipeline by day: rows of ``raw/<source>`` as a side of a comparison.

>>> legacy = LegacyEvents.open(shop, "purchase")
>>> sorted(str(day) for day in legacy.built)
['2024-05-01', '2024-05-02', '2024-05-03']
>>> list(legacy.compared)
['amount']
"""

import datetime as dt
from dataclasses import dataclass, replace
from functools import cached_property

import polars as pl

from seqplat_resources.batch.days.arrivals import awaited
from seqplat_resources.batch.days.partitions import Partitions
from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.inputs.shards import shard_column
from seqplat_resources.commands import command
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.errors import Final
from seqplat_resources.lake.layout import DAY, UNDATED, shard_of, stored_name
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.legacy.contract import LegacyRows, NoLegacyData
from seqplat_resources.shadow.legacy.fitting import PLACE, fitted, their
from seqplat_resources.sources.locations import files_of
from seqplat_resources.times import EPOCH
from sequence_defs.compiler.counterparts import EVENT_TIME, Counterpart, counterparts, field_of
from sequence_defs.compiler.project import event_columns
from sequence_defs.compiler.sql import storage_dtype
from sequence_defs.schema import Column, Compared, Legacy, Source

_DAY = dt.timedelta(days=1)


class NotCompared(Final):
    """A definition without ``legacy``."""


@dataclass(frozen=True)
class LegacyEvents:
    """All that legacy has of an event type, as it was when this was opened."""

    runtime: Runtime
    plan: EventPlan
    legacy: Legacy
    source: Source
    table: LakeTable

    @classmethod
    def open(cls, runtime: Runtime, event_type: str) -> "LegacyEvents":
        """Pin the table of its legacy source.

        Raises:
            NotCompared: the event type says no legacy.
        """
        plan = EventPlan.of(runtime.loaded, event_type)
        legacy = plan.event_type.legacy
        if legacy is None:
            raise NotCompared(f"event type {event_type!r} says no legacy, so there is nothing to compare it with")
        source = runtime.release.sources[legacy.source]
        return cls(runtime, plan, legacy, source, tables.raw(runtime, source).pinned())

    @cached_property
    def compared(self) -> dict[str, Counterpart]:
        """By our name, the columns that are compared."""
        return counterparts(self.legacy, self._ours, self._theirs)

    @cached_property
    def key(self) -> dict[str, Counterpart]:
        """By our name, the columns of the natural key; none where events are told apart by our id."""
        found = {name: field_of(self.legacy, name) for name in self.legacy.natural_key}
        how = self.legacy.columns
        return {n: Counterpart(self._ours[n], self._theirs[f], how.get(n, Compared())) for n, f in found.items()}

    @cached_property
    def personal(self) -> frozenset[str]:
        """By our name, what is personal data on either side: compared columns, ``user_id`` and ``event_id``."""
        ours, theirs = {**self._ours, **{c.name: c for c in self.plan.columns}}, self._theirs
        names = {"user_id": self.source.user_id, "event_id": self.legacy.event_id}
        names |= {name: met.legacy.name for name, met in {**self.key, **self.compared}.items()}
        found = {name for name, column in ours.items() if column.pii}
        found |= {name for name, field in names.items() if field and field in theirs and theirs[field].pii}
        own_id = self.plan.event_type.id_field
        return frozenset(found | ({"event_id"} if own_id in found else set()))

    def day(self, day: dt.date, *, margin: dt.timedelta = dt.timedelta(0)) -> "LegacyDay":
        """The events of a day, and those of less than ``margin`` before and after it, which its clock may mean.

        Raises:
            NoLegacyData: the day was not built, or its files are not there. (Days beside it may be absent.)
        """
        if day not in self.built:
            raise NoLegacyData(f"event type {self.plan.event_type.name!r}", day, self._why_not(day))
        return LegacyDay(self, day, margin)

    @cached_property
    def built(self) -> frozenset[dt.date]:
        """The days that legacy has: also those on which nothing happened."""
        return frozenset(dt.date.fromisoformat(day) for (day,) in self.table.buckets())

    @cached_property
    def shard_columns(self) -> dict[tuple[dt.date, int], pl.Expr]:
        """What says the shard of rows around a day, once that was looked for."""
        return {}

    @cached_property
    def _ours(self) -> dict[str, Column]:
        return event_columns(self.plan.event_type, {e.name: e for _, e in self.plan.attachments})

    @cached_property
    def _theirs(self) -> dict[str, Column]:
        return {column.name: column for column in self.source.columns}

    def _why_not(self, day: dt.date) -> str:
        name, days = self.source.name, Partitions.of(self.runtime.release).raw.get(self.source.name)
        if days is None or day not in days:
            return f"it is none of the days of source {name!r}" + (f", which start on {days.start}" if days else "")
        if "{day}" in self.source.location:
            files = files_of(self.source, self.runtime.sources_root, day=day)
            if not files and self.source.expects_file(day):
                return awaited(self.table, self.source, self.runtime.sources_root, day).awaited or ""
        build = command("materialize", str(day), str(day), f"raw/{name}")
        return f"raw/{name} is not built for it; run `{build}`"


@dataclass(frozen=True)
class LegacyDay:
    """One day of legacy's events, read shard by shard."""

    of: LegacyEvents
    day: dt.date
    margin: dt.timedelta

    @property
    def days(self) -> list[dt.date]:
        """The days, by legacy's clock, that events are taken from: built or not."""
        beside = -(-self.margin // _DAY)
        return [self.day + n * _DAY for n in range(-beside, beside + 1)]

    @property
    def absent(self) -> list[dt.date]:
        """Those of ``days`` that legacy does not have: an event that a clock moved there is missed."""
        return [day for day in self.days if day not in self.of.built]

    @cached_property
    def rejected(self) -> dict[str, int]:
        """How many of legacy's rows are no events: ``day``, of this day; ``undated``, of which nobody knows the day."""
        table = tables.rejects(self.of.runtime, self.of.source.name)
        files = table.files().filter(pl.col("stage") == tables.INGEST_STAGE)
        counts = {str(day): rows for day, rows in files.group_by(DAY).agg(pl.col("rows").sum()).iter_rows()}
        return {"day": counts.get(str(self.day), 0), "undated": counts.get(str(UNDATED), 0)}

    def delays(self) -> pl.Series:
        """How long after its time legacy received each event of the day, in microseconds."""
        delay = (pl.col("_ingest_time") - pl.col("_event_time")).dt.total_microseconds().alias("delay")
        today = replace(self, margin=dt.timedelta(0))
        return (
            self.of.table.scan()
            .filter(pl.col(DAY).is_in(today.days) & today._in_time())
            .select(delay)
            .collect()["delay"]
        )

    def shard(self, shard: int, shards: int) -> LegacyRows:
        """The events of the users of one of our shards.

        Shapes:
            Rows: ``user_id`` in our type; ``event_id``, null where a natural key tells events apart; ``event_time`` and
            ``ingest_time``, UTC; then the natural key and the compared columns under our names and in our types.
        Cost:
            Reads the row groups of the shard, if rows note as many shards; else all of the days.
        """
        of, source = self.of, self.of.source
        user = next(column for column in of.plan.columns if column.name == "user_id")
        in_time = pl.col(DAY).is_in(self.days) & self._in_time()
        name = stored_name(source.user_id or "")
        met = {**of.key, **of.compared}
        event_id = pl.col(stored_name(of.legacy.event_id)) if of.legacy.event_id else pl.lit(None)
        place = pl.format("{} row {}", "_partition", "_offset")
        theirs = sorted({each.legacy.name for each in met.values()})
        rows = (
            of.table.scan()
            .filter(in_time)
            .with_columns(pl.col(name).cast(storage_dtype(user.dtype)).alias("user_id"))
            .filter(self._shard_column(name, shards, in_time) == shard)
            .select(
                "user_id",
                place.alias(PLACE),
                event_id.cast(pl.String).alias("event_id"),
                pl.col("_event_time").alias(EVENT_TIME),
                pl.col("_ingest_time").alias("ingest_time"),
                *(pl.col(stored_name(name)).alias(their(name)) for name in theirs),
            )
            .collect()
        )
        return fitted(rows, met.values())

    def _shard_column(self, user: str, shards: int, in_time: pl.Expr) -> pl.Expr:
        known = self.of.shard_columns
        if (key := (self.day, shards)) not in known:
            is_alike = self.of.table.schema[user] == self.of.plan.schema["user_id"]  # else it is another text
            at = shard_column([self.of.table], user, "_shard", shards, in_time) if is_alike else None
            known[key] = shard_of("user_id", shards) if at is None else at
        return known[key]

    def _in_time(self) -> pl.Expr:
        start = EPOCH + (self.day - EPOCH.date())
        time = pl.col("_event_time")
        return (time >= start - self.margin) & (time < start + _DAY + self.margin)
