"""What browsers are told of every answer below /console, whoever gave it."""

from pathlib import Path

import pytest

from serving.console.layer import HEADERS, POLICY
from serving.console.rendering import FILES
from tests.serving.access.conftest import OTHER
from tests.serving.console.conftest import OWN, Open
from tests.serving.console.test_sign_in import sign_in
from tests.serving.keys import headers, new_key

STATUSES = [
    ("GET", "/console", 200),
    ("GET", "/console/", 200),
    ("HEAD", "/console", 200),
    ("OPTIONS", "/console", 204),
    ("DELETE", "/console", 405),
    ("PUT", "/console/migration", 405),
    ("GET", "/console/nothing", 404),
    ("GET", "/console//migration", 404),
    ("GET", "/console/%2e%2e/v1/status", 404),
    ("GET", "/console/checks/events/none/schema", 404),
    ("GET", "/console/checks/events/none/schema?day=tomorrow", 404),
    ("GET", "/console/checks/%3Cscript%3E/a/b", 404),
    ("GET", "/console/checks/a%2Fb/c/d", 404),
    ("GET", "/console/checks/%FF/a/b", 404),
    ("GET", "/console/incidents/none", 404),
    ("GET", "/console/event-types/none", 404),
    ("GET", "/console?status=green", 400),
    ("GET", "/console?owner=a&owner=b", 400),
    ("GET", "/console?owner=%FF", 400),
    ("GET", "/console?colour=red", 400),
    ("GET", "/console?page=0", 400),
    ("GET", "/console?page=-1", 400),
    ("GET", "/console?page=999999999999", 400),
    ("GET", "/console?page=%E2%82%81", 400),
    ("GET", "/console?page=99", 200),
    ("GET", "/console?owner=nobody&status=fail", 200),
    ("GET", "/console?incidents=some", 400),
    ("GET", "/console/migration?owner=a", 400),
    ("GET", "/console/static/none.css", 404),
    ("GET", "/console/static/.", 404),
    ("GET", "/console/static/..%2Flayer.py", 404),
    ("GET", "/console/sign-in", 303),
]


@pytest.mark.parametrize("is_known", [True, False], ids=["signed in", "unknown"])
def test_whatever_is_asked_is_answered_with_a_page_that_nobody_keeps(
    installation: Path, browse: Open, is_known: bool
) -> None:
    sent = headers(new_key(installation)) if is_known else {}
    browser = browse(installation)
    for method, path, status in STATUSES:
        answer = browser.request(method, path, headers={**OWN, **sent})
        is_open = "/static/" in path and path != "/console/static/."
        assert answer.status_code == (status if is_known or is_open else 401), path
        for name, value in HEADERS.items():
            assert answer.headers[name.decode()] == value.decode(), (path, name)
        assert "<script" not in answer.text.lower(), path
        assert 'href="//' not in answer.text, path
        if answer.status_code >= 400 and method != "HEAD":
            assert answer.headers["content-type"].startswith("text/html"), path
            assert "<h1>" in answer.text, path
        assert answer.headers["x-request-id"], path


def test_nothing_may_be_loaded_from_elsewhere_or_run() -> None:
    rules = dict(rule.split(" ", 1) for rule in POLICY.split("; "))
    assert rules.pop("default-src") == "'none'"
    assert "script-src" not in rules
    assert set(rules.values()) == {"'self'", "'self' data:", "'none'"}


def test_what_pages_load_is_kept_by_its_address(installation: Path, browse: Open) -> None:
    key = new_key(installation)
    browser = browse(installation)
    page = browser.get("/console", headers=headers(key)).text
    for name, media_type in FILES.items():
        place = page.partition(f"/console/static/{name}")
        assert place[1], name
        answer = browser.get(place[1] + place[2].partition('"')[0], headers={"Accept-Encoding": "gzip"})
        assert answer.status_code == 200
        assert answer.headers["content-type"] == media_type
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"


@pytest.mark.parametrize("coding", ["gzip", "zstd", "identity"])
def test_a_head_says_what_a_page_would(installation: Path, browse: Open, coding: str) -> None:
    sent = {**headers(new_key(installation)), "Accept-Encoding": coding}
    browser = browse(installation)
    page, head = (browser.request(method, "/console", headers=sent) for method in ("GET", "HEAD"))
    assert head.content == b""
    assert head.headers["content-length"] == page.headers["content-length"]
    assert page.headers.get("content-encoding", "identity") == coding


def test_the_switch_is_kept_in_the_browser(installation: Path, browse: Open) -> None:
    key = new_key(installation)
    browser = browse(installation)
    sign_in(browser, key)
    assert '<html lang="en" class="auto">' in browser.get("/console").text
    answer = browser.post("/console/theme", data={"theme": "dark", "to": "/console/migration"}, headers=OWN)
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/migration")
    assert '<html lang="en" class="dark">' in browser.get("/console").text
    assert browser.post("/console/theme", data={"theme": '"><script>'}, headers=OWN).status_code == 400
    odd = browser.get("/console", headers={"Cookie": 'seqplat-theme="><script>', **headers(key)})
    assert '<html lang="en" class="auto">' in odd.text


def test_a_quota_is_told_as_a_page(installation: Path, browse: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    from serving.access.keys.ring import Limits

    key = new_key(installation, OTHER, limits=Limits(requests_per_s=0.001, burst=1))
    browser = browse(installation)
    assert browser.get("/console", headers=headers(key)).status_code == 200
    refused = browser.get("/console", headers=headers(key))
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 1
    assert "<h1>Quota used</h1>" in refused.text


def test_an_installation_that_serves_nothing_yet_says_so(tmp_path: Path, browse: Open) -> None:
    home = tmp_path / "empty"
    key = new_key(home)
    answer = browse(home).get("/console", headers=headers(key))
    assert answer.status_code == 503
    assert "seqplat publish" in answer.text
