"""Ingest source files into ``raw/<source>`` by event day: decoded once, typed, with every refused row kept.

>>> [(str(result.day), result.rows) for result in ingest(shop, "orders", days)]
[('2024-05-01', 2), ('2024-05-02', 1), ('2024-05-03', 1)]
"""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import partial
from itertools import chain

import polars as pl

from seqplat_resources.batch.days.arrivals import awaited, made_of, noted
from seqplat_resources.batch.days.result import BucketResult, Stopwatch
from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.inputs.rejects import keep_rejects
from seqplat_resources.batch.inputs.rows import MEANING
from seqplat_resources.batch.inputs.spans import DAYS_AT_ONCE, ROWS_AT_ONCE, by_day
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


def ingest(runtime: Runtime, name: str, days: Sequence[dt.date]) -> Iterator[BucketResult]:
    """Replace the raw buckets of ``days``.

    A source with ``{day}`` in its location reads each day's files, one day after the other: days of few rows share a
    commit, others are streamed; a day whose files are not there yet is reported as ``awaited`` and not written. Any
    other source is read once for all the days, whose rows are then held in memory together; a single day is streamed
    in any case.

    Raises:
        SourceUnreadable, SourceDrift: nothing of the day was written; of a source that is read once, of any day.
    """
    source = runtime.release.sources[name]
    table, joined = tables.raw(runtime, source), joined_files(source, runtime.sources_root)
    if "{day}" in source.location or len(days) == 1:
        yield from _day_by_day(runtime, table, source, days)
        return
    files = files_of(source, runtime.sources_root)
    reading = _FileSet(source, files)
    chunks = [_of_days(chunk, [*days, UNDATED]) for chunk in reading.chunks(runtime)]
    for start in range(0, len(days), DAYS_AT_ONCE):
        # The undated rejects of the files belong to no day; they are replaced once, with the first.
        few = days[start : start + DAYS_AT_ONCE]
        of = dict.fromkeys(few, made_of(files, joined))
        yield from _buckets(
            runtime, table, source, of, ((None, each) for each in chunks), [reading] if not start else []
        )


def _day_by_day(runtime: Runtime, table: LakeTable, source: Source, days: Sequence[dt.date]) -> Iterator[BucketResult]:
    """Each day of its own files. Days of few rows are held and share a commit; a large one is streamed into its own.

    Where a day cannot be read, those before it are written.
    """
    joined, held = joined_files(source, runtime.sources_root), list[_DayRead]()

    def written(found: list[_DayRead]) -> Iterator[BucketResult]:
        of, found[:] = list(found), []
        if of:
            files = {each.day: made_of(each.reading.files, joined) for each in of}
            chunks = ((each.day, chunk) for each in of for chunk in each.chunks)
            yield from _buckets(runtime, table, source, files, chunks, [each.reading for each in of])

    for day in days:
        files = files_of(source, runtime.sources_root, day=day)
        if not files and source.expects_file(day):
            yield awaited(table, source, runtime.sources_root, day)
            continue
        try:
            read = _DayRead.begun(runtime, _FileSet(source, files, day), day)
        except BaseException:
            yield from written(held)
            raise
        if sum(each.rows for each in held) + read.rows > ROWS_AT_ONCE or len(held) >= DAYS_AT_ONCE:
            yield from written(held)
        held.append(read)
    yield from written(held)


@dataclass
class _DayRead:
    """A day of its own files: ``chunks`` of the ``rows`` read so far, and what is left of a large one."""

    day: dt.date
    reading: "_FileSet"
    chunks: Iterable[DecodedRows]
    rows: int

    @classmethod
    def begun(cls, runtime: Runtime, reading: "_FileSet", day: dt.date) -> "_DayRead":
        """Read all of it, or as much as makes it a large one."""
        found, chunks = list[DecodedRows](), reading.chunks(runtime)
        if "{day}" in reading.source.location:
            chunks = (_strays_refused(chunk, day) for chunk in chunks)
        for chunk in chunks:
            found.append(chunk)
            if reading.rows > ROWS_AT_ONCE:
                return cls(day, reading, chain(found, chunks), reading.rows)
        return cls(day, reading, found, reading.rows)


