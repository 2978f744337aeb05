"""``GET .../explain``: the same explanation over HTTP, for those who may read the sequence."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args
from urllib.parse import quote

import polars as pl
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from seqplat_resources.explain.account.model import StepName
from serving.access.keys.ring import Grant
from serving.api.parameters import DEADLINE_HEADER
from serving.api.schemas import StepEntry
from serving.http.app import create_app
from tests.conftest import DEMO_DATA
from tests.serving.conftest import FIRST, Start, settings_for
from tests.serving.keys import new_headers

Client = TestClient[Litestar]
Headers = dict[str, str]
HOUSEHOLD = "1146"
BASE = "/v1/sequences/household_history/users"
# A busy machine may take longer than the second that is the default.
PATIENT = {DEADLINE_HEADER: "30000"}


def ask(
    client: Client, event_id: str, *, user: str = HOUSEHOLD, name: str = "household_history", **more: str
) -> dict[str, Any]:
    response = client.get(
        f"/v1/sequences/{name}/users/{user}/explain",
        params={"event_id": event_id, **more},
        headers=PATIENT,
    )
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def answered(client: Client) -> list[tuple[str, str]]:
    columns = client.get(f"{BASE}/{HOUSEHOLD}?columns=event_type,event_id").json()["columns"]
    return list(zip(columns["event_type"], columns["event_id"], strict=True))


def test_an_event_of_the_answer_is_explained_at_its_position(client: Client) -> None:
    events = answered(client)
    for place in (0, len(events) - 1):
        event_type, event_id = events[place]
        found = ask(client, event_id)
        assert found["event"]["event_type"] == event_type
        assert found["verdict"]["code"] == "in_answer"
        assert f"at position {place + 1}, from published history" in found["verdict"]["text"]
        assert found["sequence"] == "household_history"
        names = [step["name"] for step in found["steps"]]
        assert names[0] == "raw"
        assert names[-1] == "answer"
        assert "enriched" in names or event_type != "purchase"


def test_a_filtered_row_is_explained_with_its_values(client: Client) -> None:
    rows = pl.read_parquet(DEMO_DATA / "transactions.parquet").filter(
        (pl.col("quantity") == 0) & (pl.col("transaction_timestamp").dt.date() == FIRST)
    )
    row = rows.row(0, named=True)
    found = ask(client, f"{row['basket_id']}~{row['product_id']}", user=str(row["household_id"]), day=str(FIRST))
    assert found["verdict"]["code"] == "filtered"
    [step] = [step for step in found["steps"] if step["name"] == "filtered"]
    assert step["facts"]["filter"] == "quantity > 0"
    assert step["facts"]["values"] == {"quantity": "0"}


def test_an_event_nobody_has_seen_is_no_error(client: Client) -> None:
    found = ask(client, "1~2")
    assert found["verdict"]["code"] == "never_seen"
    assert found["event"] == {"user_id": HOUSEHOLD, "event_id": "1~2", "event_type": None, "day": None}


@pytest.fixture(scope="module")
def keyed(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Headers, Headers]]:
    """The API with a lake, and the headers of a partner who may read one sequence and of a stranger who may none."""
    home = Path(shutil.copytree(published, tmp_path_factory.mktemp("explained") / "home"))
    partner = new_headers(home, "partner", grants={"household_history": Grant("grocery")}, roles=("reader",))
    stranger = new_headers(home, "stranger", roles=("reader",))
    with TestClient(create_app(settings_for(home)), raise_server_exceptions=False) as running:
        yield running, partner, stranger


def test_event_types_of_other_sequences_of_the_caller_are_told_and_no_others(
    client: Client, keyed: tuple[Client, Headers, Headers]
) -> None:
    discounts = client.get(f"/v1/sequences/purchase_vectors/users/{HOUSEHOLD}?columns=event_type,event_id").json()
    event_id = next(
        each
        for kind, each in zip(discounts["columns"]["event_type"], discounts["columns"]["event_id"], strict=True)
        if kind == "discount"
    )
    assert ask(client, event_id)["verdict"]["code"] == "not_in_sequence"
    running, partner, _ = keyed
    response = running.get(f"{BASE}/{HOUSEHOLD}/explain", params={"event_id": event_id}, headers={**partner, **PATIENT})
    assert response.json()["verdict"]["code"] == "never_seen"
    assert "discount" not in response.text.replace(event_id, "")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "event_id"),
        ("?event_id=1&day=yesterday", "day"),
        ("?event_id=1&event=2", "event"),
        ("?event_id=1&event_type=purchse", "event_type"),
    ],
)
def test_bad_requests_name_the_parameter(client: Client, query: str, field: str) -> None:
    response = client.get(f"{BASE}/{HOUSEHOLD}/explain{query}")
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["field"] == field


def test_what_was_not_read_before_the_deadline_is_said(client: Client) -> None:
    url = f"{BASE}/{HOUSEHOLD}/explain?event_id=1~2"
    response = client.get(url, headers={"X-Deadline-Ms": "1"})
    assert response.status_code == 200
    found = response.json()
    assert found["verdict"]["code"] == "not_known"
    assert "time ran out" in found["verdict"]["text"]
    assert any("because time ran out" in step["said"] for step in found["steps"])
    for nothing in ("soon", ""):
        response = client.get(url, headers={"X-Deadline-Ms": nothing})
        assert (response.status_code, response.json()["field"]) == (400, "X-Deadline-Ms")


def test_who_may_not_read_the_sequence_gets_no_explanation(
    client: Client, keyed: tuple[Client, Headers, Headers]
) -> None:
    running, _, stranger = keyed
    assert running.get(f"{BASE}/{HOUSEHOLD}/explain?event_id=1", headers=stranger).status_code == 404
    assert running.get(f"{BASE}/{HOUSEHOLD}/explain?event_id=1").status_code == 401
    assert client.get("/v1/sequences/nothing/users/1/explain?event_id=1").status_code == 404


def test_a_user_id_with_a_slash_is_one_user(client: Client) -> None:
    assert ask(client, "1", user=quote("a/b", safe=""))["event"]["user_id"] == "a/b"


def test_without_a_lake_the_online_store_still_answers(home: Path, start: Start) -> None:
    client = start(home)
    _, event_id = answered(client)[0]
    found = ask(client, event_id)
    assert found["verdict"]["code"] == "in_answer"
    assert found["steps"][0]["outcome"] == "not known here"
    assert str(home) not in str(found)


def test_the_steps_documented_are_all_there_are() -> None:
    described = str(StepEntry.__annotations__["name"])
    assert all(name in described for name in get_args(StepName))


@pytest.mark.parametrize(
    ("query", "kind", "field", "detail"),
    [
        ("event_id=1&event_id=2", "bad-parameter", "event_id", "event_id is there twice"),
        ("event_id=1&day=2017-12-03&day=2017-12-03", "bad-parameter", "day", "day is there twice"),
        ("event_id=%ff", "bad-parameter", "event_id", "event_id: it is not UTF-8, percent-encoded"),
        ("event_id=", "bad-parameter", "event_id", "event_id is missing or empty"),
        ("", "bad-parameter", "event_id", "event_id is missing or empty"),
        ("event_id=1&event=2", "unknown-parameter", "event", "there is no query parameter 'event'"),
    ],
)
def test_parameters_are_checked_as_those_of_sequences(
    client: Client, query: str, kind: str, field: str, detail: str
) -> None:
    response = client.get(f"{BASE}/{HOUSEHOLD}/explain?{query}")
    found = response.json()
    assert (response.status_code, found["type"].rpartition(":")[2]) == (400, kind)
    assert (found["field"], found["detail"]) == (field, detail)
