"""Whether sessions are told once, apart from each other, and final."""

import datetime as dt
from collections.abc import Sequence

import polars as pl

from seqplat_resources.batch.days.existing import built_days
from seqplat_resources.batch.inputs import tables
from seqplat_resources.lake.layout import DAY
from seqplat_resources.quality.frame import DETAIL, LIMIT, PASSED, VALUE, per_day
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.release.view_plan import ViewPlan
from seqplat_resources.rules.sessions import FINAL, OWNER, STANDS
from seqplat_resources.times import days_around

# Of a day whose next one is built, sessions that a late event may still change are those of events on their way.
UNFINISHED_SHARE = 0.001


def sessions_apart(runtime: Runtime, name: str, days: Sequence[dt.date]) -> pl.DataFrame:
    """Count sessions whose id another one has, and those that begin before an earlier one of their user is over.

    Shapes:
        Out: per day ``sessions``, ``duplicates`` and ``overlapping``.
    """
    rows = _standing(runtime, name, [each for day in days for each in days_around(day, 1)] + [*days])
    earlier_end = pl.col("end_time").shift().over(OWNER, order_by=["start_time", "end_time"])
    told = rows.with_columns(
        overlaps=(pl.col("start_time") < earlier_end).fill_null(False), is_double=pl.col("session_id").is_duplicated()
    )
    found = told.group_by(DAY).agg(
        sessions=pl.len(), duplicates=pl.col("is_double").sum(), overlapping=pl.col("overlaps").sum()
    )
    measured = per_day(days, found)
    words = pl.format("{} session(s) with the id of another, {} overlapping", "duplicates", "overlapping")
    passed = (pl.col("duplicates") == 0) & (pl.col("overlapping") == 0)
    return measured.with_columns(passed.alias(PASSED), pl.when(passed).then(pl.lit("")).otherwise(words).alias(DETAIL))


def sessions_final(runtime: Runtime, name: str, days: Sequence[dt.date]) -> pl.DataFrame:
    """Count sessions that a late event may still change; of a day whose next one is not built there may be some.

    Shapes:
        Out: per day ``sessions`` and ``final``; ``value`` is the share that is not.
    """
    rows = _standing(runtime, name, days)
    found = rows.group_by(DAY).agg(sessions=pl.len(), final=(pl.col("state") == FINAL).sum())
    built = {day - dt.timedelta(days=1) for day in built_days(runtime, f"sessions/{name}")}
    unfinished = (1 - pl.col("final") / pl.col("sessions")).fill_nan(0.0)
    measured = per_day(days, found).with_columns(unfinished.alias(VALUE), pl.lit(UNFINISHED_SHARE).alias(LIMIT))
    passed = (pl.col(VALUE) <= UNFINISHED_SHARE) | ~pl.col(DAY).is_in(list(built))
    words = pl.format(
        "{} of {} sessions are not final, and the next day is built", pl.col("sessions") - pl.col("final"), "sessions"
    )
    return measured.with_columns(passed.alias(PASSED), pl.when(passed).then(pl.lit("")).otherwise(words).alias(DETAIL))


def _standing(runtime: Runtime, name: str, days: Sequence[dt.date]) -> pl.DataFrame:
    table = tables.view(runtime, ViewPlan.of(runtime.loaded, f"sessions/{name}"))
    rows = table.scan().filter(pl.col(DAY).is_in(sorted({*days})), pl.col("op") == STANDS)
    scope = pl.col("scope") if "scope" in table.schema else pl.lit(None, pl.String).alias("scope")
    return rows.select(DAY, "session_id", "user_id", scope, "start_time", "end_time", "state").collect()
