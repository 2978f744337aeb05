"""Ingest source files into ``raw/<source>`` by event day: decoded once, typed, with every refused row kept.

>>> [(str(result.day), result.rows) for result in ingest(shop, "orders", days)]
[('2024-05-01', 2), ('2024-05-02', 1), ('2024-05-03', 1)]
"""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cached_property, partial

import polars as pl

from seqplat_resources.batch.days.arrivals import awaited, made_of, noted
from seqplat_resources.batch.days.result import BucketResult, Stopwatch
from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.inputs.rejects import keep_rejects
from seqplat_resources.batch.inputs.rows import MEANING
from seqplat_resources.batch.inputs.spans import DAYS_AT_ONCE, by_day
from seqplat_resources.engine.outcome import no_rejects, tally
from seqplat_resources.lake.files import ROW_GROUP_ROWS, FilePart
from seqplat_resources.lake.layout import DAY, UNDATED, as_stored
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.sources.decode import EVENT_DAY, DecodedRows, decode_files
from seqplat_resources.sources.files import SourceFile, is_of_day
from seqplat_resources.sources.joins import joined_files
from seqplat_resources.sources.locations import files_of
from sequence_defs.schema import Source

# Files of so many bytes in all are read together: whoever stops a long range repeats no more than this.
BYTES_AT_ONCE = 4 << 20


def ingest(runtime: Runtime, name: str, days: Sequence[dt.date]) -> Iterator[BucketResult]:
    """Replace the raw buckets of ``days``.

    A source with ``{day}`` in its location reads each day's own files: days of small files are read together and share
    a commit, a large one is streamed into its own; a day whose files are not there yet is reported as ``awaited`` and
    not written. Any other source is read once for all the days, whose rows are then held in memory together; a single
    day is streamed in any case.

    Raises:
        SourceUnreadable, SourceDrift: nothing was written of the days that are read together; of a source that is
            read once, of any day.
    """
    source = runtime.release.sources[name]
    table, joined = tables.raw(runtime, source), joined_files(source, runtime.sources_root)
    if "{day}" in source.location or len(days) == 1:
        yield from _day_by_day(runtime, table, source, days)
        return
    reading = _Reading(source, {None: files_of(source, runtime.sources_root)})
    chunks = [_of_days(chunk, [*days, UNDATED]) for chunk in reading.chunks(runtime)]
    for start in range(0, len(days), DAYS_AT_ONCE):
        # The undated rejects of the files belong to no day; they are replaced once, with the first.
        few = days[start : start + DAYS_AT_ONCE]
        of = dict.fromkeys(few, made_of(reading.files[None], joined))
        yield from _buckets(runtime, table, of, chunks, reading, is_complete=not start)


def _day_by_day(runtime: Runtime, table: LakeTable, source: Source, days: Sequence[dt.date]) -> Iterator[BucketResult]:
    """Each day of its own files, small ones together."""
    joined = joined_files(source, runtime.sources_root)

    def written(found: Mapping[dt.date, Sequence[SourceFile]]) -> Iterator[BucketResult]:
        if found:
            reading = _Reading(source, dict(found.items()))
            of = {day: made_of(files, joined) for day, files in found.items()}
            yield from _buckets(runtime, table, of, reading.chunks(runtime), reading)

    held = dict[dt.date, Sequence[SourceFile]]()
    for day in days:
        files = files_of(source, runtime.sources_root, day=day)
        if not files and source.expects_file(day):
            yield awaited(table, source, runtime.sources_root, day)
            continue
        if held and not _go_together([*held.values(), files]):
            yield from written(held)
            held = {}
        held[day] = files
    yield from written(held)


def _go_together(files: Sequence[Sequence[SourceFile]]) -> bool:
    """Whether days of these files are few and small. A file whose name is of two days is read for each by itself."""
    every = [file for of_day in files for file in of_day]
    is_small = len(files) <= DAYS_AT_ONCE and sum(file.size_bytes for file in every) <= BYTES_AT_ONCE
    return is_small and len({file.partition for file in every}) == len(every)


@dataclass
class _Reading:
    """The files that a build reads, by the day they are of; those of no day are of every day of their source."""

    source: Source
    files: Mapping[dt.date | None, Sequence[SourceFile]]
    rows: int = 0

    @cached_property
    def day_of(self) -> dict[str, dt.date]:
        """By partition, the day that its file is of."""
        return {file.partition: day for day, files in self.files.items() if day for file in files}

    @property
    def _says_day(self) -> bool:
        return "{day}" in self.source.location

    def chunks(self, runtime: Runtime) -> Iterator[DecodedRows]:
        """What is in them; counts ``rows``, refused ones included."""
        every = [file for files in self.files.values() for file in files]
        for chunk in decode_files(self.source, every, runtime.sources_root, clock=runtime.clock):
            self.rows += chunk.rows.height + chunk.rejects.height
            yield _strays_refused(chunk, self.day_of) if self._says_day else chunk

    def reads(self, partition: str) -> bool:
        """Whether undated rejects of the partition are replaced by those of this build, also where it is gone.

        Joined files are read for every day, and refused anew.
        """
        if not self._says_day or any(day and is_of_day(self.source.location, partition, day) for day in self.files):
            return True
        return any(fnmatchcase(partition, join.location) for join in self.source.joins)

    @property
    def read(self) -> int | None:
        """Rows of all files there are; None where these are some of them."""
        return None if self._says_day else self.rows


