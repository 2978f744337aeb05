"""Day partitions, and which days a run was asked for."""

import datetime as dt
from collections.abc import Iterable, Mapping
from functools import cache

import dagster as dg

from seqplat_assets.runs.preview import DAYS_PER_RUN
from seqplat_resources.batch.days.partitions import DayRange
from seqplat_resources.errors import Final

# An event may be received ten minutes after it happened and still be on time; half an hour lets the log arrive.
DAILY_CRON = "30 0 * * *"
PER_RUN = "SEQPLAT_DAYS_PER_RUN"


class DaysPerRunInvalid(Final):
    """A setting that is no number of days."""


@cache
def day_partitions(days: DayRange) -> dg.DailyPartitionsDefinition:
    """One partition per UTC day; an open range grows by a day once that day is over."""
    return dg.DailyPartitionsDefinition(str(days.start), end_date=str(days.end) if days.end else None, timezone="UTC")


def daily(growing: Iterable[dg.AssetKey]) -> dg.AutomationCondition[dg.AssetKey]:
    """Build yesterday once it is over and all of ``growing`` upstream have it.

    Acts when somebody turns on the automation sensor of the code location. Waits for nothing else: nobody tells
    Dagster when source files change, and an upstream whose days have ended never gets another.
    """
    return dg.AutomationCondition.on_cron(DAILY_CRON, "UTC").allow(dg.AssetSelection.assets(*growing))


def days_per_run(environment: Mapping[str, str]) -> int:
    """How many days a run of a backfill takes at most; 1 is a run for each day.

    Raises:
        DaysPerRunInvalid: the setting is no positive whole number.
    """
    said = environment.get(PER_RUN) or str(DAYS_PER_RUN)
    if said.isdecimal() and int(said) > 0:
        return int(said)
    raise DaysPerRunInvalid(f"{PER_RUN} is {said!r}, in the environment; give a number of days, such as {DAYS_PER_RUN}")


def days_of(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> list[dt.date]:
    """The days of a run, single or range, oldest first."""
    return sorted(dt.date.fromisoformat(key) for key in context.partition_keys)
