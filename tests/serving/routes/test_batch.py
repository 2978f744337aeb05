"""Many users' sequences at once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from seqplat_resources.home import Home
from serving.admission.limits import body_bytes
from serving.http.app import create_app
from serving.settings import Settings
from tests.serving.keys import new_headers

Client = TestClient[Litestar]
SEQUENCE = "/v1/sequences/household_history"
PATH = f"{SEQUENCE}/batch"
USERS = ["1146", "nobody", "718", "1146"]


def test_users_come_in_the_order_asked_each_as_often_as_asked(client: Client) -> None:
    answer = client.post(PATH, json={"users": USERS}).json()
    assert list(answer) == ["sequence", "users", "meta"]
    assert [user["user_id"] for user in answer["users"]] == USERS
    assert answer["users"][0] == answer["users"][3]
    assert answer["users"][1]["length"] == 0


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"columns": ["sales_value", "event_time"], "limit": 2},
        {"event_types": ["purchase"]},
        {"since": "2017-11-14T00:00:00Z", "until": "2017-11-15T00:00:00Z"},
        {"where": "sales_value > 2"},
    ],
)
def test_each_user_has_what_a_request_for_them_alone_gives(client: Client, asked: dict[str, Any]) -> None:
    answer = client.post(PATH, json={"users": USERS, **asked}).json()
    flat = {name: ",".join(value) if isinstance(value, list) else value for name, value in asked.items()}
    for user, found in zip(USERS, answer["users"], strict=True):
        alone = client.get(f"{SEQUENCE}/users/{user}", params=flat).json()
        assert found["columns"] == alone["columns"]
        assert found["length"] == alone["length"]
        assert found["newest_event_time"] == alone["meta"]["newest_event_time"]
    newest = [user["newest_event_time"] for user in answer["users"] if user["newest_event_time"]]
    assert answer["meta"]["newest_event_time"] == max(newest, default=None)
    assert answer["meta"]["epoch"] == alone["meta"]["epoch"]


def test_by_similarity(client: Client) -> None:
    asked = {"users": ["1146"], "top_k": 5, "similar_to": "product_vector", "vector": [1, 0, 0, 0, 0, 0, 0, 0.5]}
    answer = client.post("/v1/sequences/purchase_vectors/batch", json=asked).json()
    [user] = answer["users"]
    assert user["length"] > 0
    assert "similarity" in user["columns"]


PROBLEMS: dict[str, tuple[bytes, int, str | None, str]] = {
    "no JSON": (b'{"users": [', 400, None, "send a JSON object as /docs describes it"),
    "not UTF-8": (b'{"users": ["\xff"]}', 400, None, "send a JSON object as /docs describes it"),
    "no object": (b'["1146"]', 400, None, "send a JSON object as /docs describes it"),
    "no users": (b'{"limit": 3}', 400, "users", 'send a list of user ids as text, as {"users": ["1995"]}'),
    "empty users": (b'{"users": []}', 400, "users", 'send a list of user ids as text, as {"users": ["1995"]}'),
    "a number": (b'{"users": ["1", 2]}', 400, "users", 'send a list of user ids as text, as {"users": ["1995"]}'),
    "an empty id": (b'{"users": [""]}', 400, "users", 'send a list of user ids as text, as {"users": ["1995"]}'),
    "a long id": (b'{"users": ["%s"]}' % ("é" * 200).encode(), 400, "user_id", ""),
    "a bad limit": (b'{"users": ["1"], "limit": 0}', 400, "limit", ""),
    "a list that is text": (b'{"users": ["1"], "columns": "a,b"}', 400, "columns", ""),
    "an unknown column": (b'{"users": ["1"], "columns": ["sale_value"]}', 400, "columns", ""),
    "an infinite vector": (b'{"users": ["1"], "top_k": 1, "similar_to": "v", "vector": [1e999]}', 400, "vector", ""),
    "a bad time": (b'{"users": ["1"], "since": "yesterday"}', 400, "since", ""),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_body_that_cannot_be_answered_says_which_field_and_how_to_fix_it(client: Client, name: str) -> None:
    body, status, field, fix = PROBLEMS[name]
    response = client.post(PATH, content=body, headers={"Content-Type": "application/json"})
    problem = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    assert (response.status_code, problem.get("field")) == (status, field)
    assert problem["fix"].startswith(fix)
    assert problem["fix"]


def test_an_unknown_field_is_refused_with_the_nearest_there_is(client: Client) -> None:
    problem = client.post(PATH, json={"users": ["1"], "column": ["event_time"]}).json()
    assert (problem["status"], problem["field"]) == (400, "column")
    assert "columns" in problem["fix"]


def test_parameters_of_the_query_belong_into_the_body(client: Client) -> None:
    problem = client.post(f"{PATH}?limit=3", json={"users": ["1"]}).json()
    assert (problem["status"], problem["field"]) == (400, "limit")


@pytest.mark.parametrize("said", ["text/plain", "application/x-www-form-urlencoded", "nonsense"])
def test_a_body_that_says_it_is_something_else_is_refused(client: Client, said: str) -> None:
    response = client.post(PATH, content=b'{"users": ["1"]}', headers={"Content-Type": said})
    assert response.status_code == 415
    assert response.json()["field"] == "Content-Type"


def test_json_may_come_with_its_charset(client: Client) -> None:
    sent = {"Content-Type": "application/json; charset=utf-8"}
    assert client.post(PATH, content=b'{"users": ["1"]}', headers=sent).status_code == 200


@pytest.fixture
def small(home: Path) -> Iterator[Client]:
    """An API of which a request may want two users, and 700 events."""
    settings = Settings(Home(str(home), {}), max_users=2, max_events=700)
    sent = new_headers(home)
    with TestClient(create_app(settings)) as client:
        client.headers.update(sent)
        yield client


def test_too_many_users_are_refused_before_anything_is_read(small: Client) -> None:
    response = small.post(PATH, json={"users": ["1", "2", "3"], "limit": 1})
    problem = response.json()
    assert response.status_code == 413
    assert (problem["field"], problem["fix"]) == ("users", "send at most 2 at once")


def test_an_answer_that_could_be_too_large_is_refused_with_the_limit_that_is_not(small: Client) -> None:
    assert small.post(PATH, json={"users": ["1"]}).status_code == 200
    problem = small.post(PATH, json={"users": ["1", "2"]}).json()
    assert (problem["status"], problem["field"]) == (413, "limit")
    assert problem["detail"] == "2 users with up to 500 events each are more than the 700 events of one answer"
    assert problem["fix"] == "send a limit of at most 350, or fewer users"
    assert small.post(PATH, json={"users": ["1", "2"], "limit": 350}).status_code == 200


def test_a_body_larger_than_the_most_users_need_is_refused(small: Client, home: Path) -> None:
    size = body_bytes(Settings(Home(str(home), {}), max_users=2))
    body = b'{"users": ["1"]' + b" " * size + b"}"
    response = small.post(PATH, content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 413
    assert response.json()["title"] == "Too much"
