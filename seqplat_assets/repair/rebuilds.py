"""Which dirty days to build again now, and which of them together. Pure: from the ledger and the runs there were."""

import datetime as dt
import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from seqplat_resources.batch.days.ledger import ranges

# Days in one run: what a failure repeats, and how long newer dirt waits behind older.
DAYS_PER_RUN = 31
# A day whose rebuild failed is tried again, after twice as long each time. Together with the others of its run once,
# in case it passes by itself, then alone, so that it holds up none.
FIRST_WAIT_S = 60.0
LONGEST_WAIT_S = 3600.0
TOGETHER = 1


class DayToBuild(Protocol):
    """A day to build again: what is dirty, or not well. Another ``mark`` is another reason."""

    @property
    def day(self) -> dt.date: ...
    @property
    def last_at(self) -> dt.datetime: ...
    @property
    def mark(self) -> str: ...
    def is_ripe(self, now: dt.datetime) -> bool: ...


@dataclass(frozen=True)
class Past:
    """A run that was to rebuild ``first`` to ``last``; times are seconds since 1970, ``ended_at`` None until then.

    ``done`` are the days that it built to the end although it did not succeed for all.
    """

    run_id: str
    first: dt.date
    last: dt.date
    started_at: float
    ended_at: float | None
    succeeded: bool
    done: frozenset[dt.date] = field(default_factory=frozenset)

    def succeeded_for(self, day: dt.date) -> bool:
        return self.succeeded or day in self.done

    def __contains__(self, day: dt.date) -> bool:
        return self.first <= day <= self.last


@dataclass(frozen=True)
class Rebuild:
    """Days of ``name`` to build in one run, and what else to build of them. Equal dirt has an equal ``key``.
    ``can_wait``: everything else goes before it.
    """

    name: str
    first: dt.date
    last: dt.date
    others: tuple[str, ...]
    key: str
    can_wait: bool = False


@dataclass(frozen=True)
class _Due:
    day: dt.date
    failures: int
    mark: str


def rebuilds(
    name: str,
    dirty: Sequence[DayToBuild],
    past: Sequence[Past],
    others_of: Callable[[dt.date], tuple[str, ...]],
    *,
    now: dt.datetime,
    since: dt.date = dt.date.min,
) -> list[Rebuild]:
    """What to ask for now, newest days first; nothing for a day that a run is on its way to.

    ``past`` is newest first. Days are wanted that are dirty and ripe, and those whose last run did not get to its end:
    their events may be built and not yet published, which the ledger does not see. None before ``since``, which have
    expired.
    """
    by_day = {bucket.day: bucket for bucket in dirty}
    unfinished = {day for run in past for day in _days(run.first, run.last) if not run.succeeded_for(day)}
    due = [d for day in sorted({*by_day, *unfinished}) if day >= since and (d := _due(day, by_day.get(day), past, now))]
    found = []
    for group in _alike(due, lambda each: (each.failures, others_of(each.day))):
        marks = {each.day: each.mark for each in group}
        for first, last in _cut(ranges(list(marks)), 1 if group[0].failures > TOGETHER else DAYS_PER_RUN):
            others = others_of(first)
            key = _key(name, [*others, *(marks[day] for day in _days(first, last))])
            found.append(Rebuild(name, first, last, others, key))
    return sorted(found, key=lambda rebuild: rebuild.first, reverse=True)


def _due(day: dt.date, bucket: DayToBuild | None, past: Sequence[Past], now: dt.datetime) -> _Due | None:
    runs = [run for run in past if day in run]
    if any(run.ended_at is None for run in runs):
        return None
    vain: list[Past] = []
    for run in runs:
        # A run that began after the dirt and ended well should have cleaned it up: again and again would not help.
        if run.succeeded_for(day) and (bucket is None or run.started_at < bucket.last_at.timestamp()):
            break
        vain.append(run)
    if not vain and (bucket is None or not bucket.is_ripe(now)):
        return None
    # A run that ended later than now did so before a clock was set back.
    if vain and 0.0 <= now.timestamp() - (vain[0].ended_at or 0.0) < _wait(len(vain)):
        return None
    return _Due(day, len(vain), f"{day} {bucket.mark if bucket else ''} {runs[0].run_id if runs else ''}")


def _wait(failures: int) -> float:
    return min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** (failures - 1))


def _alike(due: Iterable[_Due], kind: Callable[[_Due], object]) -> Iterator[list[_Due]]:
    groups: dict[object, list[_Due]] = {}
    for each in due:
        groups.setdefault(kind(each), []).append(each)
    yield from groups.values()


def _cut(found: Iterable[tuple[dt.date, dt.date]], size: int) -> Iterator[tuple[dt.date, dt.date]]:
    for first, last in found:
        days = _days(first, last)
        for start in range(0, len(days), size):
            piece = days[start : start + size]
            yield piece[0], piece[-1]


def _days(first: dt.date, last: dt.date) -> list[dt.date]:
    return [first + dt.timedelta(days=n) for n in range((last - first).days + 1)]


def _key(name: str, marks: Collection[str]) -> str:
    return f"{name} {hashlib.sha256(chr(10).join(marks).encode()).hexdigest()[:16]}"
