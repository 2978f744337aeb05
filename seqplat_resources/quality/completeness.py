"""Whether a bucket holds exactly the events its raw rows give: counted again from raw, apart from the build."""

import datetime as dt
from collections.abc import Iterator, Sequence

import polars as pl

from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.inputs.rows import RawInputs
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.engine.run import ExecutorFailed, identified
from seqplat_resources.lake.layout import DAY
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.quality.frame import DETAIL, PASSED, per_day
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.rules.identity import IDENTITY
from seqplat_resources.rules.precedence import standing, winners

# Raw rows taken through the executor at once: about 1 GB of a wide source. A larger day is taken alone.
ROWS_AT_ONCE = 2_000_000

_POSITION = ("source_partition", "offset")


def completeness(runtime: Runtime, event_type: str, days: Sequence[dt.date]) -> pl.DataFrame:
    """Compare identities: raw rows through the executor on one side, the stored bucket on the other.

    Shapes:
        Out: per day ``raw_rows``, ``expected`` and ``present`` identities, ``missing`` and ``surplus`` ones with
        their shares of the expected, ``rejected`` raw rows and how many of those the reject table lost.
        A day that was never ingested fails: nothing can be said about it.
    Raises:
        ExecutorFailed: more rows of one day fail than can be called bad data.
    """
    plan = EventPlan.of(runtime.loaded, event_type)
    raw, table = RawInputs.open(runtime, plan), tables.events(runtime, plan)
    ingested = pl.DataFrame(
        [(day, raw.rows_by_day.get(day, 0)) for day in days if raw.has(day)],
        schema={DAY: pl.Date(), "raw_rows": pl.Int64()},
        orient="row",
    )
    sides = [_compared(runtime, plan, raw, table, chunk) for chunk in _chunks(days, ingested)]
    measured = per_day(days, ingested.join(pl.concat(sides), on=DAY, how="full", coalesce=True))
    known = pl.col(DAY).is_in(ingested[DAY].implode())
    whole = (pl.col("missing") == 0) & (pl.col("surplus") == 0) & (pl.col("rejects_lost") == 0)
    words = pl.format("{} event(s) missing, {} surplus, {} reject(s) lost", "missing", "surplus", "rejects_lost")
    never = pl.lit(f"raw/{plan.source.name} was never ingested for this day")
    return measured.with_columns(
        missing_share=pl.when(pl.col("expected") > 0).then(pl.col("missing") / pl.col("expected")).otherwise(0.0),
        surplus_share=pl.when(pl.col("expected") > 0).then(pl.col("surplus") / pl.col("expected")).otherwise(0.0),
        passed=known & whole,
        detail=pl.when(~known).then(never).when(~whole).then(words).otherwise(pl.lit("")),
    ).select(
        DAY,
        PASSED,
        "raw_rows",
        "expected",
        "present",
        "missing",
        "surplus",
        "missing_share",
        "surplus_share",
        "rejected",
        "rejects_lost",
        DETAIL,
    )


def _chunks(days: Sequence[dt.date], ingested: pl.DataFrame) -> Iterator[list[dt.date]]:
    rows_of = dict(ingested.iter_rows())
    chunk: list[dt.date] = []
    rows = 0
    for day in days:
        if chunk and rows + rows_of.get(day, 0) > ROWS_AT_ONCE:
            yield chunk
            chunk, rows = [], 0
        chunk.append(day)
        rows += rows_of.get(day, 0)
    yield chunk


def _compared(runtime: Runtime, plan: EventPlan, raw: RawInputs, table: LakeTable, days: list[dt.date]) -> pl.DataFrame:
    within = pl.col(DAY).is_in(days)
    try:
        events, rejects = identified(plan, raw.rows(within))
    except ExecutorFailed:
        # The engine bounds failures per batch of rows; days that pass one by one may exceed it together.
        if len(days) == 1:
            raise
        return pl.concat([_compared(runtime, plan, raw, table, [day]) for day in days])
    key = [DAY, *IDENTITY]
    events = events.filter(winners(events, IDENTITY, plan.horizon) == pl.int_range(events.height, eager=True))
    left = standing(events, raw.rivals(days), plan.horizon)
    expected = left.select(pl.col("event_time").dt.date().alias(DAY), *IDENTITY).unique()
    present = table.scan().filter(within).select(key).unique().collect()
    both = expected.with_columns(_expected=True).join(
        present.with_columns(_present=True), on=key, how="full", coalesce=True, nulls_equal=True
    )
    wanted, stored = (pl.col(name).fill_null(False) for name in ("_expected", "_present"))
    counted = both.group_by(DAY).agg(
        expected=wanted.sum(), present=stored.sum(), missing=(wanted & ~stored).sum(), surplus=(stored & ~wanted).sum()
    )
    refused = rejects.select(DAY, *_POSITION).unique()
    of_stage = within & (pl.col("stage") == plan.event_type.name)
    kept = tables.rejects(runtime, plan.source.name).scan().filter(of_stage).select(DAY, *_POSITION).unique().collect()
    lost = refused.join(kept, on=[DAY, *_POSITION], how="anti").group_by(DAY).agg(rejects_lost=pl.len())
    rejected = refused.group_by(DAY).agg(rejected=pl.len())
    return per_day(days, counted.join(rejected, on=DAY, how="full", coalesce=True)).join(lost, on=DAY, how="left")
