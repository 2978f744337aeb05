"""What is counted of requests, and how Prometheus gets to see it."""

import time
from collections.abc import Iterable
from typing import Any, cast

import pytest
from litestar.types import Scope
from prometheus_client.metrics_core import Metric

from serving.api.notes import note_answer, note_problem
from serving.metrics import Cells, LoadCounts, RequestCounts
from serving.metrics.exposition import request_metrics

ROUTE = "/v1/sequences/{name}/users/{user_id}"


def scope(route: str | None = ROUTE) -> Scope:
    made: dict[str, Any] = {"type": "http", "state": {}, "path": "/v1/sequences/a/users/secret-user"}
    return cast("Scope", made | ({"path_template": route} if route else {}))


def samples(metrics: Iterable[Metric]) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """Values by name and sorted labels."""
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for metric in metrics:
        for sample in metric.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def labels(**given: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(given.items()))


def test_an_answer_is_counted_by_route_status_and_format() -> None:
    cells = Cells()
    counts = RequestCounts(cells)
    one = scope()
    note_answer(one, events=100, corrupt_blocks=2, degraded=True)
    counts.count(one, 200, b"application/json", seconds=0.003, size=9000)
    counts.count(scope(), 200, b"application/json; charset=utf-8", seconds=0.3, size=90)
    counts.count(scope(), 200, b"application/vnd.apache.arrow.stream", seconds=0.001, size=1)
    found = samples(request_metrics(cells.everybody()))
    key = {"route": ROUTE, "status": "2xx", "format": "json"}
    seconds = found["seqplat_request_seconds_bucket"]
    assert seconds[labels(**key, le="0.0025")] == 0
    assert seconds[labels(**key, le="0.005")] == 1
    assert seconds[labels(**key, le="+Inf")] == 2
    assert found["seqplat_request_seconds_sum"][labels(**key)] == pytest.approx(0.303)
    assert found["seqplat_request_seconds_count"][labels(**key)] == 2
    assert found["seqplat_answer_bytes_sum"][labels(**key)] == 9090
    assert found["seqplat_request_seconds_count"][labels(**key | {"format": "arrow"})] == 1
    assert found["seqplat_answer_events_bucket"][labels(route=ROUTE, le="50.0")] == 0
    assert found["seqplat_answer_events_bucket"][labels(route=ROUTE, le="100.0")] == 1
    assert found["seqplat_answer_events_sum"][labels(route=ROUTE)] == 100
    assert found["seqplat_corrupt_blocks_total"][labels(route=ROUTE)] == 2
    assert found["seqplat_degraded_answers_total"][labels(route=ROUTE)] == 1


def test_errors_are_counted_by_kind_and_paths_that_do_not_exist_as_one_route() -> None:
    cells = Cells()
    counts = RequestCounts(cells)
    for _ in range(2):
        asked = scope(route=None)
        note_problem(asked, "http-404")
        counts.count(asked, 404, b"application/problem+json", seconds=0.001, size=100)
    found = samples(request_metrics(cells.everybody()))
    assert found["seqplat_problems_total"] == {labels(kind="http-404"): 2}
    assert found["seqplat_request_seconds_count"] == {labels(route="unknown", status="4xx", format="problem"): 2}


def test_no_label_holds_what_a_caller_wrote() -> None:
    cells = Cells()
    counts = RequestCounts(cells)
    counts.count(scope(), 200, b"application/json", seconds=0.001, size=1)
    assert "secret-user" not in str(samples(request_metrics(cells.everybody())))


def test_load_is_counted() -> None:
    cells = Cells()
    load, lane = LoadCounts(cells, "long"), labels(lane="long")
    LoadCounts(cells, "short").now(1, 2)
    load.now(3, 7)
    load.waited(0.02)
    load.shed("queue_full")
    load.shed("queue_full")
    found = samples(request_metrics(cells.everybody()))
    assert found["seqplat_requests_under_way"] == {lane: 3, labels(lane="short"): 1}
    assert found["seqplat_requests_queued"] == {lane: 7, labels(lane="short"): 2}
    assert found["seqplat_requests_shed_total"] == {labels(lane="long", reason="queue_full"): 2}
    assert found["seqplat_queue_seconds_count"] == {lane: 1, labels(lane="short"): 0}
    assert found["seqplat_workers"] == {(): 1}


def test_counting_a_request_costs_a_few_microseconds() -> None:
    """1.4 us on the machine it was written on; the bound is for a busy one, and for a mistake that costs ten times."""
    counts, asked = RequestCounts(Cells()), scope()
    note_answer(asked, events=100)
    best = min(_seconds_of(counts, asked) for _ in range(10))
    assert best / 1000 < 15e-6


def _seconds_of(counts: RequestCounts, asked: Scope) -> float:
    began = time.perf_counter()
    for _ in range(1000):
        counts.count(asked, 200, b"application/json", seconds=0.003, size=9000)
    return time.perf_counter() - began
