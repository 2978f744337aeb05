"""Keep what was refused: replace the reject buckets that one build is responsible for."""

import datetime as dt
from collections.abc import Iterable, Sequence

import polars as pl

from seqplat_resources.batch import tables
from seqplat_resources.lakehouse.layout import DAY, UNDATED
from seqplat_resources.lakehouse.table import Part
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
    for day in days:
        rows = rejects.filter(pl.col(DAY) == day)
        if rows.height or (stage, day.isoformat()) in present:
            table.replace({"stage": stage, DAY: day}, [Part(rows)])
    undated = rejects.filter(pl.col(DAY) == UNDATED)
    if undated.height or (partitions and (stage, UNDATED.isoformat()) in present):
        bucket = (pl.col("stage") == stage) & (pl.col(DAY) == UNDATED)
        others = table.scan().filter(bucket & ~pl.col("source_partition").is_in(partitions)).collect()
        columns = list(table.schema)
        table.replace(
            {"stage": stage, DAY: UNDATED}, [Part(pl.concat([others.select(columns), undated.select(columns)]))]
        )
