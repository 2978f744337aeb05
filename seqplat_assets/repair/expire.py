"""A job that deletes what definitions keep no longer (``retention_days``), every night once somebody turns it on.

>>> expire_schedule(shop).default_status.value
'STOPPED'
"""

import dagster as dg

from seqplat_assets.layers.build import errors_told
from seqplat_resources.batch.upkeep.expiry import expiries
from seqplat_resources.release.runtime import Runtime

AT = "30 4 * * *"  # UTC, after the lake was verified


def expire_schedule(runtime: Runtime) -> dg.ScheduleDefinition:
    """Off from the start: nothing is deleted that nobody asked to. Its run fails where something was left, and says
    why.
    """

    @dg.op(pool="expire", description="Delete days older than the retention_days of their definition.")
    def delete(context: dg.OpExecutionContext) -> None:
        left = list[str]()
        with errors_told():
            for each in expiries(runtime, dry_run=False):
                left += [f"{each.name}: {why}" for why in each.left]
                if each.gone.rows + each.gone.files:
                    days = f", {each.gone.first} to {each.gone.last}" if each.gone.first else ""
                    context.log.info(f"{each.name}: {each.gone.rows:,} row(s){days}")
        if left:
            told = "left for the next time: " + "\n".join(left)
            raise dg.Failure(told, metadata={"left": len(left)}, allow_retries=False)

    @dg.job(name="expire", description="Delete what definitions keep no longer, as `seqplat expire`.")
    def job() -> None:
        delete()

    return dg.ScheduleDefinition(
        name="expire_nightly", job=job, cron_schedule=AT, default_status=dg.DefaultScheduleStatus.STOPPED
    )
