"""Who is let in, and that everybody else is told the same."""

import datetime as dt
import logging
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.exceptions import WebSocketDisconnect
from litestar.testing import TestClient

from seqplat_resources.home import Home
from seqplat_resources.records.log import RecordLog
from serving.access.follower import KeyFollower
from serving.access.keys import changes
from serving.access.keys.secret import new_id, new_text
from serving.access.keys.store import KeyStore
from serving.api.refusals import Unauthenticated
from tests.building import utc
from tests.serving.conftest import Start
from tests.serving.keys import TENANT, headers, new_headers, new_key

# A request's own header goes before its client's.
NO_KEY = {"Authorization": ""}
Client = TestClient[Litestar]
PATH = "/v1/sequences/household_history/users/1146"
CLOSED = ["/v1/sequences", "/v1/sequences/household_history/schema", PATH, "/v1/status", "/metrics", "/v2/nothing"]
PATIENCE_S = 120
HOUR = dt.timedelta(hours=1)

REFUSED = {
    "type": "urn:seqplat:problem:unauthenticated",
    "title": "Unauthenticated",
    "status": 401,
    "detail": "this needs an API key that is valid",
    "instance": PATH,
    "field": "Authorization",
    "fix": "send 'Authorization: Bearer sp_...'; `seqplat keys create` makes a key, and /docs says what to ask",
}


@pytest.mark.parametrize("path", CLOSED)
def test_everything_that_says_something_is_closed(client: Client, path: str) -> None:
    response = client.get(path, headers=NO_KEY)
    assert response.status_code == 401
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json() == {**REFUSED, "instance": path}
    assert response.headers["x-request-id"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/openapi.json", "/docs", "/docs/static/swagger-ui.css"])
def test_what_says_nothing_of_data_is_open(client: Client, path: str) -> None:
    assert client.get(path, headers=NO_KEY).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["//v1/sequences", "/v1//sequences/", "/docs/../v1/sequences", "/docs/%2e%2e/v1/sequences", "/docs//../v1/status",
     "/healthz/../v1/sequences", "/healthz/v1/sequences", "/openapi.json/../v1/sequences",
     "/docs/static/../../v1/status"],
)  # fmt: skip
def test_no_spelling_of_a_path_gets_past(client: Client, path: str) -> None:
    response = client.get(path, headers=NO_KEY)
    assert response.status_code in {401, 404}
    assert "grocery" not in response.text


def test_no_method_gets_past(client: Client) -> None:
    for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE"):
        assert client.request(method, PATH, headers=NO_KEY).status_code == 401


def test_no_other_protocol_gets_past(client: Client) -> None:
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(PATH):
        pass


def test_all_refusals_are_one_answer(home: Path, start: Start) -> None:
    store = KeyStore(Home(str(home), {}))
    good = new_key(home)
    expired = new_key(home, expires_at=utc(2020, 1, 1))
    revoked_key, revoked = changes.create(store, TENANT, by="tests")
    changes.revoke(store, revoked_key.id, by="tests")
    rotated_key, rotated = changes.create(store, TENANT, by="tests")
    changes.rotate(store, rotated_key.id, by="tests", overlap=dt.timedelta())
    key_id = good.split("_")[1]
    presented = {
        "nothing": None,
        "empty": "",
        "another scheme": f"Basic {good}",
        "no scheme": good,
        "no credential": "Bearer",
        "not a key": "Bearer secret",
        "unknown id": f"Bearer {new_text(new_id())}",
        "wrong secret": f"Bearer {new_text(key_id)}",
        "cut short": f"Bearer {good[:-1]}",
        "one more": f"Bearer {good}x",
        "other case": f"Bearer {good.upper()}",
        "two keys": f"Bearer {good} {good}",
        "expired": f"Bearer {expired}",
        "revoked": f"Bearer {revoked}",
        "rotated away": f"Bearer {rotated}",
        "not ASCII": "Bearer sp_é",
    }
    client = start(home)
    del client.headers["Authorization"]
    answers = {
        what: client.get(PATH, headers={} if sent is None else {"Authorization": sent.encode()})  # type: ignore[dict-item]
        for what, sent in presented.items()
    }
    assert {what: answer.status_code for what, answer in answers.items()} == dict.fromkeys(presented, 401)
    assert [answer.json() for answer in answers.values()] == [REFUSED] * len(presented)
    assert answers["nothing"].headers["www-authenticate"] == 'Bearer realm="seqplat"'
    told = {answer.headers["www-authenticate"] for what, answer in answers.items() if what != "nothing"}
    assert told == {'Bearer realm="seqplat", error="invalid_token"'}
    assert client.get(PATH, headers=headers(good)).status_code == 200
    assert client.get(PATH, headers={"authorization": f"bearer  {good} "}).status_code == 200


def test_a_refusal_takes_equally_long_for_every_id(tmp_path: Path) -> None:
    """The shortest of many, because a machine that is busy makes any single one long."""
    good = new_key(tmp_path)
    follower = KeyFollower(Home(str(tmp_path), {}))
    follower.refresh()
    unknown = [new_text(new_id()).encode() for _ in range(40)]
    wrong = [new_text(good.split("_")[1]).encode() for _ in range(40)]

    def best_ns(presented: bytes) -> int:
        times = []
        for _ in range(50):
            began = time.perf_counter_ns()
            with pytest.raises(Unauthenticated):
                follower.authenticated(presented, 0.0)
            times.append(time.perf_counter_ns() - began)
        return min(times)

    pairs = [(best_ns(a), best_ns(b)) for a, b in zip(unknown, wrong, strict=True)]
    of_unknown, of_wrong = (statistics.median(side) for side in zip(*pairs, strict=True))
    assert abs(of_unknown - of_wrong) < 0.3 * of_wrong


