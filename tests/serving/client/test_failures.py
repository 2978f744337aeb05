"""What the client makes of servers that refuse, break, hang or are something else; both clients alike."""

import asyncio
import datetime as dt
import io
import json
import os
import pickle
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email.utils import format_datetime
from typing import Any

import numpy as np
import polars as pl
import pytest

from serving.client import (
    AnswerUnreadable,
    AsyncClient,
    BadRequest,
    Client,
    ClientClosed,
    ClientError,
    DeadlineExceeded,
    Forbidden,
    NotFound,
    QuotaExceeded,
    ServerFailed,
    Similar,
    Unauthorized,
    Unavailable,
    Unreachable,
)
from tests.ports import free_port
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
    with pytest.raises(
        Unreachable, match=r"^http://127\.0\.0\.1:\d+ is away \(ConnectError: .*\); is `seqplat serve` running there\?$"
    ):
        ask(f"http://127.0.0.1:{free_port()}")


def test_a_server_that_hangs_is_given_up_at_the_deadline(ask: Ask) -> None:
    with scripted(Reply(200, hold_s=30)) as script, pytest.raises(DeadlineExceeded, match=r"within 1 s"):
        ask(script.url, deadline_s=1)
    assert 500 <= int(script.seen[0]["x-deadline-ms"]) <= 980


def test_each_attempt_tells_the_server_what_is_left_less_the_margin(ask: Ask) -> None:
    with scripted(problem(503, Retry_After="1"), problem(404)) as script, pytest.raises(NotFound):
        ask(script.url, deadline_s=10, margin_s=5)
    told = [int(request["x-deadline-ms"]) for request in script.seen]
    assert 3_000 < told[0] <= 5_000
    assert told[1] <= told[0] - 1_000


def test_what_comes_bit_by_bit_is_given_up_at_the_deadline_too(ask: Ask) -> None:
    began = time.monotonic()
    with scripted(Reply(200, b"x" * 200, drip_s=0.1)) as script, pytest.raises(DeadlineExceeded):
        ask(script.url, deadline_s=0.2)
    assert time.monotonic() - began < 15  # to the end it takes 20 s


def test_what_went_wrong_before_the_deadline_is_kept(ask: Ask) -> None:
    with scripted(problem(503), Reply(200, hold_s=30)) as script, pytest.raises(DeadlineExceeded) as raised:
        ask(script.url, deadline_s=1.5)
    assert isinstance(raised.value.last, Unavailable)


def test_a_wait_for_a_free_connection_is_not_told_to_the_server_as_time_it_has() -> None:
    with (
        scripted(Reply(404, hold_s=1.0), Reply(404)) as script,
        Client(script.url, connections=1, deadline_s=5) as client,
        ThreadPoolExecutor(2) as callers,
    ):
        for call in [callers.submit(client.sequence, "shop", user) for user in "ab"]:
            assert isinstance(call.exception(), NotFound)
    first, second = (int(request["x-deadline-ms"]) for request in script.seen)
    assert first - second >= 350


def test_tasks_wait_for_a_free_connection_in_the_same_way() -> None:
    async def asked(url: str) -> list[Any]:
        async with AsyncClient(url, connections=1, deadline_s=5) as client:
            return await asyncio.gather(*(client.sequence("shop", user) for user in "ab"), return_exceptions=True)

    with scripted(Reply(404, hold_s=1.0), Reply(404)) as script:
        found = asyncio.run(asked(script.url))
    assert [type(error) for error in found] == [NotFound, NotFound]
    first, second = (int(request["x-deadline-ms"]) for request in script.seen)
    assert first - second >= 350


def test_no_connection_free_by_the_deadline() -> None:
    with (
        scripted(Reply(404, hold_s=1.0)) as script,
        Client(script.url, connections=1, deadline_s=0.3) as client,
        ThreadPoolExecutor(3) as callers,
    ):
        found = [call.exception() for call in [callers.submit(client.sequence, "shop", user) for user in "abc"]]
    assert [type(error) for error in found] == [DeadlineExceeded] * 3


def test_a_cancelled_task_gives_its_connection_back() -> None:
    async def asked(url: str) -> None:
        async with AsyncClient(url, connections=1, deadline_s=30) as client:
            for _ in range(3):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(client.sequence("shop", "u"), 0.1)
            with pytest.raises(NotFound):
                await client.sequence("shop", "u")

    with scripted(*[Reply(404, hold_s=1.0)] * 3, problem(404)) as script:
        asyncio.run(asked(script.url))


