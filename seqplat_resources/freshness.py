"""How fresh and how complete an answer is: from what was published and streamed, never from the state of a job."""

import datetime as dt
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from seqplat_resources.clock import Clock, SystemClock
from seqplat_resources.online_store import Epoch, OnlineStore, Snapshot, StreamPosition
from seqplat_resources.sequence_plan import SequencePlan

# A stream writes a heartbeat every few seconds also when nothing happens; a minute without one is no accident.
SILENT_S = 60

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MS = dt.timedelta(milliseconds=1)


@dataclass(frozen=True)
class Freshness:
    """What an answer is made of.

    ``completeness`` is the published share of the days the sequence promises. ``stream_lag_ms`` is how far the
    furthest-behind partition was when it last wrote, and the time since then; None where nothing streams.
    """

    release: str
    epoch: Mapping[str, int | None]
    sealed_through: dt.datetime | None
    newest_event_time: dt.datetime | None
    completeness: float
    degraded: tuple[str, ...] = ()
    stream_lag_ms: int | None = None


def freshness(plan: SequencePlan, store: OnlineStore, *, clock: Clock = SystemClock()) -> Freshness:
    """How fresh any user's answer would be now; ``newest_event_time`` is a user's own, so it is None."""
    with store.snapshot() as view:
        return freshness_of(plan, view, epochs_of(plan, view), clock)


def epochs_of(plan: SequencePlan, view: Snapshot) -> dict[str, Epoch | None]:
    """The epoch of each event type of a sequence."""
    return {event_type: view.epoch(event_type) for event_type in plan.definition.event_types}


def window_start(plan: SequencePlan, view: Snapshot, epochs: Mapping[str, Epoch | None]) -> str | None:
    """First day of the window, None without one. A day is that of the event time in UTC, so it is in or out whole.

    It is counted back from the newest day that is published or streamed, of any user and of any event type.
    """
    if plan.definition.window_days is None:
        return None
    published = [day for epoch in epochs.values() if epoch for day in epoch.buckets]
    streamed = [day for event_type in epochs if (day := view.newest_now_day(event_type))]
    newest = max([*published, *streamed], default=None)
    if newest is None:
        return None
    return (dt.date.fromisoformat(newest) - dt.timedelta(days=plan.definition.window_days - 1)).isoformat()


def freshness_of(plan: SequencePlan, view: Snapshot, epochs: Mapping[str, Epoch | None], clock: Clock) -> Freshness:
    """As ``freshness``, of a snapshot and its epochs."""
    days = {event_type: sorted(epoch.buckets) if epoch else [] for event_type, epoch in epochs.items()}
    ends = {event_type: _day_after(found[-1]) for event_type, found in days.items() if found}
    published, promised = sum(map(len, days.values())), 0
    for event_type, (first, end) in plan.promised.items():
        last = end or ends.get(event_type)  # open-ended event types are judged up to their newest day
        promised += (last - first).days if first and last else len(days[event_type])
    sealed = min(ends.values()) if len(ends) == len(days) else None
    degraded = [f"{event_type}: nothing published" for event_type, found in days.items() if not found]
    lag_ms = None
    if plan.topics:
        now_ms = (clock.now() - _EPOCH) // _MS
        positions = {topic: view.stream_positions(topic).values() for topic in set(plan.topics.values())}
        lag_ms = max((_lag_ms(at, now_ms) for found in positions.values() for at in found), default=None)
        degraded += _stream_problems(plan.topics, positions, now_ms)
    return Freshness(
        release=plan.release,
        epoch={event_type: epoch.epoch if epoch else None for event_type, epoch in epochs.items()},
        sealed_through=dt.datetime.combine(sealed, dt.time(), dt.UTC) if sealed else None,
        newest_event_time=None,
        completeness=min(1.0, published / promised) if promised else 0.0,
        degraded=tuple(degraded),
        stream_lag_ms=lag_ms,
    )


def _lag_ms(position: StreamPosition, now_ms: int) -> int:
    # A writer whose clock is ahead of this one must not look better than it said.
    return position.lag_ms + max(0, now_ms - position.at_ms)


def _stream_problems(
    topics: Mapping[str, str], positions: Mapping[str, Collection[StreamPosition]], now_ms: int
) -> Iterator[str]:
    for event_type, topic in topics.items():
        newest = max((position.at_ms for position in positions[topic]), default=None)
        if newest is None:
            yield f"{event_type}: nothing streamed yet"
        elif now_ms - newest > SILENT_S * 1000:
            yield f"{event_type}: stream silent for {(now_ms - newest) // 1000} s"


def _day_after(day: str) -> dt.date:
    return dt.date.fromisoformat(day) + dt.timedelta(days=1)
