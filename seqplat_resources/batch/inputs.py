"""The raw rows that batch reads of a source: those of files, replaced by day, and those of its log, appended."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from seqplat_resources.batch import tables
from seqplat_resources.batch.spans import rows_by_day
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.engine.run import identified
from seqplat_resources.lakehouse.appending import position
from seqplat_resources.lakehouse.layout import DAY
from seqplat_resources.lakehouse.table import LakeTable
from seqplat_resources.runtime import Runtime

HIGH_WATER = "high_water"  # the note in a bucket's files that says which messages it was made from


@dataclass(frozen=True)
class RawInputs:
    """All raw rows of an event type's source as they were when this was opened, whatever is added meanwhile."""

    plan: EventPlan
    files: LakeTable | None
    log: LakeTable | None

    @classmethod
    def open(cls, runtime: Runtime, plan: EventPlan) -> "RawInputs":
        """Pin the tables as they are now."""
        source = plan.source
        return cls(
            plan,
            tables.raw(runtime, source).pinned() if source.location else None,
            tables.archive(runtime, source).pinned() if source.topic else None,
        )

    @cached_property
    def rows_by_day(self) -> dict[dt.date, int]:
        """How many rows there are of each day, from the Delta logs alone."""
        found: dict[dt.date, int] = {}
        for table in self._tables:
            for day, rows in rows_by_day(table).items():
                found[day] = found.get(day, 0) + rows
        return found

    def has(self, day: dt.date) -> bool:
        """Whether the day can be built. A log has every day: nothing received is a day without events. Files have
        those that were ingested."""
        return day in self.rows_by_day or self.files is None

    def rows(self, where: pl.Expr) -> pl.DataFrame:
        """The rows that ``where`` keeps, with the columns an event is made from."""
        scans = [table.scan().filter(where).select(self.plan.raw_columns) for table in self._tables]
        return pl.concat(scans).collect()

    @cached_property
    def high_water(self) -> dict[str, int]:
        """By source partition of the log, the offset up to which (exclusive) every message is in these rows."""
        if self.log is None:
            return {}
        partitions = self.log.files(stats=["_partition"])["min._partition"].unique().drop_nulls()
        return {partition: position(self.log, partition) or 0 for partition in sorted(partitions)}

    @cached_property
    def corrections(self) -> pl.DataFrame:
        """Identities that have a revision above 0 anywhere: ``user_id``, ``event_id``, ``rev`` and ``day``.

        An event that a correction moved to another day must leave the day it was on.
        """
        return self.corrected(pl.lit(True))

    def corrected(self, where: pl.Expr) -> pl.DataFrame:
        """As ``corrections``, of the raw rows that ``where`` keeps."""
        rev = self.plan.source.rev
        if rev is None:  # nothing can be corrected, so nothing is read
            types = {name: self.plan.schema[name] for name in ("user_id", "event_id", "rev")}
            return pl.DataFrame(schema={**types, DAY: pl.Date()})
        events, _ = identified(self.plan, self.rows(where & (pl.col(rev) > 0)))
        return events.select("user_id", "event_id", "rev", pl.col("event_time").dt.date().alias(DAY)).unique()

    @property
    def versions(self) -> dict[str, int]:
        """Delta versions that were read, by table."""
        return {table.name: table.version() for table in self._tables}

    @property
    def notes(self) -> dict[str, str]:
        """What a bucket made from these rows keeps in its files."""
        return {HIGH_WATER: json.dumps(self.high_water, sort_keys=True)}

    @property
    def _tables(self) -> Sequence[LakeTable]:
        return [table for table in (self.files, self.log) if table is not None]


def high_water_of(notes: Mapping[str, str]) -> dict[str, int]:
    """The high-water mark in a bucket's notes; empty for one that was made from files alone."""
    return {partition: int(end) for partition, end in json.loads(notes.get(HIGH_WATER, "{}")).items()}


def standing(events: pl.DataFrame, corrections: pl.DataFrame) -> pl.DataFrame:
    """The events that no correction of a higher revision moved to another day, in order."""
    if not corrections.height or not events.height:
        return events
    numbered = events.with_row_index("_row")
    at = numbered.select("_row", "user_id", "event_id", "rev", pl.col("event_time").dt.date().alias(DAY))
    return numbered.join(moved(at, corrections), on="_row", how="anti", maintain_order="left").drop("_row")


def moved(events: pl.DataFrame, corrections: pl.DataFrame) -> pl.DataFrame:
    """The events that a correction of a higher revision moved to another day, which is told as ``day_to``.

    Shapes:
        In: ``user_id``, ``event_id``, ``rev`` and ``day``, and whatever else. An event that was moved more than once
        comes as often.
    """
    pairs = events.join(corrections, on=["user_id", "event_id"], suffix="_to")
    return pairs.filter((pl.col("rev_to") > pl.col("rev")) & (pl.col(f"{DAY}_to") != pl.col(DAY)))
