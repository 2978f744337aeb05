"""Writer lease of one bucket, with a fencing token: who may replace it now, and proof that he still may.

A lease is the newest record of a small log; its number is the token and only grows. Tokens are also written into
the Delta commit, so a writer that lost its lease while paused cannot commit over its successor.
"""

import datetime as dt
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Lease:
    """A held lease. ``token`` grows with every acquisition of the bucket."""

    bucket: str
    token: int


@contextmanager
def hold(home: Home, bucket: str, *, clock: Clock = SystemClock()) -> Iterator[Lease]:
    """Hold the writer lease of ``bucket`` for the length of the block.

    Raises:
        LeaseHeld: a live writer has it.
    """
    log = RecordLog(home.objects, f"leases/{bucket}")
    latest = log.latest()
    if latest is not None:
        _refuse_if_live(bucket, latest.data, clock.now())
    at = latest.number if latest else 0
    try:
        held = log.append(_entry(clock.now() + TTL), after=at)
    except RecordConflict:
        if latest := log.latest():
            _refuse_if_live(bucket, latest.data, clock.now())
        raise
    try:
        yield Lease(bucket, held.number)
    finally:
        _release(log, held.number)


def _release(log: RecordLog, token: int) -> None:
    try:
        log.append(b'{"released": true}', after=token)
        log.forget_before(token)
    except RecordConflict:
        pass  # expired and taken over: it is no longer ours to release


def _entry(until: dt.datetime) -> bytes:
    holder = {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "started": _started(os.getpid()),
        "until": until.isoformat(),
    }
    return json.dumps(holder).encode()


def _refuse_if_live(bucket: str, data: bytes, now: dt.datetime) -> None:
    entry = json.loads(data)
    if entry.get("released"):
        return
    until = dt.datetime.fromisoformat(entry["until"])
    gone = entry["host"] == socket.gethostname() and _started(entry["pid"]) != entry["started"]
    if now < until and not gone:
        raise LeaseHeld(bucket, f"process {entry['pid']} on {entry['host']}", until)


def _started(pid: int) -> str:
    """Start time of a process, to tell it from a later one that got the same pid; empty if it is gone."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
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
