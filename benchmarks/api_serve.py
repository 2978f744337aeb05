"""The api-serve and api-batch benchmarks: a user's newest events, and those of many users, against Feast."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks import api_contest, api_data, feast_api, loading, machine, report, seqplat_api
from benchmarks.api_contest import Asked, Contestant, Plan
from benchmarks.api_home import ApiHome
from benchmarks.http_requests import Request
from benchmarks.seqplat_api import Form

COLUMNS = ("item_id", "action", "event_time")
USERS_OF_A_BATCH, EVENTS_OF_A_BATCH = 100, 100
BATCHES = 200  # different ones
KEPT = "seqplat-json-kept"
NAMES = ("seqplat-json", "seqplat-arrow", KEPT, "feast")
AIMS = {
    "api-serve": "10 times the requests/s of Feast at lower p99, p99 at most 10 ms at 60 % of peak, Arrow no slower",
    "api-batch": "p99 at most 60 ms, where Feast publishes 114 ms for 100 rows that are ready",
}


def serve(home: ApiHome, plan: Plan, names: Sequence[str], *, repeat: int, results: Path) -> Path:
    """500 events of one user, chosen at random, at the peak and below it; returns the file with the result."""
    asked = [[user] for user in np.random.default_rng(1).permutation(home.shape.users).tolist()]
    return _run("api-serve", home, plan, names, asked, api_data.SHORT_LENGTH, repeat=repeat, results=results)


def batch(home: ApiHome, plan: Plan, names: Sequence[str], *, repeat: int, results: Path) -> Path:
    """100 events of each of 100 users; as ``serve``."""
    draw, most = np.random.default_rng(2), min(USERS_OF_A_BATCH, home.shape.users)
    asked = [draw.choice(home.shape.users, most, replace=False).tolist() for _ in range(BATCHES)]
    names = [name for name in names if name != KEPT]  # answers are kept of single users
    return _run("api-batch", home, plan, names, asked, EVENTS_OF_A_BATCH, repeat=repeat, results=results)


def _run(
    benchmark: str,
    home: ApiHome,
    plan: Plan,
    names: Sequence[str],
    asked: Sequence[Sequence[int]],
    length: int,
    *,
    repeat: int,
    results: Path,
) -> Path:
    rows = api_data.newest(home.sources, home.shape.user_ids, COLUMNS, length)
    folder = home.folder / f"feast-{length}"
    versions = feast_api.prepare(rows, folder, home.scratch) if "feast" in names else {}
    contestants = [_contestant(name, home, folder, asked, length) for name in names]
    expected = api_data.plain(rows)
    turns = api_contest.rounds(contestants, expected, plan, repeat=repeat, logs=home.folder)
    kept = {**machine.describe().packages, **versions}
    tools = ", ".join(f"{name} {number}" for name, number in versions.items())
    worst = max(turn.load_per_core_before for turn in turns)
    notes = (
        f"{_said(benchmark, home, length)} Checked: {min(api_contest.CHECKED, len(asked))} answers of each contestant "
        "hold exactly the generator's values.",
        f"{api_contest.by_connections(turns)} Medians of {repeat} turn(s); peaks found with {loading.generator()}, the "
        f"load below them sent at exponential gaps and timed from when each request was due. Our generator does "
        f"{loading.own_limit():,.0f} requests/s of a server that only answers. Load per core before a turn at most "
        f"{worst:.2f}. {f'{tools}. ' if tools else ''}Aims: {AIMS[benchmark]}.",
    )
    facts = report.Facts.now(
        benchmark,
        header=api_contest.HEADER,
        lines=api_contest.lines(turns, "feast"),
        notes=notes,
        measured={"versions": kept, **api_contest.measured(turns)},
    )
    return report.save(facts, results)


def _contestant(name: str, home: ApiHome, folder: Path, asked: Sequence[Sequence[int]], length: int) -> Contestant:
    @contextmanager
    def feast(log: Path) -> Iterator[Asked]:
        with feast_api.serving(folder, home.scratch, log) as server:
            requests = [feast_api.request(users, COLUMNS) for users in asked]
            yield Asked(server, requests, asked, lambda body, _: feast_api.answer_of(body))

    @contextmanager
    def ours(log: Path) -> Iterator[Asked]:
        form: Form = "arrow" if name == "seqplat-arrow" else "json"
        settings = {} if name == KEPT else seqplat_api.NOTHING_KEPT
        with seqplat_api.serving(home.home, home.sources, log, settings) as api:
            requests = [_request(api, users, form, length) for users in asked]
            yield Asked(api.server, requests, asked, lambda body, users: seqplat_api.answer_of(body, form, users))

    return Contestant(name, feast if name == "feast" else ours)


def _request(api: seqplat_api.Api, users: Sequence[int], form: Form, length: int) -> Request:
    if len(users) == 1:
        return api.one_user(seqplat_api.RECENT, users[0], form, columns=",".join(COLUMNS), limit=length)
    return api.many_users(seqplat_api.RECENT, users, form, columns=list(COLUMNS), limit=length)


def _said(benchmark: str, home: ApiHome, length: int) -> str:
    of = "one user" if benchmark == "api-serve" else f"each of {USERS_OF_A_BATCH} users"
    return (
        f"{length} events of {of} out of {home.shape.users:,}, chosen at random, with {', '.join(COLUMNS)}; one server "
        "process, loopback, keep-alive."
    )
