"""Ingest source files into ``raw/<source>`` by event day: decoded once, typed, with every refused row kept."""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence

import polars as pl

from seqplat_resources.batch import tables
from seqplat_resources.batch.rejects import keep_rejects
from seqplat_resources.batch.result import BucketResult, Stopwatch
from seqplat_resources.engine.outcome import no_rejects
from seqplat_resources.ingest.decode import Decoded, decode_files
from seqplat_resources.ingest.files import SourceFile, find
from seqplat_resources.lakehouse.layout import DAY, UNDATED
from seqplat_resources.lakehouse.table import ROW_GROUP_ROWS, LakeTable, Part
from seqplat_resources.runtime import Runtime
from sequence_defs.schema import Source


def ingest(runtime: Runtime, name: str, days: Sequence[dt.date]) -> Iterator[BucketResult]:
    """Replace the raw buckets of ``days``, one after the other.

    A source with ``{day}`` in its location streams each day's files; any other is read once for all the days, whose
    rows are then held in memory together.

    Raises:
        SourceUnreadable, SourceDrift: nothing of the day was written.
    """
    source = runtime.release.sources[name]
    table = tables.raw(runtime, source)
    if "{day}" in source.location or len(days) == 1:
        for day in days:
            files = find(source.location, runtime.sources_root, source=name, day=day)
            chunks = _only(decode_files(source, files, runtime.sources_root), [day])
            yield _bucket(runtime, table, source, day, chunks, files)
    else:
        files = find(source.location, runtime.sources_root, source=name)
        chunks = list(_only(decode_files(source, files, runtime.sources_root), days))
        by_day: dict[dt.date, list[Decoded]] = {day: [] for day in days}
        for chunk in chunks:
            for (day,), rows in chunk.rows.partition_by(DAY, as_dict=True, maintain_order=True).items():
                by_day[day].append(Decoded(rows, chunk.rejects.filter(pl.col(DAY) == day), chunk.unknown_fields))
            for (day,), rejects in chunk.rejects.partition_by(DAY, as_dict=True).items():
                if day not in set(chunk.rows[DAY].unique()):
                    by_day.setdefault(day, []).append(Decoded(chunk.rows.clear(), rejects))
        undated = [chunk.rejects for chunk in by_day.pop(UNDATED, [])]
        for day in days:
            yield _bucket(runtime, table, source, day, by_day[day], ())
        keep_rejects(
            runtime,
            name,
            tables.INGEST_STAGE,
            (),
            pl.concat([no_rejects(), *undated]),
            partitions=[file.partition for file in files],
        )


def _only(chunks: Iterable[Decoded], days: Sequence[dt.date]) -> Iterator[Decoded]:
    wanted = [*days, UNDATED]
    for chunk in chunks:
        rows, rejects = (frame.filter(pl.col(DAY).is_in(wanted)) for frame in (chunk.rows, chunk.rejects))
        yield Decoded(rows, rejects, chunk.unknown_fields)


def _bucket(
    runtime: Runtime,
    table: LakeTable,
    source: Source,
    day: dt.date,
    chunks: Iterable[Decoded],
    files: Sequence[SourceFile],
) -> BucketResult:
    watch, rejects, unknown = Stopwatch(), [no_rejects()], set[str]()

    def parts() -> Iterator[Part]:
        for chunk in chunks:
            rejects.append(chunk.rejects)
            unknown.update(chunk.unknown_fields)
            if chunk.rows.height:
                yield _part(chunk.rows, source.shards)

    def before_commit() -> dict[str, object]:
        partitions = [file.partition for file in files]
        keep_rejects(runtime, source.name, tables.INGEST_STAGE, [day], pl.concat(rejects), partitions=partitions)
        return {"release": runtime.loaded.id}

    with watch("total"):
        commit = table.replace({DAY: day}, parts(), before_commit=before_commit)
    facts: dict[str, int | float | str] = {
        "rejected": sum(frame.height for frame in rejects),
        "files_read": len(files),
    }
    if unknown:
        facts["unknown_fields"] = ", ".join(sorted(unknown))
    return BucketResult(commit.table, day, commit.rows, commit.bytes, commit.version, facts, watch.seconds)


def _part(rows: pl.DataFrame, shards: int) -> Part:
    if shards == 1:
        return Part(rows)
    # Row groups of about half a shard: reading one shard of the file touches two or three of them.
    group = max(ROW_GROUP_ROWS // 8, min(ROW_GROUP_ROWS, rows.height // (2 * shards)))
    return Part(rows.sort("_shard", maintain_order=True), row_group_rows=group)
