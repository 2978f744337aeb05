"""Assemble one user's sequence: merge history and now view, order, truncate last, say how fresh it is."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from seqplat_resources.clock import Clock, Deadline, SystemClock
from seqplat_resources.engine.spread import spread
from seqplat_resources.freshness import Freshness, epochs_of, freshness, freshness_of, window_start
from seqplat_resources.merge import Window, newest_events
from seqplat_resources.online_store import OnlineStore
from seqplat_resources.query import Query
from seqplat_resources.releases import LoadedRelease
from seqplat_resources.sequence_plan import SequencePlan
from sequence_defs.compiler.release import Release
from sequence_defs.schema import Column, parse_dtype

_ITEM = {"int8": np.int8, "float16": np.float16, "float32": np.float32}


@dataclass(frozen=True)
class Answer:
    """``events``: the asked columns, newest first; vectors as fixed-size arrays of float32 or int8.

    With ``top_k``, the column ``similarity`` (float32) behind them, and the most similar first.
    """

    events: pl.DataFrame
    freshness: Freshness


@dataclass(frozen=True)
class BatchAnswer:
    """Several users' events end to end, in the order of ``users``; the next ``lengths[i]`` rows are ``users[i]``'s.

    ``newest_event_times`` are those of each user's events, None without any. ``freshness`` is that of all; its
    ``newest_event_time`` is the newest of them.
    """

    users: tuple[str, ...]
    lengths: tuple[int, ...]
    events: pl.DataFrame
    newest_event_times: tuple[dt.datetime | None, ...]
    freshness: Freshness


def assemble(
    release: Release,
    release_id: str,
    store: OnlineStore,
    name: str,
    user: str,
    query: Query = Query(),
    *,
    clock: Clock = SystemClock(),
) -> Answer:
    """``answer`` for a caller that asks once.

    Raises:
        UnknownSequence: the release has none of that name; and as ``answer``.
    """
    plan = SequencePlan.of(LoadedRelease(release_id, release), name)
    return answer(plan, store, user, query, clock=clock)


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
    query: Query = Query(),
    *,
    clock: Clock = SystemClock(),
    deadline: Deadline | None = None,  # noqa: ARG001 - not looked at yet
) -> Answer:
    """One user's sequence as it is now: what batch published, and what streaming has seen beyond that.

    Shapes:
        At most ``min(limit, length)`` events, and none older than the sequence's window, which is counted back from
        the newest day that has anything (not from the clock: a late batch must not empty an answer). An unknown user
        has none.
    Raises:
        UnknownColumn: nothing of that name.
        InvalidKeyError: no store can hold such a user id.
        CorruptBlockError: a stored block is damaged.
    Cost:
        Reads whole days, newest first, until enough events are there; decodes only asked columns, and what merging
        needs where the user has streamed or corrected events.
    """
    asked = plan.asked(query.columns)
    most = min((n for n in (query.limit, plan.definition.length) if n is not None), default=None)
    with store.snapshot() as view:
        epochs = epochs_of(plan, view)
        window = Window(window_start(plan, view, epochs), most)
        events = newest_events(plan, view, epochs, user, asked, window)
        fresh = freshness_of(plan, view, epochs, clock)
    if events is None:
        return Answer(plan.empty[asked], fresh)
    fresh = replace(fresh, newest_event_time=events["_event_time"][0] if events.height else None)
    return Answer(_with_vectors(events[asked], plan.columns), fresh)


def answers(
    plan: SequencePlan,
    store: OnlineStore,
    users: Sequence[str],
    query: Query = Query(),
    *,
    clock: Clock = SystemClock(),
    deadline: Deadline | None = None,
) -> BatchAnswer:
    """As ``answer`` for each of ``users``, from one snapshot; a user may come twice."""
    found = [answer(plan, store, user, query, clock=clock, deadline=deadline) for user in users]
    newest = tuple(one.freshness.newest_event_time for one in found)
    whole = found[0].freshness if found else freshness(plan, store, clock=clock)
    return BatchAnswer(
        tuple(users),
        tuple(one.events.height for one in found),
        pl.concat([one.events for one in found]) if found else plan.empty[plan.asked(query.columns)],
        newest,
        replace(whole, newest_event_time=max(filter(None, newest), default=None)),
    )


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
