"""Answering a scrape: of the application, and of a store that does not answer."""

import asyncio
import datetime as dt
import threading
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from serving.follow.checks import ChecksFollower
from serving.follow.release import Follower
from serving.metrics import Cells, Scrapes
from tests.serving.conftest import Start, settings_for

Client = TestClient[Litestar]


def values(text: str) -> dict[tuple[str, str], float]:
    """By name and event type."""
    return {
        (sample.name, sample.labels.get("event_type", "")): sample.value
        for metric in plain(text)
        for sample in metric.samples
    }


def test_the_state_of_the_store_is_told_by_event_type(client: Client) -> None:
    found = values(client.get("/metrics").text)
    assert found["seqplat_store_up", ""] == 1
    assert found["seqplat_store_bytes", ""] > 10_000
    status = client.get("/v1/status").json()["event_types"]
    for name, state in status.items():
        assert found["seqplat_epoch", name] == state["epoch"]
        assert found["seqplat_published_days", name] == state["days"] == 3
        assert found["seqplat_published_events", name] == state["rows"]
        end = dt.datetime(2017, 11, 16, tzinfo=dt.UTC).timestamp()
        assert found["seqplat_sealed_through_timestamp_seconds", name] == end
        assert found["seqplat_now_view_batches", name] == 0
        assert found["seqplat_now_view_oldest_age_seconds", name] == 0
    promised = client.get("/v1/sequences").json()["sequences"]
    (shares,) = {entry["freshness"]["completeness"] for entry in promised}
    assert found["seqplat_completeness", "purchase"] == shares == 3 / 42, "the demo promises 42 days"


def test_the_release_is_told(client: Client) -> None:
    (metric,) = [each for each in plain(client.get("/metrics").text) if each.name == "seqplat_release_info"]
    (sample,) = metric.samples
    release = client.get("/v1/status").json()["release"]["id"]
    assert sample.labels == {"release": release[:12], "channel": "dev", "version": "0.1.0"}


def test_a_release_that_cannot_be_loaded_is_told(home: Path, start: Start) -> None:
    client = start(home)
    assert values(client.get("/metrics").text)["seqplat_release_load_failing", ""] == 0
    (home / "channels" / "dev" / "000000000002.json").write_text("not json")
    found: dict[tuple[str, str], float] = {}
    while not found.get(("seqplat_release_load_failing", "")):
        found = values(client.get("/metrics").text)
    assert found["seqplat_release_load_failures_total", ""] == 1


def test_processes_are_told_with_the_usual_names(client: Client) -> None:
    found = values(client.get("/metrics").text)
    assert found["process_resident_memory_bytes", ""] > 10_000_000
    assert found["process_cpu_seconds_total", ""] > 0


def test_openmetrics_where_it_is_asked_for(client: Client) -> None:
    answer = client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    names = {metric.name for metric in openmetrics(answer.text)}
    assert {"seqplat_request_seconds", "seqplat_problems", "seqplat_release"} <= names


def test_errors_and_unknown_paths_are_counted(home: Path, start: Start) -> None:
    client = start(home)
    client.get("/v1/sequences/nothing/schema")
    client.get("/nowhere")
    client.get("/v1/sequences", headers={"Authorization": "Bearer sp_no_no"})
    found = {
        sample.labels["kind"]: sample.value
        for metric in plain(client.get("/metrics").text)
        for sample in metric.samples
        if sample.name == "seqplat_problems_total"
    }
    assert found == {"unknown-sequence": 1, "http-404": 1, "unauthenticated": 1}


def test_a_server_that_is_not_ready_has_metrics(tmp_path: Path, start: Start) -> None:
    assert values(start(tmp_path).get("/metrics").text)["seqplat_store_up", ""] == 0


class _Stuck:
    """A store that never answers."""

    def __init__(self) -> None:
        self.calls, self.released = 0, threading.Event()

    def stats(self) -> Any:
        self.calls += 1
        self.released.wait(60)
        raise OSError("it was away")


def test_a_store_that_does_not_answer_costs_its_own_metrics_only(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = Follower(settings_for(published))
    follower.refresh()
    stuck = _Stuck()
    follower.close()
    monkeypatch.setattr(follower, "_store", stuck)
    board = ChecksFollower(follower)
    scrapes = Scrapes(Cells(), follower, board, version="0", patience_s=0.05)

    async def three() -> list[dict[tuple[str, str], float]]:
        found = [values((await scrapes.answer(""))[0].decode()) for _ in range(2)]
        stuck.released.set()
        return [*found, values((await scrapes.answer(""))[0].decode())]

    try:
        found = asyncio.run(three())
    finally:
        stuck.released.set()
    assert [each["seqplat_store_up", ""] for each in found] == [0, 0, 0]
    assert all(("seqplat_workers", "") in each for each in found)
    assert stuck.calls <= 2  # the second scrape waited for the first's reading
