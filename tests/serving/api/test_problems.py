"""What callers are told when something is wrong, word for word."""

import errno
import re
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from seqplat_resources.errors import Retryable
from seqplat_resources.lake.damage import LogDamaged
from seqplat_resources.online_store.errors import StoreDamagedError
from serving.api.problems import problem_of

Client = TestClient[Litestar]
USERS = "/v1/sequences/household_history/users"

GOLDEN: dict[str, dict[str, Any]] = {
    "/v1/sequences/household_histroy/users/1": {
        "type": "urn:seqplat:problem:unknown-sequence",
        "title": "Unknown sequence",
        "status": 404,
        "detail": "there is no sequence 'household_histroy'",
        "field": "name",
        "fix": "did you mean 'household_history'? Otherwise GET /v1/sequences lists them",
    },
    "/v1/sequences/nothing/schema": {
        "type": "urn:seqplat:problem:unknown-sequence",
        "title": "Unknown sequence",
        "status": 404,
        "detail": "there is no sequence 'nothing'",
        "field": "name",
        "fix": "use one of 'household_history', 'purchase_vectors', or GET /v1/sequences lists them",
    },
    f"{USERS}/1?columns=product_id,sale_value": {
        "type": "urn:seqplat:problem:unknown-column",
        "title": "Unknown column",
        "status": 400,
        "detail": "sequence 'household_history' has no column 'sale_value'",
        "field": "columns",
        "fix": "did you mean 'sales_value'? Otherwise GET /v1/sequences/household_history/schema lists them",
    },
    f"{USERS}/1?limit=0": {
        "type": "urn:seqplat:problem:bad-parameter",
        "title": "Bad parameter",
        "status": 400,
        "detail": "limit: it is below 1",
        "field": "limit",
        "fix": "send a whole number from 1 to 1000000, or leave it out",
    },
    f"{USERS}/1?limit=-1": {
        "type": "urn:seqplat:problem:bad-parameter",
        "title": "Bad parameter",
        "status": 400,
        "detail": "limit: it is below 1",
        "field": "limit",
        "fix": "send a whole number from 1 to 1000000, or leave it out",
    },
    f"{USERS}/1?%ff=1": {
        "type": "urn:seqplat:problem:bad-parameter",
        "title": "Bad parameter",
        "status": 400,
        "detail": "the query string: it is not UTF-8, percent-encoded",
        "fix": "percent-encode the bytes of UTF-8: %C3%A9 is é",
    },
    f"{USERS}/1/explain?event_id=1&day=foo": {
        "type": "urn:seqplat:problem:bad-parameter",
        "title": "Bad parameter",
        "status": 400,
        "detail": "day: it is no date",
        "field": "day",
        "fix": "send a day, as day=2017-12-01, or leave it out",
    },
    f"{USERS}/1/explain?event_id=1&event_id=2": {
        "type": "urn:seqplat:problem:bad-parameter",
        "title": "Bad parameter",
        "status": 400,
        "detail": "event_id is there twice",
        "field": "event_id",
        "fix": "send it once; lists are separated by commas",
    },
    "/v1/status?x=1": {
        "type": "urn:seqplat:problem:unknown-parameter",
        "title": "Unknown parameter",
        "status": 400,
        "detail": "there is no query parameter 'x'",
        "field": "x",
        "fix": "see /docs",
    },
    "/docs/nothing": {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "Nothing matches the given URI",
        "fix": "/docs lists all routes",
    },
    f"{USERS}/1?limit=ten": {
        "type": "urn:seqplat:problem:bad-parameter",
        "title": "Bad parameter",
        "status": 400,
        "detail": "limit: 'ten' is not a whole number",
        "field": "limit",
        "fix": "send a whole number from 1 to 1000000, or leave it out",
    },
    f"{USERS}/1?limt=3": {
        "type": "urn:seqplat:problem:unknown-parameter",
        "title": "Unknown parameter",
        "status": 400,
        "detail": "there is no query parameter 'limt'",
        "field": "limt",
        "fix": "did you mean 'limit'? Otherwise see /docs",
    },
    f"{USERS}/1?limit=3&limit=4": {
        "type": "urn:seqplat:problem:bad-parameter",
        "title": "Bad parameter",
        "status": 400,
        "detail": "limit is there twice",
        "field": "limit",
        "fix": "send it once; lists are separated by commas",
    },
    f"{USERS}/1?as_of=2017-12-01": {
        "type": "urn:seqplat:problem:bad-parameter",
        "title": "Bad parameter",
        "status": 400,
        "detail": "as_of: '2017-12-01' is no time with a time zone",
        "field": "as_of",
        "fix": "send RFC 3339 with a time zone, as as_of=2017-12-01T00:00:00Z; in a URL a + is written %2B",
    },
    f"{USERS}/1?since=2017-12-01T00:00:00+01:00": {
        "type": "urn:seqplat:problem:bad-parameter",
        "title": "Bad parameter",
        "status": 400,
        "detail": "since: '2017-12-01T00:00:00 01:00' is no time with a time zone",
        "field": "since",
        "fix": "send RFC 3339 with a time zone, as since=2017-12-01T00:00:00Z; in a URL a + is written %2B",
    },
    f"{USERS}/1?until=2017-02-31T00:00:00Z": {
        "type": "urn:seqplat:problem:bad-parameter",
        "title": "Bad parameter",
        "status": 400,
        "detail": "until: there is no time '2017-02-31T00:00:00Z'",
        "field": "until",
        "fix": "send RFC 3339 with a time zone, as until=2017-12-01T00:00:00Z; in a URL a + is written %2B",
    },
    f"{USERS}/1?since=2017-12-01T00:00:00Z&until=2017-11-01T00:00:00Z": {
        "type": "urn:seqplat:problem:bad-query",
        "title": "Bad query",
        "status": 400,
        "detail": "until: nothing is before 2017-11-01T00:00:00+00:00 and not before 2017-12-01T00:00:00+00:00",
        "field": "until",
        "fix": "give a time after since",
    },
    f"{USERS}/1?event_types=purchases": {
        "type": "urn:seqplat:problem:bad-query",
        "title": "Bad query",
        "status": 400,
        "detail": "event_types: sequence 'household_history' has no event type 'purchases'",
        "field": "event_types",
        "fix": "use purchase, coupon_redemption, campaign_received",
    },
    f"{USERS}/1?top_k=3": {
        "type": "urn:seqplat:problem:bad-parameter",
        "title": "Bad parameter",
        "status": 400,
        "detail": "top_k needs similar_to",
        "field": "similar_to",
        "fix": "send top_k, similar_to and vector together",
    },
    f"{USERS}/1?metric=dot": {
        "type": "urn:seqplat:problem:bad-parameter",
        "title": "Bad parameter",
        "status": 400,
        "detail": "metric is of no use without top_k",
        "field": "metric",
        "fix": "say with top_k how many events",
    },
    f"{USERS}/1?top_k=3&similar_to=sales_value&vector=1,2": {
        "type": "urn:seqplat:problem:bad-query",
        "title": "Bad query",
        "status": 400,
        "detail": "similar_to: column 'sales_value' is float64, not a vector",
        "field": "similar_to",
        "fix": "leave top_k out: this sequence has no vectors",
    },
    f"{USERS}/1?top_k=3&similar_to=x&vector=1,nan": {
        "type": "urn:seqplat:problem:bad-parameter",
        "title": "Bad parameter",
        "status": 400,
        "detail": "vector[1]: 'nan' is not a finite number",
        "field": "vector",
        "fix": "send finite numbers, as many as the column's vectors have",
    },
    f"{USERS}/{'9' * 300}": {
        "type": "urn:seqplat:problem:bad-user-id",
        "title": "Bad user id",
        "status": 400,
        "field": "user_id",
        "fix": "send the id that events carry, 1 to 256 bytes of UTF-8",
    },
    "/v2/nothing": {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "Nothing matches the given URI",
        "fix": "/docs lists all routes",
    },
}


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path[:60])
def test_problems_say_what_where_and_how_to_fix_it(client: Client, path: str) -> None:
    response = client.get(path)
    problem = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    assert problem.pop("instance") == path.split("?", maxsplit=1)[0]
    expected = {"detail": problem["detail"], **GOLDEN[path]}
    assert problem == expected
    assert response.status_code == problem["status"]


