"""When a row happened and when it was received, and which rows have a time that no clock can be right about.

Receipt is what the log or the file says of it, where that can be, else our clock: a Kafka record's timestamp is the
producer's unless the topic says otherwise, and copying a file can lose its modification time.
"""

import datetime as dt
from collections.abc import Iterator

import polars as pl

from seqplat_resources.times import FIRST_US, LAST_US, microseconds, midnight, milliseconds
from seqplat_resources.times import instant as time_at
from seqplat_resources.values.isolation import attempted
from sequence_defs.compiler.instants import counted, instant
from sequence_defs.compiler.sql import UTC_US, schema_of
from sequence_defs.schema import Source, Time

# Older stamps are no receipts: -1 and 0 of logs without times, seconds taken for milliseconds, 1980 of zip files.
EARLIEST = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
# What two clocks that are looked after may differ by.
AHEAD = dt.timedelta(minutes=5)


def received(stamp: pl.Expr, now: dt.datetime) -> pl.Expr:
    """Stamps (UTC microseconds, or null) as times of receipt: ``now`` where they are none, or cannot be one."""
    can_be = stamp.is_between(_lit(EARLIEST), _lit(now + AHEAD))
    return pl.when(can_be).then(stamp).otherwise(_lit(now))


def stamps(timestamps_ms: pl.Series) -> pl.Series:
    """Timestamps of a log, any 64 bits, as ``received`` takes them."""
    return timestamps_ms.to_frame("at").select(counted(pl.col("at"), "ms")).to_series()


def waited_ms(timestamp_ms: int, now: dt.datetime) -> int:
    """How long ago a message of a log was received; 0 where the log's timestamp does not tell."""
    stamp = stamps(pl.Series("at", [timestamp_ms], dtype=pl.Int64())).to_frame("at")
    at: dt.datetime = stamp.select(received(pl.col("at"), now)).item()
    return max(0, milliseconds(now) - milliseconds(at))


def timed(rows: pl.DataFrame, source: Source, event_time: Time, now: dt.datetime) -> pl.DataFrame:
    """The rows with ``_event_time`` and ``_ingest_time``, and ``_untimely``: why these cannot be, or null.

    ``_received`` is when the row was received, as its log or file says; ``now`` is our clock.
    """
    schema = schema_of(source.columns)
    receipt = instant(source.ingest_time, schema) if source.ingest_time else received(pl.col("_received"), now)
    happened = instant(event_time, schema)
    times, errors = attempted(
        rows,
        lambda some: some.with_columns(_event_time=happened, _ingest_time=receipt).select(
            "_event_time", "_ingest_time"
        ),
    )
    rows = rows.with_columns(times)
    faults = list(_faults(source, event_time, now))
    found = rows.select(fault.alias(str(number)) for number, (fault, _) in enumerate(faults))
    # A text is made for every row it is asked of, and most rows have no fault.
    reasons: list[pl.Expr] = [
        pl.when(has).then(text) for has, (_, text) in zip(found, faults, strict=True) if has.any()
    ]
    if errors is not None:
        reasons.insert(0, pl.format("event_time: {}", pl.lit(errors)))
    return rows.with_columns(_untimely=pl.coalesce(*reasons, pl.lit(None, pl.String)))


def _faults(source: Source, event_time: Time, now: dt.datetime) -> Iterator[tuple[pl.Expr, pl.Expr]]:
    """What can be wrong, and what is then said of it. The first that holds counts."""
    time, receipt, clock = pl.col("_event_time"), pl.col("_ingest_time"), _lit(now)
    lead_us = min(source.max_lead_s * 1_000_000, LAST_US - FIRST_US)
    latest = _lit(time_at(min(microseconds(now) + lead_us, LAST_US)))
    more = f"is more than {_span(source.max_lead_s)}"
    no_time, zone = pl.lit(f"event_time: {event_time.sql} gives no time"), event_time.timezone_column
    yield (
        time.is_null(),
        no_time if zone is None else no_time + pl.lit(" in time zone ") + pl.col(zone).fill_null("null"),
    )
    yield receipt.is_null(), pl.lit("ingest_time: no receipt time")
    yield receipt > latest, pl.format(f"ingest_time: {{}} {more} ahead of our clock at {{}}", receipt, clock)
    ahead_us = time.to_physical() - receipt.to_physical()
    yield ahead_us > lead_us, pl.format(f"event_time: {{}} {more} after its receipt at {{}}", time, receipt)
    yield time > latest, pl.format(f"event_time: {{}} {more} ahead of our clock at {{}}", time, clock)
    if source.start:
        yield time < _lit(midnight(source.start)), pl.format("event_time: {} is before the start of the source", time)
    if source.end:
        yield time >= _lit(midnight(source.end)), pl.format("event_time: {} is after the end of the source", time)


def _lit(time: dt.datetime) -> pl.Expr:
    return pl.lit(time).cast(UTC_US)


def _span(seconds: int) -> str:
    return f"{seconds // 3600} h" if seconds % 3600 == 0 else f"{seconds} s"
