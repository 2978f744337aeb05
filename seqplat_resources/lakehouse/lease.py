"""Writer lease of one bucket, with a fencing token: who may replace it now, and proof that he still may.

A lease is the newest record of a small log; its number is the token and only grows. Tokens are also written into
the Delta commit, so a writer that lost its lease while paused cannot commit over its successor.
"""

import datetime as dt
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from seqplat_resources.clock import Clock, SystemClock
from seqplat_resources.errors import Retryable
from seqplat_resources.home import Home
from seqplat_resources.record_log import RecordConflict, RecordLog

# Longer than the largest bucket write seen (minutes); a crashed writer on this host is noticed at once by its pid.
TTL = dt.timedelta(minutes=30)


class LeaseHeld(Retryable):
    """Another writer holds the bucket."""

    def __init__(self, bucket: str, holder: str, until: dt.datetime) -> None:
        self.bucket, self.holder, self.until = bucket, holder, until
        super().__init__(
            f"{bucket} is being written by {holder} (lease until {until:%Y-%m-%d %H:%M:%S} UTC); "
            "wait for it to finish, or end that process: its lease is then taken over at once on the same host"
        )


class LeaseLost(Retryable):
    """The lease ended before it was renewed, and somebody else may hold it by now."""


@dataclass
class Lease:
    """A held lease on anything that has a name. ``token`` grows with every acquisition; renewing keeps it."""

    name: str
    token: int
    until: dt.datetime
    _log: RecordLog = field(repr=False)
    _number: int = field(repr=False)

    @classmethod
    def acquire(cls, home: Home, name: str, *, ttl: dt.timedelta = TTL, clock: Clock = SystemClock()) -> "Lease":
        """Take the lease.

        Raises:
            LeaseHeld: a live holder has it. RecordConflict: somebody else took it at this moment.
        """
        log = RecordLog(home.objects, f"leases/{name}")
        latest = log.latest()
        if latest is not None:
            _refuse_if_live(name, latest.data, clock.now())
        token, until = (latest.number if latest else 0) + 1, clock.now() + ttl
        try:
            log.append(_entry(until), after=token - 1)
        except RecordConflict:
            if latest := log.latest():
                _refuse_if_live(name, latest.data, clock.now())
            raise
        return cls(name, token, until, log, token)

    def renew(self, *, ttl: dt.timedelta = TTL, clock: Clock = SystemClock()) -> None:
        """Hold it for ``ttl`` from now.

        Raises:
            LeaseLost: somebody else took it meanwhile.
        """
        until = clock.now() + ttl
        try:
            self._log.append(_entry(until), after=self._number)
        except RecordConflict as error:
            raise LeaseLost(
                f"the lease of {self.name} ended at {self.until} and was taken over; start again"
            ) from error
        self._number, self.until = self._number + 1, until
        self._log.forget_before(self._number)

    def release(self) -> None:
        """Give it back; one that was taken over meanwhile is no longer ours to give."""
        with suppress(RecordConflict):
            self._log.append(b'{"released": true}', after=self._number)
            self._log.forget_before(self._number)


@contextmanager
def hold(home: Home, bucket: str, *, clock: Clock = SystemClock()) -> Iterator[Lease]:
    """Hold the writer lease of ``bucket`` for the length of the block. Raises as ``Lease.acquire``."""
    lease = Lease.acquire(home, bucket, clock=clock)
    try:
        yield lease
    finally:
        lease.release()


def this_process() -> dict[str, object]:
    """What tells this process from every other, as a record can hold it."""
    return {"host": socket.gethostname(), "pid": os.getpid(), "started": _started(os.getpid())}


def is_gone(process: Mapping[str, Any]) -> bool:
    """Whether the process of a record is known to have ended; of those on other hosts nothing is known."""
    return bool(process["host"] == socket.gethostname() and _started(process["pid"]) != process["started"])


def _entry(until: dt.datetime) -> bytes:
    return json.dumps({**this_process(), "until": until.isoformat()}).encode()


def _refuse_if_live(name: str, data: bytes, now: dt.datetime) -> None:
    entry = json.loads(data)
    if entry.get("released"):
        return
    until = dt.datetime.fromisoformat(entry["until"])
    if now < until and not is_gone(entry):
        raise LeaseHeld(name, f"process {entry['pid']} on {entry['host']}", until)


def _started(pid: int) -> str:
    """Start time of a process, to tell it from a later one that got the same pid; empty if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        # A zombie is dead, only nobody has asked for its exit status yet.
        return "" if fields[0] in "ZX" else fields[19]
    except OSError:
        pass
    try:
        os.kill(pid, 0)  # no /proc on this system: existence is the best that can be known
    except OSError:
        return ""
    return "alive"
