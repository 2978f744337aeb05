"""What checks said and the table of results could not keep: a small note an asset, there until its days are recorded.

One JSON document each, below ``health/unrecorded`` of the home, for a disk that has no room for a file of the lake.
"""

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

import obstore

from seqplat_resources.home import Home

# What is told of one day at most; a thousand lines of a stack trace help nobody.
MOST_CHARS = 4_000
_FOLDER = "health/unrecorded"


@dataclass(frozen=True)
class Unrecorded:
    """Verdicts on an asset that could not be kept: of which days (none: of all together), and why."""

    asset: str
    days: tuple[dt.date, ...]
    why: str


@dataclass(frozen=True)
class UnrecordedNotes:
    """Those of a home."""

    home: Home

    def add(self, days: Mapping[str, Iterable[dt.date]], why: str) -> None:
        """Note of which days of which assets something could not be recorded, so that who looks is told.

        Raises:
            Whatever storage says.
        """
        for asset, new in days.items():
            lost = set(new)
            with suppress(FileNotFoundError):
                lost.update(self._read(asset).days)
            self._write(Unrecorded(asset, tuple(sorted(lost)), why[:MOST_CHARS]))

    def all(self) -> Iterator[Unrecorded]:
        """What is not recorded by now."""
        for item in self.home.objects.list(_FOLDER).collect():
            asset = item["path"].removeprefix(f"{_FOLDER}/").removesuffix(".json")
            with suppress(FileNotFoundError):  # settled since it was listed
                yield self._read(asset)

    def settle(self, asset: str, days: Iterable[dt.date | None]) -> None:
        """These days are recorded now."""
        with suppress(FileNotFoundError):
            lost = self._read(asset)
            if left := tuple(sorted({*lost.days} - {*days})):
                self._write(replace(lost, days=left))
            else:
                obstore.delete(self.home.objects, _path(asset))

    def _read(self, asset: str) -> Unrecorded:
        """
        Raises:
            FileNotFoundError: nothing was lost.
        """
        data = bytes(self.home.objects.get(_path(asset)).bytes())
        try:
            said = json.loads(data)
            return Unrecorded(asset, tuple(map(dt.date.fromisoformat, said["days"])), str(said["why"]))
        except (ValueError, KeyError, TypeError, RecursionError):
            return Unrecorded(asset, (), "the note of what was lost cannot be read either")

    def _write(self, lost: Unrecorded) -> None:
        note = {"days": [str(day) for day in lost.days], "why": lost.why}
        obstore.put(self.home.objects, _path(lost.asset), json.dumps(note).encode())


def _path(asset: str) -> str:
    return f"{_FOLDER}/{asset}.json"
