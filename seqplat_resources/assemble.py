"""Assemble one user's sequence from the blocks of its event types: merge, order, truncate last, say how fresh it is."""

import datetime as dt
import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from seqplat_resources.engine.order import ORDER
from seqplat_resources.errors import Final
from seqplat_resources.online_store import Epoch, HistoryBlock, OnlineStore, Snapshot, decode_blocks
from seqplat_resources.online_store.codec import row_count
from sequence_defs.compiler.release import Release
from sequence_defs.compiler.sql import storage_dtype
from sequence_defs.schema import Column, parse_dtype

# In every sequence, before its declared columns.
ALWAYS = (
    Column(name="event_time", dtype="timestamp", nullable=False, description="when it happened"),
    Column(name="event_type", dtype="string", nullable=False),
    Column(name="event_id", dtype="string", nullable=False, description="identity within the user and event type"),
)
_ITEM = {"int8": np.int8, "float16": np.float16, "float32": np.float32}


class UnknownSequence(Final):
    """No sequence of that name in the release."""


class UnknownColumn(Final):
    """A column the sequence does not have; ``column`` and ``known`` are kept for the caller's answer."""

    def __init__(self, sequence: str, column: str, known: Sequence[str]) -> None:
        self.column, self.known = column, tuple(known)
        super().__init__(f"sequence {sequence!r} has no column {column!r}; it has {', '.join(known)}")


@dataclass(frozen=True)
class Freshness:
    """What an answer is made of. ``completeness`` is the published share of the days the sequence promises."""

    release: str
    epoch: Mapping[str, int | None]
    sealed_through: dt.datetime | None
    newest_event_time: dt.datetime | None
    completeness: float
    degraded: tuple[str, ...] = ()
    stream_lag_ms: int | None = None


@dataclass(frozen=True)
class Answer:
    """``events``: the asked columns, newest first; vectors as fixed-size arrays of float32 or int8."""

    events: pl.DataFrame
    freshness: Freshness


def sequence_schema(release: Release, name: str) -> dict[str, Column]:
    """Output columns of a sequence, in order. PII is left out: nobody holds a grant yet.

    Raises:
        UnknownSequence: the release has none of that name.
    """
    if name not in release.sequences:
        raise UnknownSequence(f"there is no sequence {name!r}; there are {', '.join(release.sequences) or 'none'}")
    columns = {column.name: column for column in ALWAYS}
    for out, by_type in release.sequence_columns(name).items():
        if not any(column.pii for column in by_type.values()):
            columns.setdefault(out, next(iter(by_type.values())).model_copy(update={"name": out}))
    return columns


def assemble(
    release: Release,
    release_id: str,
    store: OnlineStore,
    name: str,
    user: str,
    *,
    columns: Sequence[str] | None = None,
    limit: int | None = None,
) -> Answer:
    """One user's sequence as published now.

    Shapes:
        At most ``min(limit, length)`` events, and none older than the sequence's window, which is counted back from
        the newest published day (not from the clock: a late batch must not empty an answer). An unknown user has none.
    Raises:
        UnknownSequence, UnknownColumn: nothing of that name.
        CorruptBlockError: a stored block is damaged.
    Cost:
        Reads whole days, newest first, until enough events are there; decodes only asked columns.
    """
    schema = sequence_schema(release, name)
    asked = list(columns) if columns is not None else list(schema)
    if unknown := [column for column in asked if column not in schema]:
        raise UnknownColumn(name, unknown[0], list(schema))
    definition = release.sequences[name]
    most = min((n for n in (limit, definition.length) if n is not None), default=None)
    with store.snapshot() as view:
        epochs = {event_type: view.epoch(event_type) for event_type in definition.event_types}
        since = _window_start(epochs, definition.window_days)
        blocks = _newest_blocks(view, user, definition.event_types, since, most)
    frames = [
        _decoded(release, name, store, event_type, payloads, asked)
        for event_type, payloads in blocks.items()
        if payloads
    ]
    events = _ordered(frames, asked, schema)
    if since is not None:
        events = events.filter(pl.col("_event_time") >= since)
    events = events.head(most) if most is not None else events
    newest = events["_event_time"][0] if events.height else None
    freshness = _freshness(release, release_id, name, epochs, newest)
    return Answer(_with_vectors(events.select(asked), schema), freshness)


def _window_start(epochs: Mapping[str, Epoch | None], window_days: int | None) -> dt.datetime | None:
    newest = max((day for epoch in epochs.values() if epoch for day in epoch.buckets), default=None)
    if window_days is None or newest is None:
        return None
    end = dt.datetime.combine(dt.date.fromisoformat(newest), dt.time(), dt.UTC) + dt.timedelta(days=1)
    return end - dt.timedelta(days=window_days)


