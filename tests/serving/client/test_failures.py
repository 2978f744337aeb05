"""What the client makes of servers that refuse, break, hang or are something else; both clients alike."""

import asyncio
import json
import socket
from collections.abc import Callable
from typing import Any

import pytest

from serving.client import (
    AnswerUnreadable,
    AsyncClient,
    BadRequest,
    Client,
    ClientError,
    DeadlineExceeded,
    Forbidden,
    NotFound,
    QuotaExceeded,
    ServerFailed,
    Unauthorized,
    Unavailable,
    Unreachable,
)
from tests.serving.client.scripted import Reply, scripted

Ask = Callable[..., Any]

PROBLEM = {
    "type": "urn:seqplat:problem:unknown-column",
    "title": "Unknown column",
    "status": 400,
    "detail": "sequence 'shop' has no column 'prise'",
    "field": "columns",
    "fix": "did you mean 'price'?",
    "request_id": "8f0e",
}


def blocking(url: str, **options: Any) -> Any:
    with Client(url, "sp_a_b", **options) as client:
        return client.sequence("shop", "u")


def asynchronous(url: str, **options: Any) -> Any:
    async def asked() -> Any:
        async with AsyncClient(url, "sp_a_b", **options) as client:
            return await client.sequence("shop", "u")

    return asyncio.run(asked())


@pytest.fixture(params=[blocking, asynchronous])
def ask(request: pytest.FixtureRequest) -> Ask:
    found: Ask = request.param
    return found


def problem(status: int, **headers: str) -> Reply:
    said = {"Content-Type": "application/problem+json", **{k.replace("_", "-"): v for k, v in headers.items()}}
    return Reply(status, json.dumps({**PROBLEM, "status": status}).encode(), said)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, BadRequest),
        (401, Unauthorized),
        (403, Forbidden),
        (404, NotFound),
        (406, BadRequest),
        (413, BadRequest),
        (429, QuotaExceeded),
        (500, ServerFailed),
        (503, Unavailable),
    ],
)
def test_each_status_has_its_error(ask: Ask, status: int, error: type[ClientError]) -> None:
    with scripted(problem(status)) as script, pytest.raises(error) as raised:
        ask(script.url, attempts=1)
    found = raised.value
    assert str(found) == "sequence 'shop' has no column 'prise'; did you mean 'price'?"
    assert (found.status, found.kind, found.field, found.request_id) == (status, "unknown-column", "columns", "8f0e")  # type: ignore[attr-defined]


def test_a_status_without_a_problem_document_is_an_error_too(ask: Ask) -> None:
    with scripted(Reply(502, b"<html>bad gateway</html>")) as script, pytest.raises(Unavailable, match="502"):
        ask(script.url, attempts=1)


def test_what_may_pass_is_tried_again_and_what_stays_is_not(ask: Ask) -> None:
    with scripted(problem(503), problem(429, Retry_After="0"), problem(400)) as script, pytest.raises(BadRequest):
        ask(script.url, attempts=9)
    assert len(script.seen) == 3


def test_no_more_attempts_than_told(ask: Ask) -> None:
    with scripted(problem(503)) as script, pytest.raises(Unavailable):
        ask(script.url, attempts=2)
    assert len(script.seen) == 2


def test_a_broken_connection_is_tried_again(ask: Ask) -> None:
    with scripted(Reply(0), problem(404)) as script, pytest.raises(NotFound):
        ask(script.url)


def test_nobody_there(ask: Ask) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(
        Unreachable, match=r"^http://127\.0\.0\.1:\d+ is away \(ConnectError: .*\); is `seqplat serve` running there\?$"
    ):
        ask(f"http://127.0.0.1:{port}")


def test_a_server_that_hangs_is_given_up_at_the_deadline(ask: Ask) -> None:
    with scripted(Reply(200, hold_s=30)) as script, pytest.raises(DeadlineExceeded, match=r"within 0\.2 s"):
        ask(script.url, deadline_s=0.2)
    assert 0 < int(script.seen[0]["x-deadline-ms"]) <= 180


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, b"<html>", {"Content-Type": "text/html"}),
        Reply(200, b"ARROW1?", {"Content-Type": "application/vnd.apache.arrow.stream"}),
        Reply(204, b""),
    ],
)
def test_what_is_no_answer_is_said_to_be_none(ask: Ask, reply: Reply) -> None:
    with scripted(reply) as script, pytest.raises(AnswerUnreadable, match=script.url):
        ask(script.url)


def test_the_key_is_sent_and_never_shown(ask: Ask) -> None:
    with scripted(problem(401)) as script, pytest.raises(Unauthorized) as raised:
        ask(script.url)
    assert script.seen[0]["authorization"] == "Bearer sp_a_b"
    assert "sp_a_b" not in str(raised.value) + repr(Client(script.url, "sp_a_b"))


def test_odd_names_are_escaped() -> None:
    with scripted(problem(404)) as script, Client(script.url) as client, pytest.raises(NotFound):
        client.sequence("shop", "a/b ?#ü", where="price > 1 and x = 'a&b'")
    assert script.paths[0].startswith("/v1/sequences/shop/users/a%2Fb%20%3F%23%C3%BC?where=")


def test_an_address_that_is_none() -> None:
    with pytest.raises(ValueError, match="write it as http://host:port"):
        Client("localhost:8471")
