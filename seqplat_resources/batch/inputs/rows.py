"""The raw rows that batch reads of a source: those of files, replaced by day, and those of its log, appended."""

import datetime as dt
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.inputs.rivals import RANKED, Rivals, outranked_days
from seqplat_resources.batch.inputs.spans import rows_by_day
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.engine.run import identified
from seqplat_resources.errors import Final
from seqplat_resources.lake.append import position
from seqplat_resources.lake.damage import way_out
from seqplat_resources.lake.files import notes_of
from seqplat_resources.lake.layout import DAY, as_declared, stored_name
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.release.runtime import Runtime

# Notes in a bucket's files: which messages it was made from, and of which days its rows outrank copies.
HIGH_WATER, OUTRANKS = "high_water", "outranks"


class ArchiveLost(Final):
    """A log's archive has fewer messages than buckets were made of."""

    def __init__(self, events: str, archive: LakeTable, day: dt.date, partition: str, *, had: int, has: int) -> None:
        self.day, self.partition, self.had, self.has = day, partition, had, has
        super().__init__(
            f"{events} {day} was made of {partition} up to offset {had}, and {archive.name} has it up to {has} only: "
            f"built again it would lose events. {way_out(archive.home, archive.name)}; to accept the loss, move "
            f"{archive.home.uri(f'lake/{events}')} away and build its days again"
        )


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
        return self.files is None or day in self._ingested

    @cached_property
    def _ingested(self) -> set[dt.date]:
        return {dt.date.fromisoformat(day) for (day,) in self.files.buckets()} if self.files else set()

    def rows(self, where: pl.Expr) -> pl.DataFrame:
        """The rows that ``where`` keeps (of columns as they are stored), with the columns an event is made from."""
        return self.scan(where).collect()

    def scan(self, where: pl.Expr) -> pl.LazyFrame:
        """As ``rows``, not read yet."""
        return pl.concat(
            [table.scan().filter(where).select(as_declared(self.plan.raw_columns)) for table in self._tables]
        )

    @cached_property
    def high_water(self) -> dict[str, int]:
        """By source partition of the log, the offset up to which (exclusive) every message is in these rows."""
        if self.log is None:
            return {}
        partitions = self.log.files(stats=["_partition"])["min._partition"].unique().drop_nulls()
        return {partition: position(self.log, partition) or 0 for partition in sorted(partitions)}

    def require_kept(self, events: LakeTable, days: Collection[dt.date]) -> None:
        """
        Raises:
            ArchiveLost: buckets of ``days`` were made of more than there is now.
        """
        if self.log is None:
            return
        for day, notes in notes_by_day(events, days).items():
            for partition, had in high_water_of(notes).items():
                if (has := self.high_water.get(partition, 0)) < had:
                    name = events.name.removeprefix("lake/")
                    raise ArchiveLost(name, self.log, day, partition, had=had, has=has)

    @cached_property
    def corrections(self) -> pl.DataFrame:
        """All rows with a revision above 0, as ``RANKED``: an event leaves the day that one moved it from."""
        return self.corrected(pl.lit(True))

    def corrected(self, where: pl.Expr) -> pl.DataFrame:
        """As ``corrections``, of the raw rows that ``where`` keeps."""
        rev = self.plan.source.rev
        if rev is None:  # nothing can be corrected, so nothing is read
            return pl.DataFrame(schema={name: self.plan.schema[name] for name in RANKED})
        events, _ = identified(self.plan, self.rows(where & (pl.col(stored_name(rev)) > 0)))
        return events.select(RANKED)

    def rivals(self, days: Sequence[dt.date]) -> pl.DataFrame:
        """Rows of other days that may count in place of rows of ``days``, and those rows; as ``RANKED``.

        Rows of ``days`` among each other are the business of whoever reads them together.
        """
        return pl.concat([self.corrections, self._rivals.around(days)])

    @cached_property
    def _rivals(self) -> Rivals:
        return Rivals(self.plan, self.scan, self.rows_by_day.keys())

    @property
    def versions(self) -> dict[str, int]:
        """Delta versions that were read, by table."""
        return {table.name: table.version() for table in self._tables}

    def notes(self, days: Sequence[dt.date], rivals: pl.DataFrame) -> dict[str, str]:
        """What buckets of ``days`` made from these rows keep in their files."""
        found = outranked_days(rivals, days, self.plan.horizon)
        outranks = {str(day): {str(loser): count for loser, count in of.items()} for day, of in found.items()}
        return {HIGH_WATER: json.dumps(self.high_water, sort_keys=True), OUTRANKS: json.dumps(outranks)}

    @property
    def _tables(self) -> Sequence[LakeTable]:
        return [table for table in (self.files, self.log) if table is not None]


def notes_by_day(table: LakeTable, days: Collection[dt.date]) -> dict[dt.date, dict[str, str]]:
    """What the buckets of ``days`` that are there note of their making.

    Cost: the footer of one file per day, or of one for all days that were written together.
    """
    built = table.files().group_by(DAY).agg(pl.col("path").first())
    paths = built.select(pl.col(DAY).str.to_date(), "path").filter(pl.col(DAY).is_in(list(days)))
    by_path = {path: notes_of(f"{table.uri}/{path}", table.home.storage_options) for path in paths["path"].unique()}
    return {day: by_path[path] for day, path in paths.iter_rows()}


def high_water_of(notes: Mapping[str, str]) -> dict[str, int]:
    """The high-water mark in a bucket's notes; empty for one that was made from files alone."""
    return {partition: int(end) for partition, end in json.loads(notes.get(HIGH_WATER, "{}")).items()}


def outranks_of(notes: Mapping[str, str], day: dt.date) -> dict[str, int]:
    """By day (``YYYY-MM-DD``) how many copies rows of the bucket of ``day`` outrank; see ``BucketVersion``."""
    found: dict[str, int] = json.loads(notes.get(OUTRANKS, "{}")).get(day.isoformat(), {})
    return found
