"""User ids in paths: any text, as long as it is percent-encoded."""

from urllib.parse import quote

import pytest
from litestar import Litestar
from litestar.testing import TestClient

Client = TestClient[Litestar]
USERS = "/v1/sequences/household_history/users"


@pytest.mark.parametrize(
    "user", ["a/b", "a//", "/", "a b+c", "é🛒", "100%", "a?b#c", "schema", "explain", "_", "%2F", "a\n"]
)
def test_any_text_is_a_user(client: Client, user: str) -> None:
    response = client.get(f"{USERS}/{quote(user, safe='')}")
    assert response.status_code == 200
    assert response.json()["user_id"] == user


def test_users_with_and_without_a_slash_are_two(client: Client) -> None:
    assert client.get(f"{USERS}/1146").json()["length"] > 0
    assert client.get(f"{USERS}/1146%2F").json()["length"] == 0


def test_what_is_not_utf_8_is_no_user(client: Client) -> None:
    problem = client.get(f"{USERS}/%FF").json()
    assert (problem["status"], problem["field"], problem["title"]) == (400, "user_id", "Bad user id")


@pytest.mark.parametrize("path", ["/v1%2Fsequences", "/%2Fhealthz", "/docs%2F..%2Fv1%2Fstatus", f"{USERS}%2F1146"])
def test_a_slash_that_is_encoded_leads_to_no_other_route(client: Client, path: str) -> None:
    assert client.get(path, headers={"Authorization": ""}).status_code in {401, 404}
    assert client.get(path).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/v1/sequences/household_history//users/1146",
        "//v1/sequences/household_history/users/1146",
        "/v1/sequences//household_history/users/1146",
        "/v1/sequences//users/1146",
        f"{USERS}//1146",
        f"{USERS}/1146//",
        f"{USERS}/1146//explain?event_id=x",
        "/v1//sequences/household_history/schema",
        "/v1//status",
        "//healthz",
    ],
)
def test_two_slashes_lead_nowhere(client: Client, path: str) -> None:
    response = client.get(f"http://testserver.local{path}")
    assert (response.status_code, response.headers["content-type"]) == (404, "application/problem+json")
    assert response.json()["fix"] == "write one slash; one that belongs to a user id is %2F"


def test_a_slash_at_the_end_changes_nothing(client: Client) -> None:
    assert client.get(f"{USERS}/1146/?limit=1").json()["user_id"] == "1146"


def test_two_slashes_of_a_query_string_are_text(client: Client) -> None:
    assert client.get(f"{USERS}/1146?limit=1&where=event_id!='a//b'").status_code == 200
