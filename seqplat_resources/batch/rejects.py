"""Keep what was refused: replace the reject buckets that one build is responsible for."""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence

import polars as pl

from seqplat_resources.batch import tables
from seqplat_resources.batch.spans import by_day
from seqplat_resources.lakehouse.files import Part
from seqplat_resources.lakehouse.layout import DAY, UNDATED
from seqplat_resources.lakehouse.table import LakeTable
from seqplat_resources.runtime import Runtime


def keep_rejects(
    runtime: Runtime,
    source: str,
    stage: str,
    days: Iterable[dt.date],
    rejects: pl.DataFrame,
    *,
    partitions: Sequence[str] = (),
) -> None:
    """Store ``rejects`` as all there are of ``stage`` for ``days`` and, undated, for the source ``partitions`` read.

    Buckets that had no rejects and get none are not touched.
    """
    table = tables.rejects(runtime, source)
    present = table.buckets()
    rejects = rejects.with_columns(release=pl.lit(runtime.loaded.id))
    found = dict(by_day(rejects))
    undated = found.pop(UNDATED, rejects.clear())
    touched: dict[dt.date, Mapping[str, str | dt.date]] = {
        day: {"stage": stage, DAY: day} for day in days if day in found or (stage, day.isoformat()) in present
    }
    if touched:
        parts = ((touched[day], Part(rows)) for day, rows in found.items() if day in touched)
        table.replace_many(list(touched.values()), parts)
    if undated.height or (partitions and (stage, UNDATED.isoformat()) in present):
        table.replace({"stage": stage, DAY: UNDATED}, _with_others(table, stage, undated, partitions))


def _with_others(table: LakeTable, stage: str, undated: pl.DataFrame, partitions: Sequence[str]) -> Iterator[Part]:
    # NOTE: a generator, so that the others are read under the lease: runs of other days write this bucket as well.
    bucket = (pl.col("stage") == stage) & (pl.col(DAY) == UNDATED)
    others = table.scan().filter(bucket & ~pl.col("source_partition").is_in(partitions)).collect()
    yield Part(pl.concat([rows.select(list(table.schema)) for rows in (others, undated)]))