def test_a_closed_client_says_so() -> None:
    client = Client("http://127.0.0.1:9")
    client.close()
    with pytest.raises(ClientClosed, match="is closed; make another"):
        client.catalogue()

    async def asked() -> None:
        other = AsyncClient("http://127.0.0.1:9")
        await other.close()
        await other.catalogue()

    with pytest.raises(ClientClosed, match="is closed; make another"):
        asyncio.run(asked())


def test_a_client_of_before_a_fork_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes on one connection would read each other's answers."""
    with Client("http://127.0.0.1:9") as client:
        monkeypatch.setattr(os, "getpid", lambda: -1)
        with pytest.raises(ClientClosed, match="made in another process; make one in each"):
            client.catalogue()


def test_a_client_of_another_event_loop_is_refused() -> None:
    async def first(client: AsyncClient) -> None:
        with pytest.raises(NotFound):
            await client.catalogue()
        await client.close()

    with scripted(problem(404)) as script:
        client = AsyncClient(script.url)
        asyncio.run(first(client))
        with pytest.raises(ClientClosed, match="used in another event loop; make one in each"):
            asyncio.run(client.catalogue())


def test_many_threads_share_a_client() -> None:
    with scripted(problem(404)) as script, Client(script.url, connections=3, deadline_s=30) as client:

        def asked(user: int) -> None:
            with pytest.raises(NotFound):
                client.sequence("shop", str(user))

        with ThreadPoolExecutor(16) as callers:
            list(callers.map(asked, range(40)))
    assert sorted(int(path.rpartition("/")[2]) for path in script.paths) == list(range(40))
    assert script.connections <= 3


def test_a_batch_is_tried_again_too() -> None:
    with (
        scripted(Reply(0), problem(503), problem(404)) as script,
        Client(script.url) as client,
        pytest.raises(NotFound),
    ):
        client.batch("shop", ["u"])
    assert len(script.seen) == 3


def test_retry_after_may_be_a_date() -> None:
    date = format_datetime(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=60), usegmt=True)
    with scripted(Reply(503, headers={"Retry-After": date})) as script, pytest.raises(Unavailable) as raised:
        blocking(script.url)
    assert len(script.seen) == 1
    assert raised.value.retry_after_s == pytest.approx(60, abs=2)


@pytest.mark.parametrize("text", ["nan", "-1", "inf", "soon", "Wed, 99 Nov 2026 12:00:00 GMT"])
def test_a_retry_after_that_says_nothing_is_none(text: str) -> None:
    with scripted(Reply(429, headers={"Retry-After": text})) as script, pytest.raises(QuotaExceeded) as raised:
        blocking(script.url, attempts=1)
    assert raised.value.retry_after_s is None


def test_an_answer_that_was_compressed_badly_is_unreadable_and_not_asked_for_again(ask: Ask) -> None:
    reply = Reply(200, b"no gzip", {"Content-Type": "application/vnd.apache.arrow.stream", "Content-Encoding": "gzip"})
    with scripted(reply) as script, pytest.raises(AnswerUnreadable, match=script.url):
        ask(script.url)
    assert len(script.seen) == 1


def test_an_address_that_moved_is_told(ask: Ask) -> None:
    reply = Reply(301, headers={"Location": "https://api.example/v1"})
    with scripted(reply) as script, pytest.raises(AnswerUnreadable, match=r"301, to https://api\.example/v1"):
        ask(script.url)


@pytest.mark.parametrize("error", [DeadlineExceeded("late", Unreachable("gone")), QuotaExceeded(429, PROBLEM, 1.5)])
def test_errors_travel_between_processes(error: ClientError) -> None:
    found = pickle.loads(pickle.dumps(error))
    assert (type(found), str(found)) == (type(error), str(error))
    assert getattr(found, "retry_after_s", None) == getattr(error, "retry_after_s", None)


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


def test_a_key_read_from_a_file_ends_with_a_line_break_that_is_not_sent(ask: Ask) -> None:
    with scripted(problem(404)) as script, Client(script.url, "sp_a_b\n") as client, pytest.raises(NotFound):
        client.catalogue()
    assert script.seen[0]["authorization"] == "Bearer sp_a_b"


