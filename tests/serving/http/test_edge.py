"""The outermost layer, around applications that do odd things."""

import asyncio
import json
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from serving.admission.draining import Drain
from serving.api.request_id import CURRENT
from serving.http.edge import Edge
from serving.metrics import Cells, RequestCounts
from serving.metrics.exposition import request_metrics


def answered(app: ASGIApp, cells: Cells, *, http_version: str = "1.1", draining: bool = False) -> list[Any]:
    """The messages of one answer."""
    sent: list[Any] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError

    scope: Any = {
        "type": "http",
        "path": "/v1/sequences",
        "method": "GET",
        "headers": [(b"x-request-id", b"abc")],
        "http_version": http_version,
        "state": {},
    }
    state = Drain(1)
    state.is_on = draining
    asyncio.run(Edge(app, RequestCounts(cells), state)(scope, receive, send))
    return sent


async def fine(scope: Scope, receive: Receive, send: Send) -> None:
    assert CURRENT.get() == "abc"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"ab", "more_body": True})
    await send({"type": "http.response.body", "body": b"cde", "more_body": False})


async def broken(scope: Scope, receive: Receive, send: Send) -> None:
    raise KeyError("of the inside")


async def broken_off(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise KeyError("of the inside")


def counted(cells: Cells) -> list[tuple[str, str, str, float]]:
    return [
        (series.labels["route"], series.labels["status"], series.labels["format"], series.value)
        for metric in request_metrics(cells.everybody())
        for series in metric.samples
        if series.name == "seqplat_request_seconds_count"
    ]


def test_an_answer_in_parts_is_one_with_all_its_bytes() -> None:
    cells = Cells()
    start, *_ = answered(fine, cells)
    assert start["headers"] == [(b"content-type", b"text/plain"), (b"x-request-id", b"abc")]
    assert counted(cells) == [("unknown", "2xx", "other", 1)]
    (size,) = [
        sample.value
        for metric in request_metrics(cells.everybody())
        for sample in metric.samples
        if sample.name == "seqplat_answer_bytes_sum"
    ]
    assert size == 5
    assert CURRENT.get() == ""


def test_head_is_answered_as_get_without_a_body(client: TestClient[Litestar]) -> None:
    for path in ("/healthz", "/v1/sequences/household_history/users/1146", "/v1/sequences/nothing/users/1"):
        got, head = client.get(path), client.head(path)
        assert (head.status_code, head.content) == (got.status_code, b"")
        for name in ("content-length", "content-type", "etag"):
            assert head.headers.get(name) == got.headers.get(name)
    assert client.head("/v1/sequences/household_history/batch").status_code == 405


def test_connections_are_closed_while_draining_where_the_protocol_has_them() -> None:
    close = (b"connection", b"close")
    assert close in answered(fine, Cells(), draining=True)[0]["headers"]
    assert close not in answered(fine, Cells(), draining=True, http_version="2")[0]["headers"]
    assert close not in answered(fine, Cells())[0]["headers"]


def test_an_error_of_a_layer_is_a_problem_that_says_nothing_of_the_inside() -> None:
    cells = Cells()
    start, body = answered(broken, cells)
    assert start["status"] == 500
    assert (b"x-request-id", b"abc") in start["headers"]
    problem = json.loads(body["body"])
    assert (problem["type"], problem["request_id"]) == ("urn:seqplat:problem:internal", "abc")
    assert b"inside" not in body["body"]
    assert counted(cells) == [("unknown", "5xx", "problem", 1)]


def test_an_answer_that_breaks_off_is_left_to_the_server() -> None:
    cells = Cells()
    with pytest.raises(KeyError):
        answered(broken_off, cells)
    assert counted(cells) == [("unknown", "2xx", "none", 1)]


@pytest.mark.parametrize("reads", [0, 1, 3])
def test_a_request_is_read_to_its_end_before_it_is_answered(reads: int) -> None:
    """Or its caller, who is still sending, gets an error of the connection instead of the answer."""
    happened: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for _ in range(reads):
            await receive()
        await send({"type": "http.response.start", "status": 503, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def receive() -> Any:
        assert happened.count("received") < 3
        happened.append("received")
        return {"type": "http.request", "body": b"x", "more_body": happened.count("received") < 3}

    async def send(message: Message) -> None:
        happened.append(message["type"])

    scope: Any = {"type": "http", "path": "/", "method": "POST", "headers": [], "http_version": "1.1", "state": {}}
    asyncio.run(Edge(app, RequestCounts(Cells()), Drain(1))(scope, receive, send))
    assert happened == [*["received"] * 3, "http.response.start", "http.response.body"]


def test_a_caller_who_never_ends_sending_is_answered_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.http.whole_requests.PATIENCE_S", 0.01)
    sent: list[Any] = []

    async def receive() -> Any:
        await asyncio.sleep(60)

    async def send(message: Message) -> None:
        sent.append(message["type"])

    scope: Any = {"type": "http", "path": "/", "method": "POST", "headers": [], "http_version": "1.1", "state": {}}
    asyncio.run(Edge(quick, RequestCounts(Cells()), Drain(1))(scope, receive, send))
    assert sent == ["http.response.start"]


async def quick(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 503, "headers": []})
