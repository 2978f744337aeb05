"""What one tenant feels of another who means no good: p99 of its requests, quiet and beside each hostile client.

`python -m benchmarks.neighbours FOLDER [KIND ...]` builds a small home below FOLDER once, and prints a table. The quiet
tenant asks at fixed times, however long answers take, for one user and for a batch; the hostile one as fast as it can.
What processors do for the server and for the hostile client is told as well: on a machine of two cores, what a client
burns to be hostile is missing where it is asked.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import api_home, api_key, seqplat_api
from benchmarks.api_data import Shape
from benchmarks.measure import TreeWatch
from seqplat_resources.home import Home
from serving.access.keys import changes
from serving.access.keys.ring import Grant
from serving.access.keys.store import KeyStore

SHAPE = Shape(users=400, long_users=8, days=32, short_days=32)
SECONDS, SETTLE_S = 12.0, 1.0
SINGLES_PER_S, BATCHES_PER_S = 20.0, 2.0
OTHER = "hostile"
# Nobody waits longer for one answer.
PATIENCE_S = 30.0


@dataclass(frozen=True)
class Target:
    """Where requests go, and as whom."""

    port: int
    key: str

    def get(self, path: str) -> bytes:
        return f"GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {self.key}\r\n\r\n".encode()

    def post(self, path: str, body: dict[str, object]) -> bytes:
        sent = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {self.key}\r\n"
        return f"{head}Content-Type: application/json\r\nContent-Length: {len(sent)}\r\n\r\n".encode() + sent


async def ask(port: int, request: bytes) -> int:
    """Ask on a connection of its own; the status of the answer, which is read whole."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(length)
        return int(head[9:12])
    finally:
        writer.close()


@dataclass
class Felt:
    """Times of the quiet tenant's requests in milliseconds, by kind, and how many were not answered with 200."""

    ms: dict[str, list[float]] = field(default_factory=lambda: {"one user": [], "batch": []})
    refused: int = 0

    def p99(self, kind: str) -> float:
        found = sorted(self.ms[kind])
        return found[min(len(found) - 1, int(len(found) * 0.99))] if found else float("nan")


async def _timed(felt: Felt, kind: str, port: int, request: bytes) -> None:
    began = time.perf_counter()
    try:
        status = await asyncio.wait_for(ask(port, request), PATIENCE_S)
    except (OSError, asyncio.IncompleteReadError, TimeoutError):
        status = 0
    felt.ms[kind].append((time.perf_counter() - began) * 1000)
    felt.refused += status != 200


async def _quiet(target: Target, seconds: float) -> Felt:
    felt, draw, waiting = Felt(), random.Random(1), set[asyncio.Task[None]]()

    async def at(rate: float, kind: str, request: Callable[[], bytes]) -> None:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            waiting.add(asyncio.create_task(_timed(felt, kind, target.port, request())))
            await asyncio.sleep(draw.expovariate(rate))

    def one() -> bytes:
        return target.get(f"/v1/sequences/recent_actions/users/{draw.randrange(SHAPE.users)}?limit=100")

    def many() -> bytes:
        users = [str(draw.randrange(SHAPE.users)) for _ in range(50)]
        return target.post("/v1/sequences/recent_actions/batch", {"users": users, "limit": 100})

    await asyncio.gather(at(SINGLES_PER_S, "one user", one), at(BATCHES_PER_S, "batch", many))
    await asyncio.gather(*waiting)
    return felt


async def _again(port: int, request: Callable[[], bytes]) -> None:
    while True:
        with suppress(OSError, asyncio.IncompleteReadError, StopIteration, RuntimeError):
            await ask(port, request())


async def _held(port: int, begin: bytes, more: bytes, pause_s: float) -> None:
    """Begin a request and go on with it as slowly as one likes."""
    while True:
        with suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(begin)
            while not reader.at_eof():
                await asyncio.sleep(pause_s)
                writer.write(more)
                with suppress(TimeoutError):
                    if not await asyncio.wait_for(reader.read(1), 0.01):
                        break
            writer.close()


async def _unread(port: int, request: bytes) -> None:
    """Ask for much and read nothing of it."""
    while True:
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
            writer.write(request)
            await asyncio.sleep(15)
            writer.close()


