"""Who may write a bucket, and what has been written to it: one record per event type and day. Pure."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property

from seqplat_resources.online_store import keys
from seqplat_resources.online_store.redis.records.damage import reading
from seqplat_resources.online_store.redis.records.views import DayView


@dataclass(frozen=True)
class LeaseRecord:
    """``holder`` is the write version that may write, ``committed`` the newest that was published (0: none).

    Versions before ``since`` and the ``skipped`` ones, whose publishers failed, count for no reader. There are
    ``rosters`` of these versions.
    """

    event_type: str
    day: str
    holder: int
    committed: int
    since: int
    skipped: tuple[int, ...]
    rosters: tuple[int, ...]

    @classmethod
    def parse(cls, event_type: str, day: str, record: bytes) -> "LeaseRecord":
        with reading(f"the lease of {event_type} {day}", record):
            holder, committed, since, skipped, rosters = record.decode().split(" ")
            return cls(event_type, day, int(holder), int(committed), int(since), _numbers(skipped), _numbers(rosters))

    @cached_property
    def ordinal(self) -> int:
        return keys.ordinal(self.day)

    @property
    def valid(self) -> tuple[int, ...]:
        """As the epoch's record has it."""
        return (self.since, *self.skipped)

    def counts(self, version: int) -> bool:
        return version >= self.since and version not in self.skipped


@dataclass(frozen=True)
class Counting:
    """Which write versions of a day count for anybody: as its lease says, and as epochs say that are kept.

    They say the same, unless a server has lost the lease: then it begins anew, with versions that those epochs do not
    show, while what they do show has to stay.
    """

    since: int
    skipped: frozenset[int]

    @classmethod
    def of(cls, lease: LeaseRecord | None, shown: Collection[DayView]) -> "Counting":
        """There is a lease, or somebody shows the day."""
        skipped = frozenset(lease.skipped if lease else ()).union(*(view.skipped for view in shown))
        return cls(min([*(view.since for view in shown), *([lease.since] if lease else [])]), skipped)

    def counts(self, version: int) -> bool:
        return version >= self.since and version not in self.skipped


def listed(versions: Iterable[int]) -> str:
    """As scripts take it."""
    return ",".join(map(str, sorted(versions))) or "-"


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(","))) if text != "-" else ()
