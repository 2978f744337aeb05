"""What the lake has of one event: its row in ``events/<type>``, and what the bucket it should be in was made from."""

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import polars as pl

from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.inputs.rows import high_water_of
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.explain.trace.engine import Position
from seqplat_resources.explain.trace.raw import UserRows
from seqplat_resources.lake.layout import DAY
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.times import instant_of_ms
from sequence_defs.compiler.project import status_column


@dataclass(frozen=True)
class BucketRow:
    """The event's row in a bucket."""

    day: dt.date
    at: Position
    rev: int
    op: str
    release: str
    statuses: Mapping[str, int | None]


@dataclass(frozen=True)
class LakeBucket:
    """One day of an event type. ``releases`` made its rows, none are known of an empty one; ``version`` is the table's
    newest."""

    day: dt.date
    built_at: dt.datetime
    version: int
    high_water: Mapping[str, int]
    releases: frozenset[str]

    def has_read(self, at: Position, written_at: dt.datetime | None) -> bool:
        """Whether the bucket was made from the raw row at this position; rows of files are older than it, or newer.

        ``written_at`` is when the row's file in the lake was written, None where it is not known.
        """
        partition, offset = at
        if partition in self.high_water:
            return offset < self.high_water[partition]
        return written_at is not None and written_at <= self.built_at


@dataclass(frozen=True)
class LakeBuckets:
    """``events/<type>`` as it is now."""

    table: LakeTable
    plan: EventPlan
    user: str

    @classmethod
    def open(cls, runtime: Runtime, plan: EventPlan, user: str) -> "LakeBuckets":
        return cls(tables.events(runtime, plan).pinned(), plan, user)

    def bucket(self, day: dt.date) -> LakeBucket | None:
        """The day's bucket; None where it was never built."""
        files = self.table.files().filter(pl.col(DAY) == day.isoformat())
        if not files.height:
            return None
        written_ms = int(files["written_ms"].to_numpy().max())
        # A build makes all rows of a bucket, so one tells.
        releases = self.table.scan().filter(pl.col(DAY) == day).select("release").head(1).collect()["release"]
        return LakeBucket(
            day,
            instant_of_ms(written_ms),
            self.table.version(),
            high_water_of(self.table.notes({DAY: day})),
            frozenset(releases),
        )

    def rows(self, event_id: str, days: Collection[dt.date]) -> list[BucketRow]:
        """The event's rows in the buckets of ``days``."""
        statuses = [status_column(found.name) for _, found in self.plan.attachments]
        columns = [DAY, "source_partition", "offset", "rev", "op", "release", *statuses]
        if not days or not self.table.exists():
            return []
        found = self._scan(days).filter(pl.col("event_id") == event_id).select(columns).collect()
        return [
            BucketRow(
                row[DAY],
                (row["source_partition"], row["offset"]),
                row["rev"],
                row["op"],
                row["release"],
                {name: row[name] for name in statuses},
            )
            for row in found.iter_rows(named=True)
        ]

    def _scan(self, days: Collection[dt.date]) -> pl.LazyFrame:
        user = pl.Series([self.user]).cast(self.plan.schema["user_id"], strict=False)[0]
        return self.table.scan().filter(pl.col(DAY).is_in(sorted(days)) & (pl.col("user_id") == user))


def written_at(rows: UserRows, at: Position, day: dt.date) -> dt.datetime | None:
    """When the lake got the raw row: the newest file of its day in its table, which may have been written again since.

    None where the tables have no such day.
    """
    is_log = rows.inputs.log is not None and at[0] in rows.inputs.high_water
    table = rows.inputs.log if is_log else rows.inputs.files
    if table is None or not table.exists():
        return None
    files = table.files().filter(pl.col(DAY) == day.isoformat())
    return instant_of_ms(int(files["written_ms"].to_numpy().max())) if files.height else None
