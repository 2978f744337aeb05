"""Which partitions this process reads: a lease each, shared fairly among the processes that are alive."""

import datetime as dt
import json
import os
import socket
import uuid
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

import obstore

from seqplat_resources.clock import Clock, SystemClock
from seqplat_resources.home import Home
from seqplat_resources.records.lease import Lease, LeaseHeld, LeaseLost
from seqplat_resources.records.log import RecordConflict
from seqplat_resources.records.process import is_gone, this_process
from seqplat_resources.sources.log import Partition

# A stream that says nothing for this long has lost its partitions; one that died on this host is noticed at once.
TTL = dt.timedelta(seconds=30)
RENEW_EVERY = dt.timedelta(seconds=5)


@dataclass
class Ownership:
    """The partitions of one group of streams that this process holds. Used by one thread."""

    home: Home
    group: str
    clock: Clock = field(default_factory=SystemClock)
    member: str = field(default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}")
    _held: dict[Partition, Lease] = field(default_factory=dict)
    _renewed: dt.datetime = field(default=dt.datetime.min.replace(tzinfo=dt.UTC))

    @property
    def tokens(self) -> dict[Partition, int]:
        """Held partitions with their fencing tokens."""
        return {partition: lease.token for partition, lease in self._held.items()}

    @property
    def is_due(self) -> bool:
        """Whether it is time to renew; late renewals lose partitions."""
        return self.clock.now() - self._renewed >= RENEW_EVERY

    def renew(self, partitions: Collection[Partition]) -> bool:
        """Renew what is held, give back what others should have, take what is free; whether anything changed.

        Call it when nothing of a held partition is waiting to be kept: what is given back is read on by another.
        """
        before = set(self._held)
        self._renewed = self.clock.now()
        self._say_alive()
        for partition, lease in list(self._held.items()):
            try:
                lease.renew(ttl=TTL, clock=self.clock)
            except LeaseLost:
                del self._held[partition]
        fair = -(-len(partitions) // max(1, self._members()))
        for partition in sorted(self._held, reverse=True)[: max(0, len(self._held) - fair)]:
            self._held.pop(partition).release()
        for partition in _rotated(sorted(set(partitions) - set(self._held)), self.member):
            if len(self._held) >= fair:
                break
            with suppress(LeaseHeld, RecordConflict):
                name = f"streams/{self.group}/{partition.topic}/{partition.number}"
                self._held[partition] = Lease.acquire(self.home, name, ttl=TTL, clock=self.clock)
        return set(self._held) != before

    def release(self) -> None:
        """Give everything back, so that others need not wait."""
        for lease in self._held.values():
            lease.release()
        self._held.clear()
        with suppress(FileNotFoundError):
            obstore.delete(self.home.objects, self._path(self.member))

    def _say_alive(self) -> None:
        note = {**this_process(), "until": (self.clock.now() + TTL).isoformat()}
        obstore.put(self.home.objects, self._path(self.member), json.dumps(note).encode())

    def _members(self) -> int:
        """How many processes of the group are alive; the notes of dead ones are cleared away."""
        alive, now = 0, self.clock.now()
        for item in self.home.objects.list(self._path("")).collect():
            try:
                note = json.loads(bytes(self.home.objects.get(item["path"]).bytes()))
            except FileNotFoundError:
                continue
            if dt.datetime.fromisoformat(note["until"]) > now and not is_gone(note):
                alive += 1
            else:
                with suppress(FileNotFoundError):
                    obstore.delete(self.home.objects, item["path"])
        return alive

    def _path(self, member: str) -> str:
        return f"leases/stream-members/{self.group}/{member}"


def _rotated(partitions: list[Partition], member: str) -> Iterable[Partition]:
    """Each process begins elsewhere, so that several that start together do not all ask for the first."""
    if not partitions:
        return []
    start = sum(member.encode()) % len(partitions)
    return [*partitions[start:], *partitions[:start]]
