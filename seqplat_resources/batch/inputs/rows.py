"""The raw rows that batch reads of a source: those of files, replaced by day, and those of its log, appended.

>>> inputs = RawInputs.open(shop, EventPlan.of(shop.loaded, "purchase"))
>>> {str(day): rows for day, rows in sorted(inputs.rows_by_day.items())}
{'2024-05-01': 2, '2024-05-02': 1, '2024-05-03': 1}
>>> inputs.rows(pl.col("day") == days[1])["product"].to_list()
['bread']
"""

import datetime as dt
import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial

import polars as pl

from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.inputs.rivals import RANKED, Rivals, outranked_days
from seqplat_resources.batch.inputs.shards import shard_column
from seqplat_resources.batch.inputs.spans import rows_by_day
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.engine.run import identified
from seqplat_resources.errors import Final
from seqplat_resources.lake.append import position
from seqplat_resources.lake.columns.whole import WholeTable
from seqplat_resources.lake.damage import way_out
from seqplat_resources.lake.expire import expired_before
from seqplat_resources.lake.files import notes_of
from seqplat_resources.lake.layout import DAY, as_declared, stored_name
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.release.store import LoadedRelease
from sequence_defs.evolution.meaning import Meaning, MeaningMoved

# Notes in a bucket's files: which messages it was made from, of which days its rows outrank copies, how many messages
# of each day the archive had, and what the rows mean.
HIGH_WATER, OUTRANKS, ARCHIVED, MEANING = "high_water", "outranks", "archived", "meaning"


class ArchiveLost(Final):
    """A log's archive has less than a day was made of, or than streams have kept."""

    def __init__(self, events: str, archive: LakeTable, day: dt.date, *, had: str, has: str) -> None:
        self.day = day
        said, gone = f"{events} {day} {had}, and {archive.name} has {has}", expired_before(archive)
        if gone is not None and day < gone:
            super().__init__(
                f"{said}: messages of days before {gone} are kept no longer (retention_days of its source). The day "
                "stays as it is"
            )
            return
        super().__init__(
            f"{said}: built again it would lose events. {way_out(archive.home, archive.name)}; to accept the loss, "
            f"move {archive.home.uri(f'lake/{events}')} away and build its days again"
        )


@dataclass(frozen=True)
class RawInputs:
    """All raw rows of an event type's source as they were when this was opened, whatever is added meanwhile."""

    plan: EventPlan
    files: LakeTable | None
    log: LakeTable | None
    loaded: LoadedRelease

    @classmethod
    def open(cls, runtime: Runtime, plan: EventPlan) -> "RawInputs":
        """Pin the tables as they are now."""
        source = plan.source
        return cls(
            plan,
            tables.raw(runtime, source).pinned() if source.location else None,
            tables.archive(runtime, source).pinned() if source.topic else None,
            runtime.loaded,
        )

    @cached_property
    def rows_by_day(self) -> dict[dt.date, int]:
        """How many rows there are of each day, from the Delta logs alone."""
        found: dict[dt.date, int] = {}
        for by_day in (self._archived, rows_by_day(self.files) if self.files is not None else {}):
            for day, rows in by_day.items():
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

    def shard_column(self, days: Collection[dt.date]) -> pl.Expr:
        """What says the shard of raw rows of ``days``; see ``shards``."""
        user, shards = stored_name(self.plan.source.user_id or ""), self.plan.source.shards
        return shard_column(self._tables, user, "_shard", shards, pl.col(DAY).is_in(list(days)))

    @cached_property
    def high_water(self) -> dict[str, int]:
        """By source partition of the log, the offset up to which (exclusive) every message is in these rows."""
        if self.log is None:
            return {}
        partitions = self.log.files(stats=["_partition"])["min._partition"].unique().drop_nulls()
        return {partition: position(self.log, partition) or 0 for partition in sorted(partitions)}

    def require_kept(self, events: LakeTable, kept: Mapping[str, int], days: Collection[dt.date]) -> None:
        """
        Raises:
            ArchiveLost: buckets of ``days`` were made of more than there is now; or some were never built, and streams
                had ``kept`` (see ``kept_positions``) more.
        """
        if self.log is None or not days:
            return
        lost = partial(ArchiveLost, events.name.removeprefix("lake/"), self.log)
        by_day = notes_by_day(events, days)
        for day in days:
            notes = by_day.get(day, {})
            marks, how = (high_water_of(notes), "was made of") if day in by_day else (kept, "is of a stream that kept")
            for partition, had in marks.items():
                if (has := position(self.log, partition) or 0) < had:
                    raise lost(day, had=f"{how} {partition} up to offset {had}", has=f"it up to {has} only")
            if (rows := self._archived.get(day, 0)) < (had := archived_of(notes, day)):
                raise lost(day, had=f"was made of {had} messages of that day", has=f"{rows} of them")

    @cached_property
    def _archived(self) -> dict[dt.date, int]:
        """Rows of each day in the archive."""
        return rows_by_day(self.log) if self.log is not None else {}

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
        archived = {str(day): rows for day in days if (rows := self._archived.get(day))}
        return {
            HIGH_WATER: json.dumps(self.high_water, sort_keys=True),
            OUTRANKS: json.dumps(outranks),
            ARCHIVED: json.dumps(archived),
            MEANING: self.meaning(days),
        }

    def meaning(self, days: Sequence[dt.date]) -> str:
        """What events of ``days`` mean, made of these rows: raw days that another definition of the source decoded make
        others of them."""
        made, found = Meaning.from_json(self.plan.meaning), self.decoded_otherwise(days)
        moved = sorted(set().union(*found.values()))
        return made.made_of(self.loaded.release, self.plan.event_type.name, moved).to_json()

    def decoded_otherwise(self, days: Collection[dt.date]) -> dict[dt.date, frozenset[MeaningMoved]]:
        """By day what of its raw rows is not as the release would decode them, as far as they note what decoded them:
        files of a day were decoded together, messages as they came, and are not there to be decoded again.

        Cost: the footer of one file per day, and of every file of the archive that has messages of the days.
        """
        found: dict[dt.date, set[MeaningMoved | None]] = {day: set() for day in days}
        now = self.loaded.meaning_of(f"raw/{self.plan.source.name}")
        for day, notes in (notes_by_day(self.files, days) if self.files is not None else {}).items():
            found[day].add(_moved(now, notes.get(MEANING, "")))
        if self.log is not None and (archived := [day for day in days if day in self._archived]):
            now = self.loaded.meaning_of(f"archive/{self.plan.source.name}")
            files = self.log.files().select(pl.col(DAY).str.to_date(), "path").filter(pl.col(DAY).is_in(archived))
            options = tuple(self.log.home.storage_options.items())
            for day, path in files.iter_rows():
                with suppress(OSError, pl.exceptions.PolarsError):  # lost or damaged, as reading its rows will tell
                    found[day].add(_moved(now, meaning_noted(f"{self.log.uri}/{path}", options)))
        return {day: frozenset(filter(None, each)) for day, each in found.items()}

    @property
    def _tables(self) -> Sequence[LakeTable]:
        return [table for table in (self.files, self.log) if table is not None]