def test_where_that_does_not_compile_names_what_is_wrong(client: Client) -> None:
    problem = client.get(f"{USERS}/1", params={"where": "sale_value > 5"}).json()
    assert (problem["status"], problem["field"]) == (400, "where")
    assert "sale_value" in problem["detail"]
    assert problem["fix"]


@pytest.mark.parametrize(
    ("body", "detail", "field", "fix"),
    [
        ("{}", "users is missing", "users", 'send a list of user ids as text, as {"users": ["1995"]}'),
        ("[]", "the body: it is a list, not an object", None, "send a JSON object as /docs describes it"),
        (
            '{"users": ["1"], "colums": []}',
            "there is no field 'colums'",
            "colums",
            "did you mean 'columns'? Otherwise see /docs",
        ),
        (
            '{"users": ["1"], "columns": "event_time"}',
            "columns: it is text, not a list",
            "columns",
            'send a list of names, as {"columns": ["event_time"]}; the sequence\'s schema lists them',
        ),
        (
            '{"users": ["1"], "since": 1512000000}',
            "since: it is a whole number, not text",
            "since",
            'send RFC 3339 with a time zone, as {"since": "2017-12-01T00:00:00Z"}',
        ),
        (
            '{"users": [1995]}',
            "users[0]: it is a whole number, not text",
            "users",
            'send a list of user ids as text, as {"users": ["1995"]}',
        ),
        (
            f'{{"users": ["1"], "where": "{"x" * 4001}"}}',
            "where: it is longer than 4000",
            "where",
            "send an SQL expression of 1 to 4000 characters",
        ),
    ],
)
def test_bodies_are_refused_in_words_of_json(
    client: Client, body: str, detail: str, field: str | None, fix: str
) -> None:
    problem = client.post("/v1/sequences/household_history/batch", content=body).json()
    assert (problem["status"], problem["detail"], problem.get("field"), problem["fix"]) == (400, detail, field, fix)


