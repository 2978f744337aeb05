"""Versions of tables that somebody needs again: vacuum leaves their files. Named, with an owner and an end.

>>> pins = Pins(home)
>>> pins.put(VersionPin("may", {"lake/visits": 3}, owner="ann"))
>>> pins.versions_of("lake/visits"), [pin.name for pin in pins.all()]
({3}, ['may'])
>>> pins.drop("may")
>>> pins.versions_of("lake/visits")
set()
"""

import datetime as dt
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seqplat_resources.clock import Clock, SystemClock
from seqplat_resources.errors import Final
from seqplat_resources.home import Home
from seqplat_resources.records.log import RecordLog

_PREFIX = "pins"
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_RECORD = re.compile(rf"{_PREFIX}/([^/]+)/\d{{12}}\.json$")


class PinRefused(Final):
    """A name that cannot be one, is taken, or is not there."""


@dataclass(frozen=True)
class VersionPin:
    """``tables`` says by name which version is needed. Without ``expires_at`` it holds until it is dropped."""

    name: str
    tables: Mapping[str, int]
    owner: str
    made_at: dt.datetime | None = None
    expires_at: dt.datetime | None = None
    note: str = ""

    def holds(self, now: dt.datetime) -> bool:
        return self.expires_at is None or now < self.expires_at


@dataclass(frozen=True)
class Pins:
    """The pins of a channel's home: of each name a log, whose newest record counts."""

    home: Home
    clock: Clock = SystemClock()

    def put(self, pin: VersionPin) -> None:
        """
        Raises:
            PinRefused: the name is none, or somebody's already. RecordConflict: somebody took it this moment.
        """
        if not _NAME.fullmatch(pin.name):
            raise PinRefused(f"{pin.name!r} is no name of a pin; use up to 64 of a-z, 0-9, _, . and -")
        log, before = self._log(pin.name), self._newest(pin.name)
        if before is not None and before[1] is not None and before[1].holds(self.clock.now()):
            raise PinRefused(f"pin {pin.name!r} is {before[1].owner}'s already; `seqplat unpin {pin.name}` ends it")
        said = {
            "tables": dict(pin.tables),
            "owner": pin.owner,
            "made_at": self.clock.now().isoformat(),
            "expires_at": pin.expires_at.isoformat() if pin.expires_at else None,
            "note": pin.note,
        }
        log.append(json.dumps(said, sort_keys=True).encode(), after=before[0] if before else 0)

    def drop(self, name: str) -> None:
        """
        Raises:
            PinRefused: there is none of that name. RecordConflict: somebody changed it this moment.
        """
        before = self._newest(name) if _NAME.fullmatch(name) else None
        if before is None or before[1] is None:
            known = ", ".join(pin.name for pin in self.all()) or "none"
            raise PinRefused(f"there is no pin {name!r}; there are {known}")
        self._log(name).append(b"{}", after=before[0])

    def all(self) -> list[VersionPin]:
        """By name, those that have ended included until they are dropped."""
        paths = [item["path"] for item in self.home.objects.list(_PREFIX).collect()]
        names = sorted({found[1] for path in paths if (found := _RECORD.search(path))})
        newest = [self._newest(name) for name in names]
        return [found[1] for found in newest if found is not None and found[1] is not None]

    def versions_of(self, table: str) -> set[int]:
        """The versions of a table that are needed now."""
        now = self.clock.now()
        return {pin.tables[table] for pin in self.all() if pin.holds(now) and pin.tables.get(table, -1) >= 0}

    def _newest(self, name: str) -> tuple[int, VersionPin | None] | None:
        record = self._log(name).latest()
        if record is None:
            return None
        said: dict[str, Any] = json.loads(record.data)
        if not said:
            return record.number, None
        made_at, expires_at = (said[key] and dt.datetime.fromisoformat(said[key]) for key in ("made_at", "expires_at"))
        return record.number, VersionPin(name, said["tables"], said["owner"], made_at, expires_at, said["note"])

    def _log(self, name: str) -> RecordLog:
        return RecordLog(self.home.objects, f"{_PREFIX}/{name}")
