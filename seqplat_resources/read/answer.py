"""Assemble users' sequences: merge history and now view, select, order, truncate last, say how fresh it is.

>>> plan = SequencePlan.of(shop.loaded, "basket")
>>> answer(plan, store, "ann", Query(columns=("product",), limit=2)).events["product"].to_list()
['tea', 'bread']
>>> both = answers(plan, store, ["ann", "bob"], Query(columns=("amount",)))
>>> both.lengths, both.events["amount"].to_list()
((3, 1), [1, 2, 3, 4])
"""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TypeVar

import polars as pl

from seqplat_resources.clock import Clock, Deadline, SystemClock
from seqplat_resources.online_store import NowBlock, OnlineStore, ReadAhead, StoreSnapshot
from seqplat_resources.online_store.codec import fingerprint
from seqplat_resources.online_store.errors import EpochGoneError
from seqplat_resources.read.arms import ahead_in_arms, in_arms
from seqplat_resources.read.cache import AnswerCache
from seqplat_resources.read.freshness import Freshness, freshness_of
from seqplat_resources.read.merge import NewestEvents, PublishedDays, RowSelection, newest_events, window_start
from seqplat_resources.read.past import PastRows
from seqplat_resources.read.stored import together
from seqplat_resources.release.query import Query
from seqplat_resources.release.sequence_plan import SequencePlan
from seqplat_resources.rules.collapse import MOST_EVENTS
from seqplat_resources.times import day_of, instant

_T = TypeVar("_T")

# Of many blocks left out, as many are named.
_NAMED = 5


@dataclass(frozen=True)
class Answer:
    """``events``: the asked columns, newest first; vectors as fixed-size arrays of float32 or int8.

    With ``top_k``, the column ``similarity`` (float32) behind them, and the most similar first. ``version`` changes
    whenever the events or their ``completeness`` could; None where the same request may get more the next time: the
    deadline cut it short, or a block is damaged. ``revisions`` as in ``NewestEvents``.
    """

    events: pl.DataFrame
    freshness: Freshness
    version: str | None = None
    revisions: pl.DataFrame | None = None


@dataclass(frozen=True)
class AnswerBatch:
    """Several users' events end to end, in the order of ``users``; the next ``lengths[i]`` rows are ``users[i]``'s.

    ``newest_event_times`` are those of each user's events, None without any; ``partial`` tells whose older events the
    deadline left unread. ``freshness`` is that of all; its ``newest_event_time`` is the newest of them, its
    ``completeness`` that of the user of whom least was read. ``arms`` are each user's, as in ``Freshness``.
    ``revisions`` as in ``NewestEvents``.
    """

    users: tuple[str, ...]
    lengths: tuple[int, ...]
    events: pl.DataFrame
    newest_event_times: tuple[dt.datetime | None, ...]
    freshness: Freshness
    partial: tuple[bool, ...]
    arms: tuple[Mapping[str, str], ...] = ()
    revisions: pl.DataFrame | None = None


def answer(
    plan: SequencePlan,
    store: OnlineStore,
    user: str,
    query: Query = Query(),
    *,
    clock: Clock = SystemClock(),
    deadline: Deadline | None = None,
    cache: AnswerCache | None = None,
    view: StoreSnapshot | None = None,
    past: PastRows | None = None,
) -> Answer:
    """One user's sequence: what batch published, and what streaming has seen beyond that.

    Shapes:
        At most ``min(limit, length)`` events that the query lets through, and none older than the sequence's window,
        which is counted back from the newest published day (not from the clock: a late batch must not empty an answer;
        nor from what is streamed: one wrong time would). An unknown user has none. ``top_k`` picks among the newest
        ``length`` events that are let through.
        ``newest_event_time`` is that of the newest of those.
    As of:
        What was visible then: rows whose available time is later are passed over, those that were superseded since
        come from ``past``, and the window is counted back from that time at the latest. Without ``past``, and of days
        that were built before such rows were kept, there is nothing to show of an event that changed after ``as_of``;
        ``degraded`` counts such events. What another release would have shown, or left out, is not known.
    Honesty:
        A damaged block is left out, named in ``degraded`` and counted. When the ``deadline`` is over, reading stops:
        the answer has the newest events that are complete, says so, and ``completeness`` counts the days read.
    Cache:
        Answers of this store. One of the same version is given again, with the freshness of now.
    View:
        A snapshot of the store that is open; without one, ``answer`` opens one.
    Raises:
        UnknownSequenceColumn: nothing of that name.
        QueryError: a field of the query cannot be answered.
        InvalidKeyError: no store can hold such a user id.
    Cost:
        Reads whole days, newest first, until enough events are there. Decodes what merging and the conditions need,
        and asked columns of the rows that are left.
    """
    selection = RowSelection.of(plan, query)

    def read(view: StoreSnapshot) -> Answer:
        return _answer(plan, view, user, query, selection, clock, deadline, cache, past)

    if view is not None:
        return read(in_arms(view, plan.stored_as))
    ahead = ahead_of(plan, [user], selection, deadline)
    return in_snapshot(store, ahead, lambda snapshot: read(in_arms(snapshot, plan.stored_as)))


