"""A micro-batch's events as blocks of the now view."""

import datetime as dt

import polars as pl

from seqplat_resources.batch.publish.events import block_schema
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.lake.layout import DAY
from seqplat_resources.online_store import NowWrite, encode_bucket


def now_write(plan: EventPlan, events: pl.DataFrame) -> NowWrite:
    """One event type's share of a micro-batch.

    Shapes:
        In: events as the engine gives them: by user, each user's newest first. Out: one block per user, and per day
        and source partition the offset after the last of these rows.
    """
    rows = events.with_columns(pl.col("user_id").cast(pl.String))
    where = f"now/{plan.event_type.name}"
    return NowWrite(plan.event_type.name, encode_bucket(rows, block_schema(plan), where=where), _reach(events))


def _reach(events: pl.DataFrame) -> dict[str, dict[str, int]]:
    day, beyond = pl.col("event_time").dt.date().alias(DAY), pl.col("offset").max() + 1
    reach: dict[str, dict[str, int]] = {}
    for found, partition, end in events.group_by(day, "source_partition").agg(beyond).iter_rows():
        reach.setdefault(found.isoformat(), {})[partition] = end
    return reach


def stamped(events: pl.DataFrame, now: dt.datetime) -> pl.DataFrame:
    """Events that become visible at ``now``."""
    return events.with_columns(available_time=pl.lit(now).cast(events.schema["available_time"]))
