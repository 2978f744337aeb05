"""Days that were asked for and are not well: small records below ``ledger/``, there until the day is.

Automation, `seqplat dirty`, checks and the layers that are made of a day know from here, whatever ran and wherever:
the scheduler forgets, and a run that ended says nothing of the days it did not reach.

>>> troubles = DayTroubles(home)
>>> troubles.note("raw/orders", {days[0]: "the file is no CSV"}, "failed")
>>> [(str(day), trouble.kind, trouble.reason) for day, trouble in troubles.of("raw/orders").items()]
[('2024-05-01', 'failed', 'the file is no CSV')]
>>> troubles.settle("raw/orders", [days[0]])
>>> troubles.of("raw/orders")
{}
"""

import datetime as dt
import json
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

import obstore

from seqplat_resources.batch.days.notes import BuildNotes
from seqplat_resources.batch.days.reserve import Reserve
from seqplat_resources.clock import Clock, SystemClock
from seqplat_resources.foreign_errors import full_disk
from seqplat_resources.home import Home
from seqplat_resources.lake.layout import TRAINING
from seqplat_resources.lake.room import keep_room

# ``failed``: its build raised. ``pending``: its files, or outcomes of its labels, are not there yet. ``held``: it is
# built, and a check keeps what is made of it from being built. ``waits``: something it is made of is one of these.
Kind: TypeAlias = Literal["failed", "pending", "held", "waits"]

# Between attempts: a minute, then twice as long each time.
FIRST_PAUSE = dt.timedelta(minutes=1)
LONGEST_PAUSE = dt.timedelta(hours=1)


@dataclass(frozen=True)
class DayTrouble:
    """One day of one asset (``raw/clicks``).

    ``attempts`` counts how often in a row it did not go well, ``since`` is the first of them and ``last_at`` the last;
    ``inputs`` is the fingerprint of the day's files then, ``release`` what it was built with. ``root`` is the asset
    that a day waits for: the one with the cause.
    """

    asset: str
    day: dt.date
    kind: Kind
    reason: str
    attempts: int
    since: dt.datetime
    last_at: dt.datetime
    check: str = ""
    inputs: str = ""
    release: str = ""
    root: str = ""

    @property
    def next_at(self) -> dt.datetime:
        """When it is worth another attempt although nothing has changed."""
        pause: dt.timedelta = FIRST_PAUSE * 2 ** min(self.attempts - 1, 16)
        return self.last_at + min(LONGEST_PAUSE, pause)

    def __str__(self) -> str:
        waits = f"waits for {'outcomes' if self.asset.startswith(f'{TRAINING}/') else 'files'}: "
        said = {"pending": waits, "held": f"check {self.check}: "}.get(self.kind, "")
        return f"{said}{self.reason}"