@pytest.mark.parametrize("key", ["sp_a\nb", "sp_a b", "sp_ä"])
def test_a_key_that_is_none_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(ValueError, match="seqplat keys create") as raised:
        Client("http://127.0.0.1:9", key)
    assert "sp_" not in str(raised.value)


@pytest.mark.parametrize("url", ["localhost:8471", "http://", "http://host:port", "http://me:secret@host"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(ValueError, match="write it as http://host:port") as raised:
        Client(url)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"attempts": 0},
        {"connections": 0},
        {"margin_s": -1.0},
        {"deadline_s": 0.0},
        {"deadline_s": float("inf")},
        {"deadline_s": 0.02, "margin_s": 0.02},
    ],
)
def test_settings_that_answer_nothing_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Client("http://127.0.0.1:9", **wrong)


def test_users_that_are_one_text_are_refused() -> None:
    """Its characters would be asked for as users."""
    with (
        Client("http://127.0.0.1:9") as client,
        pytest.raises(TypeError, match=r"users is the text '1995'.*\['1995'\]"),
    ):
        client.batch("shop", "1995")


@pytest.mark.parametrize(("user", "sent"), [(".", "%2E"), ("..", "%2E%2E"), ("a/../b", "a%2F..%2Fb")])
def test_users_that_look_like_folders_are_users(user: str, sent: str) -> None:
    with scripted(problem(404)) as script, Client(script.url) as client, pytest.raises(NotFound):
        client.sequence("shop", user)
    assert script.paths == [f"/v1/sequences/shop/users/{sent}"]


def test_a_question_too_long_for_an_address_says_what_to_do() -> None:
    with Client("http://127.0.0.1:9") as client, pytest.raises(BadRequest, match="ask with batch") as raised:
        client.sequence("shop", "u", where="x" * 70_000)
    assert (raised.value.status, raised.value.kind) == (414, "query-too-long")


@pytest.mark.parametrize("columns", [{"user_id": ["other"]}, {"price": [1]}])
def test_events_of_users_that_were_not_asked_for_are_no_answer(columns: dict[str, list[Any]]) -> None:
    body = io.BytesIO()
    pl.DataFrame(columns).write_ipc_stream(body)
    reply = Reply(200, body.getvalue(), {"Content-Type": "application/vnd.apache.arrow.stream"})
    with scripted(reply) as script, Client(script.url) as client, pytest.raises(AnswerUnreadable, match="other users"):
        client.batch("shop", ["u"])


@pytest.mark.parametrize(
    "asked",
    [
        lambda client: client.sequence("shop", "a\ud800"),
        lambda client: client.sequence("shop", "u", where="x = '\ud800'"),
        lambda client: client.batch("shop", ["a\ud800"]),
        lambda client: client.explain("shop", "u", "\ud800"),
        lambda client: client.schema("\ud800"),
    ],
)
def test_half_a_character_cannot_be_asked_for(asked: Ask) -> None:
    with (
        Client("http://127.0.0.1:9") as client,
        pytest.raises(BadRequest, match=r"'\\ud800' is half of a character; decode the text it came from as UTF-8"),
    ):
        asked(client)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), np.float32("nan")])
def test_a_vector_with_what_is_no_number_is_refused(number: float) -> None:
    wanted = Similar("v", np.array([0.5, number], np.float32), k=1)
    with Client("http://127.0.0.1:9") as client:
        for asked in (
            lambda: client.sequence("shop", "u", top_k=wanted),
            lambda: client.batch("shop", ["u"], top_k=wanted),
        ):
            with pytest.raises(BadRequest, match="vector: a number of it is not finite") as raised:
                asked()
            assert (raised.value.kind, raised.value.field) == ("bad-parameter", "vector")


@pytest.mark.parametrize("user", [1995, None, b"1995", np.int64(1995)])
def test_users_that_are_not_text_are_refused(user: Any) -> None:
    with Client("http://127.0.0.1:9") as client:
        for asked in (lambda: client.sequence("shop", user), lambda: client.batch("shop", [user])):
            with pytest.raises(TypeError, match=r"a user is text; .* is (int|NoneType|bytes|int64)"):
                asked()
