"""Whether every event is stored once, as it was written."""

import datetime as dt
from collections.abc import Sequence

import polars as pl

from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.inputs.rivals import RANKED
from seqplat_resources.batch.upkeep.verify import damaged_days
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.lake.layout import DAY
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.quality.frame import DETAIL, PASSED, per_day
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.rules.identity import IDENTITY
from seqplat_resources.rules.precedence import OTHER, outranked
from seqplat_resources.times import days_around


def identity(runtime: Runtime, event_type: str, days: Sequence[dt.date]) -> pl.DataFrame:
    """Count rows that say an event which another row says, or have no identity; of a damaged day, nothing is counted.

    Shapes:
        Out: per day ``rows``, ``users``, ``duplicates`` (rows less distinct identities), ``copies`` (events that give
        way to a row of another day) and ``unidentified``.
    """
    plan = EventPlan.of(runtime.loaded, event_type)
    table = tables.events(runtime, plan)
    damaged = damaged_days(runtime, f"events/{event_type}", days)
    whole = [day for day in days if day not in damaged]
    rows = table.scan().filter(pl.col(DAY).is_in(whole)).select(DAY, *IDENTITY)
    counted = rows.group_by(DAY).agg(
        rows=pl.len(),
        users=pl.col("user_id").n_unique(),
        duplicates=pl.len() - pl.struct(IDENTITY).n_unique(),
        unidentified=pl.any_horizontal(pl.col(IDENTITY).is_null()).sum(),
    )
    found = counted.collect().join(_copies(table, plan, whole, list(damaged)), on=DAY, how="left")
    measured = per_day(days, found.with_columns(pl.col("copies").fill_null(0)))
    words = pl.format(
        "{} duplicate row(s), {} copies of events of other days, {} without identity",
        "duplicates",
        "copies",
        "unidentified",
    )
    told = {day: str(each) for day, each in damaged.items()}
    damage = pl.col(DAY).replace_strict(told, default=None, return_dtype=pl.String())
    return measured.with_columns(
        pl.all_horizontal(pl.col("duplicates", "copies", "unidentified") == 0, damage.is_null()).alias(PASSED)
    ).with_columns(pl.when(PASSED).then(pl.lit("")).otherwise(pl.coalesce(damage, words)).alias(DETAIL))


def _copies(table: LakeTable, plan: EventPlan, days: Sequence[dt.date], unreadable: Sequence[dt.date]) -> pl.DataFrame:
    """Per day the rows that give way to one of a day within the horizon. Only repeated identities are read whole."""
    reach = -(-plan.event_type.identity_horizon_h // 24)
    if not days:
        return pl.DataFrame(schema={DAY: pl.Date(), "copies": pl.UInt32()})
    around = pl.any_horizontal(pl.col(DAY).is_between(*days_around(day, reach)) for day in days)
    scan = table.scan().filter(around & ~pl.col(DAY).is_in(unreadable))
    keys = scan.select(pl.struct(IDENTITY).hash().alias("_hash")).collect()["_hash"]
    repeated = keys.filter(keys.is_duplicated()).unique()
    rows = scan.filter(pl.struct(IDENTITY).hash().is_in(repeated.implode())).select(DAY, *RANKED).collect()
    pairs = outranked(rows, rows, IDENTITY, plan.horizon).filter(pl.col(DAY) != pl.col(f"{DAY}{OTHER}"))
    return pairs.unique([DAY, *IDENTITY]).group_by(DAY).agg(copies=pl.len())