@dataclass(frozen=True)
class DayTroubles:
    """All of a home. Records of one day are written by whoever builds it, so the last one says how it is."""

    home: Home
    clock: Clock = field(default_factory=SystemClock)

    def of(self, asset: str, *, without: Collection[str] = ()) -> dict[dt.date, DayTrouble]:
        """Those of an asset by day. A record that cannot be read is a failed day: it is tried again. So is one of a
        build that was broken off, but for those of some runs.
        """
        found, paths = dict[dt.date, DayTrouble](), self._paths(asset)
        for left in self._begun(asset).broken_off(paths, without=without):
            found |= {day: DayTrouble(asset, day, "failed", left.reason, 1, left.at, left.at) for day in left.days}
        for path in paths:
            with suppress(FileNotFoundError):  # settled since it was listed
                found |= {trouble.day: trouble for trouble in self._read(asset, path)}
        for path, text in self._reserve.records().items():
            if (day := _day(asset, path)) and (trouble := _parsed(asset, day, text)):
                found[day] = trouble
        return dict(sorted(found.items()))

    def begin(self, asset: str, run: str, days: Iterable[dt.date]) -> None:
        """A run is going to build days that have to be judged before anything is made of them; ``end`` must follow.

        What runs before it left behind becomes a record for each day, which is settled like others.
        """
        begun, wanted = self._begun(asset), list(days)
        for left in begun.broken_off(self._paths(asset)):
            self.note(asset, dict.fromkeys(left.days, left.reason), "failed")
            begun.forget(left.path)
        try:
            self._restore()
            begun.begin(run, wanted)
        except Exception as error:
            if (full := full_disk(error)) is not None:
                self.note(asset, dict.fromkeys(wanted, str(full)), "failed")
            raise

    def end(self, asset: str, run: str) -> None:
        """The days that a run has begun were judged, or have their records."""
        self._begun(asset).end(run)

    def _begun(self, asset: str) -> BuildNotes:
        return BuildNotes(self.home, asset, self.clock)

    def note(
        self,
        asset: str,
        found: Mapping[dt.date, str],
        kind: Kind,
        *,
        check: Mapping[dt.date, str] | None = None,
        inputs: Mapping[dt.date, str] | None = None,
        root: Mapping[dt.date, str] | None = None,
        release: str = "",
    ) -> None:
        """Record why days are not well; one more attempt for each that was not before."""
        self._restore()
        known, now = self.of(asset) if found else {}, self.clock.now()
        for day, reason in found.items():
            before = known.get(day)
            # Waiting for another day is no attempt.
            attempts = (before.attempts if before else 0) + (kind != "waits" or before is None)
            trouble = DayTrouble(
                asset,
                day,
                kind,
                reason,
                attempts,
                before.since if before else now,
                now,
                (check or {}).get(day, ""),
                (inputs or {}).get(day, ""),
                release,
                (root or {}).get(day, ""),
            )
            self._put(_path(asset, day), json.dumps(asdict(trouble), default=str))

    def settle(self, asset: str, days: Iterable[dt.date]) -> None:
        """These days are well."""
        wanted = {_path(asset, day) for day in days}
        self._restore()
        self._reserve.change(drop=wanted)
        for path in wanted.intersection(self._paths(asset)):
            with suppress(FileNotFoundError):
                obstore.delete(self.home.objects, path)

    @property
    def _reserve(self) -> Reserve:
        return Reserve(self.home)

    def _put(self, path: str, text: str) -> None:
        """Where the disk has no room, into what was kept of it.

        Raises:
            Exception: of the disk, or of the object store; it was not written.
        """
        try:
            obstore.put(self.home.objects, path, text.encode())
        except Exception as error:
            if full_disk(error, Path(self.home.root)) is None or not self._reserve.change(put={path: text}):
                raise

    def _restore(self) -> None:
        """Keep room for the next time; and what could not be written then is written, if there is room again."""
        try:
            keep_room(self.home)
            self._reserve.prepare()
            waiting = self._reserve.records()
            for path, text in waiting.items():
                obstore.put(self.home.objects, path, text.encode())
        except Exception as error:
            if full_disk(error, Path(self.home.root)) is None:
                raise
        else:
            self._reserve.change(drop=waiting)

    def _paths(self, asset: str) -> list[str]:
        return [item["path"] for item in self.home.objects.list(f"ledger/{asset}").collect()]

    def _read(self, asset: str, path: str) -> list[DayTrouble]:
        if (day := _day(asset, path)) is None:
            return []  # none of ours
        stored = self.home.objects.get(path)
        if found := _parsed(asset, day, bytes(stored.bytes())):
            return [found]
        at = stored.meta["last_modified"]
        return [DayTrouble(asset, day, "failed", f"its record {path} cannot be read; build the day again", 1, at, at)]


def _path(asset: str, day: dt.date) -> str:
    return f"ledger/{asset}/{day}.json"


def _day(asset: str, path: str) -> dt.date | None:
    """The day of a record of that asset, by where it lies."""
    with suppress(ValueError):
        day = dt.date.fromisoformat(path.rsplit("/", 1)[-1].removesuffix(".json"))
        return day if path == _path(asset, day) else None
    return None


def _parsed(asset: str, day: dt.date, text: str | bytes) -> DayTrouble | None:
    """A record; None where it cannot be read."""
    try:
        said = json.loads(text)
        times = {key: dt.datetime.fromisoformat(said[key]) for key in ("since", "last_at")}
        return DayTrouble(**{**said, **times, "asset": asset, "day": day})
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