def kinds(target: Target) -> Iterator[tuple[str, list[Callable[[], Awaitable[None]]]]]:
    """Hostile clients by name, each a list of connections that never end."""
    draw, all_users = random.Random(2), f"/v1/sequences/all_actions/users/{SHAPE.long_user_ids[0]}"

    def where(text: str) -> bytes:
        user = SHAPE.long_user_ids[draw.randrange(SHAPE.long_users)]
        return target.get(f"/v1/sequences/all_actions/users/{user}?limit=10&where={_quoted(text)}")

    def large_batch() -> bytes:
        return target.post("/v1/sequences/all_actions/batch", {"users": [str(n) for n in range(400)], "limit": 300})

    def new_words() -> bytes:
        return where(" OR ".join(f"item_id + {draw.random():.9f} > price * {n}" for n in range(16)))

    def wrong() -> bytes:
        return Target(target.port, f"sqp_{draw.getrandbits(200):x}").get(all_users)

    def explained() -> bytes:
        return target.get(f"/v1/sequences/recent_actions/users/{draw.randrange(400)}/explain?event_id={draw.random()}")

    def nearest() -> bytes:
        vector = ",".join(f"{draw.random():.3f}" for _ in range(32))
        return target.get(f"{all_users}?top_k=1000&similar_to=embedding&vector={vector}")

    def batch_where() -> bytes:
        body = {"users": [str(n) for n in range(400)], "limit": 9, "where": _SLOW_PATTERN}
        return target.post("/v1/sequences/recent_actions/batch", body)

    def several(count: int, request: Callable[[], bytes]) -> list[Callable[[], Awaitable[None]]]:
        return [lambda: _again(target.port, request)] * count

    yield "full batches", several(4, large_batch)
    yield "batches with a regular expression", several(4, batch_where)
    yield "one where again and again", several(16, lambda: where(_SLOW_PATTERN))
    yield "new conditions", several(16, new_words)
    yield "explanations", several(16, explained)
    yield "wrong keys", several(32, wrong)
    yield "a flood of one user's", several(64, lambda: target.get(f"{all_users}?limit=100"))
    yield "16 K events, again and again", several(8, lambda: target.get(all_users))
    yield "the most similar", several(8, nearest)
    yield "answers that nobody reads", [lambda: _unread(target.port, target.get(all_users))] * 32
    half = target.post("/v1/sequences/all_actions/batch", {"users": ["1"] * 900})[:-900]
    yield "half-sent bodies", [lambda: _held(target.port, half, b'"', 0.2)] * 200
    yield "half-sent heads", [lambda: _held(target.port, b"GET / HTTP/1.1\r\nX: ", b"x", 0.2)] * 500
    yield "connections that say nothing", [lambda: _held(target.port, b"", b"", 1.0)] * 1000


_SLOW_PATTERN = r"REGEXP_LIKE(page, '(s|h|o|p)*(session=[0-9]+7){1,3}x$') OR page LIKE '%a%b%c%d%e%f%'"


def _quoted(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


async def _worry(target: Target, kind: str) -> None:
    connections = dict(kinds(target))[kind]
    await asyncio.gather(*(connection() for connection in connections))


async def _measure(quiet: Target) -> Felt:
    await asyncio.sleep(SETTLE_S)
    return await _quiet(quiet, SECONDS)


@contextmanager
def _watched(*watches: TreeWatch) -> Iterator[list[float]]:
    """Processors that each tree of processes keeps busy, known when the block is left."""
    before, busy, began = [watch.cpu_s for watch in watches], list[float](), time.perf_counter()
    yield busy
    took = time.perf_counter() - began
    busy += [(watch.cpu_s - cpu_s) / took for watch, cpu_s in zip(watches, before, strict=True)]


def main() -> None:
    if sys.argv[1] == "--worry":
        said, key, kind = sys.argv[2:]
        with suppress(asyncio.CancelledError):
            asyncio.run(_worry(Target(int(said), key), kind))
        return
    folder, wanted = Path(sys.argv[1]), sys.argv[2:]
    built = folder / "out"
    home = api_home.ApiHome(folder, built, folder / f"api-{SHAPE.users}-{SHAPE.long_users}", SHAPE)
    if not (built / "home").exists():
        home = api_home.build(folder, SHAPE, built)
    with seqplat_api.serving(home.home, home.sources, folder / "serve.log") as api:
        port = api.server.port
        quiet, hostile = Target(port, api.key), Target(port, _granted(home.home))
        before = asyncio.run(_measure(quiet))
        for kind, _ in kinds(hostile):
            if wanted and kind not in wanted:
                continue
            command = (sys.executable, "-m", "benchmarks.neighbours", "--worry", str(port), hostile.key, kind)
            worry = subprocess.Popen(("nice", "-n", "10", *command), env=dict(os.environ))
            watch = TreeWatch(worry.pid)
            watch.start()
            with _watched(api.server.watch, watch) as busy:
                felt = asyncio.run(_measure(quiet))
            watch.stop()
            worry.terminate()
            worry.wait()
            after = asyncio.run(_measure(quiet))  # of a machine that others work on, both sides are told
            told = (f"{name} {_told(name, before, felt, after)}" for name in felt.ms)
            cores = "server {:.2f}, client {:.2f} cores".format(*busy)
            print(f"{kind:36} {'; '.join(told)}; refused {felt.refused}; {cores}", flush=True)
            before = after


def _told(kind: str, *felt: Felt) -> str:
    before, during, after = (each.p99(kind) for each in felt)
    times = during / max(1.0, (before + after) / 2)
    return f"p99 {before:6.0f} -> {during:6.0f} -> {after:6.0f} ms ({times:.1f} times)"


def _granted(home: Path) -> str:
    """A key of another tenant that may read what there is."""
    store = KeyStore(Home(str(home.absolute()), {}))
    key, text = changes.create(store, OTHER, by="benchmarks", name=OTHER, roles=("reader",))
    for sequence in ("recent_actions", "all_actions"):
        changes.grant(store, key.id, sequence, Grant(api_key.TENANT), by="benchmarks")
    return text


if __name__ == "__main__":
    main()
