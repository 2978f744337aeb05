"""Which requests wait for each other."""

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from seqplat_resources.release.collapse_plan import CollapsePlan
from seqplat_resources.release.query import Query, TopK
from sequence_defs.schema import Collapse
from serving.access.caller import Access, Caller
from serving.admission.lanes import is_short, lane_of
from serving.follow.release import Follower

PURCHASES = "/v1/sequences/household_history"


def lane(client: TestClient[Litestar], path: str, query: str = "") -> str:
    follower: Follower = client.app.state["follower"]
    access: Any = Access.__new__(Access)
    access._plans = (follower.serving, follower.serving.plans)
    scope: Any = {
        "path": path.replace("%2F", "/"),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "litestar_app": client.app,
        "state": {"caller": Caller(access)},
    }
    return lane_of(scope)


@pytest.mark.parametrize(
    ("path", "query", "expected"),
    [
        (f"{PURCHASES}/users/1146", "", "short"),
        (f"{PURCHASES}/users/1146", "limit=5000", "short"),  # the sequence has 500 events
        (f"{PURCHASES}/users/1146", "limit=-1", "short"),  # refused
        (f"{PURCHASES}/users/1146", "where=quantity+%3E+1", "long"),
        (f"{PURCHASES}/users/1146", "as_of=2017-11-20T00:00:00Z", "explain"),  # reads the lake
        (f"{PURCHASES}/users/1146", "as_of=2017-11-20T00:00:00Z&where=quantity+%3E+1", "explain"),
        ("/v1/sequences/nothing/users/1146", "", "short"),
        (f"{PURCHASES}/users/batch", "", "short"),
        (f"{PURCHASES}/users/a%2Fexplain", "", "short"),
        (f"{PURCHASES}/batch", "", "long"),
        ("/v1//sequences/household_history//batch/", "", "long"),
        (f"{PURCHASES}/users/1146/explain", "event_id=1", "explain"),
        (f"{PURCHASES}/users/a%2Fb/explain/", "event_id=1", "explain"),
        (f"{PURCHASES}/schema", "", "short"),
        ("/v1/status", "", "short"),
        ("/console", "owner=a", "console"),
        ("/console//migration/", "", "console"),
        ("/console/static/console.css", "", "short"),
        ("/consoles/batch", "", "long"),
        ("/", "", "short"),
    ],
)
def test_the_request_tells_its_lane(client: TestClient[Litestar], path: str, query: str, expected: str) -> None:
    assert lane(client, path, query) == expected


@pytest.mark.parametrize(
    ("length", "query", "expected"),
    [
        (1000, Query(), True),
        (1001, Query(), False),
        (None, Query(), False),
        (None, Query(limit=1000), True),
        (1001, Query(limit=1000), True),
        (10, Query(as_of=dt.datetime(2017, 11, 20, tzinfo=dt.UTC)), False),
        (None, Query(limit=10, top_k=TopK("product_vector", (1.0,), 10)), False),  # it looks at all of them
    ],
)
def test_more_than_a_thousand_events_are_long(
    client: TestClient[Litestar], length: int | None, query: Query, expected: bool
) -> None:
    follower: Follower = client.app.state["follower"]
    plan = follower.serving.plan("household_history")
    plan = replace(plan, definition=plan.definition.model_copy(update={"length": length}))
    assert is_short(plan, query) is expected


def test_rows_of_several_events_are_long(client: TestClient[Litestar]) -> None:
    """How many events are read for ten of them nobody knows."""
    follower: Follower = client.app.state["follower"]
    plan = follower.serving.plan("household_history")
    collapse = CollapsePlan(Collapse(by=("product_id",), within_s=60, actions=("purchase",)), {})
    assert not is_short(replace(plan, collapse=collapse), Query(limit=10))