def _newest_blocks(
    view: Snapshot, user: str, event_types: Sequence[str], since: dt.datetime | None, most: int | None
) -> dict[str, list[bytes]]:
    """Blocks of whole days, newest first over all event types, until they hold ``most`` events."""

    def tagged(event_type: str) -> Iterator[tuple[HistoryBlock, str]]:
        first = since.date().isoformat() if since else None
        return ((block, event_type) for block in view.blocks(event_type, user, since_day=first))

    merged = heapq.merge(*(tagged(t) for t in event_types), key=lambda found: found[0].day, reverse=True)
    chosen: dict[str, list[bytes]] = {event_type: [] for event_type in event_types}
    count, last_day = 0, ""
    for block, event_type in merged:
        if most is not None and count >= most and block.day != last_day:
            break
        chosen[event_type].append(block.payload)
        count, last_day = count + row_count(block.payload), block.day
    return chosen


def _decoded(
    release: Release, name: str, store: OnlineStore, event_type: str, payloads: list[bytes], asked: Sequence[str]
) -> pl.DataFrame:
    """One event type's events under the sequence's names, with the order keys beside them."""
    sources = {
        out: by_type[event_type] for out, by_type in release.sequence_columns(name).items() if event_type in by_type
    }
    sources |= {column.name: column for column in ALWAYS if column.name != "event_type"}
    picked = {out: sources[out] for out in asked if out in sources}
    keys = {"event_time": "timestamp", "source_partition": "string", "offset": "int64", "event_id": "string"}
    wanted = keys | {column.name: column.dtype for column in picked.values()}
    frame = decode_blocks(payloads, store.schema, wanted, where=f"online/{event_type}")
    order = [pl.lit(event_type).alias("_event_type"), *(pl.col(key).alias(f"_{key}") for key in keys)]
    outs = [pl.col(column.name).alias(out) for out, column in picked.items()]
    if "event_type" in asked:
        outs.append(pl.lit(event_type).alias("event_type"))
    return frame.select(*order, *outs)


def _ordered(frames: list[pl.DataFrame], asked: Sequence[str], schema: Mapping[str, Column]) -> pl.DataFrame:
    empty = {name: storage_dtype(schema[name].dtype) for name in asked}
    keys = {"_event_type": pl.String(), "_event_time": storage_dtype("timestamp"), "_source_partition": pl.String()}
    blank = pl.DataFrame(schema={**keys, "_offset": pl.Int64(), "_event_id": pl.String(), **empty})
    rows = pl.concat([blank, *frames], how="diagonal")
    return rows.sort([f"_{key}" for key in ORDER], descending=True)


def _freshness(
    release: Release, release_id: str, name: str, epochs: Mapping[str, Epoch | None], newest: dt.datetime | None
) -> Freshness:
    definition = release.sequences[name]
    days = {event_type: sorted(epoch.buckets) if epoch else [] for event_type, epoch in epochs.items()}
    ends = [dt.datetime.fromisoformat(published[-1]).replace(tzinfo=dt.UTC) for published in days.values() if published]
    promised, published = 0, 0
    for event_type in definition.event_types:
        found = days[event_type]
        first, last = _promised_days(release, event_type, found)
        promised += (last - first).days if first and last else len(found)
        published += len(found)
    return Freshness(
        release=release_id,
        epoch={event_type: epoch.epoch if epoch else None for event_type, epoch in epochs.items()},
        sealed_through=min(ends) + dt.timedelta(days=1) if len(ends) == len(days) else None,
        newest_event_time=newest,
        completeness=min(1.0, published / promised) if promised else 0.0,
        degraded=tuple(f"{event_type}: nothing published" for event_type, found in days.items() if not found),
    )


def _promised_days(
    release: Release, event_type: str, published: Sequence[str]
) -> tuple[dt.date | None, dt.date | None]:
    """First and one past the last day the event type should have; open-ended types are judged up to their newest."""
    definition = release.event_types[event_type]
    source = release.sources[definition.source]
    newest = dt.date.fromisoformat(published[-1]) + dt.timedelta(days=1) if published else None
    return definition.start or source.start, definition.end or source.end or newest


def _with_vectors(events: pl.DataFrame, schema: Mapping[str, Column]) -> pl.DataFrame:
    vectors = {n: parse_dtype(schema[n].dtype) for n in events.columns if schema[n].dtype.startswith("vector")}
    return events.with_columns(_unpacked(events[n], parsed.item, parsed.dim) for n, parsed in vectors.items())


def _unpacked(packed: pl.Series, item: str, dim: int) -> pl.Series:
    """Binary vectors as fixed-size arrays; half floats widen to float32, which every client can read."""
    valid = packed.is_not_null()
    flat = np.frombuffer(b"".join(packed.drop_nulls()), dtype=_ITEM[item]).reshape(-1, dim)
    wide = flat if item == "int8" else flat.astype(np.float32)
    inner = pl.Int8() if item == "int8" else pl.Float32()
    dense = pl.Series(packed.name, wide, dtype=pl.Array(inner, dim))
    if dense.len() == packed.len():
        return dense
    rank = pl.when(pl.col("valid")).then(pl.col("valid").cast(pl.UInt32).cum_sum() - 1)
    places = pl.DataFrame({"valid": valid}).select(rank).to_series()
    return dense.to_frame().select(pl.col(packed.name).gather(places))[packed.name]
