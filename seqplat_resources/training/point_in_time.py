"""Which revisions each label's sequence has: known at its time, happened before it, the newest so many. Pure arrays.

>>> rows = Revisions.of(user=[0, 0, 0], time=[30, 20, 10], known_from=[30, 45, 10], known_until=[FOREVER] * 3)
>>> found = taken(rows, Labels.of(user=[0, 0], time=[40, 50]), Span(length=2))
>>> found.places(0, 2)  # at 40 the event of 20 had not arrived
(array([0, 2, 0, 1]), array([2, 2]))
"""

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from seqplat_resources.rules.spans import first_beyond
from seqplat_resources.rules.window import first_days
from seqplat_resources.times import DAY_US, FIRST_DAY, LAST_DAY, date_of, microseconds

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

# A revision that nothing outranks is known until then.
FOREVER: Final = int(np.iinfo(np.int64).max)

# Pairs of a label and a row that are looked at in one pass over arrays: they and what follows from them fit a cache.
_PAIRS = 1 << 21
# Of the delays between an event and its being known: what takes no longer is not looked at but near a label's time.
_PROMPT = 0.9


@dataclass(frozen=True)
class Revisions:
    """Rows by user (numbers, ascending) and each user's newest first; times in microseconds.

    A row is known at t where ``known_from <= t < known_until``.
    """

    user: Ints
    time: Ints
    known_from: Ints
    known_until: Ints

    @classmethod
    def of(
        cls, user: Sequence[int], time: Sequence[int], known_from: Sequence[int], known_until: Sequence[int]
    ) -> "Revisions":
        user_, time_, from_, until_ = (np.asarray(v, np.int64) for v in (user, time, known_from, known_until))
        return cls(user_, time_, from_, until_)

    @classmethod
    def always_known(cls, user: Ints, time: Ints) -> "Revisions":
        """Rows as of now, whenever they were known."""
        return cls(user, time, np.full_like(time, -FOREVER), np.full_like(time, FOREVER))

    def where(self, kept: Flags) -> "Revisions":
        """Some of the rows."""
        return Revisions(self.user[kept], self.time[kept], self.known_from[kept], self.known_until[kept])


@dataclass(frozen=True)
class Labels:
    """Users (numbers as in ``Revisions``; those without rows may be any) and times in microseconds."""

    user: Ints
    time: Ints

    @classmethod
    def of(cls, user: Sequence[int], time: Sequence[int]) -> "Labels":
        return cls(np.asarray(user, np.int64), np.asarray(time, np.int64))


@dataclass(frozen=True)
class Span:
    """What of a user's rows a label sees: events before its time less the ``embargo_us``, at it where ``inclusive``;
    of the days that ``rules.window`` says, of which none is after ``newest_day``; the newest ``length``.
    """

    length: int | None = None
    embargo_us: int = 0
    inclusive: bool = False
    window_days: int | None = None
    newest_day: int = LAST_DAY

    def before(self, time: Ints) -> Ints:
        """The exclusive bound of event times."""
        return time - (self.embargo_us - int(self.inclusive))

    def since(self, time: Ints) -> Ints | None:
        """The inclusive bound of event times, where there is one."""
        if self.window_days is None:
            return None
        return first_days(self.window_days, None, self.newest_day, time) * DAY_US

    def days(self, first: dt.datetime, last: dt.datetime) -> tuple[dt.date, dt.date]:
        """The first and the last day with anything that labels from ``first`` to ``last`` may see."""
        low, high = (np.array([microseconds(each)]) for each in (first, last))
        since = self.since(low)
        return dt.date.min if since is None else _day(since), _day(self.before(high) - 1)


