"""Defects are put in where they are said to be, the same ones each time, and a gate that passes one is told."""

import datetime as dt

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from seqplat_resources.comparison.contract import Sums
from seqplat_resources.shadow.verdict.decide import Decision, decide
from seqplat_resources.shadow.verdict.metrics import Metric
from seqplat_resources.shadow.verdict.self_test import self_test
from tests.shadow.verdict.samples import metric, question

COUNT = 40_000
EVENTS = pl.DataFrame(
    {
        "user_id": np.arange(COUNT),
        "event_id": [f"e{n}" for n in range(COUNT)],
        "event_time": pl.Series(np.arange(COUNT) * 1_000_000).cast(pl.Datetime("us", "UTC")),
        "embedding": pl.Series(np.arange(2 * COUNT, dtype=np.float32).reshape(-1, 2), dtype=pl.Array(pl.Float32, 2)),
    }
)
USERS = 6_000
SEQUENCES = pl.DataFrame(
    {
        "user_id": np.arange(USERS),
        "event_ids": [[f"e{u}-{n}" for n in range(min(u, 5))] for u in range(USERS)],
        "event_times": [[dt.datetime(2026, 1, 1 + n, tzinfo=dt.UTC) for n in range(min(u, 5))] for u in range(USERS)],
        "embeddings": pl.Series(
            [[[float(u), float(n)] for n in range(min(u, 5))] for u in range(USERS)],
            dtype=pl.List(pl.Array(pl.Float32, 2)),
        ),
    },
    schema_overrides={"event_times": pl.List(pl.Datetime("us", "UTC"))},
)


def judge_events(ours: pl.DataFrame, columns: tuple[str, ...] = ("event_time", "embedding")) -> Decision:
    both = EVENTS.join(ours, on="event_id", how="left", suffix="_ours")
    there = both["user_id_ours"].is_not_null()
    found = [share("only_legacy", 0.001, ~there)]
    for name in columns:
        found.append(share(f"differs_{name}", 0.0005, both[name].ne_missing(both[f"{name}_ours"]) & there))
    return decide(question(*found))


def judge_sequences(ours: pl.DataFrame) -> Decision:
    columns = ("event_ids", "event_times", "embeddings")
    both = SEQUENCES.join(ours, on="user_id", how="left", suffix="_ours")
    differs = [both[name].ne_missing(both[f"{name}_ours"]) for name in columns]
    return decide(question(*(share(f"not_identical_{n}", 0.001, d) for n, d in zip(columns, differs, strict=True))))


def share(name: str, limit: float, differs: pl.Series) -> Metric:
    return Metric.of_users(
        name, "event", limit, Sums.of(differs.cast(pl.Int64), pl.repeat(1, len(differs), eager=True))
    )


def test_a_gate_catches_every_defect_of_events() -> None:
    found = self_test(EVENTS, judge_events)
    assert found.state == "PASS"
    assert {each.defect: (each.outcome, each.injected) for each in found.probes} == {
        "drop 0.1 %": ("caught", 40),
        "shift 1 ms": ("caught", 40),
        "stale vector": ("caught", 400),
    }
    assert found.missed == ()


def test_a_gate_that_does_not_look_misses_and_says_so() -> None:
    found = self_test(EVENTS, lambda ours: judge_events(ours, ("event_time",)))
    assert found.missed == ("stale vector",)


def test_a_gate_catches_every_defect_of_sequences() -> None:
    found = self_test(SEQUENCES, judge_sequences)
    assert found.state == "PASS"
    outcomes = {each.defect: (each.outcome, each.injected) for each in found.probes}
    assert outcomes.pop("drop 0.1 %") == ("caught", pytest.approx(30, abs=1))
    assert outcomes == {"swap two": ("caught", 300), "truncate N-1": ("caught", USERS - 5)}


def test_defects_are_what_they_are_called() -> None:
    seen: list[pl.DataFrame] = []

    def watch(ours: pl.DataFrame) -> Decision:
        seen.append(ours)
        return decide(question(metric()))

    self_test(SEQUENCES, watch)
    _, dropped, swapped, cut = (each.join(SEQUENCES, on="user_id") for each in seen)
    lists = ("event_ids", "event_times", "embeddings")
    for frame, count in ((dropped, 30), (swapped, 300), (cut, USERS - 5)):
        changed = frame.filter(pl.col("event_ids") != pl.col("event_ids_right"))
        assert changed.height == pytest.approx(count, abs=1)
        for row in changed.head(20).iter_rows(named=True):
            for name in lists:
                first, *rest = row[f"{name}_right"]
                assert row[name] == {30: rest, 300: [*rest[:1], first, *rest[1:]]}.get(count, [first, *rest][:-1])
    self_test(EVENTS, watch)
    _, _, shifted, stale = seen[4:]
    assert set(shifted["event_time"] - EVENTS["event_time"]) == {dt.timedelta(0), dt.timedelta(milliseconds=1)}
    old = stale["embedding"].ne(EVENTS["embedding"])
    assert stale["embedding"].filter(old).equals(EVENTS["embedding"].shift(1).filter(old))


def test_the_same_seed_does_the_same_and_changes_nothing() -> None:
    before = EVENTS.clone()
    assert self_test(EVENTS, judge_events, seed=3) == self_test(EVENTS, judge_events, seed=3)
    assert_frame_equal(EVENTS, before)


@pytest.mark.parametrize(("differing", "outcome"), [(3, "untold"), (100, "untold")])
def test_a_gate_that_does_not_pass_by_itself_shows_nothing(differing: int, outcome: str) -> None:
    found = self_test(EVENTS, lambda ours: decide(question(metric(differing))))
    assert {each.outcome for each in found.probes} == {outcome}
    assert found.missed == ()


@pytest.mark.parametrize("side", [EVENTS.clear(), SEQUENCES.clear(), EVENTS.select("user_id"), SEQUENCES.head(1)])
def test_what_cannot_have_a_defect_says_so(side: pl.DataFrame) -> None:
    found = self_test(side, lambda ours: decide(question(metric())))
    assert {each.outcome for each in found.probes if each.defect != "drop 0.1 %"} == {"absent"}
    assert {each.outcome for each in found.probes} <= {"absent", "missed"}
