"""Servers of the same content against each other: check what they answer, find each one's peak, then pace below it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from benchmarks import loading, machine, servers
from benchmarks.contest import WrongAnswerError
from benchmarks.http_requests import Request
from benchmarks.loading import Answers
from benchmarks.measure import MB
from benchmarks.seqplat_api import Columns

CHECKED = 25  # answers of each contestant that are compared with the generator's values
BELOW_PEAK = 0.6
Expected = Mapping[int, Columns]


@dataclass(frozen=True)
class Asked:
    """A running server, what to ask it, of which users, and how to read an answer."""

    server: servers.Server
    requests: Sequence[Request]
    users: Sequence[Sequence[int]]
    read: Callable[[bytes, Sequence[int]], dict[int, Columns]]


@dataclass(frozen=True)
class Contestant:
    """``serve`` starts its server, with its output in the file given."""

    name: str
    serve: Callable[[Path], AbstractContextManager[Asked]]


@dataclass(frozen=True)
class Plan:
    """How long things take, in seconds. ``connections`` are tried one after the other."""

    connections: Sequence[int] = (1, 2, 4, 8, 16, 32, 64)
    warm_s: float = 3.0
    closed_s: float = 8.0
    paced_s: float = 30.0


@dataclass(frozen=True)
class Turn:
    """One turn of one contestant. ``cpu_ms`` is its server's CPU time per request at the peaks; sizes are 10**6 bytes:
    the highest sum of resident pages, and what the processes hold by themselves, files that they map left out."""

    contestant: str
    load_per_core_before: float
    closed: Sequence[Answers]
    paced: Answers
    cpu_ms: float
    peak_rss_mb: float
    own_mb: float

    @property
    def peak(self) -> Answers:
        """Where nobody was turned away: a server may refuse more than it can do."""
        return max(_served(self.closed), key=lambda each: each.per_s)


def rounds(contestants: Sequence[Contestant], expected: Expected, plan: Plan, *, repeat: int, logs: Path) -> list[Turn]:
    """Let contestants take turns, round by round.

    Raises:
        WrongAnswerError: an answer is not what the generator says.
        LoadFailedError: at no load all requests were answered.
    """
    turns = []
    for number in range(repeat):
        for each in contestants:
            turns.append(_turn(each, expected, plan, logs, check=not number))
            peak, paced = turns[-1].peak, turns[-1].paced
            print(
                f"{each.name}: {peak.per_s:,.0f}/s at {peak.connections} connections, p99 {peak.p99_ms:.1f} ms; "
                f"at {BELOW_PEAK:.0%} p50 {paced.p50_ms:.1f} ms, p99 {paced.p99_ms:.1f} ms",
                flush=True,
            )
    return turns


def _turn(contestant: Contestant, expected: Expected, plan: Plan, logs: Path, *, check: bool) -> Turn:
    log = logs / f"{contestant.name}.log"
    load_before = machine.load_per_core()
    with contestant.serve(log) as asked:
        if check:
            _check(contestant.name, asked, expected, log)
        port, watch = asked.server.port, asked.server.watch
        loading.closed(port, asked.requests, connections=4, seconds=plan.warm_s)
        before_s = watch.cpu_s
        found = [
            loading.closed(port, asked.requests, connections=n, seconds=plan.closed_s, may_fail=True)
            for n in plan.connections
        ]
        cpu_ms = (watch.cpu_s - before_s) * 1000 / sum(each.requests for each in found)
        rate = BELOW_PEAK * max(each.per_s for each in _served(found))
        paced = loading.paced(port, asked.requests, rate=rate, seconds=plan.paced_s, may_fail=True).answers
        rss_mb, own_mb = watch.peak_rss_bytes / MB, watch.own_bytes / MB
    return Turn(contestant.name, load_before, found, paced, cpu_ms, rss_mb, own_mb)


def _served(found: Sequence[Answers]) -> list[Answers]:
    """
    Raises:
        LoadFailedError: at any number of connections, requests were not answered well.
    """
    if not (served := [each for each in found if each.requests and not each.errors]):
        raise loading.LoadFailedError(f"{found[0].errors} of {found[0].requests} requests failed")
    return served


def _check(name: str, asked: Asked, expected: Expected, log: Path) -> None:
    """Ask some requests one by one, and compare every value."""
    with httpx.Client(base_url=asked.server.url, trust_env=False, timeout=60) as client:
        for request, users in list(zip(asked.requests, asked.users, strict=True))[:CHECKED]:
            answer = client.request(request.method, request.path, headers=request.headers, content=request.body)
            if answer.status_code != httpx.codes.OK:
                problem = f"{request.method} {request.path}: {answer.status_code} {answer.text[:500]}"
                raise WrongAnswerError(contestant=name, found=[problem], output=log)
            found = asked.read(answer.content, users)
            compared = (_difference(user, found.get(user, {}), expected[user]) for user in users)
            if problems := [each for each in compared if each]:
                raise WrongAnswerError(contestant=name, found=problems, output=log)


def _difference(user: int, found: Columns, expected: Columns) -> str | None:
    for column, values in expected.items():
        if found.get(column) != values:
            return f"user {user}: column {column!r} is {str(found.get(column))[:80]}, not {str(values)[:80]}"
    return None


HEADER = (
    "contestant",
    "requests/s",
    "p50, p99 ms at it",
    f"p50, p99 ms at {BELOW_PEAK:.0%} of it",
    "CPU ms per request",
    "peak memory MB",
    "bytes",
)


def lines(turns: Sequence[Turn], baseline: str) -> list[Sequence[str]]:
    """Medians of the turns of each contestant; in brackets, times the value of ``baseline``."""
    by_name: dict[str, list[Turn]] = {}
    for turn in turns:
        by_name.setdefault(turn.contestant, []).append(turn)
    reference = median(turn.peak.per_s for turn in by_name[baseline]) if baseline in by_name else 0.0
    return [_line(name, found, reference) for name, found in by_name.items()]


def _line(name: str, turns: Sequence[Turn], reference: float) -> Sequence[str]:
    def shown(value: Callable[[Turn], float], digits: int = 1) -> str:
        return f"{median(map(value, turns)):,.{digits}f}"

    per_s = median(turn.peak.per_s for turn in turns)
    ratio = f" ({per_s / reference:.2f}x)" if reference else ""
    return (
        name,
        f"{per_s:,.0f}{ratio}",
        f"{shown(lambda t: t.peak.p50_ms)}, {shown(lambda t: t.peak.p99_ms)}",
        f"{shown(lambda t: t.paced.p50_ms)}, {shown(lambda t: t.paced.p99_ms)}{_refused([t.paced for t in turns])}",
        shown(lambda t: t.cpu_ms, 2),
        f"{shown(lambda t: t.peak_rss_mb, 0)} (own {shown(lambda t: t.own_mb, 0)})",
        shown(lambda t: t.paced.body_bytes, 0),
    )


def by_connections(turns: Sequence[Turn]) -> str:
    """Requests per second at each number of connections, as sentences."""
    said: list[str] = []
    for name in dict.fromkeys(turn.contestant for turn in turns):
        own = [turn for turn in turns if turn.contestant == name]
        by_count = list(zip(*(turn.closed for turn in own), strict=True))
        rates = (
            f"{median(each.per_s for each in found):,.0f} at {found[0].connections}{_refused(found)}"
            for found in by_count
        )
        said.append(f"{name} {', '.join(rates)}")
    return f"Requests/s by connections: {'; '.join(said)}."


def _refused(found: Sequence[Answers]) -> str:
    errors = sum(each.errors for each in found)
    return f" ({errors / sum(each.requests for each in found):.1%} refused)" if errors else ""


def measured(turns: Sequence[Turn]) -> dict[str, Any]:
    """All numbers, for the file of the result."""
    return {"turns": [asdict(turn) for turn in turns]}
