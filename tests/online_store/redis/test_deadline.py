"""A request's deadline holds whatever a server does: hangs, takes no connection, or answers drop by drop."""

import contextlib
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from seqplat_resources.clock import Deadline
from seqplat_resources.online_store import ReadAhead
from seqplat_resources.online_store.errors import StoreAwayError
from seqplat_resources.online_store.redis import RedisSettings
from seqplat_resources.online_store.redis.wire.deadline import until
from seqplat_resources.online_store.redis.wire.servers import OneServer
from tests import redis_server
from tests.online_store.redis.test_store import NEEDS_REDIS, VIEW, encoded, opened, payload, publish
from tests.online_stores import redis_url

ALLOWED_S = 0.1
# For a busy machine; without the deadline a wait is a minute.
SLACK_S = 20.0
WAIT_MS = 60_000


@pytest.fixture
def servers() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@contextlib.contextmanager
def in_time() -> Iterator[None]:
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < ALLOWED_S + SLACK_S


@NEEDS_REDIS
@pytest.mark.parametrize("is_cluster", [False, True])
def test_every_request_to_a_server_that_hangs_ends_in_time(servers: ExitStack, is_cluster: bool) -> None:
    """Also those that need a new connection, because the one before was given up."""
    if is_cluster:
        running = servers.enter_context(redis_server.cluster("redis"))
    else:
        running = [servers.enter_context(redis_server.running("redis"))]
    store = opened(RedisSettings.parse(f"{running[0].url}?timeout_ms={WAIT_MS}"))
    publish(store, encoded(["ann"]))
    before = payload(store, "ann")
    for server in running:
        server.pause(signal.SIGSTOP)
    try:
        for _ in range(4):
            ahead = ReadAhead([VIEW], ["ann"], deadline=Deadline.after(ALLOWED_S))
            with in_time(), pytest.raises(StoreAwayError), store.snapshot(ahead=ahead):
                pass
    finally:
        for server in running:
            server.pause(signal.SIGCONT)
    assert payload(store, "ann") == before
    store.close()


@NEEDS_REDIS
def test_a_server_that_hangs_between_two_round_trips_ends_a_request_in_time(servers: ExitStack) -> None:
    server = servers.enter_context(redis_server.running("redis"))
    store = opened(RedisSettings.parse(f"{server.url}?timeout_ms={WAIT_MS}"))
    publish(store, encoded(["ann"], rows=1000, noise=100))
    with contextlib.suppress(StoreAwayError), store.snapshot(ahead=None) as view:
        view.epoch(VIEW)
    store._catalog._schemas.clear()
    ahead = ReadAhead([VIEW], ["ann"], deadline=Deadline.after(60))
    with contextlib.suppress(StoreAwayError), store.snapshot(ahead=ahead) as view:
        view._deadline = Deadline.after(ALLOWED_S)  # type: ignore[attr-defined]
        server.pause(signal.SIGSTOP)
        try:
            with in_time(), pytest.raises(StoreAwayError, match="no answer in time"):
                list(view.blocks(VIEW, "ann", columns=["n"]))
        finally:
            server.pause(signal.SIGCONT)
    store.close()


@contextlib.contextmanager
def listening(backlog: int) -> Iterator[socket.socket]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(backlog)
        yield listener


def server_at(listener: socket.socket) -> OneServer:
    waits = {"socket_timeout": WAIT_MS / 1000, "socket_connect_timeout": WAIT_MS / 1000, "retry": Retry(NoBackoff(), 0)}
    return OneServer("127.0.0.1", listener.getsockname()[1], 0, {**waits, "protocol": 2})


def test_connecting_ends_in_time(servers: ExitStack) -> None:
    listener = servers.enter_context(listening(0))
    for _ in range(4):  # the kernel takes one or two, and then drops what comes
        filling = servers.enter_context(socket.socket())
        filling.setblocking(False)
        filling.connect_ex(listener.getsockname())
    server = server_at(listener)
    with in_time(), pytest.raises(redis.TimeoutError), until(Deadline.after(ALLOWED_S)):
        server.ask([("PING",)])
    server.close()


ANSWERS = {"many": b"+OK\r\n", "one that is long": b"$1000\r\n" + b"x" * 1000 + b"\r\n"}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_answers_that_come_drop_by_drop_end_in_time(servers: ExitStack, answer: bytes) -> None:
    """Each drop is in time, all of them would not be."""
    listener = servers.enter_context(listening(5))

    def drip() -> None:
        with contextlib.suppress(OSError):
            taken, _ = listener.accept()
            with taken:
                while b"PING" not in taken.recv(1 << 16):
                    taken.sendall(b"+OK\r\n")
                for at in range(10_000):
                    taken.sendall(answer[at % len(answer) :][:1])
                    time.sleep(0.01)

    thread = threading.Thread(target=drip)
    thread.start()
    server = server_at(listener)
    with in_time(), pytest.raises(redis.TimeoutError), until(Deadline.after(ALLOWED_S)):
        server.ask([("PING",)] * 500)
    server.close()
    thread.join(10)
    assert not thread.is_alive()


@NEEDS_REDIS
def test_a_deadline_is_of_its_thread_and_ends_with_its_block() -> None:
    store = opened(RedisSettings.parse(redis_url("redis")))
    publish(store, encoded(["ann"]))
    found: list[bytes] = []
    other = threading.Thread(target=lambda: found.append(payload(store, "ann")))
    with until(Deadline.after(-1)):
        other.start()
        other.join(10)
    assert found == [payload(store, "ann")]
    store.close()
