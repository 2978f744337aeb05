"""Who may write a bucket, and what has been written to it: one record per event type and day. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from seqplat_resources.online_store import keys
from seqplat_resources.online_store.redis.records.damage import reading


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


def listed(versions: Iterable[int]) -> str:
    """As scripts take it."""
    return ",".join(map(str, sorted(versions))) or "-"


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(","))) if text != "-" else ()
