"""Builds that were begun and not judged: a process that is killed says nothing of the days it was at.

A note (``ledger/<asset>/<run>.begun``) is there from before a build writes its first bucket until checks have looked
at the last. While its process works it means nothing; when that is gone, nobody knows what its days are worth.
"""

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import obstore

from seqplat_resources.clock import Clock, SystemClock
from seqplat_resources.home import Home
from seqplat_resources.records.process import is_gone, this_process

_ENDING = ".begun"
# After so long a build is taken for one that will not end, where its process cannot be seen: on another host, or in a
# container that is gone. Longer than the largest range takes.
_SURELY_OVER = dt.timedelta(hours=2)


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
        """Before the first bucket is written."""
        said = {**this_process(), "at": self.clock.now().isoformat(), "days": sorted(map(str, days))}
        obstore.put(self.home.objects, self._path(run), json.dumps(said).encode())

    def end(self, run: str) -> None:
        """Its days were judged, or say for themselves how they are. It need not have begun."""
        self.forget(self._path(run))

    def forget(self, path: str) -> None:
        with suppress(FileNotFoundError):
            obstore.delete(self.home.objects, path)

    def broken_off(self, paths: Iterable[str]) -> list[BrokenOff]:
        """Of the notes among ``paths`` those of builds that will not end. One that cannot be read is of no build."""
        found = []
        for path in paths:
            if path.endswith(_ENDING):
                with suppress(FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
                    found.append(self._read(path))
        return [each for each in found if each is not None]

    def _read(self, path: str) -> BrokenOff | None:
        said: Mapping[str, Any] = json.loads(bytes(obstore.get(self.home.objects, path).bytes()))
        at = dt.datetime.fromisoformat(said["at"])
        if not is_gone(said) and abs(self.clock.now() - at) < _SURELY_OVER:  # a clock may have been set back since
            return None
        reason = f"process {said['pid']} on {said['host']} was broken off before the day was built and judged"
        return BrokenOff(path, frozenset(map(dt.date.fromisoformat, said["days"])), at, reason)

    def _path(self, run: str) -> str:
        return f"ledger/{self.asset}/{run}{_ENDING}"
