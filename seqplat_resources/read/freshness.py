"""How fresh and how complete an answer is: from what was published and streamed, never from the state of a job."""

import datetime as dt
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from seqplat_resources.clock import Clock, SystemClock
from seqplat_resources.online_store import Epoch, OnlineStore, StoreSnapshot, StreamPosition
from seqplat_resources.read.merge.newest import window_start as first_day_of_window
from seqplat_resources.read.merge.published import PublishedDays
from seqplat_resources.read.stored import EarlierRows
from seqplat_resources.release.sequence_plan import SequencePlan
from seqplat_resources.times import day_of, day_text, milliseconds

# A stream writes a heartbeat every few seconds also when nothing happens; a minute without one is no accident.
SILENT_S = 60


@dataclass(frozen=True)
class Freshness:
    """What an answer is made of.

    ``completeness`` is the built share of the days that should be there by now (``due.Due``), of those that were read
    for the answer. ``arms`` are those of the user: ``ours`` or ``legacy``, by event type on its way from one to the
    other.
    ``stream_lag_ms`` is how far the furthest-behind partition was when it last wrote, and the time since then; None
    where nothing streams. ``corrupt_blocks`` are left out of the answer. ``partial``: the deadline cut it short.
    ``definitions`` are by event type the rows that another definition made, and that are given as they are.
    """

    release: str
    epoch: Mapping[str, int | None]
    sealed_through: dt.datetime | None
    newest_event_time: dt.datetime | None
    completeness: float
    degraded: tuple[str, ...] = ()
    stream_lag_ms: int | None = None
    corrupt_blocks: int = 0
    partial: bool = False
    arms: Mapping[str, str] = field(default_factory=dict)
    definitions: Mapping[str, tuple[EarlierRows, ...]] = field(default_factory=dict)


def freshness(plan: SequencePlan, store: OnlineStore, *, clock: Clock = SystemClock()) -> Freshness:
    """How fresh any user's answer would be now; ``newest_event_time`` is a user's own, so it is None."""
    with store.snapshot() as view:
        return freshness_of(PublishedDays.of(plan, view), view, clock)


def epochs_of(plan: SequencePlan, view: StoreSnapshot) -> dict[str, Epoch | None]:
    """The epoch of each event type of a sequence."""
    return dict(PublishedDays.of(plan, view).epochs)


def window_start(plan: SequencePlan, epochs: Mapping[str, Epoch | None], clock: Clock) -> str | None:
    """First day of the window that is counted back from the newest day of ``epochs``; None without one."""
    first = first_day_of_window(PublishedDays(plan, epochs), day_of(clock.now()))
    return None if first is None else day_text(first)


def freshness_of(published: PublishedDays, view: StoreSnapshot, clock: Clock) -> Freshness:
    """As ``freshness``, of a snapshot and its epochs."""
    now = clock.now()
    today, now_ms = day_of(now), milliseconds(now)
    degraded = list(published.missing(today))
    topics, lag_ms = published.plan.topics, None
    if topics:
        positions = {topic: view.stream_positions(topic).values() for topic in set(topics.values())}
        lag_ms = max((_lag_ms(at, now_ms) for found in positions.values() for at in found), default=None)
        degraded += _stream_problems(topics, positions, now_ms)
    return Freshness(
        release=published.plan.release,
        epoch=published.numbers,
        sealed_through=published.sealed_through,
        newest_event_time=None,
        completeness=published.completeness(today),
        degraded=tuple(degraded),
        stream_lag_ms=lag_ms,
        arms=published.plan.arm_of_each,
        definitions=published.definitions,
    )


def _lag_ms(position: StreamPosition, now_ms: int) -> int:
    # A writer whose clock is ahead of this one must not look better than it said.
    return position.lag_ms + max(0, now_ms - position.at_ms)


def _stream_problems(
    topics: Mapping[str, str], positions: Mapping[str, Collection[StreamPosition]], now_ms: int
) -> Iterator[str]:
    for event_type, topic in topics.items():
        newest = max((position.at_ms for position in positions[topic]), default=None)
        if unread := sum(position.unread for position in positions[topic]):
            yield f"{event_type}: {unread} messages not streamed yet of those there were when the stream began anew"
        if newest is None:
            yield f"{event_type}: nothing streamed yet"
        elif now_ms - newest > SILENT_S * 1000:
            yield f"{event_type}: stream silent for {(now_ms - newest) // 1000} s"
