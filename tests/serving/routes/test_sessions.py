"""``GET /v1/sessions/NAME/users/USER``: what the command says, over HTTP, to whom it belongs."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from seqplat_resources.home import Home
from seqplat_resources.online_store.opening import open_online_store
from seqplat_resources.read.sessions import current_sessions
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.release.store import ReleaseStore
from seqplat_resources.release.view_plan import ViewPlan
from tests.docs.example_shop import build_shop
from tests.serving.conftest import Start
from tests.serving.keys import new_headers
from tests.shared_servers import built_once

VISIT = "/v1/sessions/visit/users"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    built = Path(built_once("example_shop", build_shop))
    return Path(shutil.copytree(built / "home", tmp_path / "home"))


def running(root: Path, start: Start) -> TestClient[Litestar]:
    sent = new_headers(root, tenant="shop")
    client = start(root)
    client.headers.update(sent)
    return client


def told(root: Path, user: str) -> list[dict[str, Any]]:
    """What the function behind the command says."""
    home = Home(str(root), {})
    loaded = ReleaseStore(home).load("dev")
    runtime, plan = Runtime(home, loaded, ""), ViewPlan.of(loaded, "sessions/visit")
    store = open_online_store(home, readonly=True)
    try:
        found = current_sessions(plan, plan.events_plan(loaded), store, user, clock=runtime.clock)
    finally:
        store.close()
    return found.sessions.to_dicts()


def test_it_is_what_the_command_says(root: Path, start: Start) -> None:
    wanted = {user: told(root, user) for user in ("ann", "bob", "nobody")}
    client = running(root, start)
    for user, sessions in wanted.items():
        found = client.get(f"{VISIT}/{user}")
        assert found.status_code == 200, found.text
        said = found.json()
        assert (said["view"], said["user_id"], said["whole"]) == ("visit", user, True)
        times = [[each.pop(name) for name in ("start_time", "end_time")] for each in said["sessions"]]
        ours = [
            [each.pop(name).strftime("%Y-%m-%dT%H:%M:%SZ") for name in ("start_time", "end_time")] for each in sessions
        ]
        assert (times, said["sessions"]) == (ours, sessions)
        assert {"epoch", "release", "completeness", "degraded"} <= said["meta"].keys()
    assert wanted["ann"]
    assert wanted["nobody"] == []


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        (f"{VISIT}/ann?limit=1", 400, "unknown-parameter"),
        ("/v1/sessions/vist/users/ann", 404, "unknown-view"),
        ("/v1/sessions/product/users/ann", 404, "unknown-view"),
        (f"{VISIT}/%ff", 400, "bad-user-id"),
        (f"{VISIT}/{'x' * 300}", 400, "bad-user-id"),
    ],
)
def test_what_cannot_be_answered_is_a_problem(root: Path, start: Start, path: str, status: int, kind: str) -> None:
    found = running(root, start).get(path)
    assert (found.status_code, found.json()["type"]) == (status, f"urn:seqplat:problem:{kind}")


def test_a_near_name_is_suggested(root: Path, start: Start) -> None:
    assert "visit" in running(root, start).get("/v1/sessions/vist/users/ann").json()["fix"]


def test_a_view_of_another_tenant_is_not_there(root: Path, start: Start) -> None:
    strange = new_headers(root, tenant="other")
    client = running(root, start)
    assert client.get(f"{VISIT}/ann").status_code == 200
    found = client.get(f"{VISIT}/ann", headers=strange)
    assert (found.status_code, "visit" in found.json()["fix"]) == (404, False)
    assert client.get(f"{VISIT}/ann", headers={"Authorization": ""}).status_code == 401