def _buckets(
    runtime: Runtime,
    table: LakeTable,
    files: Mapping[dt.date, Sequence[SourceFile]],
    chunks: Iterable[DecodedRows],
    reading: _Reading,
    *,
    is_complete: bool = True,
) -> Iterator[BucketResult]:
    """Write some days made of ``files``. What is read and belongs to no day is written only where ``is_complete``, so
    that it is written once.
    """
    source, watch, days = reading.source, Stopwatch(), list(files)
    told = _Refused(days[0], reading.day_of)

    def parts() -> Iterator[tuple[Mapping[str, dt.date], FilePart]]:
        for chunk in chunks:
            mine = _of_days(chunk, [*days, UNDATED] if is_complete else days)
            told.add(mine, is_complete=is_complete)
            for day, rows in by_day(mine.rows, EVENT_DAY):
                if day in files:
                    yield {DAY: day}, _part(rows, source.shards)

    def before_commit() -> dict[str, object]:
        reads, read = (reading.reads, reading.read) if is_complete else (None, None)
        refused = pl.concat(told.rejects)
        keep_rejects(runtime, source.name, tables.INGEST_STAGE, days, refused, reads=reads, read=read)
        return {"release": runtime.loaded.id}

    with watch("total"):
        said = {**noted(files), MEANING: runtime.loaded.meaning_of(f"raw/{source.name}")}
        notes: Callable[[], Mapping[str, str]] = partial(dict, said)
        commits = table.replace_many([{DAY: day} for day in days], parts(), before_commit=before_commit, notes=notes)
    refused = tally(pl.concat(told.rejects)[DAY])
    for day, commit in zip(days, commits, strict=True):
        facts: dict[str, int | float | str] = {"rejected": refused[day], **told.facts(day)}
        if versions := {file.table.number for file in files[day] if file.table}:
            facts["source_version"] = max(versions)
        yield BucketResult(commit.table, day, commit.rows, commit.bytes, commit.version, facts, watch.share(len(days)))


@dataclass
class _Refused:
    """What of the files became no rows, by the day they are of; of files of all days it is told with the ``first``."""

    first: dt.date
    day_of: Mapping[str, dt.date]
    rejects: list[pl.DataFrame] = field(default_factory=lambda: [no_rejects()])
    undated: Counter[dt.date] = field(default_factory=Counter)
    filtered: Counter[dt.date] = field(default_factory=Counter)
    unknown: dict[dt.date | None, set[str]] = field(default_factory=dict)

    def add(self, chunk: DecodedRows, *, is_complete: bool) -> None:
        self.rejects.append(chunk.rejects)
        undated = chunk.rejects.filter(pl.col(DAY) == UNDATED)["source_partition"].value_counts()
        for partition, count in undated.iter_rows():
            self.undated[self.day_of.get(partition, self.first)] += count
        for partition, count in chunk.filtered.items() if is_complete else ():
            self.filtered[self.day_of.get(partition, self.first)] += count
        for partition, names in chunk.unknown_fields.items():
            self.unknown.setdefault(self.day_of.get(partition), set()).update(names)

    def facts(self, day: dt.date) -> dict[str, int | float | str]:
        found: dict[str, int | float | str] = {"rejected_undated": self.undated[day]}
        if self.filtered[day]:
            found["filtered"] = self.filtered[day]
        if unknown := self.unknown.get(day, set()) | self.unknown.get(None, set()):
            found["unknown_fields"] = ", ".join(sorted(unknown))
        return found


def _strays_refused(chunk: DecodedRows, day_of: Mapping[str, dt.date]) -> DecodedRows:
    """What a day's file says of other days, as undated rejects: no other run reads that file, so it would be lost."""
    partitions, days = pl.Series(list(day_of), dtype=pl.String()), pl.Series(list(day_of.values()), dtype=pl.Date())
    mine = pl.col("_partition").replace_strict(partitions, days, default=None)
    reason = pl.format("event_time: {} is not of {}, the day of its file", "_event_time", mine)
    theirs = pl.col("source_partition").replace_strict(partitions, days, default=None)
    rejects = chunk.rejects.with_columns(pl.when(pl.col(DAY) != theirs).then(pl.lit(UNDATED)).otherwise(DAY).alias(DAY))
    return replace(chunk, rejects=rejects).refusing(pl.when(mine != EVENT_DAY).then(reason))


def _of_days(chunk: DecodedRows, days: Sequence[dt.date]) -> DecodedRows:
    rows, rejects = chunk.rows.filter(EVENT_DAY.is_in(days)), chunk.rejects.filter(pl.col(DAY).is_in(days))
    return DecodedRows(rows, rejects, chunk.unknown_fields, filtered=chunk.filtered)


def _part(rows: pl.DataFrame, shards: int) -> FilePart:
    rows = as_stored(rows)
    if shards == 1:
        return FilePart(rows)
    # Row groups of about half a shard: reading one shard of the file touches two or three of them.
    group = max(ROW_GROUP_ROWS // 8, min(ROW_GROUP_ROWS, rows.height // (2 * shards)))
    return FilePart(rows.sort("_shard", maintain_order=True), row_group_rows=group)
