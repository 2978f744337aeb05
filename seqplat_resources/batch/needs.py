"""Days to build again although no message came for them: those that are not well, and those whose files changed.

What late messages make dirty, ``ledger.py`` tells.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

from seqplat_resources.batch.arrivals import changed, inputs_now
from seqplat_resources.batch.built import ranges_of
from seqplat_resources.batch.ledger import QUIET
from seqplat_resources.batch.troubles import DayTrouble, DayTroubles, Kind
from seqplat_resources.ingest.files import SourceFile
from seqplat_resources.runtime import Runtime


@dataclass(frozen=True)
class Need:
    """A day of an asset (``raw/clicks``), to be built with what is made of it.

    ``kind`` is that of its trouble, or ``changed``. It is due at ``next_at``; never, as long as nothing changes, where
    that is None. Another ``mark`` says that something has changed. ``root`` is the asset whose day it waits for.
    """

    asset: str
    day: dt.date
    kind: Kind | str
    why: str
    attempts: int
    last_at: dt.datetime
    next_at: dt.datetime | None
    mark: str
    root: str = ""

    def is_ripe(self, now: dt.datetime) -> bool:
        return self.next_at is not None and now >= self.next_at


def needs(runtime: Runtime, asset: str) -> dict[dt.date, Need]:
    """The days of one asset that are to be built again, by day.

    A failed or held day is due after a pause that grows with each attempt, and at once when its files or the release
    are others than then. One that waits for files is due when there are some.
    """
    found = {need.day: need for need in _of_troubles(runtime, asset)}
    days, today = ranges_of(runtime)[asset], runtime.clock.now().date()
    for day, files in changed(runtime, asset).items():
        if day in days and day < today and day not in found:
            found[day] = _changed(asset, day, files)
    return dict(sorted(found.items()))


def all_needs(runtime: Runtime) -> dict[str, dict[dt.date, Need]]:
    """Those of every asset that has any, in the order of layers."""
    return {asset: found for asset in ranges_of(runtime) if (found := needs(runtime, asset))}


def _of_troubles(runtime: Runtime, asset: str) -> Iterator[Need]:
    troubles = DayTroubles(runtime.home, runtime.clock).of(asset)
    inputs = inputs_now(runtime, asset, troubles)
    for day, trouble in troubles.items():
        now = inputs.get(day, "")
        mark = f"{trouble.kind} {trouble.attempts} {trouble.last_at} {now} {runtime.loaded.id}"
        next_at = _next_at(trouble, is_other=now != trouble.inputs or runtime.loaded.id != trouble.release)
        yield Need(
            asset, day, trouble.kind, str(trouble), trouble.attempts, trouble.last_at, next_at, mark, trouble.root
        )


def _next_at(trouble: DayTrouble, *, is_other: bool) -> dt.datetime | None:
    if is_other or trouble.kind == "waits":
        return trouble.last_at
    return None if trouble.kind == "pending" else trouble.next_at


def _changed(asset: str, day: dt.date, files: list[SourceFile]) -> Need:
    newest = max(file.modified_at for file in files)
    why = f"its files are not those it was built from: {len(files)} now, the newest of {newest:%Y-%m-%d %H:%M:%S}"
    # A file that is being written changes again.
    return Need(asset, day, "changed", why, 0, newest, newest + QUIET, f"changed {[file.mark for file in files]}")
