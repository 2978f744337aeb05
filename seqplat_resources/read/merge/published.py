"""What the epochs of a sequence say, in the form readers ask for it, worked out once per epoch, not per request; and
which streamed rows they have read already."""

import datetime as dt
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import polars as pl

from seqplat_resources.online_store import BucketVersion, Epoch, StoreSnapshot
from seqplat_resources.online_store.codec.layout import Flags, Ints
from seqplat_resources.read.merge.due import Due, completeness
from seqplat_resources.read.stored import EarlierRows, earlier_days
from seqplat_resources.release.sequence_plan import SequencePlan
from seqplat_resources.times import DAY_US, FIRST_DAY, LAST_US, day_number, instant

# What who wins, order and being covered are decided by, none of them null: name -> portable type.
KEYS: Mapping[str, str] = {
    "event_time": "timestamp",
    "source_partition": "string",
    "offset": "int64",
    "event_id": "string",
    "rev": "int64",
    "op": "string",
    "ingest_time": "timestamp",
}


class Buckets:
    """The published days of one event type, ascending, and how far each has read: ``marks`` is days x partitions."""

    def __init__(self, epoch: Epoch | None) -> None:
        published = epoch.buckets if epoch else {}
        self.expired_before = epoch.first_kept if epoch else FIRST_DAY
        buckets = {day_number(day): bucket for day, bucket in sorted(published.items())}
        self.days: Ints = np.array(list(buckets), np.int64)
        names = sorted({name for bucket in buckets.values() for name in bucket.high_water})
        self.partitions = {name: column for column, name in enumerate(names)}
        marks = [[bucket.high_water.get(name, 0) for name in names] for bucket in buckets.values()]
        self._marks: Ints = np.array(marks, np.int64).reshape(len(buckets), len(names))
        self._revised: Ints = np.flatnonzero(np.array([bucket.revisions > 0 for bucket in buckets.values()], np.bool_))
        corrected = [bool(bucket.revisions or bucket.retractions) for bucket in buckets.values()]
        self._corrected: Ints = self.days[np.array(corrected, np.bool_)]
        self._keeping: Ints = self.days[np.array([bucket.keeps_superseded for bucket in buckets.values()], np.bool_)]
        self.outranked = self._outranked(buckets)

    def _outranked(self, buckets: Mapping[int, BucketVersion]) -> Mapping[int, Sequence[int]]:
        """Days that hold rows which rows of other days outrank, and those days: they have read what it has not."""
        found: dict[int, list[int]] = {}
        places = {int(day): at for at, day in enumerate(self.days)}
        for day, bucket in buckets.items():
            for text in bucket.outranks:
                loser = day_number(text)
                if loser in places and (self._marks[places[day]] > self._marks[places[loser]]).any():
                    found.setdefault(loser, []).append(day)
        return found

    @property
    def end_day(self) -> int:
        """Rows of this day or later are covered by none."""
        return max(int(self.days[-1]) + 1 if self.days.size else FIRST_DAY, self.expired_before)

    def furthest(self, partition: str, from_day: int) -> int:
        """How far any day, from this one on, has read the partition: the offset of the next row."""
        days, marks = self._furthest
        column, at = self.partitions.get(partition), bisect_left(days, from_day)
        return 0 if column is None or at == len(days) else marks[at][column]

    @cached_property
    def _furthest(self) -> tuple[list[int], list[list[int]]]:
        """As lists: it is asked for one row at a time."""
        return self.days.tolist(), np.maximum.accumulate(self._marks[::-1])[::-1].tolist()

    def between(self, first_day: int, day: int) -> list[int]:
        """The days from one to another, both inclusive."""
        days = self._furthest[0]
        return days[bisect_left(days, first_day) : bisect_right(days, day)]

    @property
    def has_revisions(self) -> bool:
        return bool(self._revised.size)

    @property
    def is_corrected(self) -> bool:
        """Whether any day holds retractions or revisions, of whichever user."""
        return bool(self._corrected.size)

    def has_corrections(self, first_day: int, day: int) -> bool:
        """As ``is_corrected``, of these days (both inclusive)."""
        return bool(np.searchsorted(self._corrected, day, "right") > np.searchsorted(self._corrected, first_day))

    def keep_superseded(self, days: Ints) -> Flags:
        """Beside which days it is kept what their rows superseded."""
        return np.isin(days, self._keeping)

    def marks(self, days: Ints, partitions: Sequence[str]) -> Ints:
        """How far each of ``days`` has read the partition beside it: the offset of the next row; 0 for a day not
        published."""
        if not self.days.size or not self.partitions:
            return np.zeros(days.size, np.int64)
        columns = np.array([self.partitions.get(partition, -1) for partition in partitions], np.int64)
        at = np.minimum(np.searchsorted(self.days, days), self.days.size - 1)
        return np.where((self.days[at] == days) & (columns >= 0), self._marks[at, columns], 0)

    def outranking(self, unread: "Unread", of_days: Ints | None) -> list[int]:
        """Unread days with revisions that may outrank rows of ``of_days``, because they moved an event there.

        Batch leaves an event out of a day when it has read that a higher rev moved it. So a day needs no look if each
        of ``of_days`` has read all that it has. None stands for rows that may be any old copy, as streamed ones are:
        then every revised day needs a look.
        """
        revised = self._revised[unread.among(self.days[self._revised])]
        if of_days is None or not revised.size:
            return [int(day) for day in self.days[revised]]
        built = np.flatnonzero(np.isin(self.days, of_days))
        if not built.size:
            return []
        have_all_read = self._marks[built].min(axis=0)
        return [int(day) for day in self.days[revised[(self._marks[revised] > have_all_read).any(axis=1)]]]