def answers(
    plan: SequencePlan,
    store: OnlineStore,
    users: Sequence[str],
    query: Query = Query(),
    *,
    clock: Clock = SystemClock(),
    deadline: Deadline | None = None,
    between: Callable[[], None] = lambda: None,
    view: StoreSnapshot | None = None,
    past: PastRows | None = None,
) -> AnswerBatch:
    """As ``answer`` for each of ``users``, from one snapshot; a user may come twice. Many of them in one pass;
    ``between`` is called between two, and may wait.
    """
    selection = RowSelection.of(plan, query)

    def read(view: StoreSnapshot) -> tuple[NewestEvents, Freshness]:
        published = PublishedDays.of(plan, view)
        today = day_of(clock.now())
        found = newest_events(published, view, users, selection, today, deadline, between, past)
        return found, _with_findings(freshness_of(published, view, clock), published, found, len(users), today)

    if view is not None:
        found, fresh = read(in_arms(view, plan.stored_as))
    else:
        ahead = ahead_of(plan, users, selection, deadline)
        found, fresh = in_snapshot(store, ahead, lambda snapshot: read(in_arms(snapshot, plan.stored_as)))
    newest = tuple(None if time is None else instant(time) for time in found.newest_us)
    fresh = replace(fresh, newest_event_time=max(filter(None, newest), default=None))
    partial = tuple(user in found.cut_short for user in users)
    arms = (plan.arm_of_each,) * len(users)
    return AnswerBatch(tuple(users), tuple(found.lengths), found.events, newest, fresh, partial, arms, found.revisions)


def version_of(
    plan: SequencePlan, store: OnlineStore, user: str, *, clock: Clock = SystemClock()
) -> tuple[str, Freshness]:
    """The ``version`` and the freshness that a whole answer read now would have, without reading it.

    ``newest_event_time`` is None: that is read with the events, and changes with the version alone.

    Raises:
        InvalidKeyError: no store can hold such a user id.
    """
    ahead = ahead_in_arms(ReadAhead(plan.definition.event_types, [user], [], 0), plan.stored_as)
    with store.snapshot(ahead=ahead) as snapshot:
        view = in_arms(snapshot, plan.stored_as)
        published = PublishedDays.of(plan, view)
        fresh = freshness_of(published, view, clock)
        return _dated(_version(published, view, user, day_of(clock.now())), fresh), fresh


def in_snapshot(store: OnlineStore, ahead: ReadAhead, read: Callable[[StoreSnapshot], _T]) -> _T:
    """What ``read`` makes of a snapshot. A store across a network may lose its epoch meanwhile: then once more."""
    try:
        with store.snapshot(ahead=ahead) as view:
            return read(view)
    except EpochGoneError:
        with store.snapshot(ahead=ahead) as view:
            return read(view)


def ahead_of(plan: SequencePlan, users: Sequence[str], selection: RowSelection, deadline: Deadline | None) -> ReadAhead:
    """What a snapshot will be asked for."""
    ahead = ReadAhead(selection.kinds, users, selection.stored, selection.candidates, deadline)
    return ahead_in_arms(ahead, plan.stored_as)


