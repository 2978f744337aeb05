"""Who read what: one line of JSON per request that needs a key, written away from the request.

A request appends to a queue in memory and goes on. A thread writes what is there, ten times a second, so that requests
neither wait for a disk nor wake anybody. If the destination is slower than the requests, the queue fills, lines are
dropped and counted, and the count is written as a line of its own once there is room.

>>> class Printed:  # a destination
...     def write(self, lines): print(msgspec.json.decode(lines)["user_ids"])
...     def close(self): pass
...
>>> log = AccessLog(Printed, hashed=lambda user: f"hash of {user}")
>>> async def one_request():
...     async with log.running():
...         log.note(Line(at=0, request_id="r1", method="GET", status=200, user_ids=["ann"], events=3))
...
>>> asyncio.run(one_request())
['hash of ann']
"""

import asyncio
import datetime as dt
import logging
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from hashlib import blake2b
from typing import Protocol

import msgspec
from msgspec.structs import replace

_log = logging.getLogger(__name__)

# Lines, and what they may take of memory: one of a batch names up to a thousand users.
MOST_WAITING, MOST_BYTES = 20_000, 32 << 20
EVERY_S = 0.1
# Lines made into JSON before the next write: 0.2 ms of work, as the event loop waits for a thread that computes.
_AT_ONCE = 32
_END_WITHIN_S = 2.0


class Line(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One request. ``user_ids`` are as they came; what is written has them hashed, unless a setting says otherwise.
    ``limit`` and ``days`` are how many events of a user it asked for, and how many days back; None is all there are.

    A request makes one with ``at`` in seconds since 1970: what can be left to the thread that writes is left to it.
    """

    at: float | dt.datetime
    request_id: str
    method: str
    route: str = ""
    status: int = 0
    ms: float = 0.0
    client: str = ""
    tenant: str = ""
    key: str = ""
    refused: str = ""
    sequence: str = ""
    columns: Sequence[str] = ()
    pii: Sequence[str] = ()
    users: int = 0
    user_ids: Sequence[str] = ()
    events: int = 0
    limit: int | None = 0
    days: int | None = 0


class Destination(Protocol):
    """Where lines go. Called by one thread; may take its time, and may raise OSError."""

    def write(self, lines: bytes) -> None: ...

    def close(self) -> None: ...


class Witness(Protocol):
    """Who is shown what was asked. Called by the thread that writes; raises nothing."""

    def saw(self, lines: Sequence[Line]) -> None: ...

    def close(self) -> None: ...


class AccessLog:
    """Takes lines from requests; ``dropped`` counts those there was no room for, or that could not be written.

    ``opened`` opens the destination when writing begins. ``hashed`` makes of a user id what the line has. ``witness``
    is shown every line, too.
    """

    def __init__(
        self, opened: Callable[[], Destination], hashed: Callable[[str], str], witness: Witness | None = None
    ) -> None:
        self._opened, self._hashed, self._witness = opened, hashed, witness
        self._waiting: deque[Line] = deque()
        self._stopped = threading.Event()
        # One counter per thread that counts.
        self._overflowed, self._unwritten = 0, 0
        self._put_bytes, self._taken_bytes = 0, 0
        self._told, self._failure = 0, ""

    @property
    def dropped(self) -> int:
        return self._overflowed + self._unwritten

    def note(self, line: Line) -> None:
        """Take a line; never waits. To be called by one thread."""
        size = _held_bytes(line)
        if len(self._waiting) < MOST_WAITING and self._put_bytes - self._taken_bytes + size <= MOST_BYTES:
            self._waiting.append(line)
            self._put_bytes += size
        else:
            self._overflowed += 1

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write until left, then what is still waiting, for two seconds at most.

        Raises:
            LogUnwritable: there is no writing to the destination.
        """
        destination = self._opened()
        writer = threading.Thread(target=self._run, args=(destination,), name="access log", daemon=True)
        writer.start()
        try:
            yield
        finally:
            self._stopped.set()
            await asyncio.to_thread(writer.join, _END_WITHIN_S)

    def _run(self, destination: Destination) -> None:
        while not self._stopped.wait(EVERY_S):
            self._write_waiting(destination)
        self._write_waiting(destination)
        destination.close()
        if self._witness is not None:
            self._witness.close()

    def _write_waiting(self, destination: Destination) -> None:
        while self._waiting:
            lines = [self._waiting.popleft() for _ in range(min(_AT_ONCE, len(self._waiting)))]
            self._taken_bytes += sum(map(_held_bytes, lines))
            if not self._write(destination, b"".join(map(self._encoded, lines))):
                self._unwritten += len(lines)
            if self._witness is not None:
                self._witness.saw(lines)
        lost = self.dropped - self._told
        if lost and self._write(
            destination, msgspec.json.encode({"at": dt.datetime.now(dt.UTC), "dropped": lost}) + b"\n"
        ):
            self._told += lost

    def _write(self, destination: Destination, data: bytes) -> bool:
        try:
            destination.write(data)
        except Exception as error:  # whatever it is, requests go on, and so does this thread
            if str(error) != self._failure:
                _log.error("access log: lines are lost, %s", error)
            self._failure = str(error)
            return False
        self._failure = ""
        return True

    def _encoded(self, line: Line) -> bytes:
        at = line.at if isinstance(line.at, dt.datetime) else dt.datetime.fromtimestamp(line.at, dt.UTC)
        users = tuple(map(self._hashed, line.user_ids))
        return msgspec.json.encode(replace(line, at=at, ms=round(line.ms, 3), user_ids=users)) + b"\n"


def user_hash(key: bytes, user: str) -> str:
    """What a log says instead of a user id: the same for the same id, and nothing to those who do not have the key."""
    return blake2b(user.encode(errors="surrogatepass"), key=key, digest_size=8).hexdigest()


def _held_bytes(line: Line) -> int:
    users = line.user_ids
    return 1_024 + 64 * (len(users) + len(line.columns)) + 4 * sum(map(len, users))
