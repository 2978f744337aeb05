"""How much of a source could not become raw rows, and why."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import polars as pl

from seqplat_resources.batch import tables
from seqplat_resources.lakehouse.layout import DAY, UNDATED
from seqplat_resources.quality.frame import DETAIL, PASSED, files_of, per_day
from seqplat_resources.runtime import Runtime
from seqplat_resources.stream.kept import STREAM_STAGE
from seqplat_resources.times import milliseconds

REASONS_SHOWN = 3
# Of many small appends the newest say what is wrong now.
FILES_READ = 20


def rejects(runtime: Runtime, source: str, days: Sequence[dt.date]) -> pl.DataFrame:
    """Count what ingestion refused.

    Shapes:
        Out: per day ``rows`` ingested, ``rejected`` rows, ``rejected_share`` of both, and ``undated``: rejects of the
        whole source whose day cannot be told, the same number on every day and no part of the verdict.
        The detail names the most frequent reasons, without the value each row had.
    """
    definition = runtime.release.sources[source]
    table = tables.rejects(runtime, source)
    stage = table.scan().filter(pl.col("stage") == tables.INGEST_STAGE, pl.col(DAY).is_in([*days, UNDATED]))
    found = stage.select(DAY, "source_partition", pl.col("reason").str.replace(r": .*", "")).collect()
    if "{day}" in definition.location:
        found = found.with_columns(_day_of_file(days))
    dated = found.filter(pl.col(DAY).is_in(list(days)))
    undated = found.filter(pl.col(DAY) == UNDATED).height
    reasons = pl.col("reason").value_counts(sort=True).head(REASONS_SHOWN)
    said = pl.format("{}: {}", reasons.struct.field("reason"), reasons.struct.field("count"))
    refused = dated.group_by(DAY).agg(pl.len().alias("rejected"), said.str.join("; ").alias(DETAIL))
    rows = files_of(tables.raw(runtime, definition), days).group_by(DAY).agg(pl.col("rows").sum())
    measured = per_day(days, rows.join(refused, on=DAY, how="full", coalesce=True))
    total = pl.col("rows") + pl.col("rejected")
    return measured.with_columns(
        (pl.col("rejected") == 0).alias(PASSED),
        pl.when(total > 0).then(pl.col("rejected") / total).otherwise(0.0).alias("rejected_share"),
        pl.lit(undated, pl.Int64).alias("undated"),
        pl.col(DETAIL).fill_null(f"{undated} reject(s) of the source have no day" if undated else ""),
    )


def stream_rejects(runtime: Runtime, source: str, *, since: dt.datetime) -> dict[str, Any]:
    """Count what a source's streams kept and refused in files that were committed ``since`` then.

    Shapes:
        Out: one row like those of ``rejects``, of no day: a message that cannot be read has none.
    Cost: the Delta logs; of the refused rows only those whose reasons are told.
    """
    archive, refused = tables.archive(runtime, runtime.release.sources[source]), tables.rejects(runtime, source)
    lately = pl.col("written_ms") >= milliseconds(since)
    found = refused.files().filter(lately, pl.col("stage") == STREAM_STAGE).sort("written_ms", descending=True)
    kept, rejected = int(archive.files().filter(lately)["rows"].sum()), int(found["rows"].sum())
    newest = found.head(FILES_READ)["path"].to_list()
    detail = ""
    if newest:
        reasons = refused.read(newest)["reason"].str.replace(r": .*", "").value_counts(sort=True).head(REASONS_SHOWN)
        detail = "; ".join(f"{reason}: {count}" for reason, count in reasons.iter_rows())
    share = rejected / (kept + rejected) if rejected else 0.0
    return {PASSED: not rejected, "rows": kept, "rejected": rejected, "rejected_share": share, DETAIL: detail}


def _day_of_file(days: Sequence[dt.date]) -> pl.Expr:
    """A row without a time of its own belongs to the day its file is named after."""
    named = pl.coalesce(
        *(pl.when(pl.col("source_partition").str.contains(str(day), literal=True)).then(pl.lit(day)) for day in days),
        pl.lit(None, pl.Date),
    )
    return pl.when(pl.col(DAY) == UNDATED).then(pl.coalesce(named, DAY)).otherwise(DAY).alias(DAY)
