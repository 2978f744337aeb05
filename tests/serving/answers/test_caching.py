"""ETags: an answer that still holds is not made again, and one that might not hold is. Headers, and deadlines."""

import io
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from arro3.io import read_ipc_stream
from click.testing import CliRunner
from litestar import Litestar
from litestar.testing import TestClient

from seqplat_resources.clock import Deadline
from seqplat_resources.home import Home
from seqplat_resources.release.runtime import Runtime
from serving.answers import answer as answering
from serving.cli.main import root
from serving.client.answers import batch_of
from serving.http.app import create_app
from serving.settings import Settings
from tests.building import runtime_for
from tests.forking import FORKING
from tests.seqplat_assets.streams.streaming import read_all
from tests.serving.conftest import Start, settings_for
from tests.serving.keys import new_headers
from tests.stream.world import DEFINITIONS

Client = TestClient[Litestar]
PATIENCE_S = 120
PATH = "/v1/sequences/household_history/users/1146"


def _tag(client: Client, query: str = "", **headers: str) -> str:
    tag: str = client.get(f"{PATH}{query}", headers=headers).headers["etag"]
    assert re.fullmatch(r'W/"[0-9a-f]{24}"', tag)
    return tag


def _said(response: httpx.Response) -> dict[str, str]:
    """How fresh it is, but for what only the events tell."""
    return {
        name: value
        for name, value in response.headers.items()
        if name.startswith("x-seqplat") and name != "x-seqplat-newest-event-time"
    }


