"""Which form and which coding a request gets."""

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from serving.answers.encoding import COMPRESS_FROM_BYTES
from serving.answers.negotiation import NotAcceptable, coding_of, form_of

Client = TestClient[Litestar]
ARROW = "application/vnd.apache.arrow.stream"
PATH = "/v1/sequences/household_history/users/1146"
BATCH = "/v1/sequences/household_history/batch"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, "json"),
        ("", "json"),
        ("*/*", "json"),
        ("application/*", "json"),
        ("application/json", "json"),
        ("Application/JSON; charset=utf-8", "json"),
        (ARROW, "arrow"),
        (f"{ARROW};q=0.5, application/json;q=0.4", "arrow"),
        (f"application/json;q=0.9, {ARROW};q=0.9", "json"),
        (f"text/html, {ARROW};q=0.1", "arrow"),
        ("application/json;q=0, */*;q=0.1", "arrow"),
        (f"{ARROW};q=0, */*", "json"),
        ("text/html, */*;q=0.1", "json"),
        (f"application/*;q=0.2, {ARROW};q=0.3", "arrow"),
        ("application/json;q=7, */*;q=0.1", "arrow"),
    ],
)
def test_the_form_is_the_one_preferred(accept: str | None, expected: str) -> None:
    assert form_of(accept) == expected


@pytest.mark.parametrize("accept", ["text/csv", "application/json;q=0", "*/*;q=0", "image/*, text/*", "nonsense", ";"])
def test_another_form_is_not_to_be_had(accept: str) -> None:
    with pytest.raises(NotAcceptable):
        form_of(accept)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, "identity"),
        ("", "identity"),
        ("gzip", "gzip"),
        ("gzip, deflate, br", "gzip"),
        ("gzip, zstd", "zstd"),
        ("zstd;q=0.5, gzip;q=0.6", "gzip"),
        ("*", "zstd"),
        ("zstd;q=0, *", "gzip"),
        ("br", "identity"),
        ("identity, gzip;q=0.5", "identity"),
        ("gzip;q=0", "identity"),
        ("identity;q=0", "identity"),
        ("identity;q=0, gzip;q=0.001", "gzip"),
    ],
)
def test_the_coding_is_the_one_preferred(accept: str | None, expected: str) -> None:
    assert coding_of(accept) == expected


def test_what_cannot_be_given_is_a_problem_with_what_can(client: Client) -> None:
    response = client.get(PATH, headers={"Accept": "text/csv"})
    assert response.status_code == 406
    problem = response.json()
    assert (problem["title"], problem["field"]) == ("Not acceptable", "Accept")
    assert problem["fix"] == f"accept application/json or {ARROW}"


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_a_large_answer_is_compressed_as_asked(client: Client, coding: str) -> None:
    asked = {"users": ["1146"] * 20}
    plain = client.post(BATCH, json=asked, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert len(plain.content) >= COMPRESS_FROM_BYTES
    packed = client.post(BATCH, json=asked, headers={"Accept-Encoding": coding})
    assert packed.headers["content-encoding"] == coding
    assert int(packed.headers["content-length"]) < len(plain.content) / 2
    assert "Accept-Encoding" in packed.headers["vary"]
    if coding == "gzip":  # the other is not known to this client
        assert packed.json()["users"] == plain.json()["users"]


def test_a_small_answer_is_not_compressed(client: Client) -> None:
    answer = client.get(f"{PATH}?limit=1", headers={"Accept-Encoding": "gzip"})
    assert len(answer.content) < COMPRESS_FROM_BYTES
    assert "content-encoding" not in answer.headers


def test_a_header_that_is_there_twice_is_one_list(client: Client) -> None:
    sent = [("Accept", "text/csv"), ("Accept", ARROW), *client.headers.items()]
    answer = client.get(PATH, headers=[each for each in sent if each[1] != "*/*"])  # type: ignore[arg-type]
    assert answer.headers["content-type"] == ARROW