def _answer(
    plan: SequencePlan,
    view: StoreSnapshot,
    user: str,
    query: Query,
    selection: RowSelection,
    clock: Clock,
    deadline: Deadline | None,
    cache: AnswerCache | None,
    past: PastRows | None,
) -> Answer:
    published, today = PublishedDays.of(plan, view), day_of(clock.now())
    version = _version(published, view, user, today) if cache else None
    found = cache.get((version, user, query)) if cache else None
    if found is None:
        found = newest_events(published, view, [user], selection, today, deadline, past=past)
        if not (found.damaged or found.cut_short):
            version = version or _version(published, view, user, today, found.now_by_type(selection))
        else:
            version = None
        if cache and version:
            cache.put((version, user, query), replace(found, now=()))
    fresh = _with_findings(freshness_of(published, view, clock), published, found, 1, today)
    newest_us = found.newest_us[0]
    if newest_us is not None:
        fresh = replace(fresh, newest_event_time=instant(newest_us))
    return Answer(found.events, fresh, version and _dated(version, fresh), found.revisions)


def _version(
    published: PublishedDays,
    view: StoreSnapshot,
    user: str,
    today: int,
    now: Mapping[str, Sequence[NowBlock]] = MappingProxyType({}),
) -> str:
    """Of all event types of the sequence, whichever are asked for; ``now`` are now blocks that are read already.

    Their numbers begin anew in a store that was emptied, so their contents count as well.
    """
    # The window moves with our clock where nothing is published that says how far the platform came.
    parts = [published.plan.fingerprint, str(window_start(published, today))]
    for kind, identity in published.identities.items():
        blocks = now[kind] if kind in now else view.now_blocks(kind, user)
        sequences = ",".join([str(block.sequence) for block in blocks])
        parts.append(f"{identity}:{sequences}:{fingerprint([block.payload for block in blocks])}")
    return "/".join(parts)


def _dated(version: str, fresh: Freshness) -> str:
    """A day that becomes due and is not built changes no event, but what an answer says of itself."""
    return f"{version}/{fresh.completeness!r}"


def _with_findings(
    fresh: Freshness, published: PublishedDays, found: NewestEvents, users: int, today: int
) -> Freshness:
    """With what reading came upon."""
    if found.earlier:
        fresh = replace(fresh, definitions=together(fresh.definitions, found.earlier))
    if not (found.damaged or found.unreadable or found.unfit or found.lost or found.cut_short):
        return fresh
    return replace(
        fresh,
        degraded=(*fresh.degraded, *_problems(found, users)),
        corrupt_blocks=sum(map(len, found.damaged.values())),
        partial=bool(found.cut_short),
        completeness=min([fresh.completeness, *_read_shares(published, found, today)]),
    )


def _read_shares(published: PublishedDays, found: NewestEvents, today: int) -> Iterator[float]:
    for unread in found.cut_short.values():
        yield 0.0 if unread is None else published.completeness(today, unread)


def _problems(found: NewestEvents, users: int) -> Iterator[str]:
    for event_type, names in found.damaged.items():
        named = ", ".join([*names[:_NAMED], *(["..."] if len(names) > _NAMED else [])])
        yield f"{event_type}: {len(names)} damaged block{'s' if len(names) > 1 else ''} left out ({named})"
    for column, count in found.unreadable.items():
        yield f"column {column}: {count} time{'s' if count > 1 else ''} outside of the years 1 to 9999 given as null"
    for unfit, places in sorted(found.unfit.items()):
        few = sorted(places)
        named = ", ".join([*few[:_NAMED], *(["..."] if len(few) > _NAMED else [])])
        yield (
            f"{unfit.event_type}: column {unfit.out} is stored as {unfit.stored}, not as {unfit.asked}, and given as "
            f"null ({named})"
        )
    for event_type, count in found.lost.items():
        yield f"{event_type}: {count} event{'s' if count > 1 else ''} changed after as_of left out"
    if stopped := found.cut_short.keys() - found.bounded:
        cut = f"{len(stopped)} of {users} users" if users > 1 else "older days"
        yield f"the deadline is over: {cut} not read to the end"
    if found.bounded:
        of = f"{len(found.bounded)} of {users} users have" if users > 1 else "there are"
        yield f"{of} more than {MOST_EVENTS} events to put together: the last rows may lack older ones"
