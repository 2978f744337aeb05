"""Day partitions, and which days a run was asked for."""

import datetime as dt
from collections.abc import Iterable, Mapping
from functools import cache

import dagster as dg

from seqplat_assets.runs.preview import DAYS_PER_RUN
from seqplat_resources.batch.days.partitions import DayRange
from seqplat_resources.errors import Final

# Days that were over while nothing ran are built by the next start, as far back as a long weekend.
LOOK_BACK = dt.timedelta(days=4)
PER_RUN = "SEQPLAT_DAYS_PER_RUN"


class DaysPerRunInvalid(Final):
    """A setting that is no number of days."""


@cache
def day_partitions(days: DayRange) -> dg.DailyPartitionsDefinition:
    """One partition per UTC day; an open range grows by a day once that day, and its lag, are over."""
    end = str(days.end) if days.end else None
    return dg.DailyPartitionsDefinition(str(days.start), end_date=end, end_offset=-days.lag, timezone="UTC")


def daily(growing: Iterable[dg.AssetKey], ready: dt.timedelta) -> dg.AutomationCondition[dg.AssetKey]:
    """Build a day ``ready`` after it is over, once all of ``growing`` upstream have it; so are those of the last days
    that were over while no daemon ran. What fails or waits for files is tried again by ``mend_days``.

    Waits for nothing else: nobody tells Dagster when source files change, and an upstream whose days have ended never
    gets another.
    """
    condition = dg.AutomationCondition
    cron = f"{ready.seconds // 60 % 60} {ready.seconds // 3600} * * *"
    is_new = condition.missing() & ~condition.in_progress() & ~condition.execution_failed()
    has_inputs = ~condition.any_deps_missing().allow(dg.AssetSelection.assets(*growing))
    tick: dg.AutomationCondition[dg.AssetKey] = condition.cron_tick_passed(cron, "UTC").since(
        condition.newly_requested() | condition.newly_updated()
    )
    newest = condition.in_latest_time_window(LOOK_BACK)
    return (newest & tick & is_new & has_inputs).with_label(f"new days at {cron} UTC")


def freshness(ready: dt.timedelta, late: dt.timedelta) -> dg.FreshnessPolicy:
    """What Dagster's pages say of an asset that has a new day every day: late where none was built by then."""
    minutes = int(late.total_seconds()) // 60 % (24 * 60)
    lower_bound = max(late - ready, dt.timedelta(minutes=1)) % dt.timedelta(days=1) or dt.timedelta(days=1)
    return dg.FreshnessPolicy.cron(f"{minutes % 60} {minutes // 60} * * *", lower_bound)


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
