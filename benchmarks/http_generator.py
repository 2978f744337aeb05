"""Load on an HTTP/1.1 server from one thread: bare sockets on asyncio, keep-alive, no pipelining.

`paced` sends on a schedule that nothing the server does can delay, as users do, and counts each latency from when the
request was due: a server that stalls is charged for all that fell due meanwhile. Gaps are exponential. `closed` keeps
so many requests under way. Knows nothing of what it asks for.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

CONNECTIONS = 128  # of a paced load; a request that finds all of them busy waits, and its latency with it
GIVE_UP_S = 30.0  # after the last request was due; what is not answered by then is an error
SEED = 7

Floats = npt.NDArray[np.float64]


@dataclass
class Samples:
    """Of each request, in the order they were due: when, in seconds since the load began; ``ms`` until it was answered,
    NaN where it never was; its ``status``, 0 without one. ``body_bytes`` are those of all answers of status 200."""

    due_s: Floats
    ms: Floats
    status: npt.NDArray[np.int16]
    body_bytes: int = 0
    late_ms: float = 0.0  # how far the generator itself was behind its schedule at most: its own fault, yet counted

    def save(self, path: Path) -> None:
        np.savez(path, due_s=self.due_s, ms=self.ms, status=self.status)

    @property
    def summary(self) -> dict[str, float]:
        good = self.status == 200
        ms = self.ms[good]
        p50, p99, worst = np.quantile(ms, (0.5, 0.99, 1.0)) if len(ms) else (0.0, 0.0, 0.0)
        seconds = float(np.max(self.due_s + np.nan_to_num(self.ms) / 1000, initial=0.0))
        return {
            "requests": len(self.ms),
            "errors": int((~good).sum()),
            "per_s": round(float(good.sum()) / seconds, 1) if seconds else 0.0,
            "p50_ms": round(float(p50), 3),
            "p99_ms": round(float(p99), 3),
            "max_ms": round(float(worst), 3),
            "body_bytes": round(self.body_bytes / max(1, int(good.sum()))),
            "late_ms": round(self.late_ms, 3),
        }


def poisson(rate: float, seconds: float, seed: int = SEED) -> Floats:
    """When requests are due: independent users, ``rate`` of them a second."""
    gaps = np.random.default_rng(seed).exponential(1 / rate, int(rate * seconds * 1.2) + 100)
    due = np.cumsum(gaps)
    return due[due < seconds]


def paced(port: int, requests: Sequence[bytes], due_s: Floats, connections: int = CONNECTIONS) -> Samples:
    """Send one of ``requests`` at each of these times."""
    return _run(_Load(requests, due_s), port, connections)


def closed(port: int, requests: Sequence[bytes], connections: int, seconds: float) -> Samples:
    """Keep ``connections`` requests under way for so long; times are those of sending."""
    return _run(_Load(requests, None, seconds), port, connections)


def _run(load: _Load, port: int, connections: int) -> Samples:
    # select(2) waits in microseconds, epoll in milliseconds, which would make a request that much late.
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        return runner.run(load.run(port, connections))


class _Load:
    """The schedule, the connections that are idle, and what is waiting for one."""

    def __init__(self, requests: Sequence[bytes], due_s: Floats | None, seconds: float = 0.0) -> None:
        self._requests, self._draw = requests, np.random.default_rng(SEED)
        self._due: list[float] = [] if due_s is None else due_s.tolist()
        self._is_closed, self._seconds = due_s is None, seconds
        self._ms: list[float] = [float("nan")] * len(self._due)
        self._status: list[int] = [0] * len(self._due)
        self._chosen: list[int] = self._choose(max(len(self._due), 1 << 16))
        # In turn: a server closes connections that were idle for long, 30 s in most.
        self._idle: deque[_Connection] = deque()
        self._sent_again: set[int] = set()
        self._tasks: set[asyncio.Future[None]] = set()
        self._waiting: deque[int] = deque()
        self._next = self._answered = 0
        self._body_bytes, self._late_s = 0, 0.0
        self._began = 0.0
        self._done = asyncio.Event()
        self._port = 0

    async def run(self, port: int, connections: int) -> Samples:
        self._port, loop = port, asyncio.get_running_loop()
        opened = [await self._open() for _ in range(connections)]
        self._began = time.perf_counter()
        if self._is_closed:
            for connection in opened:
                self._send_now(connection)
            loop.call_later(self._seconds, self._done.set)
            await self._done.wait()
            self._is_closed = False
        else:
            self._idle.extend(opened)
            loop.call_soon(self._tick)
            last = self._due[-1] if self._due else 0.0
            with suppress(TimeoutError):  # what was not answered is told by its NaN
                await asyncio.wait_for(self._done.wait(), last + GIVE_UP_S)
        self._done.set()
        for connection in {*opened, *self._idle}:
            connection.close()
        answered = [n for n, status in enumerate(self._status) if status or not self._seconds]
        due, ms = np.array(self._due)[answered], np.array(self._ms)[answered]
        return Samples(due, ms, np.array(self._status, np.int16)[answered], self._body_bytes, self._late_s * 1000)

    def lost(self, connection: _Connection, number: int, was_begun: bool) -> None:
        """A connection is gone; ``number`` is what it was asked, -1 for nothing.

        As pooled clients do, a request of which no byte was answered is sent once more: the server may have closed the
        connection just then because it was idle. It is as late as that makes it.
        """
        if self._done.is_set():
            return
        if connection in self._idle:
            self._idle.remove(connection)
        if number >= 0 and (was_begun or number in self._sent_again):
            self.answered(connection, number, 0, 0)
            return
        if number >= 0:
            self._sent_again.add(number)
            self._waiting.appendleft(number)
        self._reopen_soon()

    def answered(self, connection: _Connection, number: int, status: int, body_bytes: int) -> None:
        """A connection has its answer, or lost it: ``status`` 0."""
        now = time.perf_counter() - self._began
        self._ms[number], self._status[number] = (now - self._due[number]) * 1000, status
        self._answered += 1
        self._body_bytes += body_bytes if status == 200 else 0
        if not connection.is_open:
            self._reopen_soon()
        else:
            self._free(connection)
        if not self._seconds and self._answered == len(self._due):
            self._done.set()

    def _free(self, connection: _Connection) -> None:
        if self._waiting:
            self._send(connection, self._waiting.popleft())
        elif self._is_closed:
            self._send_now(connection)
        else:
            self._idle.append(connection)

    def _tick(self) -> None:
        """Send all that is due and come back when the next is."""
        now = time.perf_counter() - self._began
        while self._next < len(self._due) and self._due[self._next] <= now:
            number = self._next
            self._next += 1
            self._late_s = max(self._late_s, now - self._due[number])
            if self._idle:
                self._send(self._idle.popleft(), number)
            else:
                self._waiting.append(number)
            now = time.perf_counter() - self._began
        if self._next < len(self._due):
            loop = asyncio.get_running_loop()
            loop.call_later(max(0.0, self._due[self._next] - now), self._tick)

    def _send_now(self, connection: _Connection) -> None:
        self._due.append(time.perf_counter() - self._began)
        self._ms.append(float("nan"))
        self._status.append(0)
        self._send(connection, len(self._due) - 1)

    def _send(self, connection: _Connection, number: int) -> None:
        connection.send(number, self._requests[self._chosen[number % len(self._chosen)]])

    def _choose(self, count: int) -> list[int]:
        chosen: list[int] = self._draw.integers(0, len(self._requests), count).tolist()
        return chosen

    async def _open(self) -> _Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: _Connection(self), "127.0.0.1", self._port)
        return connection

    def _reopen_soon(self) -> None:
        task = asyncio.ensure_future(self._reopen())
        self._tasks.add(task)  # the loop alone would let go of it
        task.add_done_callback(self._tasks.discard)

    async def _reopen(self) -> None:
        try:
            self._free(await self._open())
        except OSError:
            await asyncio.sleep(0.1)
            await self._reopen()


class _Connection(asyncio.Protocol):
    """One request at a time. Bodies are counted, not kept."""

    def __init__(self, load: _Load) -> None:
        self._load = load
        self._transport: asyncio.Transport | None = None
        self._number, self._status, self._length, self._left, self._head = -1, 0, 0, -1, b""
        self.is_open = False

    def send(self, number: int, raw: bytes) -> None:
        self._number, self._left, self._head = number, -1, b""
        assert self._transport is not None  # only open connections are handed out
        self._transport.write(raw)

    def close(self) -> None:
        self._number = -1
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self.is_open = transport, True

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        number, self._number = self._number, -1
        self._load.lost(self, number, bool(self._head))

    def data_received(self, data: bytes) -> None:
        if self._left >= 0:
            self._left -= len(data)
        else:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            self._status, self._length = int(self._head[9:12]), _content_length(self._head[:end])
            self._left = self._length - (len(self._head) - end - 4)
        if self._left == 0:
            number, self._number = self._number, -1
            self._load.answered(self, number, self._status, self._length)


def _content_length(head: bytes) -> int:
    """
    Raises:
        ValueError: the answer says no length; this client reads no chunks.
    """
    lowered = head.lower()
    at = lowered.find(b"\r\ncontent-length:")
    if at < 0:
        raise ValueError(f"an answer without Content-Length: {head[:200]!r}")
    return int(lowered[at + 17 :].split(b"\r\n", 1)[0])
