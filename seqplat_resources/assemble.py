"""Assemble one user's sequence from the blocks of its event types: merge, order, truncate last, say how fresh it is."""

import datetime as dt
import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
import polars as pl

from seqplat_resources.engine.order import ORDER
from seqplat_resources.engine.spread import spread
from seqplat_resources.online_store import Epoch, HistoryBlock, OnlineStore, Snapshot, decode_blocks
from seqplat_resources.online_store.codec import row_count
from seqplat_resources.releases import LoadedRelease
from seqplat_resources.sequence_plan import SequencePlan
from sequence_defs.compiler.release import Release
from sequence_defs.compiler.sql import storage_dtype
from sequence_defs.schema import Column, parse_dtype

_ITEM = {"int8": np.int8, "float16": np.float16, "float32": np.float32}

_TIME = {"event_time": "timestamp"}
# Order between event types; within one, blocks are stored in order. The id decides nothing: events that are equal in
# all keys before it are of one event type, and the sort is stable.
_MERGE_KEYS = {**_TIME, "source_partition": "string", "offset": "int64"}
_MERGE_ORDER = [f"_{key}" for key in ORDER if key != "event_id"]


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
    """``answer`` for a caller that asks once.

    Raises:
        UnknownSequence: the release has none of that name; and as ``answer``.
    """
    plan = SequencePlan.of(LoadedRelease(release_id, release), name)
    return answer(plan, store, user, columns=columns, limit=limit)


def sequence_schema(release: Release, name: str) -> dict[str, Column]:
    """Output columns of a sequence, in order, without PII.

    Raises:
        UnknownSequence: the release has none of that name.
    """
    return dict(SequencePlan.of(LoadedRelease("", release), name).columns)