@dataclass(frozen=True)
class Unread:
    """Which days a reader has not read of one event type: outside of its bounds, up to ``newest``, and not ``seen``."""

    since: int | None
    until: int | None
    newest: int | None
    seen: Iterable[int] = ()

    def among(self, days: Ints) -> Flags:
        found = np.zeros(days.size, np.bool_)
        if self.newest is not None:
            found |= days <= self.newest
        if self.since is not None:
            found |= days < self.since
        if self.until is not None:
            found |= days > self.until
        for day in self.seen:
            found &= days != day
        return found


@dataclass(frozen=True)
class PublishedDays:
    """The epoch of each event type of a sequence, and what follows from them alone."""

    plan: SequencePlan
    epochs: Mapping[str, Epoch | None]

    @classmethod
    def of(cls, plan: SequencePlan, view: StoreSnapshot) -> "PublishedDays":
        """As the snapshot shows it. The latest one of a plan is kept with it."""
        epochs = {event_type: view.epoch(event_type) for event_type in plan.definition.event_types}
        latest = plan.latest.get("published")
        if isinstance(latest, cls) and all(latest.epochs[name] is epoch for name, epoch in epochs.items()):
            return latest
        found = plan.latest["published"] = cls(plan, epochs)
        return found

    @cached_property
    def buckets(self) -> Mapping[str, Buckets]:
        return {name: Buckets(epoch) for name, epoch in self.epochs.items()}

    @cached_property
    def is_outranked(self) -> bool:
        """Whether any day of any event type holds rows which those of another day outrank."""
        return any(found.outranked for found in self.buckets.values())

    @cached_property
    def newest_day(self) -> int | None:
        """Of any event type."""
        return max((int(found.days[-1]) for found in self.buckets.values() if found.days.size), default=None)

    @cached_property
    def numbers(self) -> Mapping[str, int | None]:
        """Of the epochs, by event type, as the store names it."""
        stored_as = self.plan.stored_as
        return {stored_as.get(name, name): epoch.epoch if epoch else None for name, epoch in self.epochs.items()}

    @cached_property
    def identities(self) -> Mapping[str, str | None]:
        """Of the epochs, by event type: what changes whenever the published view does."""
        return {event_type: epoch.identity if epoch else None for event_type, epoch in self.epochs.items()}

    @cached_property
    def unpublished(self) -> tuple[str, ...]:
        """Event types without any published day."""
        return tuple(event_type for event_type, found in self.buckets.items() if not found.days.size)

    @cached_property
    def sealed_through(self) -> dt.datetime | None:
        """The end of the newest day that every event type has, if a calendar has it; None while one has none."""
        if self.unpublished:
            return None
        return instant(min((min(int(found.days[-1]) for found in self.buckets.values()) + 1) * DAY_US, LAST_US))

    @cached_property
    def definitions(self) -> Mapping[str, tuple[EarlierRows, ...]]:
        """By event type its published days that another definition made; types without any are not there."""
        found = {name: earlier_days(self.plan, name, epoch) for name, epoch in self.epochs.items()}
        return {name: days for name, days in found.items() if days}

    def completeness(self, today: int, after_day: int | None = None) -> float:
        """The built share of the days due; of the built ones only those ``after_day`` count, if given. Days that
        another definition made, so that they say what they would not say today, do not count as built.
        """
        if after_day is None:
            return self._completeness_on(today)[0]
        return completeness(self._valid(self._due(today)), after_day)

    def missing(self, today: int) -> tuple[str, ...]:
        """What should be built by now and is not, in words, by event type."""
        return self._completeness_on(today)[1]

    def _due(self, today: int) -> list[Due]:
        found = self.buckets
        return [
            Due.of(found[name].days, days, today, expired_before=found[name].expired_before)
            for name, days in self.plan.promised.items()
        ]

    def _valid(self, due: Sequence[Due]) -> list[Due]:
        """Without the days that are stale; in the order of ``promised``."""
        return [
            replace(each, days=each.days[~np.isin(each.days, stale)]) if (stale := self._stale.get(name)) else each
            for name, each in zip(self.plan.promised, due, strict=True)
        ]

    @cached_property
    def _stale(self) -> Mapping[str, list[int]]:
        return {
            name: [
                day
                for earlier in found
                if earlier.is_stale and earlier.since and earlier.through
                for day in range(day_number(earlier.since), day_number(earlier.through) + 1)
            ]
            for name, found in self.definitions.items()
        }

    def _completeness_on(self, today: int) -> tuple[float, tuple[str, ...]]:
        """Worked out once a day."""
        found = self._by_day.get(today)
        if found is None:
            due = self._due(today)
            problems = [(name, each.problem()) for name, each in zip(self.plan.promised, due, strict=True)]
            found = completeness(self._valid(due)), tuple(f"{name}: {said}" for name, said in problems if said)
            self._by_day.clear()
            self._by_day[today] = found
        return found

    @cached_property
    def _by_day(self) -> dict[int, tuple[float, tuple[str, ...]]]:
        return {}


def uncovered(rows: pl.DataFrame, epoch: Epoch | None) -> pl.DataFrame:
    """Streamed rows that no bucket of the ``epoch`` has read, of days that are kept; in the same order.

    Shapes:
        In: the columns ``KEYS``, and any others.
    """
    if not rows.height:
        return rows
    times = rows["event_time"].to_physical().to_numpy()
    covered = is_covered(times, rows["source_partition"], rows["offset"].to_numpy(), Buckets(epoch))
    return rows.filter(pl.Series(~covered)) if covered.any() else rows


def is_covered(times_us: Ints, partitions: pl.Series, offsets: Ints, buckets: Buckets) -> Flags:
    """Which streamed rows of one event type some published bucket has read, or are of a day that has expired.

    The bucket of a row's own day decides, by offset: a row of a day that is not published is never covered.
    """
    days = times_us // DAY_US
    found: Flags = (offsets < buckets.marks(days, partitions.to_list())) | (days < buckets.expired_before)
    return found
