"""ETags: an answer that still holds is not made again, and one that might not hold is."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from serving import answering
from tests.serving.conftest import Start

Client = TestClient[Litestar]
PATH = "/v1/sequences/household_history/users/1146"


def _tag(client: Client, query: str = "", **headers: str) -> str:
    tag: str = client.get(f"{PATH}{query}", headers=headers).headers["etag"]
    assert re.fullmatch(r'W/"[0-9a-f]{24}"', tag)
    return tag


def test_an_answer_the_caller_has_is_not_read_again(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    tag = _tag(client)

    def read(*_: object, **__: object) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr(answering, "answer", read)
    for known in (tag, tag.removeprefix("W/"), f'"other", {tag}'):
        response = client.get(PATH, headers={"If-None-Match": known})
        assert response.status_code == 304
        assert response.content == b""
        assert response.headers["etag"] == tag
        assert response.headers["cache-control"] == "private, no-cache"
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


def test_users_have_tags_of_their_own(client: Client) -> None:
    other = client.get("/v1/sequences/household_history/users/nobody").headers["etag"]
    assert other.startswith('W/"')


def test_a_publication_makes_another_tag(home: Path, start: Start) -> None:
    client = start(home)
    before = _tag(client)
    command = [sys.executable, "-m", "serving.cli", "epochs", "purchase", "--back-to", "1"]
    environment = {**os.environ, "SEQPLAT_HOME": str(home)}  # another process, because this one has the store open
    subprocess.run(command, env=environment, check=True, capture_output=True)
    assert client.get(PATH, headers={"If-None-Match": before}).status_code == 200
    assert _tag(client) != before


def test_headers_say_what_meta_says(client: Client) -> None:
    response = client.get(PATH)
    meta, headers = response.json()["meta"], response.headers
    assert headers["x-seqplat-release"] == meta["release"]
    assert headers["x-seqplat-epoch"] == "purchase=1, coupon_redemption=1, campaign_received=1"
    assert headers["x-seqplat-sealed-through"] == meta["sealed_through"]
    assert headers["x-seqplat-newest-event-time"] == meta["newest_event_time"]
    assert float(headers["x-seqplat-completeness"]) == pytest.approx(meta["completeness"], abs=1e-5)
    assert headers["x-seqplat-degraded"] == '"purchase: nothing streamed yet"'
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
