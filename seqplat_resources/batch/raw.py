"""Ingest source files into ``raw/<source>`` by event day: decoded once, typed, with every refused row kept."""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence

import polars as pl

from seqplat_resources.batch import tables
from seqplat_resources.batch.rejects import keep_rejects
from seqplat_resources.batch.result import BucketResult, Stopwatch
from seqplat_resources.engine.outcome import no_rejects, rejects_of
from seqplat_resources.ingest.decode import Decoded, decode_files
from seqplat_resources.ingest.files import SourceFile, find
from seqplat_resources.lakehouse.layout import DAY, UNDATED
from seqplat_resources.lakehouse.table import ROW_GROUP_ROWS, LakeTable, Part
from seqplat_resources.runtime import Runtime
from sequence_defs.schema import Source


def ingest(runtime: Runtime, name: str, days: Sequence[dt.date]) -> Iterator[BucketResult]:
    """Replace the raw buckets of ``days``, one after the other.

    A source with ``{day}`` in its location streams each day's files. Any other is read once for all the days, whose
    rows are then held in memory together; a single day is streamed in any case.

    Raises:
        SourceUnreadable, SourceDrift: nothing of the day was written.
    """
    source = runtime.release.sources[name]
    table = tables.raw(runtime, source)
    if "{day}" in source.location or len(days) == 1:
        for day in days:
            files = find(source.location, runtime.sources_root, source=name, day=day)
            chunks: Iterable[Decoded] = decode_files(source, files, runtime.sources_root)
            if "{day}" in source.location:
                chunks = (_strays_refused(chunk, day) for chunk in chunks)
            yield _bucket(runtime, table, source, day, chunks, files)
        return
    files = find(source.location, runtime.sources_root, source=name)
    chunks = [_of_days(chunk, [*days, UNDATED]) for chunk in decode_files(source, files, runtime.sources_root)]
    for number, day in enumerate(days):
        # The undated rejects of the files belong to no day; they are replaced once, with the first.
        yield _bucket(runtime, table, source, day, chunks, files if number == 0 else ())


def _bucket(
    runtime: Runtime,
    table: LakeTable,
    source: Source,
    day: dt.date,
    chunks: Iterable[Decoded],
    files: Sequence[SourceFile],
) -> BucketResult:
    """Write one day. ``files`` are those whose undated rejects ``chunks`` hold completely."""
    watch, rejects, unknown = Stopwatch(), [no_rejects()], set[str]()

    def parts() -> Iterator[Part]:
        for chunk in chunks:
            mine = _of_days(chunk, [day])
            rejects.append(mine.rejects)
            if files:
                rejects.append(chunk.rejects.filter(pl.col(DAY) == UNDATED))
            unknown.update(mine.unknown_fields)
            if mine.rows.height:
                yield _part(mine.rows, source.shards)

    def before_commit() -> dict[str, object]:
        partitions = [file.partition for file in files]
        keep_rejects(runtime, source.name, tables.INGEST_STAGE, [day], pl.concat(rejects), partitions=partitions)
        return {"release": runtime.loaded.id}

    with watch("total"):
        commit = table.replace({DAY: day}, parts(), before_commit=before_commit)
    refused = pl.concat(rejects)
    facts: dict[str, int | float | str] = {
        "rejected": refused.filter(pl.col(DAY) == day).height,
        "rejected_undated": refused.filter(pl.col(DAY) == UNDATED).height,
    }
    if unknown:
        facts["unknown_fields"] = ", ".join(sorted(unknown))
    return BucketResult(commit.table, day, commit.rows, commit.bytes, commit.version, facts, watch.seconds)


def _strays_refused(chunk: Decoded, day: dt.date) -> Decoded:
    """What a day's file says of other days, as undated rejects: no other run reads that file, so it would be lost."""
    elsewhere = pl.col(DAY) != day
    reason = pl.format("event_time: {} is not of {}, the day of its file", "_event_time", pl.lit(day))
    strays = rejects_of(chunk.rows.filter(elsewhere), reason=reason, day=pl.lit(UNDATED))
    rejects = chunk.rejects.with_columns(pl.when(elsewhere).then(pl.lit(UNDATED)).otherwise(DAY).alias(DAY))
    return Decoded(chunk.rows.filter(~elsewhere), pl.concat([rejects, strays]), chunk.unknown_fields)


def _of_days(chunk: Decoded, days: Sequence[dt.date]) -> Decoded:
    rows, rejects = (frame.filter(pl.col(DAY).is_in(days)) for frame in (chunk.rows, chunk.rejects))
    return Decoded(rows, rejects, chunk.unknown_fields)


def _part(rows: pl.DataFrame, shards: int) -> Part:
    if shards == 1:
        return Part(rows)
    # Row groups of about half a shard: reading one shard of the file touches two or three of them.
    group = max(ROW_GROUP_ROWS // 8, min(ROW_GROUP_ROWS, rows.height // (2 * shards)))
    return Part(rows.sort("_shard", maintain_order=True), row_group_rows=group)
