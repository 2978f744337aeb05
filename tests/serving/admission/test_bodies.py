"""Bodies that come slowly, in pieces, or never: nobody else notices."""

import asyncio
import gzip
import json
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from litestar.types import Message, Receive, Scope, Send

from serving.admission.bodies import Bodies
from serving.admission.memory import TenantMemory
from serving.admission.sending import PIECE_BYTES, NotTaken, send_large
from serving.api.refusals import Overloaded
from tests.serving.servers import PATIENCE_S, Reply, Server, ask, eventually, running

BATCH = "/v1/sequences/household_history/batch"
BODY = b'{"users": ["1146"], "limit": 3}'
CHUNKED = "Transfer-Encoding: chunked"


@pytest.fixture(scope="module")
def server(published: Path) -> Iterator[Server]:
    with running(published, api_head_s=3, api_body_s=3, api_queue_ms=1000) as started:
        yield started


def opened(server: Server, *lines: str, sent: bytes = b"") -> socket.socket:
    """A connection on which a batch has begun."""
    connection = socket.create_connection(("127.0.0.1", server.port))
    head = [f"POST {BATCH} HTTP/1.1", "Host: here", f"Authorization: {server.headers['Authorization']}", *lines]
    connection.sendall("\r\n".join([*head, "", ""]).encode() + sent)
    return connection


def answered(connection: socket.socket) -> tuple[int, bytes]:
    """Status and body of the answer, after which the server closes."""
    connection.settimeout(20)
    received = b""
    while more := connection.recv(65536):
        received += more
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def batch(server: Server) -> Reply:
    connection = server.connection()
    try:
        return ask(connection, BATCH, {**server.headers, "Content-Type": "application/json"}, BODY)
    finally:
        connection.close()


def test_hundreds_of_half_sent_batches_hold_nothing(server: Server) -> None:
    """Of every kind there is; one of them was enough to hold the only long lane."""
    kinds = [
        (f"Content-Length: {len(BODY)}", b""),
        (f"Content-Length: {len(BODY)}", BODY[:-1]),
        ("Content-Length: 1000000", BODY),
        (CHUNKED, b"5\r\n" + BODY[:5]),
        (CHUNKED, b"1f\r\n" + BODY + b"\r\n"),
    ]
    held = [opened(server, line, sent=sent) for line, sent in kinds * 40]
    replies = [batch(server) for _ in range(10)]
    for connection in held:
        connection.close()
    assert {reply.status for reply in replies} == {200}
    assert min(reply.seconds for reply in replies) < 1  # the bodies' own deadline is later


@pytest.mark.parametrize(
    ("line", "sent"),
    [
        (CHUNKED, b"zz\r\nabc\r\n0\r\n\r\n"),
        (CHUNKED, b"3\r\nabcXX0\r\n\r\n"),
        (CHUNKED, b"FFFFFFFFFFFFFFFFF\r\nabc\r\n0\r\n\r\n"),
        (CHUNKED, b"-3\r\nabc\r\n0\r\n\r\n"),
        (CHUNKED, b"10000000000000000\r\nabc\r\n0\r\n\r\n"),
        (CHUNKED, b"3;" + b"x" * 100_000 + b"\r\nabc\r\n0\r\n\r\n"),
        (CHUNKED, b"3\r\nabc\r\n0\r\nno field\r\n\r\n"),
    ],
)
def test_malformed_chunks_are_a_problem_of_the_request(server: Server, line: str, sent: bytes) -> None:
    with opened(server, line, "Connection: close", sent=sent) as connection:
        status, body = answered(connection)
    assert (status, json.loads(body)["type"]) == (400, "urn:seqplat:problem:broken-body")


@pytest.mark.parametrize("line", ["Content-Encoding: gzip", "Transfer-Encoding: gzip, chunked", "content-encoding: BR"])
@pytest.mark.parametrize("cut", [0, 9])
def test_a_compressed_body_is_not_unpacked_and_says_so(server: Server, line: str, cut: int) -> None:
    """Whole, cut, or of a size that nobody would have room for."""
    packed = gzip.compress(bytes(64 << 20), 1)
    packed = packed[: len(packed) - cut]
    if "Transfer" in line:
        lines, sent = [line], b"%x\r\n%s\r\n0\r\n\r\n" % (len(packed), packed)
    else:
        lines, sent = [line, f"Content-Length: {len(packed)}"], packed
    with opened(server, *lines, "Connection: close", sent=sent) as connection:
        status, body = answered(connection)
    assert (status, json.loads(body)["type"]) == (415, "urn:seqplat:problem:coded-body")


@pytest.mark.parametrize("line", ["Content-Length: 100", CHUNKED])
def test_a_body_that_ends_early_is_a_problem_of_the_request(server: Server, line: str) -> None:
    with opened(server, line, "Connection: close") as connection:
        connection.sendall(BODY if "Length" in line else b"3\r\nabc\r\n")
        connection.shutdown(socket.SHUT_WR)
        status, body = answered(connection)
    assert (status, json.loads(body)["type"]) == (400, "urn:seqplat:problem:broken-body")


def test_a_body_of_a_byte_now_and_then_is_told_that_it_is_too_slow(server: Server) -> None:
    with opened(server, "Content-Length: 1000") as connection:
        began = time.monotonic()
        connection.settimeout(0.1)
        received = b""
        while not received and time.monotonic() < began + 20:
            connection.send(b" ")
            try:
                received = connection.recv(65536)
            except TimeoutError:
                continue
    assert received.startswith(b"HTTP/1.1 408")
    assert b"urn:seqplat:problem:slow-body" in received