@lru_cache(4096)
def _moved(now: str, noted: str) -> MeaningMoved | None:
    """How rows that note one meaning differ from those of another; None where they do not, or note nothing."""
    found = Meaning.from_json(now).differs_from(Meaning.from_json(noted)) if noted and noted != now else None
    return found if found and (found.is_stale or found.missing) else None


@lru_cache(100_000)
def meaning_noted(uri: str, options: tuple[tuple[str, str], ...]) -> str:
    """What a file of the lake notes of the meaning of its rows; empty where it does not. Such a file never changes."""
    return notes_of(uri, dict(options)).get(MEANING, "")


def notes_by_day(table: LakeTable, days: Collection[dt.date]) -> dict[dt.date, dict[str, str]]:
    """What the buckets of ``days`` that are there note of their making.

    Cost: the footer of one file per day, or of one for all days that were written together.
    """
    built = table.files().group_by(DAY).agg(pl.col("path").first())
    paths = built.select(pl.col(DAY).str.to_date(), "path").filter(pl.col(DAY).is_in(list(days)))
    by_path = {path: notes_of(f"{table.uri}/{path}", table.home.storage_options) for path in paths["path"].unique()}
    found = {day: by_path[path] for day, path in paths.iter_rows()}
    if not isinstance(table, WholeTable):
        return found
    whole = table.with_beside({str(day): notes for day, notes in found.items()})
    return {day: whole[str(day)] for day in found}


def high_water_of(notes: Mapping[str, str]) -> dict[str, int]:
    """The high-water mark in a bucket's notes; empty for one that was made from files alone."""
    return {partition: int(end) for partition, end in json.loads(notes.get(HIGH_WATER, "{}")).items()}


def outranks_of(notes: Mapping[str, str], day: dt.date) -> dict[str, int]:
    """By day (``YYYY-MM-DD``) how many copies rows of the bucket of ``day`` outrank; see ``BucketVersion``."""
    found: dict[str, int] = json.loads(notes.get(OUTRANKS, "{}")).get(day.isoformat(), {})
    return found


def archived_of(notes: Mapping[str, str], day: dt.date) -> int:
    """How many messages of its day the archive had when the bucket was made; 0 where nobody noted that."""
    return int(json.loads(notes.get(ARCHIVED, "{}")).get(day.isoformat(), 0))


def kept_positions(served: LakeTable | None) -> dict[str, int]:
    """By source partition, up to where (exclusive) streams have kept its messages, as the log of what was served says.

    Each is in the archive before it is in there; so it is read before the archive is pinned.
    """
    if served is None or not served.exists():
        return {}
    partitions = served.files(stats=["source_partition"])["min.source_partition"].unique().drop_nulls().sort()
    return {partition: position(served, partition) or 0 for partition in partitions}
