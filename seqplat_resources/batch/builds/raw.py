"""Ingest source files into ``raw/<source>`` by event day: decoded once, typed, with every refused row kept.

>>> [(str(result.day), result.rows) for result in ingest(shop, "orders", days)]
[('2024-05-01', 2), ('2024-05-02', 1), ('2024-05-03', 1)]
"""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import partial

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


def ingest(runtime: Runtime, name: str, days: Sequence[dt.date]) -> Iterator[BucketResult]:
    """Replace the raw buckets of ``days``.

    A source with ``{day}`` in its location streams each day's files, one day after the other; a day whose files are
    not there yet is reported as ``awaited`` and not written. Any other source is read once for all the days, whose rows
    are then held in memory together; a single day is streamed in any case.

    Raises:
        SourceUnreadable, SourceDrift: nothing of the day was written; of a source that is read once, of any day.
    """
    source = runtime.release.sources[name]
    table, joined = tables.raw(runtime, source), joined_files(source, runtime.sources_root)
    if "{day}" in source.location or len(days) == 1:
        for day in days:
            files = files_of(source, runtime.sources_root, day=day)
            if not files and source.expects_file(day):
                yield awaited(table, source, runtime.sources_root, day)
                continue
            reading = _FileSet(source, files, day)
            chunks: Iterable[DecodedRows] = reading.chunks(runtime)
            if "{day}" in source.location:
                chunks = (_strays_refused(chunk, day) for chunk in chunks)
            yield from _buckets(runtime, table, source, [day], chunks, made_of(files, joined), reading)
        return
    files = files_of(source, runtime.sources_root)
    reading = _FileSet(source, files)
    chunks = [_of_days(chunk, [*days, UNDATED]) for chunk in reading.chunks(runtime)]
    for start in range(0, len(days), DAYS_AT_ONCE):
        # The undated rejects of the files belong to no day; they are replaced once, with the first.
        few = days[start : start + DAYS_AT_ONCE]
        yield from _buckets(
            runtime, table, source, few, chunks, made_of(files, joined), reading if start == 0 else None
        )


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
    days: Sequence[dt.date],
    chunks: Iterable[DecodedRows],
    files: Sequence[SourceFile],
    reading: _FileSet | None,
) -> Iterator[BucketResult]:
    """Write some days made of ``files``. ``reading`` is that whose undated rejects ``chunks`` hold completely."""
    watch, rejects, unknown, filtered = Stopwatch(), [no_rejects()], set[str](), [0]

    def parts() -> Iterator[tuple[Mapping[str, dt.date], FilePart]]:
        for chunk in chunks:
            mine = _of_days(chunk, [*days, UNDATED] if reading else days)
            rejects.append(mine.rejects)
            unknown.update(mine.unknown_fields)
            filtered.append(mine.filtered if reading else 0)
            for day, rows in by_day(mine.rows, EVENT_DAY):
                if day in days:
                    yield {DAY: day}, _part(rows, source.shards)

    def before_commit() -> dict[str, object]:
        reads, read = (reading.reads, reading.read) if reading else (None, None)
        keep_rejects(runtime, source.name, tables.INGEST_STAGE, days, pl.concat(rejects), reads=reads, read=read)
        return {"release": runtime.loaded.id}

    with watch("total"):
        said = {**noted(dict.fromkeys(days, files)), MEANING: runtime.loaded.meaning_of(f"raw/{source.name}")}
        notes: Callable[[], Mapping[str, str]] = partial(dict, said)
        commits = table.replace_many([{DAY: day} for day in days], parts(), before_commit=before_commit, notes=notes)
    refused = tally(pl.concat(rejects)[DAY])
    for day, commit in zip(days, commits, strict=True):
        facts: dict[str, int | float | str] = {
            "rejected": refused[day],
            "rejected_undated": refused[UNDATED] if day == days[0] else 0,
        }
        if sum(filtered) and day == days[0]:
            facts["filtered"] = sum(filtered)
        if versions := {file.table.number for file in files if file.table}:
            facts["source_version"] = max(versions)
        if unknown:
            facts["unknown_fields"] = ", ".join(sorted(unknown))
        yield BucketResult(commit.table, day, commit.rows, commit.bytes, commit.version, facts, watch.share(len(days)))


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
