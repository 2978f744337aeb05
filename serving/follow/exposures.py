"""Which users were answered with whose events, of event types that divide them: kept for a while, written by a thread.

A request looks whether the user was noted today and goes on. What is new is written behind it.
"""

from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from seqplat_resources.clock import Clock
from seqplat_resources.home import Home
from seqplat_resources.release.query import Query
from seqplat_resources.release.sequence_plan import SequencePlan
from seqplat_resources.shadow.exposures.write import Exposure, append_exposures
from seqplat_resources.shadow.routing import positions, stands_below
from seqplat_resources.times import DAY_US, microseconds
from serving.follow.behind import EVERY_S, MOST_BYTES, WriteBehind

# Of memory: texts of users count with what holds them, and a row of Python's with some 300 bytes.
_ROW_BYTES = 320
# Users of a day that one process remembers, 8 bytes each, in sets of so many: of half as many users few have to share
# too small a set. One who is forgotten is written once more, which is harmless.
REMEMBERED, _WAYS = 1 << 20, 8
_BITS = (1 << 64) - 1


class Division(NamedTuple):
    """How the users of an event type are divided: by which move, and of whom exposures are written (of 10,000)."""

    move: int
    step: str
    share: int
    sample: int


Append = Callable[[str, Sequence[Exposure], int], None]


class ExposureLog:
    """Takes exposures from requests, in any thread; ``behind`` writes them.

    ``append`` puts exposures of one event type into the lake, and how many were dropped before.
    """

    def __init__(self, append: Append, clock: Clock, *, every_s: float = EVERY_S, most_bytes: int = MOST_BYTES) -> None:
        self._clock = clock
        self._seen, self._seen_day = array("Q"), -1
        self.behind = WriteBehind[Exposure]("exposures", append, every_s=every_s, most_bytes=most_bytes)

    @classmethod
    def to_lake(cls, home: Callable[[], Home], clock: Clock) -> "ExposureLog":
        """One that appends to the tables of a home, which is asked for when there is something to write."""

        def append(event_type: str, exposures: Sequence[Exposure], dropped: int) -> None:
            append_exposures(home(), clock, event_type, exposures, dropped=dropped)

        return cls(append, clock)

    def note(self, divisions: Mapping[str, Division], plan: SequencePlan, user: str, query: Query) -> None:
        """A user was answered by ``plan``, which is in the arms of the user. Whether there was any event does not
        matter: it may hang on the arm. A question about the past exposes nobody.
        """
        if not divisions or query.as_of is not None:
            return
        for name in plan.arms:
            division = divisions.get(name)
            if division is not None and (query.event_types is None or name in query.event_types):
                self._note(plan, name, user, division)

    def _note(self, plan: SequencePlan, name: str, user: str, division: Division) -> None:
        place, sampled = positions(name, user)
        is_ours = name not in plan.stored_as
        if not stands_below(sampled, division.sample) or stands_below(place, division.share) is not is_ours:
            return  # not drawn; or moved between answer and this, which the next answer tells
        at_us = microseconds(self._clock.now())
        day, mark = at_us // DAY_US, hash((place, division.move)) & _BITS
        if day != self._seen_day:
            self._seen, self._seen_day = array("Q", bytes(8 * REMEMBERED)), day
        seen, at = self._seen, mark % (REMEMBERED // _WAYS) * _WAYS
        alike = seen[at : at + _WAYS]
        if mark in alike:
            return
        exposure = Exposure(name, user, is_ours, division.move, division.step, plan.definition.name, at_us)
        size = _ROW_BYTES + 4 * len(user)
        if not self.behind.put(name, exposure, size):
            return
        seen[at + (alike.index(0) if 0 in alike else mark >> 61)] = mark
