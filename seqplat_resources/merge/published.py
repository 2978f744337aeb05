"""What the epochs of a sequence say, in the form readers ask for it. Worked out once per epoch, not per request."""

import datetime as dt
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from seqplat_resources.online_store import BucketVersion, Epoch, Snapshot
from seqplat_resources.online_store.codec.layout import Flags, Ints
from seqplat_resources.sequence_plan import SequencePlan
from seqplat_resources.times import DAY_US, day_number, instant, number_of


class Buckets:
    """The published days of one event type, ascending, and how far each has read: ``marks`` is days x partitions."""

    def __init__(self, published: Mapping[str, BucketVersion]) -> None:
        buckets = {day_number(day): bucket for day, bucket in sorted(published.items())}
        self.days: Ints = np.array(list(buckets), np.int64)
        names = sorted({name for bucket in buckets.values() for name in bucket.high_water})
        self.partitions = {name: column for column, name in enumerate(names)}
        marks = [[bucket.high_water.get(name, 0) for name in names] for bucket in buckets.values()]
        self._marks: Ints = np.array(marks, np.int64).reshape(len(buckets), len(names))
        self._revised: Ints = np.flatnonzero(np.array([bucket.revisions > 0 for bucket in buckets.values()], np.bool_))
        corrected = [bool(bucket.revisions or bucket.retractions) for bucket in buckets.values()]
        self._corrected: Ints = self.days[np.array(corrected, np.bool_)]

    def furthest(self, partition: str, from_day: int) -> int:
        """How far any day, from this one on, has read the partition: the offset of the next row."""
        days, marks = self._furthest
        column, at = self.partitions.get(partition), bisect_left(days, from_day)
        return 0 if column is None or at == len(days) else marks[at][column]

    @cached_property
    def _furthest(self) -> tuple[list[int], list[list[int]]]:
        """As lists: it is asked for one row at a time."""
        return self.days.tolist(), np.maximum.accumulate(self._marks[::-1])[::-1].tolist()

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
class Published:
    """The epoch of each event type of a sequence, and what follows from them alone."""

    plan: SequencePlan
    epochs: Mapping[str, Epoch | None]

    @classmethod
    def of(cls, plan: SequencePlan, view: Snapshot) -> "Published":
        """As the snapshot shows it. The latest one of a plan is kept with it."""
        epochs = {event_type: view.epoch(event_type) for event_type in plan.definition.event_types}
        latest = plan.latest.get("published")
        if isinstance(latest, cls) and all(latest.epochs[name] is epoch for name, epoch in epochs.items()):
            return latest
        found = plan.latest["published"] = cls(plan, epochs)
        return found

    @cached_property
    def buckets(self) -> Mapping[str, Buckets]:
        return {name: Buckets(epoch.buckets if epoch else {}) for name, epoch in self.epochs.items()}

    @cached_property
    def newest_day(self) -> int | None:
        """Of any event type."""
        return max((int(found.days[-1]) for found in self.buckets.values() if found.days.size), default=None)

    @cached_property
    def numbers(self) -> Mapping[str, int | None]:
        """Of the epochs, by event type."""
        return {event_type: epoch.epoch if epoch else None for event_type, epoch in self.epochs.items()}

    @cached_property
    def unpublished(self) -> tuple[str, ...]:
        """Event types without any published day."""
        return tuple(event_type for event_type, found in self.buckets.items() if not found.days.size)

    @cached_property
    def sealed_through(self) -> dt.datetime | None:
        """The end of the newest day that every event type has; None while one has none."""
        if self.unpublished:
            return None
        return instant((min(int(found.days[-1]) for found in self.buckets.values()) + 1) * DAY_US)

    def completeness(self, after_day: int | None = None) -> float:
        """The published share of the days the sequence promises; of them only those ``after_day`` count, if given."""
        if after_day is None:
            return self._completeness
        return self._share(sum(int((found.days > after_day).sum()) for found in self.buckets.values()))

    @cached_property
    def _completeness(self) -> float:
        return self._share(sum(found.days.size for found in self.buckets.values()))

    @cached_property
    def _promised(self) -> int:
        promised = 0
        for event_type, (first, end) in self.plan.promised.items():
            days = self.buckets[event_type].days
            # Open-ended event types are judged up to their newest day.
            last = number_of(end) if end else int(days[-1]) + 1 if days.size else None
            promised += last - number_of(first) if first and last is not None else days.size
        return promised

    def _share(self, days: int) -> float:
        return min(1.0, days / self._promised) if self._promised else 0.0