def test_an_answer_the_caller_has_is_not_read_again(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    tag, said = _tag(client), _said(client.get(PATH))
    assert {"x-seqplat-degraded", "x-seqplat-completeness", "x-seqplat-epoch"} <= said.keys()

    def read(*_: object, **__: object) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr(answering, "answer", read)
    for known in (tag, tag.removeprefix("W/"), f'"other", {tag}'):
        response = client.get(PATH, headers={"If-None-Match": known})
        assert response.status_code == 304
        assert response.content == b""
        assert response.headers["etag"] == tag
        assert response.headers["cache-control"] == "private, no-cache"
        assert _said(response) == said
        assert "Authorization" in response.headers["vary"]
        assert response.headers["x-request-id"]
        assert "content-length" not in response.headers


def test_an_answer_the_caller_does_not_have_is_given(client: Client) -> None:
    for known in ('"other"', "nonsense", "", "*"):
        assert client.get(PATH, headers={"If-None-Match": known}).status_code == 200


def test_every_question_and_form_has_its_own_tag(client: Client) -> None:
    tags = [
        _tag(client),
        _tag(client, "?limit=1"),
        _tag(client, "?columns=event_time"),
        _tag(client, "?where=sales_value > 5"),
        _tag(client, Accept="application/vnd.apache.arrow.stream"),
    ]
    assert len(set(tags)) == len(tags)
    assert _tag(client) == tags[0]
    # Weak: compressed or not, it is the same answer.
    assert _tag(client, **{"Accept-Encoding": "gzip"}) == tags[0]


@pytest.mark.parametrize("accept", ["application/json", "application/vnd.apache.arrow.stream"])
def test_an_answer_given_again_is_the_same_for_its_user_and_question(client: Client, accept: str) -> None:
    sequence, headers = "/v1/sequences/household_history", {"Accept": accept}
    paths = [f"{sequence}/users/{user}{query}" for user in ("1146", "718", "nobody") for query in ("", "?limit=1")]
    first = [client.get(path, headers=headers).content for path in paths]
    assert [client.get(path, headers=headers).content for path in paths] == first
    assert len({first[0], first[1], first[2], first[4]}) == 4  # by user, and by question where that cuts something


def test_an_answer_that_still_holds_is_given_again_and_counted(home: Path, start: Start) -> None:
    client = start(home)
    first, again = client.get(PATH), client.get(PATH)
    assert again.json() == first.json()
    other = client.get(f"{PATH}?limit=1").json()
    assert other["length"] == 1

    def counted() -> bool:
        text = client.get("/metrics").text
        return all(
            f"seqplat_kept_answers{rest}" in text for rest in ('_total{found="yes"} 1.0', '_total{found="no"} 2.0')
        )

    deadline = time.monotonic() + PATIENCE_S
    while not counted():  # looked at every POLL_S
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_users_have_tags_of_their_own(client: Client) -> None:
    other = client.get("/v1/sequences/household_history/users/nobody").headers["etag"]
    assert other.startswith('W/"')


def test_a_publication_makes_another_tag(home: Path, start: Start) -> None:
    client = start(home)
    before = _tag(client)
    _elsewhere(_seqplat, home, "epochs", "purchase", "--back-to", "1")
    assert client.get(PATH, headers={"If-None-Match": before}).status_code == 200
    assert _tag(client) != before


def test_a_streamed_event_makes_another_tag_of_its_user_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    runtime_for(home, DEFINITIONS)
    _stream(home, member="ann", click=1)
    sent = new_headers(home, "shop")
    with TestClient(create_app(settings_for(home))) as client:
        client.headers.update(sent)
        users = {user: f"/v1/sequences/recent/users/{user}" for user in ("ann", "bob")}
        before = {user: client.get(path).headers["etag"] for user, path in users.items()}
        _stream(home, member="ann", click=2)
        after = {user: client.get(path, headers={"If-None-Match": before[user]}) for user, path in users.items()}
    assert after["ann"].status_code == 200
    assert after["ann"].json()["length"] == 2
    assert after["ann"].headers["etag"] != before["ann"]
    assert after["bob"].status_code == 304


def _stream(home: Path, **fields: object) -> None:
    message = {"at": "2024-05-01T10:00:00Z", "received": "2024-05-01T10:00:00Z", "amount": 1, **fields}
    _elsewhere(_send_and_stream, home, json.dumps(message))


def _send_and_stream(home: Path, message: str) -> None:
    _seqplat(home, "send", "clicks", "-", given=message)
    read_all(Runtime.from_environment({"SEQPLAT_HOME": str(home)}))


def _seqplat(home: Path, *arguments: str, given: str | None = None) -> None:
    done = CliRunner(env={"SEQPLAT_HOME": str(home)}).invoke(root, arguments, input=given, catch_exceptions=False)
    assert done.exit_code == 0, done.output


def _elsewhere(work: Callable[..., None], *arguments: object) -> None:
    """In a process of its own, because this one has the store open."""
    process = FORKING.Process(target=work, args=arguments, daemon=True)
    process.start()
    process.join(PATIENCE_S)
    assert process.exitcode == 0


@pytest.mark.parametrize(("sent", "expected"), [({}, 60.0), ({"X-Deadline-Ms": "30000"}, 30.0)])
def test_reading_ends_when_the_request_or_the_server_says(
    home: Path, monkeypatch: pytest.MonkeyPatch, sent: dict[str, str], expected: float
) -> None:
    left: list[float] = []
    read = answering.answer

    def answer(*arguments: Any, deadline: Deadline, **named: Any) -> Any:
        left.append(deadline.left_s)
        return read(*arguments, deadline=deadline, **named)

    monkeypatch.setattr(answering, "answer", answer)
    key = new_headers(home)
    with TestClient(create_app(Settings(Home(str(home), {}), deadline_ms=60_000))) as client:
        assert client.get(PATH, headers={**key, **sent}).status_code == 200
    assert expected / 2 < left[0] <= expected  # less by what it took to come there


def test_an_answer_cut_short_says_so_and_has_no_tag(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = answering.answer

    def late(*arguments: Any, deadline: Deadline, **named: Any) -> Any:
        return read(*arguments, deadline=Deadline.after(-1), **named)

    monkeypatch.setattr(answering, "answer", late)
    key = new_headers(home)
    with TestClient(create_app(settings_for(home))) as client:
        response = client.get(PATH, headers=key)
    assert response.status_code == 200
    assert "etag" not in response.headers
    assert any("deadline" in text for text in response.json()["meta"]["degraded"])
    assert "deadline" in response.headers["x-seqplat-degraded"]


def test_a_batch_cut_short_says_whose_events_are_missing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = answering.answers_of

    class AfterOne(Deadline):
        """Over when it is asked for the second time, which is before the second user."""

        @property
        def is_over(self) -> bool:
            asked.append(self)
            return len(asked) > 1

    asked: list[Deadline] = []

    def late(*arguments: Any, deadline: Deadline, **named: Any) -> Any:
        asked.clear()
        return read(*arguments, deadline=AfterOne(deadline.at_s), **named)

    monkeypatch.setattr(answering, "answers_of", late)
    key, users = new_headers(home), ["nobody", "1146", "718"]
    path, asking = "/v1/sequences/household_history/batch", {"users": users}
    with TestClient(create_app(settings_for(home))) as client:
        response = client.post(path, json=asking, headers=key)
        arrow = client.post(path, json=asking, headers=key | {"Accept": "application/vnd.apache.arrow.stream"})
    answer = response.json()
    assert [user["partial"] for user in answer["users"]] == [False, True, True]
    assert answer["meta"]["completeness"] == 0.0
    assert "the deadline is over: 2 of 3 users not read to the end" in answer["meta"]["degraded"]
    assert response.headers["x-seqplat-partial-users"] == ":Bg==:"
    metadata = read_ipc_stream(io.BytesIO(arrow.content)).schema.metadata_str
    assert metadata["seqplat.partial"] == "[false,true,true]"
    seen = httpx.Response(200, content=arrow.content, headers=arrow.headers, request=arrow.request)
    assert batch_of(seen, users).partial == ("1146", "718")


def test_a_batch_that_is_whole_says_so(client: Client) -> None:
    response = client.post("/v1/sequences/household_history/batch", json={"users": ["1146", "nobody"]})
    assert [user["partial"] for user in response.json()["users"]] == [False, False]
    assert "x-seqplat-partial-users" not in response.headers


def test_headers_say_what_meta_says(client: Client) -> None:
    response = client.get(PATH)
    meta, headers = response.json()["meta"], response.headers
    assert headers["x-seqplat-release"] == meta["release"]
    assert headers["x-seqplat-epoch"] == "purchase=1, coupon_redemption=1, campaign_received=1"
    assert headers["x-seqplat-sealed-through"] == meta["sealed_through"]
    assert headers["x-seqplat-newest-event-time"] == meta["newest_event_time"]
    assert float(headers["x-seqplat-completeness"]) == pytest.approx(meta["completeness"], abs=1e-5)
    assert headers["x-seqplat-degraded"] == ", ".join(f'"{text}"' for text in meta["degraded"])
    assert headers["x-seqplat-degraded"].endswith('"purchase: nothing streamed yet"')
    assert "x-seqplat-stream-lag-ms" not in headers
    assert headers["cache-control"] == "private, no-cache"


def test_headers_of_a_batch_say_what_its_meta_says(client: Client) -> None:
    response = client.post("/v1/sequences/household_history/batch", json={"users": ["1146", "nobody"]})
    assert response.headers["x-seqplat-newest-event-time"] == response.json()["meta"]["newest_event_time"]
    assert response.headers["x-seqplat-epoch"].startswith("purchase=1")


@pytest.mark.parametrize("accept", ["application/json", "application/vnd.apache.arrow.stream"])
def test_headers_do_not_depend_on_the_form(client: Client, accept: str) -> None:
    headers = client.get(PATH, headers={"Accept": accept}).headers
    assert headers["content-type"] == accept
    assert headers["x-seqplat-epoch"]
