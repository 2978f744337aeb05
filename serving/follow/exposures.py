"""Which users were answered with whose events, of event types that divide them: kept for a while, written by a thread.

A request looks whether the user was noted today and goes on. What is new waits in memory, up to so many bytes; a thread
appends it to the lake now and again. Where the lake cannot be written, users wait, and those there is no room for are
counted: in the metrics, and in the lake once it can be written again.
"""

import asyncio
import logging
import threading
from array import array
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

import polars as pl

from seqplat_resources.clock import Clock
from seqplat_resources.foreign_errors import in_our_words
from seqplat_resources.home import Home
from seqplat_resources.release.query import Query
from seqplat_resources.release.sequence_plan import SequencePlan
from seqplat_resources.shadow.exposures.write import Exposure, append_exposures
from seqplat_resources.shadow.routing import positions, stands_below
from seqplat_resources.times import DAY_US, microseconds

_log = logging.getLogger(__name__)

EVERY_S = 20.0
# Of memory: texts of users count with what holds them, and a row of Python's with some 300 bytes.
MOST_BYTES, _ROW_BYTES = 32 << 20, 320
# Users of a day that one process remembers, 8 bytes each, in sets of so many: of half as many users few have to share
# too small a set. One who is forgotten is written once more, which is harmless.
REMEMBERED, _WAYS = 1 << 20, 8
# A file of the lake has at most so many.
_AT_ONCE = 50_000
END_WITHIN_S = 5.0
_BITS = (1 << 64) - 1


class Division(NamedTuple):
    """How the users of an event type are divided: by which move, and of whom exposures are written (of 10,000)."""

    move: int
    step: str
    share: int
    sample: int


Append = Callable[[str, Sequence[Exposure], int], None]


class ExposureLog:
    """Takes exposures from requests, in any thread. ``written`` and ``dropped`` count them, in all.

    ``append`` puts exposures of one event type into the lake, and how many were dropped before.
    """

    def __init__(self, append: Append, clock: Clock, *, every_s: float = EVERY_S, most_bytes: int = MOST_BYTES) -> None:
        self._append, self._clock, self._every_s, self._most_bytes = append, clock, every_s, most_bytes
        self._seen, self._seen_day = array("Q"), -1
        self._lock = threading.Lock()
        self._waiting: list[Exposure] = []
        self._held_bytes = 0
        self._lost: Counter[str] = Counter()
        self._stopped, self._failure = threading.Event(), ""
        self.written = self.dropped = 0

    @classmethod
    def to_lake(cls, home: Callable[[], Home], clock: Clock) -> "ExposureLog":
        """One that appends to the tables of a home, which is asked for when there is something to write."""

        def append(event_type: str, exposures: Sequence[Exposure], dropped: int) -> None:
            append_exposures(home(), clock, event_type, exposures, dropped=dropped)

        return cls(append, clock)

    @property
    def waiting(self) -> int:
        """Exposures in memory that the lake does not have."""
        return len(self._waiting)

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
        with self._lock:
            if self._held_bytes + size > self._most_bytes:
                self._lose(name, 1)
                return
            self._held_bytes += size
            self._waiting.append(exposure)
        seen[at + (alike.index(0) if 0 in alike else mark >> 61)] = mark

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write until left, then what still waits, for five seconds at most."""
        writer = threading.Thread(target=self._run, name="exposures", daemon=True)
        writer.start()
        try:
            yield
        finally:
            self._stopped.set()
            await asyncio.to_thread(writer.join, END_WITHIN_S)
            if self.waiting:
                _log.error("exposures: %d are lost, as they could not be written in time", self.waiting)

    def _run(self) -> None:
        while not self._stopped.wait(self._every_s):
            self.write()
        self.write()

    def write(self) -> None:
        """Append what waits; called by one thread at a time. What cannot be written goes on waiting. Raises nothing."""
        with self._lock:
            names = list(dict.fromkeys([*(each.event_type for each in self._waiting), *+self._lost]))
        for name in names:
            while self._write(name):
                pass

    def _write(self, name: str) -> bool:
        """Some of one event type; whether there are more that can be written."""
        with self._lock:
            batch = [each for each in self._waiting if each.event_type == name][:_AT_ONCE]
            lost = self._lost[name]
        if not batch and not lost:
            return False
        try:
            self._append(name, batch, lost)
        except (Exception, pl.exceptions.PanicException) as error:  # requests go on, and so does this thread
            if (told := str(in_our_words(error) or error)) != self._failure:
                _log.error("exposures of %s wait, or are lost: %s", name, told)
            self._failure = told
            return False
        self._failure = ""
        done = set(map(id, batch))
        with self._lock:
            self._waiting = [each for each in self._waiting if id(each) not in done]
            self._held_bytes -= sum(_ROW_BYTES + 4 * len(each.user) for each in batch)
            self._lost[name] -= lost
            self.written += len(batch)
        return len(batch) == _AT_ONCE

    def _lose(self, name: str, count: int) -> None:
        self._lost[name] += count
        self.dropped += count
