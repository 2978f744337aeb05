"""The api-long benchmark: 16 K events of one user out of twelve stored columns, with and without the vectors.

And how many bytes of the stored blocks an answer of three columns touches, counted where the codec takes sections out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import numpy as np

from benchmarks import api_data, loading, machine, product, report, seqplat_api
from benchmarks.api_home import ApiHome
from benchmarks.api_serve import COLUMNS
from benchmarks.contest import WrongAnswerError
from benchmarks.http_requests import Request
from benchmarks.measure import MB
from benchmarks.seqplat_api import ALL, EVENT_TYPE, Api, Form
from seqplat_resources.online_store.codec import Block, BlockParts, layout, sectioned
from seqplat_resources.online_store.codec.decode import directory
from seqplat_resources.online_store.opening import open_online_store
from seqplat_resources.read.answer import answer
from seqplat_resources.release.query import Query
from seqplat_resources.release.sequence_plan import SequencePlan

TOP_K, VECTOR = 100, "embedding"
WITH_VECTOR = (*COLUMNS, VECTOR)
QUERIES = 64  # different vectors that are asked about
CHECKED = 2  # users whose every value is compared
AIMS = (
    "3 columns: p99 at most 15 ms and at most 15 % of the bytes; with the vector: p99 at most 40 ms; "
    "the 100 most similar: p99 at most 20 ms"
)


@dataclass(frozen=True)
class Case:
    """One kind of question; ``parameters`` are those of the query."""

    name: str
    columns: Sequence[str]
    parameters: Mapping[str, object] = field(default_factory=dict)
    seconds: float = 1.0  # of measuring, times the seconds of the plan


def run(home: ApiHome, *, seconds: float, results: Path) -> Path:
    """Ask one request after the other, ``seconds`` of each kind; returns the file with the result.

    Raises:
        WrongAnswerError: an answer is not what the generator says. LoadFailedError: a request was not answered.
    """
    load_before, log = machine.load_per_core(), home.folder / "long.log"
    found = []
    with seqplat_api.serving(home.home, home.sources, log) as api:
        _check(home, api, log)
        for form in seqplat_api.ACCEPT:
            for name, requests in _cases(home, api, form).items():
                loading.closed(api.server.port, requests, connections=1, seconds=1, own=True)
                answers = loading.closed(api.server.port, requests, connections=1, seconds=seconds, own=True)
                found.append((name, answers))
                print(f"{name}: p50 {answers.p50_ms:.1f} ms, p99 {answers.p99_ms:.1f} ms", flush=True)
        peak_mb = api.server.watch.peak_rss_bytes / MB
    touched = _touched(home)
    shares = "; ".join(f"{name} {of[0] / of[1]:.1%} of {of[1] / MB:.2f} MB" for name, of in touched.items())
    notes = (
        f"{api_data.LONG_LENGTH:,} events of one user out of {home.shape.long_users}, published by days, 12 columns "
        "stored, one of them a vector of 32 x int8 that belongs to the event's item. One request after the other. "
        f"Checked: every value of {CHECKED} users, and the {TOP_K} similarities of a query each.",
        f"Bytes touched of a user's history blocks, in {touched['3 columns'][2]:.0f} blocks: {shares}. Peak memory "
        f"{peak_mb:,.0f} MB, of which the store's pages it maps are a part. Load per core before: {load_before:.2f}. "
        f"Aims: {AIMS}.",
    )
    facts = report.Facts.now(
        "api-long",
        header=("asked for", "requests", "p50 ms", "p99 ms", "max ms", "bytes"),
        lines=[
            (name, f"{a.requests:,}", f"{a.p50_ms:.1f}", f"{a.p99_ms:.1f}", f"{a.max_ms:.1f}", f"{a.body_bytes:,}")
            for name, a in found
        ],
        notes=notes,
        measured={"answers": {name: asdict(answers) for name, answers in found}, "touched": touched},
    )
    return report.save(facts, results)


def _cases(home: ApiHome, api: Api, form: Form) -> dict[str, list[Request]]:
    users, queries = home.shape.long_user_ids, _queries()
    return {
        f"3 columns, {form}": [api.one_user(ALL, user, form, columns=",".join(COLUMNS)) for user in users],
        f"3 columns and the vector, {form}": [
            api.one_user(ALL, user, form, columns=",".join(WITH_VECTOR)) for user in users
        ],
        f"the {TOP_K} most similar, {form}": [
            api.one_user(ALL, users[n % len(users)], form, **_similar(query)) for n, query in enumerate(queries)
        ],
    }


def _queries() -> Sequence[Sequence[float]]:
    drawn: list[list[float]] = np.random.default_rng(4).normal(size=(QUERIES, api_data.DIM)).round(4).tolist()
    return drawn


def _similar(query: Sequence[float]) -> dict[str, object]:
    vector = ",".join(map(str, query))
    return {"columns": ",".join(COLUMNS), "top_k": TOP_K, "similar_to": VECTOR, "vector": vector, "metric": "dot"}


def _check(home: ApiHome, api: Api, log: Path) -> None:
    users, query = list(home.shape.long_user_ids)[:CHECKED], _queries()[0]
    rows = api_data.newest(home.sources, users, WITH_VECTOR, api_data.LONG_LENGTH)
    expected = api_data.plain(rows)
    with httpx.Client(base_url=api.server.url, trust_env=False, timeout=60) as client:
        for user in users:
            vectors = np.array(expected[user][VECTOR], np.float32)
            best = np.sort(vectors @ np.array(query, np.float32))[::-1][:TOP_K]
            for form in seqplat_api.ACCEPT:
                whole = api.one_user(ALL, user, form, columns=",".join(WITH_VECTOR))
                similar = api.one_user(ALL, user, form, **_similar(query))
                bodies = []
                for request in (whole, similar):
                    said = client.get(request.path, headers=request.headers)
                    if said.status_code != httpx.codes.OK:
                        raise WrongAnswerError(contestant="seqplat", found=[said.text[:500]], output=log)
                    bodies.append(seqplat_api.answer_of(said.content, form, [user])[user])
                problems = [f"{form}: other {name}" for name in WITH_VECTOR if bodies[0][name] != expected[user][name]]
                if not np.allclose(bodies[1]["similarity"], best, rtol=1e-3, atol=0.1):
                    problems.append(f"{form}: other similarities, {bodies[1]['similarity'][:3]} for {best[:3]}")
                if problems:
                    raise WrongAnswerError(contestant="seqplat", found=problems, output=log)


def _touched(home: ApiHome) -> dict[str, tuple[float, float, float]]:
    """By kind of question, means over the users: bytes touched, bytes of all blocks, and how many blocks these are."""
    runtime = product.runtime(home.home, home.sources)
    plan = SequencePlan.of(runtime.loaded, ALL)
    found: dict[str, tuple[float, float, float]] = {}
    with closing(open_online_store(runtime.home, readonly=True)) as store:
        for name, columns in (("3 columns", COLUMNS), ("with the vector", WITH_VECTOR)):
            counted = []
            for user in home.shape.long_user_ids:
                with store.snapshot() as view:
                    blocks = [_whole(block.payload) for block in view.blocks(EVENT_TYPE, str(user))]
                plain = sum(len(block) for block in blocks if not layout.is_sectioned(block))
                with _counting() as sizes:
                    answer(plan, store, str(user), Query(columns=tuple(columns)))
                counted.append((plain + sum(sizes), sum(map(len, blocks)), len(blocks)))
            touched, whole, count = np.mean(counted, axis=0).tolist()
            found[name] = (touched, whole, count)
    return found


def _whole(block: Block) -> bytes:
    assert not isinstance(block, BlockParts)  # a local store gives blocks as they are
    return bytes(block)


@contextmanager
def _counting() -> Iterator[list[int]]:
    """The sizes of all heads and sections that the codec looks at."""
    sizes: list[int] = []

    def counted(function: Any, size: Any) -> Any:
        def counting(*arguments: Any) -> Any:
            found = function(*arguments)
            sizes.append(size(found))
            return found

        return counting

    with (
        patch.object(directory, "section", counted(sectioned.section, len)),
        patch.object(directory, "open_head", counted(sectioned.open_head, lambda head: len(head.raw))),
    ):
        yield sizes
