"""Cells that a stream had and batch cannot compute as well: those stand.

A batch PENDING or ERROR never replaces a streamed VALUE. What a service said when the event happened stands in any
case: batch can only ask what it says today.
"""

import datetime as dt
from collections.abc import Sequence

import polars as pl

from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.engine.status import CellStatus
from seqplat_resources.lake.layout import DAY
from seqplat_resources.lake.table import LakeTable
from sequence_defs.compiler.project import attached, status_column
from sequence_defs.schema import Derived, Service

_IDENTITY = ("user_id", "event_id", "rev")


def with_streamed_values(
    events: pl.DataFrame,
    plan: EventPlan,
    served: LakeTable,
    days: Sequence[dt.date],
    *,
    same: Sequence[str] = _IDENTITY,
) -> tuple[pl.DataFrame, int]:
    """Fill cells that are PENDING, in ERROR or a service's with what was served of the same revision of the event,
    or of what else is the ``same`` in both.

    Shapes:
        Out: the same rows in the same order, and how many cells were filled. A revision that was served more than
        once gives what it had first.
    Cost: nothing is read where no cell waits.
    """
    said = _service_statuses(plan)
    waiting = {s: list(columns) for s, columns in _cells(plan).items() if s in said or _waits(events[s]).any()}
    if not waiting or not served.exists():
        return events, 0
    columns = [name for status, values in waiting.items() for name in (status, *values)]
    scan = served.scan()
    present = set(scan.collect_schema())  # of a release that had fewer columns, perhaps
    wanted = [*same, "ingest_time", *(name for name in columns if name in present)]
    known = scan.filter(pl.col(DAY).is_in(days)).select(wanted).collect()
    donors = known.sort("ingest_time", maintain_order=True).unique(same, keep="first", maintain_order=True)
    both = events.join(donors, on=list(same), how="left", suffix=":served", maintain_order="left")
    filled = 0
    for status, values in waiting.items():
        if f"{status}:served" not in both.columns:
            continue
        takes = (both[f"{status}:served"] == CellStatus.VALUE).fill_null(False)
        if status not in said:
            takes &= _waits(both[status])
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


def _service_statuses(plan: EventPlan) -> set[str]:
    """Statuses of services, and of what is derived beside them."""
    if not any(isinstance(found, Service) for _, found in plan.attachments):
        return set()
    return {status_column(found.name) for _, found in plan.attachments if isinstance(found, Service | Derived)}


def _waits(status: pl.Series) -> pl.Series:
    return status.is_in([CellStatus.PENDING, CellStatus.ERROR]) | status.is_null()
