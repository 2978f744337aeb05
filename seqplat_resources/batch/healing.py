"""Cells that batch could not compute and a stream had: a batch PENDING or ERROR never replaces a streamed VALUE."""

import datetime as dt
from collections.abc import Sequence

import polars as pl

from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.engine.status import Status
from seqplat_resources.lakehouse.layout import DAY
from seqplat_resources.lakehouse.table import LakeTable
from sequence_defs.compiler.project import attached, status_column

_IDENTITY = ["user_id", "event_id", "rev"]


def with_streamed_values(
    events: pl.DataFrame, plan: EventPlan, served: LakeTable, days: Sequence[dt.date]
) -> tuple[pl.DataFrame, int]:
    """Fill cells that are PENDING or in ERROR with what was served of the same revision of the same event.

    Shapes:
        Out: the same rows in the same order, and how many cells were filled. A revision that was served more than
        once gives what it had first.
    Cost: nothing is read where no cell waits.
    """
    waiting = {status: list(columns) for status, columns in _cells(plan).items() if _waits(events[status]).any()}
    if not waiting or not served.exists():
        return events, 0
    columns = [name for status, values in waiting.items() for name in (status, *values)]
    scan = served.scan()
    present = set(scan.collect_schema())  # of a release that had fewer columns, perhaps
    wanted = [*_IDENTITY, "ingest_time", *(name for name in columns if name in present)]
    known = scan.filter(pl.col(DAY).is_in(days)).select(wanted).collect()
    donors = known.sort("ingest_time", maintain_order=True).unique(_IDENTITY, keep="first", maintain_order=True)
    both = events.join(donors, on=_IDENTITY, how="left", suffix=":served", maintain_order="left")
    filled = 0
    for status, values in waiting.items():
        if f"{status}:served" not in both.columns:
            continue
        takes = _waits(both[status]) & (both[f"{status}:served"] == Status.VALUE).fill_null(False)
        filled += int(takes.sum())
        both = both.with_columns(
            pl.when(takes).then(pl.col(f"{name}:served")).otherwise(pl.col(name)).alias(name)
            for name in (status, *values)
            if f"{name}:served" in both.columns
        )
    return both.select(events.columns), filled


def _cells(plan: EventPlan) -> dict[str, dict[str, object]]:
    """Status column -> the columns it speaks for."""
    return {status_column(found.name): dict(attached(use, found)) for use, found in plan.attachments}


def _waits(status: pl.Series) -> pl.Series:
    return status.is_in([Status.PENDING, Status.ERROR]) | status.is_null()