def test_status_and_metrics_are_for_operators(home: Path, start: Start) -> None:
    client = start(home)
    reader, operator = new_headers(home, roles=("reader",)), new_headers(home, roles=("operator",))
    _eventually(lambda: client.get("/v1/status", headers=operator).status_code == 200)
    for path in ("/v1/status", "/v1//status/"):
        response = client.get(path, headers=reader)
        assert response.status_code == 403
        assert response.json() == {
            "type": "urn:seqplat:problem:role-needed",
            "title": "Role needed",
            "status": 403,
            "detail": "this needs a key with the role 'operator'",
            "instance": path,
            "field": "Authorization",
            "fix": "use another key; `seqplat keys create TENANT --role operator` makes one",
        }
    assert client.get(PATH, headers=reader).status_code == 200
    assert client.get("/v1/sequences", headers=operator).json()["sequences"] == []
    assert client.get(PATH, headers=operator).status_code == 404


def test_a_running_server_follows_new_and_revoked_keys(home: Path, start: Start) -> None:
    client = start(home)
    store = KeyStore(Home(str(home), {}))
    key, text = changes.create(store, TENANT, by="tests")
    _eventually(lambda: client.get(PATH, headers=headers(text)).status_code == 200)
    changes.revoke(store, key.id, by="tests")
    _eventually(lambda: client.get(PATH, headers=headers(text)).status_code == 401)
    assert client.get(PATH).status_code == 200


def test_both_secrets_work_while_a_key_is_rotated(home: Path, start: Start) -> None:
    client = start(home)
    store = KeyStore(Home(str(home), {}))
    key, old = changes.create(store, TENANT, by="tests")
    _, new = changes.rotate(store, key.id, by="tests", overlap=HOUR)
    _eventually(lambda: client.get(PATH, headers=headers(new)).status_code == 200)
    assert client.get(PATH, headers=headers(old)).status_code == 200
    _, newest = changes.rotate(store, key.id, by="tests", overlap=dt.timedelta())
    _eventually(lambda: client.get(PATH, headers=headers(newest)).status_code == 200)
    assert [client.get(PATH, headers=headers(text)).status_code for text in (old, new)] == [401, 401]


def test_expiry_and_the_end_of_a_rotation_come_by_themselves(tmp_path: Path) -> None:
    store = KeyStore(Home(str(tmp_path), {}))
    key, old = changes.create(store, TENANT, by="tests", expires_at=store.clock.now() + 2 * HOUR)
    key, new = changes.rotate(store, key.id, by="tests", overlap=HOUR)
    follower = KeyFollower(store.home)
    follower.refresh()
    now_s = store.clock.now().timestamp()

    def found(text: str, at_s: float) -> str:
        try:
            return follower.authenticated(text.encode(), at_s).key.id
        except Unauthenticated as error:
            return f"{error.why} {error.key_id}"

    ended = f"expired {key.id}"
    assert [found(text, now_s) for text in (old, new)] == [key.id, key.id]
    assert [found(text, now_s + 3601) for text in (old, new)] == [ended, key.id]
    assert [found(text, now_s + 7201) for text in (old, new)] == [ended, ended]


def test_an_unreadable_ring_leaves_the_last_good_one(
    home: Path, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    client = start(home)
    logging.getLogger("serving.access.follower").addHandler(caplog.handler)
    log = RecordLog(Home(str(home), {}).objects, "keys")
    bad = log.append(b"{", after=log.numbers()[-1]).number
    _eventually(lambda: "API keys: stored API keys cannot be read" in caplog.text)
    assert f"those of ring {bad - 1} stay in force" in caplog.text
    assert client.get(PATH).status_code == 200
    (home / "keys" / f"{bad:012d}.json").unlink()
    text = new_key(home)
    _eventually(lambda: client.get(PATH, headers=headers(text)).status_code == 200)


def test_without_a_readable_ring_nobody_is_told_that_their_key_is_bad(home: Path, start: Start) -> None:
    log = RecordLog(Home(str(home), {}).objects, "keys")
    text = new_key(home)
    log.append(b"{", after=log.numbers()[-1])
    with pytest.MonkeyPatch.context() as patch:
        # What the fixture does for its own requests: a key can be made only where the ring can be read.
        patch.setattr("tests.serving.conftest.new_headers", lambda _: headers(text))
        client = start(home)
    response = client.get(PATH)
    assert response.status_code == 503
    assert response.headers["retry-after"]
    assert (response.json()["detail"], response.json()["fix"]) == (
        "API keys cannot be read",
        "the server's log says why",
    )


def test_a_home_without_keys_is_closed(published: Path, tmp_path: Path, start: Start) -> None:
    client = start(tmp_path)
    for record in (tmp_path / "keys").iterdir():
        record.unlink()
    _eventually(lambda: client.get("/v1/sequences").status_code == 401)


def _eventually(claim: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not claim():
        assert time.monotonic() < deadline, "never became true"
        time.sleep(0.01)
