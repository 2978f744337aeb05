"""Epochs as they lie in Redis, and what each shows of a user's blocks. Pure.

A record is the epoch's JSON; on a second line which write versions count in each day, those from the first on without
those whose publishers did not commit; and on a third one the checksum of both.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from seqplat_resources.online_store import keys
from seqplat_resources.online_store.contract import Epoch
from seqplat_resources.online_store.redis.records.damage import check, checksum, reading

# Day -> first valid version, then versions that do not count.
Valid = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class DayView:
    """What an epoch shows of one day: of each user the newest block not above ``version`` that counts."""

    day: str
    version: int
    since: int
    skipped: frozenset[int]

    def counts(self, version: int) -> bool:
        return self.since <= version <= self.version and version not in self.skipped


@dataclass(frozen=True)
class PinnedEpoch:
    """One epoch. ``shown`` is by day number."""

    epoch: Epoch
    valid: Valid
    shown: Mapping[int, DayView]

    @classmethod
    def of(cls, epoch: Epoch, valid: Valid) -> "PinnedEpoch":
        shown = {
            keys.ordinal(day): DayView(day, bucket.version, valid[day][0], frozenset(valid[day][1:]))
            for day, bucket in epoch.buckets.items()
        }
        return cls(epoch, valid, shown)

    @classmethod
    def parse(cls, record: bytes) -> "PinnedEpoch":
        """
        Raises:
            StoreDamagedError: it is not what was written.
        """
        with reading("an epoch", record):
            epoch, valid, expected = record.split(b"\n")
            check(expected, epoch, valid)
            return cls.of(Epoch.from_json(epoch), {day: tuple(found) for day, found in json.loads(valid).items()})

    def record(self) -> bytes:
        epoch, days = self.epoch.to_json().encode(), {day: self.valid[day] for day in self.epoch.buckets}
        valid = json.dumps(days, separators=(",", ":")).encode()
        return b"\n".join((epoch, valid, checksum(epoch, valid)))
