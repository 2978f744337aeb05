"""Log lines, as machines and people read them."""

import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest

from serving.api.request_id import CURRENT
from serving.http.logs import MOST, WITHIN_S, JsonLines, Repeats, TextLines, blanked, config
from tests.serving.servers import SLOW, json_lines, running


def record(message: str = "hello %s", *given: object, level: int = logging.INFO, **more: Any) -> logging.LogRecord:
    made = logging.LogRecord("serving.x", level, "x.py", more.pop("line", 7), message, given, more.pop("error", None))
    made.__dict__.update(more)
    return made


def failed() -> Any:
    try:
        raise RuntimeError("no\nluck")
    except RuntimeError:
        return sys.exc_info()


def test_a_line_is_one_json_object() -> None:
    line = JsonLines().format(record("hello %s", "you", fields={"rows": 3, "day": "2017-11-13"}))
    found = json.loads(line)
    assert found.pop("time").endswith("Z")
    assert found == {
        "level": "info",
        "logger": "serving.x",
        "message": "hello you",
        "fields": {"rows": 3, "day": "2017-11-13"},
    }


def test_an_exception_is_part_of_its_line() -> None:
    line = JsonLines().format(record("broken", error=failed()))
    assert "\n" not in line
    told = json.loads(line)["exception"]
    assert told.startswith("Traceback")
    assert told.endswith("RuntimeError: no\nluck")


def test_the_request_is_named_while_there_is_one() -> None:
    token = CURRENT.set("abc")
    try:
        assert json.loads(JsonLines().format(record("x")))["request_id"] == "abc"
        assert TextLines().format(record("x")).endswith("x [abc]")
    finally:
        CURRENT.reset(token)
    assert "request_id" not in json.loads(JsonLines().format(record("x")))


def test_fields_that_json_does_not_know_do_not_lose_the_line() -> None:
    assert "object" in json.loads(JsonLines().format(record("x", fields={"what": object()})))["fields"]["what"]


@pytest.mark.parametrize(
    ("secret", "shown"),
    [
        ("key sp_ab12_s3cr-et_X is revoked", "key sp_ab12_*** is revoked"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("redis://me:pass@host/0 is away", "redis://me:***@host/0 is away"),
        ("redis://:pass@host/0", "redis://:***@host/0"),
        ("http://127.0.0.1:8471/docs at 10:30@noon", "http://127.0.0.1:8471/docs at 10:30@noon"),
    ],
)
def test_secrets_are_blanked(secret: str, shown: str) -> None:
    assert blanked(secret) == shown
    assert json.loads(JsonLines().format(record(secret)))["message"] == shown
    assert json.loads(JsonLines().format(record("x", fields={"a": secret})))["fields"]["a"] == shown


def test_errors_that_repeat_are_told_a_few_times_and_counted() -> None:
    now = 0.0
    repeats = Repeats(lambda: now)
    told = [repeats.filter(record("again", level=logging.ERROR)) for _ in range(100)]
    assert sum(told) == MOST
    assert repeats.filter(record("another", level=logging.ERROR, line=8))
    assert repeats.filter(record("no error"))
    now = WITHIN_S
    next_one = record("again", level=logging.ERROR)
    assert repeats.filter(next_one)
    assert next_one.__dict__["fields"] == {"held_back": 100 - MOST}


def test_errors_of_another_type_are_no_repetition() -> None:
    repeats = Repeats(lambda: 0.0)
    for _ in range(MOST + 1):
        repeats.filter(record("failed", level=logging.ERROR, error=failed()))
    assert repeats.filter(record("failed", level=logging.ERROR, error=(ValueError, ValueError(), None)))


def test_lines_are_json_where_nobody_watches() -> None:
    assert config("auto", "info")["formatters"]["lines"]["()"] is JsonLines
    assert config("text", "info")["formatters"]["lines"]["()"] is TextLines


def test_a_server_logs_objects_that_name_the_request_and_no_secret(home: Path) -> None:
    with running(home, slow=True) as server:
        named = {**server.headers, "X-Request-Id": "mine"}
        assert server.get(SLOW.format(1), named).status == 200
        assert server.get("/v1/broken", named).status == 500
        server.terminate()
        lines = json_lines(server)
    (slow,) = [line for line in lines if line.get("logger") == "tests.slow"]
    assert (slow["request_id"], slow["fields"]) == ("mine", {"ms": 1, "header": "Bearer ***"})
    (failed,) = [line for line in lines if line.get("level") == "error"]
    assert failed["request_id"] == "mine"
    assert "RuntimeError: redis://me:***@127.0.0.1/0 is away" in failed["exception"]
    everything = "".join(server.lines)
    secret = server.headers["Authorization"].rpartition("_")[2]
    assert secret not in everything
    assert "hunter2" not in everything
