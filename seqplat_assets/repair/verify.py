"""A job that compares the lake's files with their checksums, a share of them every night, so that a week sees all.

>>> verify_schedule(shop).cron_schedule
'30 3 * * *'
"""

import dagster as dg

from seqplat_assets.layers.build import errors_told
from seqplat_resources.batch.upkeep.verify import Verification, verify
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.times import number_of

NIGHTS = 7
AT = "30 3 * * *"  # UTC, when a day's builds are long done


def verify_schedule(runtime: Runtime) -> dg.ScheduleDefinition:
    """On from the start. Its run fails where a file is damaged, and names file, table, day and the way out."""

    @dg.op(pool="verify", description="Read a seventh of the lake's files and compare them with their checksums.")
    def compare(context: dg.OpExecutionContext) -> None:
        night = number_of(runtime.clock.now().date()) % NIGHTS
        with errors_told():
            found = dict(verify(runtime, share=(night, NIGHTS)))
        context.log.info(f"{sum(each.files for each in found.values())} file(s) of {len(found)} table(s) were compared")
        _fail_if_damaged(found)

    @dg.job(name="verify_lake", description="Compare the lake's files with their checksums.")
    def job() -> None:
        compare()

    return dg.ScheduleDefinition(
        name="verify_lake_nightly", job=job, cron_schedule=AT, default_status=dg.DefaultScheduleStatus.RUNNING
    )


def _fail_if_damaged(found: dict[str, Verification]) -> None:
    damaged = [each for of_table in found.values() for each in of_table.damaged]
    if damaged:
        raise dg.Failure(
            f"{len(damaged)} damaged file(s): " + "\n".join(map(str, damaged)),
            metadata={"damaged": len(damaged)},
            allow_retries=False,
        )