@dataclass
class _FileSet:
    """The files that a build reads: those of a ``day``, or all of the source."""

    source: Source
    files: Sequence[SourceFile]
    day: dt.date | None = None
    rows: int = 0

    def chunks(self, runtime: Runtime) -> Iterator[DecodedRows]:
        """What is in them; counts ``rows``, refused ones included."""
        for chunk in decode_files(self.source, self.files, runtime.sources_root, clock=runtime.clock):
            self.rows += chunk.rows.height + chunk.rejects.height
            yield chunk

    def reads(self, partition: str) -> bool:
        """Whether undated rejects of the partition are replaced by those of this build, also where it is gone.

        Joined files are read for every day, and refused anew.
        """
        if self.day is None or is_of_day(self.source.location, partition, self.day):
            return True
        return any(fnmatchcase(partition, join.location) for join in self.source.joins)

    @property
    def read(self) -> int | None:
        """Rows of all files there are; None where these are some of them."""
        return None if "{day}" in self.source.location else self.rows


def _buckets(
    runtime: Runtime,
    table: LakeTable,
    source: Source,
    files: Mapping[dt.date, Sequence[SourceFile]],
    chunks: Iterable[tuple[dt.date | None, DecodedRows]],
    readings: Sequence[_FileSet],
) -> Iterator[BucketResult]:
    """Write some days made of ``files``. ``chunks`` come with the day whose files they are of, None where files are of
    all days. ``readings`` are those whose undated rejects they hold completely.
    """
    watch, days, told = Stopwatch(), list(files), _Refused(next(iter(files)))

    def parts() -> Iterator[tuple[Mapping[str, dt.date], FilePart]]:
        for of, chunk in chunks:
            mine = _of_days(chunk, [*days, UNDATED] if readings else days)
            told.add(of, mine, is_complete=bool(readings))
            for day, rows in by_day(mine.rows, EVENT_DAY):
                if day in files:
                    yield {DAY: day}, _part(rows, source.shards)

    def before_commit() -> dict[str, object]:
        reads = (lambda partition: any(each.reads(partition) for each in readings)) if readings else None
        read = readings[0].read if len(readings) == 1 else None
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
    rejects: list[pl.DataFrame] = field(default_factory=lambda: [no_rejects()])
    undated: Counter[dt.date] = field(default_factory=Counter)
    filtered: Counter[dt.date] = field(default_factory=Counter)
    unknown: dict[dt.date | None, set[str]] = field(default_factory=dict)

    def add(self, day: dt.date | None, chunk: DecodedRows, *, is_complete: bool) -> None:
        self.rejects.append(chunk.rejects)
        self.undated[day or self.first] += tally(chunk.rejects[DAY])[UNDATED]
        self.filtered[day or self.first] += chunk.filtered if is_complete else 0
        self.unknown.setdefault(day, set()).update(chunk.unknown_fields)

    def facts(self, day: dt.date) -> dict[str, int | float | str]:
        found: dict[str, int | float | str] = {"rejected_undated": self.undated[day]}
        if self.filtered[day]:
            found["filtered"] = self.filtered[day]
        if unknown := self.unknown.get(day, set()) | self.unknown.get(None, set()):
            found["unknown_fields"] = ", ".join(sorted(unknown))
        return found


def _strays_refused(chunk: DecodedRows, day: dt.date) -> DecodedRows:
    """What a day's file says of other days, as undated rejects: no other run reads that file, so it would be lost."""
    reason = pl.format("event_time: {} is not of {}, the day of its file", "_event_time", pl.lit(day))
    rejects = chunk.rejects.with_columns(pl.when(pl.col(DAY) != day).then(pl.lit(UNDATED)).otherwise(DAY).alias(DAY))
    return replace(chunk, rejects=rejects).refusing(pl.when(day != EVENT_DAY).then(reason))


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