def test_a_caller_who_goes_away_at_any_stage_leaves_nothing_behind(server: Server) -> None:
    whole = f"Content-Length: {len(BODY)}"
    for cut in range(0, len(BODY) + 1, 10):
        opened(server, whole, sent=BODY[:cut]).close()
    idle = b'seqplat_requests_under_way{lane="long"} 0.0'
    eventually(lambda: idle in server.get("/metrics").body, server)
    assert batch(server).status == 200


def test_hundreds_who_go_away_while_they_wait_are_worked_for_or_answered_leave_nothing_behind(server: Server) -> None:
    """At every await there is: slots, turns and room for bodies and answers come back."""
    heavy = json.dumps({"users": [str(user) for user in range(1, 200)], "limit": 20}).encode()
    line, lingers = f"Content-Length: {len(heavy)}", struct.pack("ii", 1, 0)
    for n in range(200):
        connection = opened(server, line, "Content-Type: application/json", sent=heavy)
        if n % 10 == 0:
            connection.recv(100)  # its answer has begun
        elif n % 3:
            time.sleep(0.001 * (n % 20))
        if n % 2:  # a reset instead of an end
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, lingers)
        connection.close()
    idle = [f'seqplat_requests_{what}{{lane="long"}} 0.0'.encode() for what in ("under_way", "queued")]
    eventually(lambda: all(each in server.get("/metrics").body for each in idle), server)
    assert batch(server).status == 200


def test_a_body_larger_than_any_request_is_refused_unread(server: Server) -> None:
    with opened(server, "Content-Length: 100000000", "Connection: close") as connection:
        status, body = answered(connection)
    assert (status, json.loads(body)["type"]) == (413, "urn:seqplat:problem:too-much")


def test_connections_that_say_nothing_or_half_a_head_end(server: Server) -> None:
    said = [b"", b"P", b"PRI * HTTP/2.0\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nA"]
    with ExitStack() as stack:
        address = "127.0.0.1", server.port
        connections = [stack.enter_context(socket.create_connection(address, timeout=PATIENCE_S)) for _ in said]
        for connection, some in zip(connections, said, strict=True):
            connection.sendall(some)
        assert not any(connection.recv(100).startswith(b"HTTP/1.1 200") for connection in connections)


def test_an_answer_that_its_caller_does_not_take_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.admission.sending.PIECE_S", 0.01)
    room, sent = TenantMemory(10, one_each=True), list[Message]()

    async def send(message: Message) -> None:
        sent.append(message)
        if len(sent) > 2:
            await asyncio.Event().wait()

    scope: Any = {"litestar_app": SimpleNamespace(state={"sending": room}), "state": {}}
    with pytest.raises(NotTaken, match=rf"took {PIECE_BYTES} of"):
        asyncio.run(send_large(scope, send, 200, [], [bytes(3 * PIECE_BYTES)]))
    assert room.taken == 0


# The layer by itself.


async def handler(_scope: Scope, receive: Receive, send: Send) -> None:
    message: Any = await receive()
    assert not message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": message["body"], "more_body": False})


def passed(layer: Bodies, pieces: list[bytes], *, method: str = "POST", every_s: float = 0.0) -> tuple[int, bytes]:
    left, sent = list(pieces), []

    async def receive() -> Any:
        await asyncio.sleep(every_s)
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Any = {"type": "http", "method": method, "path": BATCH, "headers": [], "state": {"seqplat.request_id": "x"}}
    asyncio.run(layer(scope, receive, send))
    return sent[0]["status"], sent[1]["body"]


def test_the_body_is_handed_on_in_one_piece() -> None:
    room = TenantMemory(100)
    assert passed(Bodies(handler, room, most_bytes=10, within_s=5), [b"ab", b"", b"cd"]) == (200, b"abcd")
    assert room.taken == 0


def test_one_byte_too_many_is_too_much() -> None:
    room = TenantMemory(100)
    assert passed(Bodies(handler, room, most_bytes=4, within_s=5), [b"ab", b"cd"])[0] == 200
    assert passed(Bodies(handler, room, most_bytes=4, within_s=5), [b"ab", b"cde", b"f"])[0] == 413
    assert room.taken == 0


def test_a_slow_body_ends_before_its_time_is_over() -> None:
    """Below the least rate, long before the deadline of a whole body."""
    layer = Bodies(handler, TenantMemory(1 << 20), most_bytes=1 << 20, within_s=60, least_per_s=1000, grace_s=0.05)
    assert passed(layer, [b"x"] * 1000, every_s=0.01)[0] == 408
    assert passed(layer, [b"x" * 100] * 20, every_s=0.01)[0] == 200  # 10 kB a second


def test_a_tenant_takes_no_more_room_than_it_leaves() -> None:
    room = TenantMemory(90)
    room.take("greedy", 45)
    with pytest.raises(Overloaded):
        room.take("greedy", 1)
    room.take("other", 20)
    room.give("greedy", 45)
    room.give("other", 20)
    assert room.taken == 0
    room.take("other", 45)


@pytest.mark.parametrize("pieces", [1, 2])
def test_no_room_is_overloaded_and_takes_nothing(pieces: int) -> None:
    room = TenantMemory(10)
    assert passed(Bodies(handler, room, most_bytes=100, within_s=5), [b"x" * 6] * pieces)[0] == 503
    assert room.taken == 0
