"""What a campaign does to an installation: one disturbance at a time, most of which are undone some seconds later."""

import json
import random
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from redis.exceptions import TimeoutError

from tests.chaos.messages import DAYS
from tests.chaos.offers import file_content, file_of, put_file
from tests.chaos.world import Site
from tests.disk import fill, small_disk
from tests.kafka_broker import Broker
from tests.redis_server import Server

Undo = Callable[[], None]
# Of a disturbance: its name in the report, for how long, and what ends it.
Done = tuple[str, float, Undo]
ROOM_BYTES = 1 << 30
# A server that runs out of memory evicts a few keys at a time.
EVICTED = 12
COSTLY = (
    "visit IN (SELECT UNNEST(GENERATE_SERIES(1, 20000000000)))",
    "LENGTH(REPEAT('x', 2000000000)) > visit",
    "visit > " + "CAST(" * 250 + "1" + " AS BIGINT)" * 250,
    "event_type ~ '((((a{1000}){1000}){1000}){1000})'",
    " OR ".join(f"visit = {n}" for n in range(3000)),
)


def nothing() -> None:
    """Undoes what is over by itself."""


@contextmanager
def room(folder: Path) -> Iterator[Path | None]:
    """A small disk in memory at ``folder``; None where this user cannot mount one."""
    with ExitStack() as until_end:
        try:
            disk = until_end.enter_context(small_disk(folder, ROOM_BYTES))
        except pytest.skip.Exception:
            disk = None
        yield disk


@dataclass(frozen=True)
class Ways:
    """What can be done to more than one process; each is drawn by its weight."""

    draw: random.Random
    site: Site
    broker: Broker | None = None
    server: Server | None = None
    disk: Path | None = None

    @property
    def all(self) -> dict[Callable[[], Done], float]:
        """Ways by weight, of what is there."""
        found: dict[Callable[[], Done], float] = {
            self._half_sent: 4,
            self._headers_without_end: 3,
            self._unread: 3,
            self._costly: 4,
            self._take_file: 4,
            self._spoil_file: 4,
        }
        if self.broker is not None:
            found |= {self._kill_broker: 4, self._pause_broker: 4}
        if self.disk is not None:
            found[self._fill_disk] = 8
        if self.server is not None:
            found |= {self._pause_server: 5, self._flush_server: 3, self._evict: 6}
        return found

    def _half_sent(self) -> Done:
        """Callers that announce a large batch, send a part of it, and wait."""
        head = f"POST /v1/sequences/both/batch HTTP/1.1\r\n{self._lines}Content-Length: 100000\r\n\r\n"
        return "half-sent bodies", self.draw.uniform(1, 8), self._hold(head.encode() + b'{"users": ["m1", "m2"')

    def _headers_without_end(self) -> Done:
        return "headers without end", self.draw.uniform(1, 8), self._hold(b"GET / HTTP/1.1\r\nX-Slow: ")

    def _unread(self) -> Done:
        """Callers that ask for as much as they can, and never read it."""
        users = json.dumps({"users": [f"m{n}" for n in range(100)]}).encode()
        head = f"POST /v1/sequences/both/batch HTTP/1.1\r\n{self._lines}Content-Length: {len(users)}\r\n\r\n"
        return "unread answers", self.draw.uniform(1, 8), self._hold(head.encode() + users)

    def _costly(self) -> Done:
        """Conditions that would take all memory or time, if they were computed."""
        asked = quote(self.draw.choice(COSTLY))
        head = f"GET /v1/sequences/both/users/m1?where={asked} HTTP/1.1\r\n{self._lines}\r\n"
        return "costly conditions", self.draw.uniform(1, 4), self._hold(head.encode(), callers=4)

    @property
    def _lines(self) -> str:
        lines = {"Host": "localhost", "Authorization": f"Bearer {self.site.noted('key')}"}
        lines["Content-Type"] = "application/json"
        return "".join(f"{name}: {value}\r\n" for name, value in lines.items())

    def _hold(self, sent: bytes, callers: int = 12) -> Undo:
        """So many connections that sent this and no more; undone by closing them."""
        opened: list[socket.socket] = []
        for _ in range(callers):
            with suppress(OSError):
                opened.append(socket.create_connection(("127.0.0.1", self.site.noted("port")), timeout=1))
                opened[-1].sendall(sent)

        def close() -> None:
            for each in opened:
                each.close()

        return close

    def _take_file(self) -> Done:
        """A day's file that is not there yet, or not any more."""
        day = self.draw.choice(DAYS)
        file_of(self.site, day).unlink(missing_ok=True)
        return "file absent", self.draw.uniform(1, 8), lambda: put_file(self.site, day)

    def _spoil_file(self) -> Done:
        """One that was cut short, or is of another format. (One without a byte is a day without offers.)"""
        day = self.draw.choice(DAYS)
        whole = file_content(day)
        spoiled = self.draw.choice([whole[: len(whole) // 2], b"PAR1" + bytes(200) + b"PAR1", b"<html>not found"])
        put_file(self.site, day, spoiled)
        return "file corrupt", self.draw.uniform(1, 8), lambda: put_file(self.site, day)

    def _kill_broker(self) -> Done:
        assert self.broker
        self.broker.kill()
        self.broker.start()
        return "broker killed", 0, nothing

    def _pause_broker(self) -> Done:
        """For less than its session, or for longer: then it has to register again."""
        assert self.broker
        self.broker.pause(signal.SIGSTOP)
        return "broker paused", self.draw.uniform(0.3, 6), lambda: self.broker and self.broker.pause(signal.SIGCONT)

    def _fill_disk(self) -> Done:
        assert self.disk
        taken = fill(self.disk)
        return "disk full", self.draw.uniform(0.3, 3), lambda: taken.unlink(missing_ok=True)

    def _pause_server(self) -> Done:
        assert self.server
        self.server.pause(signal.SIGSTOP)
        return "store paused", self.draw.uniform(0.3, 4), lambda: self.server and self.server.pause(signal.SIGCONT)

    def _flush_server(self) -> Done:
        assert self.server
        with suppress(TimeoutError):  # it is paused
            self.site.lose([b"everything"])
            self.server.client().flushall()
        return "store flushed", 0, nothing

    def _evict(self) -> Done:
        """Remove keys at random, as a server does that runs out of memory under an evicting policy."""
        assert self.server
        client = self.server.client()
        with suppress(TimeoutError):  # it is paused
            gone = [key for _ in range(self.draw.randint(1, EVICTED)) if (key := client.randomkey())]
            self.site.lose(gone)
            for key in gone:
                client.delete(key)
        return "keys evicted", 0, nothing