def answer(
    plan: SequencePlan,
    store: OnlineStore,
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
        UnknownColumn: nothing of that name.
        InvalidKeyError: no store can hold such a user id.
        CorruptBlockError: a stored block is damaged.
    Cost:
        Reads whole days, newest first, until enough events are there; decodes only asked columns.
    """
    asked = plan.asked(columns)
    most = min((n for n in (limit, plan.definition.length) if n is not None), default=None)
    with store.snapshot() as view:
        epochs = _epochs(plan, view)
        blocks = _newest_blocks(view, user, epochs, _window_start(epochs, plan.definition.window_days), most)
    keys = _MERGE_KEYS if len(blocks) > 1 else _TIME
    frames = list(_decoded(plan, store, blocks, asked, keys))
    fresh = _freshness(plan, epochs)
    if not frames:
        return Answer(plan.empty[asked], fresh)
    events = frames[0]
    if len(frames) > 1:
        events = reduce(pl.DataFrame.vstack, frames).sort(_MERGE_ORDER, descending=True, maintain_order=True)
    events = events.head(most) if most is not None else events
    fresh = replace(fresh, newest_event_time=events["_event_time"][0] if events.height else None)
    return Answer(_with_vectors(events[asked], plan.columns), fresh)


def freshness(plan: SequencePlan, store: OnlineStore) -> Freshness:
    """How fresh any user's answer would be now; ``newest_event_time`` is a user's own, so it is None."""
    with store.snapshot() as view:
        return _freshness(plan, _epochs(plan, view))


def _epochs(plan: SequencePlan, view: Snapshot) -> dict[str, Epoch | None]:
    return {event_type: view.epoch(event_type) for event_type in plan.definition.event_types}


def _window_start(epochs: Mapping[str, Epoch | None], window_days: int | None) -> str | None:
    """First day of the window. A day is that of the event time in UTC, so a block is in the window whole or not."""
    newest = max((day for epoch in epochs.values() if epoch for day in epoch.buckets), default=None)
    if window_days is None or newest is None:
        return None
    return (dt.date.fromisoformat(newest) - dt.timedelta(days=window_days - 1)).isoformat()


def _newest_blocks(
    view: Snapshot, user: str, event_types: Iterable[str], since_day: str | None, most: int | None
) -> dict[str, list[bytes]]:
    """Blocks of whole days, newest first over all event types, until they hold ``most`` events."""

    def tagged(event_type: str) -> Iterator[tuple[HistoryBlock, str]]:
        return ((block, event_type) for block in view.blocks(event_type, user, since_day=since_day))

    merged = heapq.merge(*(tagged(t) for t in event_types), key=lambda found: found[0].day, reverse=True)
    chosen: dict[str, list[bytes]] = {}
    count, last_day = 0, ""
    for block, event_type in merged:
        if most is not None and count >= most and block.day != last_day:
            break
        chosen.setdefault(event_type, []).append(block.payload)
        count, last_day = count + row_count(block.payload), block.day
    return chosen


def _decoded(
    plan: SequencePlan,
    store: OnlineStore,
    blocks: Mapping[str, Sequence[bytes]],
    asked: Sequence[str],
    keys: Mapping[str, str],
) -> Iterator[pl.DataFrame]:
    """Each event type's events under the sequence's names, with ``keys`` and the type beside them as ``_...``."""
    for group in plan.decodable_together:
        here = [event_type for event_type in group if event_type in blocks]
        if not here:
            continue
        picked = {event_type: plan.picked(event_type, asked) for event_type in here}
        wanted = {column.name: column.dtype for columns in picked.values() for column in columns.values()}
        payloads = [payload for event_type in here for payload in blocks[event_type]]
        frame = decode_blocks(payloads, store.schema, {**keys, **wanted}, where=f"online/{' and '.join(here)}")
        start = 0
        for event_type in here:
            rows = sum(map(row_count, blocks[event_type]))
            part = frame.slice(start, rows)
            start += rows
            order = [part[key].alias(f"_{key}") for key in keys]
            named = _named(part, picked[event_type], event_type, {out: plan.columns[out].dtype for out in asked})
            yield pl.DataFrame([*order, _repeated("_event_type", event_type, "string", rows), *named])


def _named(
    events: pl.DataFrame, picked: Mapping[str, Column], event_type: str, asked: Mapping[str, str]
) -> Iterator[pl.Series]:
    # Series by series: a sequence is a small frame, and planning a query over it costs more than running it.
    for out, dtype in asked.items():
        if out in picked:
            yield events[picked[out].name].alias(out)
        else:
            yield _repeated(out, event_type if out == "event_type" else None, dtype, events.height)


def _repeated(name: str, value: str | None, dtype: str, rows: int) -> pl.Series:
    return pl.Series(name, [value], dtype=storage_dtype(dtype)).new_from_index(0, rows)


def _freshness(plan: SequencePlan, epochs: Mapping[str, Epoch | None]) -> Freshness:
    days = {event_type: sorted(epoch.buckets) if epoch else [] for event_type, epoch in epochs.items()}
    ends = {event_type: _day_after(found[-1]) for event_type, found in days.items() if found}
    published, promised = sum(map(len, days.values())), 0
    for event_type, (first, end) in plan.promised.items():
        last = end or ends.get(event_type)  # open-ended event types are judged up to their newest day
        promised += (last - first).days if first and last else len(days[event_type])
    sealed = min(ends.values()) if len(ends) == len(days) else None
    return Freshness(
        release=plan.release,
        epoch={event_type: epoch.epoch if epoch else None for event_type, epoch in epochs.items()},
        sealed_through=dt.datetime.combine(sealed, dt.time(), dt.UTC) if sealed else None,
        newest_event_time=None,
        completeness=min(1.0, published / promised) if promised else 0.0,
        degraded=tuple(f"{event_type}: nothing published" for event_type, found in days.items() if not found),
    )


def _day_after(day: str) -> dt.date:
    return dt.date.fromisoformat(day) + dt.timedelta(days=1)


def _with_vectors(events: pl.DataFrame, columns: Mapping[str, Column]) -> pl.DataFrame:
    for name in events.columns:
        parsed = parse_dtype(columns[name].dtype)
        if parsed.kind == "vector":
            events = events.with_columns(_unpacked(events[name], parsed.item, parsed.dim))
    return events


def _unpacked(packed: pl.Series, item: str, dim: int) -> pl.Series:
    """Binary vectors as fixed-size arrays; half floats widen to float32, which every client can read."""
    valid = packed.is_not_null()
    flat = np.frombuffer(b"".join(packed.drop_nulls()), dtype=_ITEM[item]).reshape(-1, dim)
    wide = flat if item == "int8" else flat.astype(np.float32)
    inner = pl.Int8() if item == "int8" else pl.Float32()
    dense = pl.Series(packed.name, wide, dtype=pl.Array(inner, dim))
    if dense.len() == packed.len():
        return dense
    return spread(dense.to_frame(), valid).to_series()
