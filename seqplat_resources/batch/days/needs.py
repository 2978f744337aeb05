"""Days to build again although no message came for them: those that are not well, those whose files changed, and those
that another definition made.

What late messages make dirty, ``ledger.py`` tells.

>>> orders = f"{shop.sources_root}/orders/2024-05-02.csv"
>>> with open(orders, "a") as file:
...     file.write("5,bob,2024-05-02T12:00:00Z,tea,2") > 0
...
True
>>> [(str(day), need.kind) for day, need in needs(shop, "raw/orders").items()]
[('2024-05-02', 'changed')]
"""

import datetime as dt
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

from seqplat_resources.batch.days.arrivals import changed, has_files_of_all_days, inputs_now
from seqplat_resources.batch.days.existing import lost_days, ranges_of
from seqplat_resources.batch.days.ledger import PATIENCE, QUIET
from seqplat_resources.batch.days.troubles import DayTrouble, DayTroubles, Kind
from seqplat_resources.batch.inputs.redefined import defined_at, in_words, redefined
from seqplat_resources.batch.inputs.views import ViewMoved, moved
from seqplat_resources.foreign_errors import in_our_words
from seqplat_resources.lake.layout import OBJECTS, SESSIONS
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.sources.files import SourceFile
from sequence_defs.evolution.meaning import MeaningMoved

_log = logging.getLogger(__name__)
# The kind of a day that another definition made: the least of all work, however many there are.
REDEFINED = "redefined"
# A view whose events are others: those of its day, or of a day beside it.
MOVED = "moved"
_VIEWS = (f"{SESSIONS}/", f"{OBJECTS}/")
Warn: TypeAlias = Callable[[str], object]


@dataclass(frozen=True)
class Need:
    """A day of an asset (``raw/clicks``), to be built with what is made of it.

    ``kind`` is that of its trouble, ``changed``, ``moved``, ``redefined`` or ``lost``. It is due at ``next_at``; never,
    as long as nothing changes, where that is None. Another ``mark`` says that something has changed. ``root`` is the
    asset whose day it waits for.
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
        """Whether it is due; also where it was noted by a clock that was ahead of what is now."""
        return self.next_at is not None and (now >= self.next_at or self.last_at > now)


def needs(runtime: Runtime, asset: str) -> dict[dt.date, Need]:
    """The days of one asset that are to be built again, by day.

    A failed or held day is due after a pause that grows with each attempt, and at once when its files or the release
    are others than then. One that waits for files is due when there are some.
    """
    found = {need.day: need for need in _of_troubles(runtime, asset)}
    days, now = ranges_of(runtime)[asset], runtime.clock.now()
    # What a file of all days says makes all of them again, so more of the same is waited for longer.
    quiet = PATIENCE if has_files_of_all_days(runtime, asset) else QUIET
    for day, other in redefined(runtime, asset).items():
        if other.is_stale and day in days and day < now.date() and day not in found:
            found[day] = _redefined(runtime, asset, day, other)
    for day, files in changed(runtime, asset).items():
        if day in days and day < now.date() and day not in found:
            found[day] = _changed(asset, day, files, quiet, now)
    for day, of_view in moved(runtime, asset).items() if asset.startswith(_VIEWS) else ():
        if day in days and day < now.date() and day not in found:
            found[day] = _moved(runtime, asset, day, of_view, now)
    if lost := lost_days(runtime, asset) - set(found):
        # One is enough: publishing any of its days publishes all that are built.
        newest = max(lost)
        found[newest] = Need(asset, newest, "lost", "what is published cannot be read", 0, now, now, "lost")
    return dict(sorted(found.items()))


def all_needs(runtime: Runtime, told: Warn = _log.warning) -> dict[str, dict[dt.date, Need]]:
    """Those of every asset that has any, in the order of layers. What cannot be looked at is ``told``."""
    found = {}
    for asset in ranges_of(runtime):
        with alone(asset, told):
            found[asset] = needs(runtime, asset)
    return {asset: days for asset, days in found.items() if days}


@contextmanager
def alone(asset: str, told: Warn) -> Iterator[None]:
    """What cannot be looked at of one asset (its files, its table, its code) costs no other: it is told."""
    try:
        yield
    except Exception as error:
        told(f"{asset} cannot be looked at: {in_our_words(error) or error}")


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


def _redefined(runtime: Runtime, asset: str, day: dt.date, moved: MeaningMoved) -> Need:
    # A release that is taken back soon makes no work.
    since = defined_at(runtime)
    mark = f"{REDEFINED} {runtime.loaded.meaning_of(asset)}"
    return Need(asset, day, REDEFINED, in_words(moved), 0, since, since + PATIENCE, mark)


def _moved(runtime: Runtime, asset: str, day: dt.date, of_view: ViewMoved, now: dt.datetime) -> Need:
    if of_view.is_redefined:
        since = defined_at(runtime)
        return Need(asset, day, REDEFINED, of_view.why, 0, since, since + PATIENCE, f"{REDEFINED} {of_view.why}")
    # What builds the events builds the view as well, a while later.
    at = min(of_view.at or now, now)
    return Need(asset, day, MOVED, of_view.why, 0, at, at + PATIENCE, f"{MOVED} {of_view.why} {at}")


def _changed(asset: str, day: dt.date, files: list[SourceFile], quiet: dt.timedelta, now: dt.datetime) -> Need:
    newest = max(file.modified_at for file in files)
    why = f"its files are not those it was built from: {len(files)} now, the newest of {newest:%Y-%m-%d %H:%M:%S}"
    # A file that is being written changes again. Of one from the future nobody knows since when it is at rest.
    at_rest = newest + quiet if newest <= now else now
    return Need(asset, day, "changed", why, 0, min(newest, now), at_rest, f"changed {[file.mark for file in files]}")
