"""Writer lease of one bucket, with a fencing token: who may replace it now, and proof that he still may.

A lease is the newest record of a small log; its number is the token and only grows. Tokens are also written into
the Delta commit, so a writer that lost its lease while paused cannot commit over its successor.

>>> with hold(home, "events/purchase/2024-05-01") as lease:
...     lease.token
...
1
>>> with hold(home, "events/purchase/2024-05-01") as lease:
...     with hold(home, "events/purchase/2024-05-01"):  # raises
...         pass
...
Traceback (most recent call last):
    ...
seqplat_resources.records.lease.LeaseHeld: events/purchase/2024-05-01 is being written by process ...
"""

import datetime as dt
import json
import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from seqplat_resources.clock import Clock, SystemClock
from seqplat_resources.errors import Retryable
from seqplat_resources.foreign_errors import in_our_words
from seqplat_resources.home import Home
from seqplat_resources.records.heartbeat import repeated
from seqplat_resources.records.log import Record, RecordConflict, RecordLog
from seqplat_resources.records.process import is_gone, this_process

_log = logging.getLogger(__name__)

# Records that say this process holds a lease which it has given back.
_unwritten: set[tuple[str, int]] = set()

# A crashed writer on this host is noticed at once by its pid; one elsewhere, when it has not renewed for so long.
# Whoever holds one renews it often enough to miss some.
TTL = dt.timedelta(minutes=3)
EVERY_S = 40.0
# A record that says it holds for longer was damaged, or written by a clock that nobody should believe.
_LONGEST = dt.timedelta(hours=1)


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
    # Renewed by one thread while another gives it back: whatever comes first is done before the other looks.
    _guard: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _is_over: bool = field(default=False, repr=False)

    @classmethod
    def acquire(cls, home: Home, name: str, *, ttl: dt.timedelta = TTL, clock: Clock = SystemClock()) -> "Lease":
        """Take the lease.

        Raises:
            LeaseHeld: a live holder has it. RecordConflict: somebody else took it at this moment.
        """
        log = RecordLog(home.objects, f"leases/{name}")
        latest = log.latest()
        if latest is not None:
            _refuse_if_live(name, latest, clock.now())
        token, until = (latest.number if latest else 0) + 1, clock.now() + ttl
        try:
            log.append(_entry(until), after=token - 1)
        except RecordConflict:
            if latest := log.latest():
                _refuse_if_live(name, latest, clock.now())
            raise
        return cls(name, token, until, log, token)

    def renew(self, *, ttl: dt.timedelta = TTL, clock: Clock = SystemClock()) -> None:
        """Hold it for ``ttl`` from now; nothing where it was given back or lost before.

        Raises:
            LeaseLost: somebody else took it meanwhile.
        """
        with self._guard:
            if not self._is_over:
                self._renew(clock.now() + ttl)

    def _renew(self, until: dt.datetime) -> None:
        try:
            self._log.append(_entry(until), after=self._number)
        except RecordConflict as error:
            self._is_over = True
            raise LeaseLost(
                f"the lease of {self.name} ended at {self.until} and was taken over; start again"
            ) from error
        self._number, self.until = self._number + 1, until
        self._log.forget_before(self._number)

    def release(self) -> None:
        """Give it back; one that was taken over meanwhile is no longer ours to give.

        Where that cannot be written (a full disk), this process at least knows, and all others know when it has ended.
        """
        with self._guard:
            self._is_over = True
        try:
            self._log.append(b'{"released": true}', after=self._number)
            self._log.forget_before(self._number)
        except RecordConflict:
            pass
        except Exception as error:
            _unwritten.add((str(self._log.prefix), self._number))
            _log.warning("the lease of %s could not be given back: %s", self.name, in_our_words(error) or error)


@contextmanager
def hold(home: Home, bucket: str, *, clock: Clock = SystemClock()) -> Iterator[Lease]:
    """Hold the writer lease of ``bucket`` for the length of the block, however long that is. Raises as
    ``Lease.acquire``. Where it was lost, because this process was paused, the commit is refused.
    """
    lease = Lease.acquire(home, bucket, clock=clock)
    try:
        with repeated(partial(lease.renew, clock=clock), every_s=EVERY_S):
            yield lease
    finally:
        lease.release()


def is_live(home: Home, name: str, *, clock: Clock = SystemClock()) -> bool:
    """Whether somebody holds the lease: it was neither given back, nor has it ended, nor is its process known dead."""
    latest = RecordLog(home.objects, f"leases/{name}").latest()
    return latest is not None and _holder(name, latest, clock.now()) is not None


def _entry(until: dt.datetime) -> bytes:
    return json.dumps({**this_process(), "until": until.isoformat()}).encode()


def _is_other(entry: Mapping[str, Any]) -> bool:
    return any(entry.get(key) != value for key, value in this_process().items())


def _refuse_if_live(name: str, record: Record, now: dt.datetime) -> None:
    if (held := _holder(name, record, now)) is not None:
        raise LeaseHeld(name, *held)


def _holder(name: str, record: Record, now: dt.datetime) -> tuple[str, dt.datetime] | None:
    """Who holds a lease whose newest record this is, and until when; None for nobody.

    A record that cannot be read holds nothing. If its writer lives, the next one's token fences it, and only work is
    lost; waiting for ever for a process that nobody knows would be worse.
    """
    try:
        entry = json.loads(record.data)
        if (f"leases/{name}", record.number) in _unwritten and not _is_other(entry):
            return None
        if entry.get("released"):
            return None
        until = dt.datetime.fromisoformat(entry["until"])
        if until - now > _LONGEST:
            raise ValueError(f"it would end at {until}")
        if now >= until or is_gone(entry):
            return None
        return f"process {entry['pid']} on {entry['host']}", until
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        _log.warning("record %d of leases/%s cannot be read (%s); it is taken over", record.number, name, error)
        return None
