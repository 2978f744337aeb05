"""A micro-batch's events as blocks of the now view, and how far that has got in each partition."""

import datetime as dt
from collections.abc import Mapping, Sequence

import polars as pl

from seqplat_resources.batch.publish.events import now_schema
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.lake.layout import DAY
from seqplat_resources.online_store import (
    Advance,
    NowWrite,
    OnlineStore,
    StreamPosition,
    decode_blocks,
    encode_bucket,
)
from seqplat_resources.online_store.errors import CorruptBlockError
from seqplat_resources.sources.log import LogSource, Partition
from seqplat_resources.times import milliseconds


def now_write(plan: EventPlan, events: pl.DataFrame) -> NowWrite:
    """One event type's share of a micro-batch.

    Shapes:
        In: events as the engine gives them: by user, each user's newest first. Out: one block per user, and per day
        and source partition the offset after the last of these rows.
    """
    rows = events.with_columns(pl.col("user_id").cast(pl.String))
    where = f"now/{plan.event_type.name}"
    return NowWrite(plan.event_type.name, encode_bucket(rows, now_schema(plan), where=where), _reach(events))


def _reach(events: pl.DataFrame) -> dict[str, dict[str, int]]:
    day, beyond = pl.col("event_time").dt.date().alias(DAY), pl.col("offset").max() + 1
    reach: dict[str, dict[str, int]] = {}
    for found, partition, end in events.group_by(day, "source_partition").agg(beyond).iter_rows():
        reach.setdefault(found.isoformat(), {})[partition] = end
    return reach


def stamped(events: pl.DataFrame, now: dt.datetime) -> pl.DataFrame:
    """Events that become visible at ``now``."""
    return events.with_columns(available_time=pl.lit(now).cast(events.schema["available_time"]))


def stamped_as_shown(
    store: OnlineStore, name: str, events: pl.DataFrame, visible: Mapping[str, int], now: dt.datetime
) -> pl.DataFrame:
    """As ``stamped``, but what the now view shows already keeps the time since when it does.

    After a crash messages are read again that were visible and not kept. ``visible`` says by source partition up to
    where (exclusive). What is not there any more, or cannot be read, is stamped like what is new: later than it was
    visible, never earlier.
    """
    end = pl.col("source_partition").replace_strict(visible, default=0, return_dtype=pl.Int64())
    again = events.filter(pl.col("offset") < end)
    fresh = stamped(events, now)
    if not again.height:
        return fresh
    columns = {"source_partition": "string", "offset": "int64", "available_time": "timestamp"}
    with store.snapshot() as view:
        users = again["user_id"].cast(pl.String).unique()
        payloads = [block.payload for user in users for block in view.now_blocks(name, user)]
        try:
            shown = decode_blocks(payloads, view.schema, columns, where=f"now/{name}")
        except CorruptBlockError:
            return fresh
    at = ["source_partition", "offset"]
    times = fresh.join(shown.unique(at), on=at, how="left", maintain_order="left", suffix=":shown")
    return fresh.with_columns(
        times.select(pl.coalesce("available_time:shown", "available_time").alias("available_time"))
    )


def known_positions(
    store: OnlineStore,
    log: LogSource,
    partitions: Sequence[Partition],
    tokens: Mapping[Partition, int],
    now: dt.datetime,
) -> dict[str, StreamPosition]:
    """What the now view has of all partitions of a topic, by their names.

    Where it knows nothing of one, whoever reads it, it is told where the log begins and where it ends now. It may be a
    store that was emptied: until all of that is visible again, readers are told that they may lack what they have seen.
    ``tokens`` are those of the partitions that the caller reads.

    Raises:
        FencedStreamError, StreamPositionError: another process was faster; ask again.
    """
    stored = store.stream_positions()
    if unknown := [partition for partition in partitions if str(partition) not in stored]:
        starts, ends, at_ms = log.start_offsets(unknown), log.end_offsets(unknown), milliseconds(now)
        steps = {str(p): Advance(starts[p], starts[p], tokens.get(p, 0), 0, at_ms, until=ends[p]) for p in unknown}
        store.advance([], steps)
        stored |= {partition: step.position for partition, step in steps.items()}
    return dict(stored)
