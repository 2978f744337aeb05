"""Day partitions, and which days a run was asked for."""

import datetime as dt
from functools import cache

import dagster as dg

from seqplat_resources.batch.partitions import DayRange


@cache
def day_partitions(days: DayRange) -> dg.DailyPartitionsDefinition:
    """One partition per UTC day; an open range grows by a day once that day is over."""
    return dg.DailyPartitionsDefinition(str(days.start), end_date=str(days.end) if days.end else None, timezone="UTC")


def days_of(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> list[dt.date]:
    """The days of a run, single or range, oldest first."""
    return sorted(dt.date.fromisoformat(key) for key in context.partition_keys)
