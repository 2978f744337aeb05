"""How far backfills are: one small record each below ``backfills/``, for terminal and console, and for who resumes.

The lake says what is built; a record says what was asked for, and which pieces of it are done, so that days which are
built once more although they are there are not built twice.

>>> records = BackfillRecords(home)
>>> asked = BackfillRecord("1f9ad7", "events/purchase", "2024-05-01", "2024-05-03", "7f9ad790", "2024-06-01", total=3)
>>> records.begin(asked).shown_state
'running'
>>> _ = records.cancel("1f9ad7")
>>> records.is_cancelled("1f9ad7"), [record.id for record in records.all()]
(True, ['1f9ad7'])
"""

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, TypeAlias

import obstore

from seqplat_resources.clock import Clock, SystemClock
from seqplat_resources.errors import Final
from seqplat_resources.home import Home
from seqplat_resources.records.lease import hold, is_live
from seqplat_resources.records.process import is_gone, this_process

State: TypeAlias = Literal["running", "done", "failed", "cancelled"]
_FOLDER, _CANCEL = "backfills", ".cancel"


class NoSuchBackfill(Final):
    """None has that id."""


@dataclass(frozen=True)
class BackfillRecord:
    """One backfill. Days are counted by asset: a day of three assets is three. Times are UTC.

    ``pieces`` names those that are done, ``under_way`` counts days of the one that is being built. ``by`` is who asked.
    ``is_alive`` where its process may still be at work.
    """

    id: str
    what: str
    first: str
    last: str
    release: str
    begun_at: str
    state: State = "running"
    updated_at: str = ""
    total: int = 0
    done: int = 0
    under_way: int = 0
    failed: int = 0
    rows: int = 0
    bytes: int = 0
    planned_s: float = 0.0
    remaining_s: float = 0.0
    spent_s: float = 0.0
    at: str = ""
    by: str = ""
    pieces: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    process: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_alive(self) -> bool:
        return self.state == "running" and not is_gone(self.process)

    @property
    def share(self) -> float:
        """How much of it is done, 0 to 1."""
        return self.tried / self.total if self.total else 1.0

    @property
    def tried(self) -> int:
        """Days that are done, or will not be."""
        return min(self.total, self.done + self.failed + self.under_way)

    @property
    def per_minute(self) -> float | None:
        """Days a minute of the pieces that are done; None before the first."""
        return 60 * (self.done + self.failed) / self.spent_s if self.spent_s else None

    @property
    def shown_state(self) -> str:
        """In words: one whose process is gone was broken off, and is resumed by asking for the same again."""
        return "broken off" if self.state == "running" and not self.is_alive else self.state


@dataclass(frozen=True)
class BackfillRecords:
    """All of a home."""

    home: Home
    clock: Clock = field(default_factory=SystemClock)

    @contextmanager
    def held(self, id: str) -> Iterator[None]:
        """Nobody else runs the same backfill. Raises LeaseHeld: somebody does."""
        with hold(self.home, f"{_FOLDER}/{id}", clock=self.clock):
            yield

    def begin(self, record: BackfillRecord) -> BackfillRecord:
        """One that was broken off or cancelled goes on with the pieces that are done; any other begins anew."""
        before = self.get(record.id)
        with suppress(FileNotFoundError):
            obstore.delete(self.home.objects, self._path(record.id) + _CANCEL)
        if before is not None and before.state in ("running", "cancelled"):
            kept = {name: getattr(before, name) for name in ("begun_at", "pieces", "done", "rows", "bytes", "spent_s")}
            record = replace(record, **kept)
        return self.put(replace(record, process=this_process(), state="running"))

    def put(self, record: BackfillRecord) -> BackfillRecord:
        record = replace(record, updated_at=self.clock.now().isoformat())
        obstore.put(self.home.objects, self._path(record.id) + ".json", json.dumps(asdict(record)).encode())
        return record

    def get(self, id: str) -> BackfillRecord | None:
        """None where there is none, or it cannot be read."""
        with suppress(FileNotFoundError, ValueError, TypeError, KeyError):
            said = json.loads(bytes(obstore.get(self.home.objects, self._path(id) + ".json").bytes()))
            return BackfillRecord(**{**said, "pieces": tuple(said["pieces"]), "failures": tuple(said["failures"])})
        return None

    def all(self) -> list[BackfillRecord]:
        """Newest first."""
        paths = [item["path"] for item in self.home.objects.list(_FOLDER).collect()]
        ids = (path.removeprefix(f"{_FOLDER}/").removesuffix(".json") for path in paths if path.endswith(".json"))
        found = [record for id in ids if (record := self.get(id)) is not None]
        return sorted(found, key=lambda record: record.begun_at, reverse=True)

    def cancel(self, id: str) -> BackfillRecord:
        """Have a backfill end before its next piece.

        Raises:
            NoSuchBackfill: none has an id that begins so, or several have.
        """
        known = self.all()
        found = [record for record in known if id and record.id.startswith(id)]
        if len(found) != 1:
            there = ", ".join(record.id for record in known) or "none"
            raise NoSuchBackfill(f"there is no single backfill {id!r}; there are: {there}. `seqplat backfill --list`")
        obstore.put(self.home.objects, self._path(found[0].id) + _CANCEL, b"")
        return found[0]

    def is_any_live(self) -> bool:
        """Whether some process is at work on one."""
        running = (record.id for record in self.all() if record.state == "running")
        return any(is_live(self.home, f"{_FOLDER}/{id}", clock=self.clock) for id in running)

    def is_cancelled(self, id: str) -> bool:
        with suppress(FileNotFoundError):
            self.home.objects.head(self._path(id) + _CANCEL)
            return True
        return False

    def _path(self, id: str) -> str:
        return f"{_FOLDER}/{id}"


def now_text(clock: Clock) -> str:
    """An instant as records have it."""
    return clock.now().astimezone(dt.UTC).isoformat()
