"""Signing in by a form: what a session opens, how it ends, and that the key is seen nowhere."""

import datetime as dt
import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from litestar.testing import TestClient
from msgspec.structs import replace as changed

from seqplat_resources.home import Home
from serving.access.follower import KeyFollower
from serving.access.keys import changes
from serving.access.keys.ring import Key
from serving.access.keys.secret import id_of
from serving.access.keys.store import KeyStore
from serving.access.sessions import PLAIN_COOKIE, SECURE_COOKIE, Sessions
from serving.api.refusals import Unauthenticated
from serving.http.app import create_app
from tests.serving.access.conftest import OTHER
from tests.serving.conftest import settings_for
from tests.serving.console.conftest import OWN, Browser, Open
from tests.serving.keys import TENANT, headers, new_key

PATIENCE_S = 60


def sign_in(browser: Browser, key: str, to: str = "/console") -> str:
    """The cookie that it gives."""
    answer = browser.post("/console/sign-in", data={"key": key, "to": to}, headers=OWN)
    assert answer.status_code == 303, answer.text
    return answer.headers["set-cookie"]


def eventually(browser: Browser, status: int, path: str = "/console") -> None:
    deadline = time.monotonic() + PATIENCE_S
    while (found := browser.get(path).status_code) != status:
        assert time.monotonic() < deadline, found
        time.sleep(0.02)


def test_a_key_opens_pages_by_a_cookie_and_nothing_else(installation: Path, browse: Open) -> None:
    key = new_key(installation)
    browser = browse(installation)
    asked = browser.get("/console/migration?x=1")
    assert asked.status_code == 401
    assert 'name="to" value="/console/migration?x=1"' in asked.text  # to go on to
    cookie = sign_in(browser, key)
    assert cookie.startswith(f"{PLAIN_COOKIE}=")
    assert {"Path=/console", "HttpOnly", "SameSite=Strict"} <= set(cookie.split("; "))
    assert key not in cookie
    assert key.rpartition("_")[2] not in cookie
    page = browser.get("/console")
    assert page.status_code == 200
    assert f"Signed in as key {id_of(key.encode())} of tenant {TENANT}" in page.text
    assert key not in page.text
    # Not the API, which takes keys alone: what a browser sends unasked opens nothing there.
    assert browser.get("/v1/sequences").status_code == 401
    assert browser.get("/v1/status").status_code == 401
    assert browser.post("/console/sign-out", headers=OWN).status_code == 303
    assert browser.get("/console").status_code == 401
    # With a key, as the API.
    assert browser.get("/console", headers=headers(key)).status_code == 200


def test_a_cookie_over_https_is_of_this_host_alone(installation: Path, browse: Open) -> None:
    key = new_key(installation)
    browser = browse(installation)
    answer = browser.post(
        "/console/sign-in",
        data={"key": key},
        headers={"Origin": "https://testserver.local", "Sec-Fetch-Site": "same-origin"},
    )
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{SECURE_COOKIE}=")
    assert {"Path=/", "Secure", "HttpOnly", "SameSite=Strict"} <= set(cookie.split("; "))
    # Another's plain one, planted by a page of a neighbour, does not go before it.
    planted = f"{PLAIN_COOKIE}=another; {cookie.split('; ')[0]}"
    assert browser.get("/console", headers={"Cookie": planted}).status_code == 200


@pytest.mark.parametrize("end", ["revoked", "rotated", "expired"])
def test_a_session_ends_with_its_key(installation: Path, browse: Open, end: str) -> None:
    key = new_key(installation)
    browser = browse(installation)
    sign_in(browser, key)
    assert browser.get("/console").status_code == 200
    store, key_id = KeyStore(Home(str(installation), {})), id_of(key.encode()) or ""
    if end == "revoked":
        changes.revoke(store, key_id, by="tests")
    elif end == "rotated":
        changes.rotate(store, key_id, by="tests", overlap=dt.timedelta(0))
    else:
        store.change(lambda ring: ring.with_key(_expired(ring.key(key_id))))
    eventually(browser, 401)
    answer = browser.get("/console", headers={"Cookie": f"{PLAIN_COOKIE}=gone"})
    assert "The session is over" in answer.text
    assert "Max-Age=0" in answer.headers["set-cookie"]


def _expired(key: Key) -> Key:
    return changed(key, expires_at=dt.datetime(2020, 1, 1, tzinfo=dt.UTC))


