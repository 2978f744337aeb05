"""How many events carry a value of each enrichment, and how many still wait for one."""

import datetime as dt
from collections.abc import Sequence

import polars as pl

from seqplat_resources.batch.inputs import tables
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.engine.status import CellStatus
from seqplat_resources.lake.layout import DAY
from seqplat_resources.quality.frame import DETAIL, PASSED, per_day
from seqplat_resources.release.runtime import Runtime
from sequence_defs.compiler.project import status_column


def coverage(runtime: Runtime, event_type: str, days: Sequence[dt.date]) -> pl.DataFrame:
    """Shares of the four statuses per enrichment.

    Shapes:
        Out: per day ``rows`` and, per attached enrichment, ``<name>_value``, ``_null``, ``_pending``, ``_error``:
        shares of the rows, null on a day without rows. A day with any PENDING or ERROR cell does not pass.
    """
    plan = EventPlan.of(runtime.loaded, event_type)
    names = [enrichment.name for _, enrichment in plan.attachments]
    shares = []
    for name in names:
        # Rows from before the enrichment was attached have null.
        status = pl.col(status_column(name)).fill_null(int(CellStatus.PENDING))
        shares += [(status == int(s)).mean().alias(f"{name}_{s.name.lower()}") for s in CellStatus]
    rows = tables.events(runtime, plan).scan().filter(pl.col(DAY).is_in(list(days)))
    measured = per_day(days, rows.group_by(DAY).agg(pl.len().alias("rows"), *shares).collect())
    waiting = [
        pl.when(pl.col(f"{name}_{status}") > 0).then(
            pl.format(f"{name}: {{}} % {status.upper()}", (pl.col(f"{name}_{status}") * 100).round(2))
        )
        for name in names
        for status in ("pending", "error")
    ]
    detail = pl.concat_str(waiting, separator="; ", ignore_nulls=True) if waiting else pl.lit("")
    return measured.with_columns(detail.alias(DETAIL)).with_columns((pl.col(DETAIL) == "").alias(PASSED))
