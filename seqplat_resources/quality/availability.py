"""Whether an enrichment has values for a day."""

import datetime as dt
from collections.abc import Sequence

import polars as pl

from seqplat_resources.batch.inputs import tables
from seqplat_resources.lake.layout import DAY
from seqplat_resources.quality.frame import DETAIL, PASSED, files_of, per_day
from seqplat_resources.release.runtime import Runtime
from sequence_defs.schema import Snapshot, Versioned


def availability(runtime: Runtime, enrichment: str, days: Sequence[dt.date]) -> pl.DataFrame:
    """Look for each day's bucket; from the Delta log alone.

    Shapes:
        Out: per day ``rows`` (versions that hold at some instant of it). A day without bucket or rows does not pass:
        its events are built with PENDING, or without any value.
    Raises:
        TypeError: the enrichment is of a kind that has no table.
    """
    definition = runtime.release.enrichments[enrichment]
    if not isinstance(definition, Versioned | Snapshot):
        raise TypeError(f"enrichment {enrichment!r} is {definition.kind}: it has no buckets")
    files = files_of(tables.enrichment(runtime, definition), days)
    measured = per_day(days, files.group_by(DAY).agg(pl.col("rows").sum()))
    absent = ~pl.col(DAY).is_in(files[DAY].unique().implode())
    why = pl.when(absent).then(pl.lit("no bucket: the source had no file for this day, or it was never built"))
    return measured.with_columns(
        (pl.col("rows") > 0).alias(PASSED),
        why.when(pl.col("rows") == 0).then(pl.lit("no value holds on this day")).otherwise(pl.lit("")).alias(DETAIL),
    )