def test_no_session_is_believed_that_was_not_begun_here(installation: Path, browse: Open) -> None:
    key, other = new_key(installation), new_key(installation, OTHER)
    browser = browse(installation)
    mine = sign_in(browser, key).partition("=")[2].partition(";")[0]
    key_id, ends, code = mine.split(".")
    theirs = id_of(other.encode())
    browser.cookies.clear()
    for forged in [
        "",
        ".",
        "a.b.c",
        f"{theirs}.{ends}.{code}",  # another's id
        f"{key_id}.{int(ends) + 1}.{code}",  # for longer
        f"{key_id}.{ends}.{'0' * 64}",
        f"{key_id}.{ends}.{code[:-1]}",
        f"{key_id}.{ends}.{code}0",
        f"{key_id}.{'9' * 400}.{code}",
        key,  # the key itself is no session
        "x" * 20_000,
    ]:
        answer = browser.get("/console", headers={"Cookie": f"{PLAIN_COOKIE}={forged}"})
        assert answer.status_code == 401, forged
    assert browser.get("/console", headers={"Cookie": f"{PLAIN_COOKIE}={mine}"}).status_code == 200


def test_a_session_ends_by_itself(installation: Path) -> None:
    key, now_s = new_key(installation), 1_000_000.0
    keys = KeyFollower(Home(str(installation), {}))
    keys.refresh()
    sessions = Sessions(keys, lasts_s=10)
    session, _ = sessions.begin(key.encode(), now_s)
    assert sessions.access(session, now_s + 9.9).key.id == id_of(key.encode())
    with pytest.raises(Unauthenticated) as refused:
        sessions.access(session, now_s + 10)
    assert refused.value.why == "session ended"


WRONG = ["", "sp_", "sp_aaaaaaaaaa_" + "a" * 43, "<script>alert(1)</script>", "\ufffd", "' OR 1=1", "x" * 3_000]


@pytest.mark.parametrize("key", WRONG)
def test_a_wrong_key_is_told_nothing_and_shown_nowhere(installation: Path, browse: Open, key: str) -> None:
    answer = browse(installation).post("/console/sign-in", data={"key": key, "to": "/console?owner=a"}, headers=OWN)
    assert answer.status_code == 401
    assert "no API key that is valid" in answer.text
    assert 'value="/console?owner=a"' in answer.text
    assert "set-cookie" not in answer.headers
    assert not key or key not in answer.text


@pytest.mark.parametrize(
    "to",
    ["https://evil.example/", "//evil.example", "/console/..//evil.example", "/console\\@evil", "/consolex",
     "/v1/sequences", "javascript:alert(1)", "/console\r\nSet-Cookie: a=b", "/console/%0d%0a", "", "\u202e",
     "/console//evil"],
)  # fmt: skip
def test_signing_in_leads_to_no_other_place(installation: Path, browse: Open, to: str) -> None:
    key = new_key(installation)
    browser = browse(installation)
    answer = browser.post("/console/sign-in", data={"key": key, "to": to}, headers=OWN)
    assert answer.status_code == 303
    place = answer.headers["location"]
    assert place == "/console" or (place == to == "/console/%0d%0a")
    assert len(answer.headers.get_list("set-cookie")) == 1


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://testserver.local.evil.example"}, 403),
        ({"Origin": "http://evil.example/?http://testserver.local"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://testserver.local"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://testserver.local"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://in.front.of.a.proxy"}, 303),
        (OWN, 303),
    ],
)
def test_forms_of_other_sites_do_nothing(installation: Path, browse: Open, sent: dict[str, str], status: int) -> None:
    key = new_key(installation)
    browser = browse(installation)
    sign_in(browser, key)
    for path in ("/console/theme", "/console/sign-in", "/console/sign-out"):
        answer = browser.post(path, data={"key": key, "theme": "dark"}, headers=sent)
        assert answer.status_code == status, path
        assert ("set-cookie" in answer.headers) == (status == 303)


def test_no_log_has_a_key_or_a_session(installation: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    key, log = new_key(installation), tmp_path / "access.log"
    settings = replace(settings_for(installation), access_log=str(log), logging_level="debug")
    with TestClient(create_app(settings), raise_server_exceptions=False) as browser:
        browser.follow_redirects = False
        cookie = sign_in(browser, key)
        browser.post("/console/sign-in", data={"key": key[:-1] + "!"}, headers=OWN)
        browser.get(f"/console?key={key}")  # somebody's mistake
        browser.get("/console", headers={"Cookie": f"{PLAIN_COOKIE}={key}"})
        browser.post("/console/sign-in", content=b"\xff\xfe" + key.encode(), headers=OWN)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    said = log.read_text() + "".join(capfd.readouterr())
    assert key.rpartition("_")[2][:-1] not in said
    assert cookie.partition("=")[2].partition(";")[0].rpartition(".")[2] not in said
    first = next(line for line in lines if line.get("route"))
    assert (first["method"], first["route"], first["status"]) == ("POST", "/console/sign-in", 303)
    assert first["key"] == id_of(key.encode())
    assert [line["refused"] for line in lines if line["status"] == 401] == ["not a key", "no session", "not a key"]


def test_whoever_has_no_key_sends_little(installation: Path, browse: Open) -> None:
    browser = browse(installation)
    answer = browser.post("/console/sign-in", content=b"key=" + b"x" * 5_000, headers=OWN)
    assert answer.status_code == 413
    assert "text/html" in answer.headers["content-type"]
