"""Jobs people launch, and the daily run of whatever has no last day."""

import datetime as dt
from collections.abc import Sequence

import dagster as dg

from seqplat_assets.layers import Built

all_assets = dg.define_asset_job(
    "all_assets",
    selection=dg.AssetSelection.all(),
    description="Build every layer of a day, from raw rows to the online store, and check it.",
)

# Receipt may be ten minutes after the event and still be on time; half an hour leaves room for the log to arrive.
DAILY_CRON = "30 0 * * *"


def daily_schedule(assets: Sequence[Built]) -> dg.ScheduleDefinition | None:
    """Build yesterday of all assets without a last day; None if the release has only closed ranges."""
    growing = [asset for asset in assets if asset.days.end is None]
    if not growing:
        return None

    @dg.schedule(name="yesterday", job=all_assets, cron_schedule=DAILY_CRON, execution_timezone="UTC")
    def yesterday(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        day = context.scheduled_execution_time.astimezone(dt.UTC).date() - dt.timedelta(days=1)
        keys = [asset.spec.key for asset in growing if day in asset.days]
        if not keys:
            return dg.SkipReason(f"no asset has {day}: the first one starts later")
        return dg.RunRequest(run_key=str(day), partition_key=str(day), asset_selection=keys)

    return yesterday
