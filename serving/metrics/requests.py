"""What is counted while requests are answered. Everything a request costs here is a lookup and a few additions.

>>> cells = Cells()
>>> answered = {"path_template": "/v1/sequences", "state": {}}
>>> RequestCounts(cells).count(answered, 200, b"application/json", seconds=0.002, size=900)
>>> [(series.name, series.labels) for process in cells.everybody() for series in process.series]
[('request', ('/v1/sequences', '2xx', 'json'))]
"""

from bisect import bisect_left
from typing import Final

from litestar.types import Scope

from serving.api.notes import ANSWER, PROBLEM
from serving.metrics.cells import Cells

# Upper bounds of the buckets, inclusive; an answer takes 1 to 50 ms, a shed request less than one.
SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.015, 0.025, 0.04, 0.06, 0.1, 0.25, 0.5, 1.0, 2.5)
BYTES: Final = (256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0, 4194304.0, 16777216.0)
EVENTS: Final = (0.0, 1.0, 10.0, 50.0, 100.0, 500.0, 1000.0, 4000.0, 16000.0, 64000.0, 256000.0)

# Names of series, and their labels in order; a histogram's cells are its buckets, one past the last bound, its sum.
REQUEST, REQUEST_LABELS = "request", ("route", "status", "format")
ANSWERED, ANSWERED_LABELS = "answer", ("route",)
PROBLEMS, PROBLEMS_LABELS = "problems", ("kind",)
UNDER_WAY, QUEUED, QUEUE_WAIT, SHED = "under_way", "queued", "queue_wait", "shed"
LANE_LABELS, SHED_LABELS = ("lane",), ("lane", "reason")

_BYTES_AT = len(SECONDS) + 2
REQUEST_WIDTH: Final = _BYTES_AT + len(BYTES) + 2
ANSWERED_WIDTH: Final = len(EVENTS) + 4  # and after the sum: corrupt blocks, degraded answers

_FORMATS = {
    "application/json": "json",
    "application/problem+json": "problem",
    "application/vnd.apache.arrow.stream": "arrow",
    "": "none",
}


class RequestCounts:
    """Counts requests in one process. Called by its event loop alone."""

    def __init__(self, cells: Cells) -> None:
        self._cells, self._values = cells, cells.values
        self._requests: dict[tuple[str, int, bytes], int] = {}
        self._answers: dict[str, int] = {}
        self._problems: dict[str, int] = {}

    def count(self, scope: Scope, status: int, media_type: bytes, *, seconds: float, size: int) -> None:
        """An answer was sent. Labels come from routes, never from what callers wrote: there are few of each."""
        route = scope.get("path_template") or "unknown"
        key = (route, status // 100, media_type)
        at = self._requests.get(key)
        if at is None:
            at = self._requests[key] = self._request(*key)
        values = self._values
        values[at + bisect_left(SECONDS, seconds)] += 1
        values[at + _BYTES_AT - 1] += seconds
        values[at + _BYTES_AT + bisect_left(BYTES, size)] += 1
        values[at + REQUEST_WIDTH - 1] += size
        state = scope["state"]
        if (answer := state.get(ANSWER)) is not None:
            self._answer(route, *answer)
        if (problem := state.get(PROBLEM)) is not None:
            at = self._problems.get(problem)
            if at is None:
                at = self._problems[problem] = self._cells.allot(PROBLEMS, (problem,))
            values[at] += 1

    def _answer(self, route: str, events: int, corrupt_blocks: int, degraded: bool) -> None:
        at = self._answers.get(route)
        if at is None:
            at = self._answers[route] = self._cells.allot(ANSWERED, (route,), width=ANSWERED_WIDTH)
        values, end = self._values, at + ANSWERED_WIDTH
        values[at + bisect_left(EVENTS, events)] += 1
        values[end - 3] += events
        if corrupt_blocks:
            values[end - 2] += corrupt_blocks
        if degraded:
            values[end - 1] += 1

    def _request(self, route: str, hundreds: int, media_type: bytes) -> int:
        name = media_type.decode("latin-1").partition(";")[0].strip()
        labels = (route, f"{hundreds}xx", _FORMATS.get(name, "other"))
        return self._cells.allot(REQUEST, labels, width=REQUEST_WIDTH)


class LoadCounts:
    """Counts what waits in one lane and what is turned away from it. Called by the event loop alone."""

    def __init__(self, cells: Cells, lane: str) -> None:
        self._cells, self._values, self._lane = cells, cells.values, lane
        self._under_way, self._queued = cells.allot(UNDER_WAY, (lane,)), cells.allot(QUEUED, (lane,))
        self._waits = cells.allot(QUEUE_WAIT, (lane,), width=len(SECONDS) + 2)
        self._shed: dict[str, int] = {}

    def now(self, under_way: int, queued: int) -> None:
        self._values[self._under_way] = under_way
        self._values[self._queued] = queued

    def waited(self, seconds: float) -> None:
        """A request got its turn after waiting."""
        self._values[self._waits + bisect_left(SECONDS, seconds)] += 1
        self._values[self._waits + len(SECONDS) + 1] += seconds

    def shed(self, reason: str) -> None:
        if reason not in self._shed:
            self._shed[reason] = self._cells.allot(SHED, (self._lane, reason))
        self._values[self._shed[reason]] += 1
