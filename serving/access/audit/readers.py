"""Which key read which sequence, and when last: a small record per process and day, for whoever is to change one.

What the access log says of requests goes to a file of its own choice, or nowhere; this stays in the home for 30 days.

>>> readers = Readers(home)
>>> asked = Line(at=1_714_557_600.0, request_id="1", method="GET", status=200, key="k1", sequence="basket")
>>> readers.saw([asked])
>>> readers.close()
>>> [(each.key, each.at) for each in readers_of(home, ["basket"], dt.datetime(2024, 5, 2, tzinfo=dt.UTC)) or ()]
[('k1', '2024-05-01T10:00:00+00:00')]
"""

import datetime as dt
import json
import logging
import os
import socket
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from secrets import token_hex

import obstore

from seqplat_resources.home import Home
from seqplat_resources.planning.readers import EVERY_COLUMN, Readership, Registry, more_of
from serving.access.audit.log import Line

_log = logging.getLogger(__name__)

_FOLDER = "usage/readers"
LATELY = dt.timedelta(days=14)
KEPT = dt.timedelta(days=30)
EVERY_S = 30.0
# Names of columns that a record keeps of one key and sequence: requests choose them.
_MOST_COLUMNS = 200


@dataclass
class _Seen:
    """What one key asked of one sequence on a day."""

    tenant: str = ""
    at: float = 0.0
    columns: set[str] = field(default_factory=set)
    events: int | None = 0
    days: int | None = 0


@dataclass
class Readers:
    """Of one process. Called by the thread that writes the access log alone; what cannot be kept is lost, and said."""

    home: Home
    _seen: dict[tuple[str, str, str], "_Seen"] = field(default_factory=dict)
    # Not its number alone: in a container every process has the same one, and would write over the one before it.
    _process: str = field(default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}-{token_hex(4)}")
    _written_at: float = 0.0
    _changed: set[str] = field(default_factory=set)

    def saw(self, lines: Sequence[Line]) -> None:
        """Take requests that were answered; written every half minute."""
        for line in lines:
            if line.key and line.sequence and line.status < 400:
                self._add(line, line.at.timestamp() if isinstance(line.at, dt.datetime) else line.at)
        if self._changed and time.monotonic() - self._written_at >= EVERY_S:
            self._write()

    def close(self) -> None:
        """Write what is left."""
        if self._changed:
            self._write()

    def _add(self, line: Line, at: float) -> None:
        day = str(dt.datetime.fromtimestamp(at, dt.UTC).date())
        seen = self._seen.setdefault((day, line.sequence, line.key), _Seen())
        seen.tenant, seen.at = line.tenant, max(seen.at, at)
        seen.columns.update(line.columns if len(seen.columns) < _MOST_COLUMNS else [EVERY_COLUMN])
        seen.events, seen.days = more_of(seen.events, line.limit), more_of(seen.days, line.days)
        self._changed.add(day)

    def _write(self) -> None:
        self._written_at = time.monotonic()
        for day in sorted(self._changed):
            said = [
                {"sequence": sequence, "key": key, **asdict(seen), "columns": sorted(seen.columns)}
                for (of, sequence, key), seen in self._seen.items()
                if of == day
            ]
            name = f"{_FOLDER}/{day}/{self._process}.json"
            try:
                obstore.put(self.home.installation.objects, name, json.dumps(said).encode())
            except Exception as error:  # who reads what is worth less than that requests go on
                _log.warning("who read what on %s is not kept: %s", day, error)
                return
        newest = max(self._changed)
        self._changed.clear()
        self._seen = {key: found for key, found in self._seen.items() if key[0] == newest}
        _forget(self.home, dt.date.fromisoformat(newest) - KEPT)


def readers_of(home: Home, sequences: Collection[str], now: dt.datetime) -> tuple[Readership, ...] | None:
    """Who read some sequences in the last 14 days, the newest first; None where no server has counted at all.

    A record that is damaged says nothing.
    """
    found: dict[tuple[str, str], Readership] = {}
    since, paths = str((now - LATELY).date()), _paths(home)
    for path in paths:
        if path.split("/")[-2] < since:
            continue
        with suppress(FileNotFoundError, ValueError, TypeError, KeyError, AttributeError, OSError):
            for said in json.loads(bytes(home.installation.objects.get(path).bytes())):
                if said["sequence"] in sequences:
                    at = dt.datetime.fromtimestamp(said["at"], dt.UTC).isoformat(timespec="seconds")
                    wanted = (said.get("events"), said.get("days"))  # of earlier versions nobody knows: all there are
                    one = Readership(said["sequence"], said["key"], said["tenant"], at, tuple(said["columns"]), *wanted)
                    found[one.sequence, one.key] = _newer(found.get((one.sequence, one.key)), one)
    return tuple(sorted(found.values(), key=lambda each: (each.at, each.key), reverse=True)) if paths else None


def registry_of(home: Home, now: dt.datetime) -> Registry:
    """Who read a sequence in the last 14 days; None where readers were not counted for as long."""
    since = str((now - LATELY).date())

    def registry(sequence: str) -> tuple[Readership, ...] | None:
        counted = any(path.split("/")[-2] <= since for path in _paths(home))
        return readers_of(home, [sequence], now) if counted else None

    return registry


def _newer(before: Readership | None, after: Readership) -> Readership:
    """One reader of what two records say of it."""
    if before is None:
        return after
    columns = tuple(sorted({*before.columns, *after.columns}))
    wanted = (more_of(before.events, after.events), more_of(before.days, after.days))
    return Readership(after.sequence, after.key, after.tenant, max(before.at, after.at), columns, *wanted)


def _forget(home: Home, before: dt.date) -> None:
    with suppress(Exception):  # another process may have done it
        old = [path for path in _paths(home) if path.split("/")[-2] < str(before)]
        if old:
            obstore.delete(home.installation.objects, old)


def _paths(home: Home) -> list[str]:
    return [each["path"] for each in home.installation.objects.list(_FOLDER).collect() if each["path"].count("/") == 3]