def _day(time_us: Ints) -> dt.date:
    """That of the first time, or the nearest that there is."""
    return date_of(min(max(int(time_us[0]) // DAY_US, FIRST_DAY), LAST_DAY))


def taken(rows: Revisions, labels: Labels, span: Span) -> "Taken":
    """The rows of each label.

    Units:
        Times are microseconds since 1970-01-01 UTC. An event at the very time of a label is not seen, unless the span
        is ``inclusive``; a revision known at that very time is.
    Ties:
        Rows count in the order in which they stand.
    Cost:
        Three searches per label. Then what is not prompt is looked at, and what happened just before a label; where
        rows are passed over for it, more in pieces that double.
    """
    low, high = np.searchsorted(rows.user, labels.user), np.searchsorted(rows.user, labels.user, side="right")
    older = -rows.time  # ascending: the first place beyond a bound is the newest row before it
    start = first_beyond(older, low, high, -span.before(labels.time))
    since = span.since(labels.time)
    limit = high if since is None else first_beyond(older, start, high, -since)
    delay = _usual_delay(rows)
    head = first_beyond(older, start, limit, delay - labels.time)
    doubtful = np.flatnonzero((rows.known_from - delay > rows.time) | (rows.known_until != FOREVER))
    found = Taken(rows, doubtful, labels.time, start, head, limit.copy(), limit - start)
    for some in pieces(np.maximum(limit - start, 1) if span.length is None else np.full(start.size, span.length)):
        _cut(found, some, span.length)
    return found


@dataclass(frozen=True)
class Taken:
    """Of each label: its rows are those known of the places ``start`` up to ``stop``, ``count`` in number.

    Places before ``head`` are so near to the label's time that what is prompt may not be known; of those behind it only
    ``doubtful`` ones may not.
    """

    rows: Revisions
    doubtful: Ints
    time: Ints
    start: Ints
    head: Ints
    stop: Ints
    count: Ints

    def places(self, first: int, last: int) -> tuple[Ints, Ints]:
        """The rows of labels ``first`` up to ``last``, label after label and newest first; and how many of each."""
        some = np.arange(first, last)
        start, length, count = self.start[some], self.stop[some] - self.start[some], self.count[some]
        _, places = _ragged(start, length)
        if (length != count).any():
            kept, offset = np.ones(places.size, np.bool_), np.cumsum(length) - length - start
            for labels, unknown in self._unknown_of(some):
                kept[offset[labels] + unknown] = False
            places = places[kept]
        return places, count

    def passed_over(self) -> tuple[Ints, Ints]:
        """The rows between ``start`` and ``stop`` that labels do not have, label after label and ascending; and how
        many of each."""
        found, size = [np.empty(0, np.int64)], self.start.size
        counts = np.zeros(size, np.int64)
        for piece in pieces(self.stop - self.start + 1):
            some = piece[self.stop[piece] - self.start[piece] != self.count[piece]]
            labels, places = (np.concatenate(each) for each in zip(*self._unknown_of(some), strict=True))
            found.append(places[np.lexsort((places, labels))])
            counts[some] = np.bincount(labels, minlength=some.size)
        return np.concatenate(found), counts

    def _unknown_of(self, some: Ints) -> list[tuple[Ints, Ints]]:
        """Of all rows of some labels those not known, with the number of their label among ``some``."""
        return [find(some, self.start[some], self.stop[some]) for find in (self.unknown_near, self.unknown_far)]

    def of_used(self) -> tuple["Taken", Flags]:
        """The same of only the rows that any label may have; and which these are."""
        size = self.rows.time.size
        opened, closed = (np.bincount(each, minlength=size + 1)[:size] for each in (self.start, self.stop))
        used = np.cumsum(opened - closed) > 0
        before = np.concatenate([[0], np.cumsum(used)])
        doubtful = before[self.doubtful[used[self.doubtful]]]
        start, head, stop = before[self.start], before[np.minimum(self.head, self.stop)], before[self.stop]
        return Taken(self.rows.where(used), doubtful, self.time, start, head, stop, self.count), used

    def unknown_near(self, some: Ints, low: Ints, high: Ints) -> tuple[Ints, Ints]:
        """Of the places from ``low`` to ``high`` of some labels those not known, before ``head``; with the number of
        their label among ``some``, ascending in both."""
        labels, places = _ragged(low, np.maximum(np.minimum(high, self.head[some]) - low, 0))
        return self._unknown(some, labels, places)

    def unknown_far(self, some: Ints, low: Ints, high: Ints) -> tuple[Ints, Ints]:
        """As ``unknown_near``, behind ``head``."""
        first = np.searchsorted(self.doubtful, np.maximum(low, self.head[some]))
        labels, numbers = _ragged(first, np.maximum(np.searchsorted(self.doubtful, high) - first, 0))
        return self._unknown(some, labels, self.doubtful[numbers])

    def _unknown(self, some: Ints, labels: Ints, places: Ints) -> tuple[Ints, Ints]:
        at = self.time[some][labels]
        unknown = (self.rows.known_from[places] > at) | (self.rows.known_until[places] <= at)
        return labels[unknown], places[unknown]


def _cut(found: Taken, some: Ints, length: int | None) -> None:
    """Set ``stop`` and ``count`` of some labels: behind the last row that each may have, or where its rows end."""
    low, limit, count = found.start[some], found.stop[some], np.zeros(some.size, np.int64)
    most = FOREVER if length is None else length
    low = _passed(found.unknown_near, some, low, np.minimum(found.head[some], limit), count, most)
    active = np.flatnonzero((low < limit) & (count < most))
    width = 0
    while active.size:
        missing = most - count[active]
        width = max(2 * width, 1)
        end = np.minimum(limit[active], low[active] + np.minimum(np.maximum(missing, width), limit[active]))
        had = count[active]
        low[active] = _passed(found.unknown_far, some[active], low[active], end, had, most)
        count[active] = had
        active = active[(low[active] < limit[active]) & (had < most)]
    found.stop[some], found.count[some] = low, count


def _passed(
    find: Callable[[Ints, Ints, Ints], tuple[Ints, Ints]], some: Ints, low: Ints, high: Ints, count: Ints, most: int
) -> Ints:
    """How far labels come from ``low`` towards ``high`` until they have ``most`` rows; ``count`` is added to."""
    labels, unknown = find(some, low, high)
    of_each = np.bincount(labels, minlength=some.size)
    rank = np.arange(labels.size) - (np.cumsum(of_each) - of_each)[labels]
    known_before = count[labels] + (unknown - low[labels]) - rank
    passed_over = np.bincount(labels[known_before < most], minlength=some.size)
    end: Ints = np.minimum(high, low + np.minimum(most - count, high - low) + passed_over)
    count += end - low - passed_over
    return end


def _usual_delay(rows: Revisions) -> int:
    """How long after it happened most of what happens is known."""
    if not rows.time.size or rows.known_from.max() == -FOREVER:
        return 0
    delays = np.maximum(rows.known_from - rows.time, 0)
    nth = int((delays.size - 1) * _PROMPT)
    return int(np.partition(delays, nth)[nth])


def _ragged(start: Ints, length: Ints) -> tuple[Ints, Ints]:
    """Ranges end to end: the number of each one's range, and the number in it."""
    ends = np.cumsum(length)
    offset = start - (ends - length)
    places = np.arange(int(ends[-1]) if ends.size else 0)
    return np.repeat(np.arange(start.size), length), places + np.repeat(offset, length)


def pieces(sizes: Ints) -> Iterator[Ints]:
    """Labels in pieces that are small enough to look at together."""
    edges = np.flatnonzero(np.diff(np.cumsum(sizes) // _PAIRS)) + 1
    yield from np.split(np.arange(sizes.size), edges)