def test_a_body_that_is_too_large_blames_no_field(client: Client) -> None:
    body = f'{{"users": ["1"], "where": "{"x" * 4_000_000}"}}'
    problem = client.post("/v1/sequences/household_history/batch", content=body).json()
    assert (problem["status"], problem.get("field")) == (413, None)
    assert "a shorter where" in problem["fix"]


@pytest.mark.parametrize("path", [f"{USERS}/{'9' * 7000}", f"/v1/sequences/{'x' * 7000}/schema", f"/{'y' * 7000}"])
def test_what_was_sent_does_not_come_back_whole(client: Client, path: str) -> None:
    assert len(client.get(path).content) < 2_000


def test_metrics_have_one_charset(client: Client) -> None:
    assert client.get("/metrics").headers["content-type"].count("charset") == 1


def test_a_query_longer_than_proxies_let_pass_is_refused(client: Client) -> None:
    response = client.get(f"{USERS}/1", params={"columns": "x" * 61_000})
    assert response.status_code == 414
    assert "POST" in response.json()["fix"]


@pytest.mark.parametrize("given", ["0", "100000", "1.5", "soon", "-1"])
def test_a_deadline_is_milliseconds(client: Client, given: str) -> None:
    problem = client.get(f"{USERS}/1", headers={"X-Deadline-Ms": given}).json()
    assert (problem["status"], problem["field"]) == (400, "X-Deadline-Ms")
    assert problem["fix"] == "send milliseconds, or leave it out"


def test_another_method_is_refused_with_those_there_are(client: Client) -> None:
    response = client.post("/v1/sequences")
    assert response.status_code == 405
    assert response.json()["title"] == "Method Not Allowed"
    assert response.json()["fix"] == "use GET; /docs lists all routes"
    assert "GET" in response.headers["allow"]


def test_what_may_pass_by_itself_is_503() -> None:
    problem = problem_of(Retryable("the lease is held"))
    assert (problem.status, problem.title) == (503, "Try again")
    assert "lease" not in problem.detail  # that is for the log


def test_a_damaged_store_is_503_and_told_to_the_log_alone() -> None:
    problem = problem_of(StoreDamagedError("an epoch", where="the online store, under b'e'", fix="restore it"))
    assert (problem.status, problem.title) == (503, "Store damaged")
    assert problem.detail == "what the online store keeps of its data is damaged"
    assert problem.fix == "report the request id; the server's log says what to repair"


def test_a_damaged_lake_and_a_full_disk_say_nothing_of_the_inside() -> None:
    damaged = LogDamaged("lake/raw/clicks", "/data/lake/raw/clicks/_delta_log/7.json", "it is empty", "restore it")
    for error in (damaged, FileNotFoundError("No such file: /data/lake/raw/clicks/part.parquet")):
        problem = problem_of(error)
        assert (problem.status, problem.title, "/data" in str(problem)) == (503, "Store damaged", False)
    problem = problem_of(OSError(errno.ENOSPC, "No space left on device", "/data/usage"))
    assert (problem.status, problem.title, "/data" in str(problem)) == (503, "Try again", False)


@pytest.mark.parametrize("given", ["abc-123", "x" * 128])
def test_a_request_id_is_echoed(client: Client, given: str) -> None:
    assert client.get("/healthz", headers={"X-Request-Id": given}).headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "two words", "x" * 129, "é"])
def test_a_request_id_that_could_break_a_log_line_is_replaced(client: Client, given: str) -> None:
    headers = {"X-Request-Id": given.encode()} if given else {}
    answered = client.get("/nowhere", headers=headers).headers["x-request-id"]  # type: ignore[arg-type]
    assert re.fullmatch("[0-9a-f]{16}", answered)
