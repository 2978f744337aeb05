"""Whether every event is in its bucket once."""

import datetime as dt
from collections.abc import Sequence

import polars as pl

from seqplat_resources.batch import tables
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.lakehouse.layout import DAY
from seqplat_resources.quality.frame import DETAIL, PASSED, per_day
from seqplat_resources.rules.identity import IDENTITY
from seqplat_resources.runtime import Runtime


def identity(runtime: Runtime, event_type: str, days: Sequence[dt.date]) -> pl.DataFrame:
    """Count rows that repeat the identity of another row, or have none.

    Shapes:
        Out: per day ``rows``, ``users``, ``duplicates`` (rows less distinct identities) and ``unidentified``.
    """
    table = tables.events(runtime, EventPlan.of(runtime.loaded, event_type))
    rows = table.scan().filter(pl.col(DAY).is_in(list(days))).select(DAY, *IDENTITY)
    counted = rows.group_by(DAY).agg(
        rows=pl.len(),
        users=pl.col("user_id").n_unique(),
        duplicates=pl.len() - pl.struct(IDENTITY).n_unique(),
        unidentified=pl.any_horizontal(pl.col(IDENTITY).is_null()).sum(),
    )
    measured = per_day(days, counted.collect())
    words = pl.format("{} duplicate row(s), {} without identity", "duplicates", "unidentified")
    return measured.with_columns(
        ((pl.col("duplicates") == 0) & (pl.col("unidentified") == 0)).alias(PASSED)
    ).with_columns(pl.when(PASSED).then(pl.lit("")).otherwise(words).alias(DETAIL))
