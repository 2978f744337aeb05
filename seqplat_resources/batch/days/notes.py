"""Builds that were begun and not judged: a process that is killed says nothing of the days it was at.

A note (``ledger/<asset>/<run>.begun``) is there from before a build writes its first bucket until checks have looked
at the last. While its process works it means nothing; when that is gone, nobody knows what its days are worth. As a
lease, it is renewed for as long: of a process in another container, or on another host, nothing else can be seen.
"""

import datetime as dt
import json
import threading
from collections.abc import Collection, Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

import obstore

from seqplat_resources.clock import Clock, SystemClock
from seqplat_resources.home import Home
from seqplat_resources.records import lease
from seqplat_resources.records.heartbeat import repeated
from seqplat_resources.records.process import is_gone, this_process

_ENDING = ".begun"
# A note that says it holds for longer is of a clock that nobody should believe; one of before notes were renewed, by
# which nobody knows until when it holds, holds for as long.
_LONGEST = dt.timedelta(hours=1)


@dataclass(frozen=True)
class BrokenOff:
    """A build whose process is gone. ``path`` is that of its note."""

    path: str
    days: frozenset[dt.date]
    at: dt.datetime
    reason: str


@dataclass(frozen=True)
class BuildNotes:
    """The notes of one asset (``raw/clicks``)."""

    home: Home
    asset: str
    clock: Clock = field(default_factory=SystemClock)

    def begin(self, run: str, days: Iterable[dt.date]) -> None:
        """Before the first bucket is written. The note is renewed by this process until ``end``."""
        path = self._path(run)
        said = {**this_process(), "at": self.clock.now().isoformat(), "days": sorted(map(str, days))}
        self._give_up(path)  # an attempt before this one
        note = _Note(self.home, path, said, self.clock)
        note.write()
        _mine[self.home.root, path] = note
        note.keep()

    def end(self, run: str) -> None:
        """Its days were judged, or say for themselves how they are. It need not have begun."""
        self.forget(self._path(run))

    def forget(self, path: str) -> None:
        self._give_up(path)
        with suppress(FileNotFoundError):
            obstore.delete(self.home.objects, path)

    def _give_up(self, path: str) -> None:
        if (note := _mine.pop((self.home.root, path), None)) is not None:
            note.give_up()

    def broken_off(self, paths: Iterable[str], *, without: Collection[str] = ()) -> list[BrokenOff]:
        """Of the notes among ``paths`` those of builds that will not end, but for some runs. One that cannot be read is
        of no build.
        """
        found, others = [], {self._path(run) for run in without}
        for path in paths:
            if path.endswith(_ENDING) and path not in others:
                with suppress(FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
                    found.append(self._read(path))
        return [each for each in found if each is not None]

    def _read(self, path: str) -> BrokenOff | None:
        said: Mapping[str, Any] = json.loads(bytes(obstore.get(self.home.objects, path).bytes()))
        at, now = dt.datetime.fromisoformat(said["at"]), self.clock.now()
        until = dt.datetime.fromisoformat(said["until"]) if "until" in said else at + _LONGEST
        if not is_gone(said) and now < until <= now + _LONGEST:
            return None
        reason = f"process {said['pid']} on {said['host']} was broken off before the day was built and judged"
        return BrokenOff(path, frozenset(map(dt.date.fromisoformat, said["days"])), at, reason)

    def _path(self, run: str) -> str:
        return f"ledger/{self.asset}/{run}{_ENDING}"


@dataclass(eq=False)
class _Note:
    """A note of this process."""

    home: Home
    path: str
    said: Mapping[str, Any]
    clock: Clock
    # Renewed by one thread while another takes it away: whatever comes first is done before the other looks.
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _beat: ExitStack = field(default_factory=ExitStack)
    _is_over: bool = False

    def keep(self) -> None:
        self._beat.enter_context(repeated(self._renew, every_s=lease.EVERY_S))

    def write(self) -> None:
        until = (self.clock.now() + lease.TTL).isoformat()
        obstore.put(self.home.objects, self.path, json.dumps({**self.said, "until": until}).encode())

    def give_up(self) -> None:
        with self._guard:
            self._is_over = True
        self._beat.close()

    def _renew(self) -> None:
        """Unless it was taken away meanwhile: this process was paused, and its days are failed ones by now."""
        with self._guard:
            if not self._is_over:
                try:
                    self.home.objects.head(self.path)
                except FileNotFoundError:
                    self._is_over = True
                else:
                    self.write()


# Those that this process renews, by home and path.
_mine: dict[tuple[str, str], _Note] = {}
