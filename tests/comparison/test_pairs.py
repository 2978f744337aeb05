"""Pairing against a greedy oracle that looks at every possible pair."""

import datetime as dt
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqplat_resources.comparison.contract import Matching
from seqplat_resources.comparison.pairing import nearest as nearest_module
from seqplat_resources.comparison.pairing.pairs import paired

START = dt.datetime(2026, 5, 4, tzinfo=dt.UTC)
SCHEMA = {"user_id": pl.Int64(), "item": pl.String(), "event_id": pl.String(), "event_time": pl.Datetime("us", "UTC")}
Row = tuple[int | None, str | None, int | None]  # user, item, microseconds after the start


def side(rows: list[Row]) -> pl.DataFrame:
    times = [None if us is None else START + dt.timedelta(microseconds=us) for _, _, us in rows]
    columns = {"user_id": [row[0] for row in rows], "item": [row[1] for row in rows]}
    return pl.DataFrame({**columns, "event_id": columns["item"], "event_time": times}, schema=SCHEMA)


def greedy(ours: list[Row], legacy: list[Row], within_us: int) -> list[tuple[int, int]]:
    """All pairs in reach, the nearest first: each is taken if neither of its rows is."""
    whole = [[(row[2], at) for at, row in enumerate(rows)] for rows in (ours, legacy)]
    rank = [{at: n for n, (_, at) in enumerate(sorted(p for p in each if p[0] is not None))} for each in whole]
    reach = []
    for i, mine in enumerate(ours):
        for j, its in enumerate(legacy):
            if None in mine or mine[:2] != its[:2] or its[2] is None or mine[2] is None:
                continue
            if (gap := abs(mine[2] - its[2])) <= within_us:
                reach.append((gap, rank[1][j], rank[0][i], i, j))
    taken: tuple[set[int], set[int]] = (set(), set())
    found = []
    for *_, i, j in sorted(reach):
        if i not in taken[0] and j not in taken[1]:
            found.append((i, j))
            taken[0].add(i)
            taken[1].add(j)
    return sorted(found)


def pairs_of(ours: list[Row], legacy: list[Row], matching: Matching) -> list[tuple[int, int]]:
    found = paired(side(ours), side(legacy), matching)
    return list(zip(found.ours.to_list(), found.legacy.to_list(), strict=True))


rows = st.lists(
    st.tuples(st.sampled_from([1, 2, None]), st.sampled_from(["a", "b", None]), st.none() | st.integers(0, 30)),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(ours=rows, legacy=rows, within_us=st.integers(0, 12), budget=st.sampled_from([0, 1, 16]))
def test_pairs_are_those_of_a_greedy_person(ours: list[Row], legacy: list[Row], within_us: int, budget: int) -> None:
    """In rounds, one by one, and in any mixture of both."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nearest_module, "_BUDGET", budget)
        found = pairs_of(ours, legacy, Matching(("item",), within_us / 1_000_000))
    assert found == greedy(ours, legacy, within_us)


def chain(size: int) -> list[int]:
    """Ever smaller gaps: each row has to wait for the whole rest of the chain."""
    return np.cumsum(np.arange(size, 0, -1)).tolist()


@pytest.mark.parametrize("shape", ["chain", "random", "one time", "two times"])
def test_a_key_with_thousands_of_candidates_is_paired_alike(shape: str) -> None:
    size = 400
    times = {
        "chain": chain(size),
        "random": np.random.default_rng(3).integers(0, 10_000, size).tolist(),
        "one time": [5] * size,
        "two times": [n % 2 * 7 for n in range(size)],
    }[shape]
    ours, legacy = ([(1, "a", us) for us in times[part::2]] for part in (0, 1))
    assert pairs_of(ours, legacy, Matching(("item",), 0.001)) == greedy(ours, legacy, 1_000)


def test_a_chain_of_a_twenty_thousand_ends() -> None:
    times = chain(20_000)
    ours, legacy = ([(1, "a", us) for us in times[part::2]] for part in (0, 1))
    assert len(pairs_of(ours, legacy, Matching(("item",), 1.0))) == 10_000


def test_equal_distances_go_to_the_earlier_legacy_time_then_to_the_earlier_of_ours() -> None:
    assert pairs_of([(1, "a", 10)], [(1, "a", 15), (1, "a", 5)], Matching(("item",), 1)) == [(0, 1)]
    assert pairs_of([(1, "a", 15), (1, "a", 5)], [(1, "a", 10)], Matching(("item",), 1)) == [(1, 0)]


@settings(max_examples=40, deadline=None)
@given(ours=rows, legacy=rows)
def test_by_id_the_first_of_a_key_goes_with_the_first(ours: list[Row], legacy: list[Row]) -> None:
    counted = []
    for each in (ours, legacy):
        seen: dict[Any, int] = {}
        counted.append({})
        for at, (user, item, _) in enumerate(each):
            if user is not None and item is not None:
                copy = seen[user, item] = seen.get((user, item), -1) + 1
                counted[-1][user, item, copy] = at
    expected = sorted((counted[0][key], counted[1][key]) for key in counted[0].keys() & counted[1].keys())
    found = paired(side(ours), side(legacy), Matching())
    assert list(zip(found.ours.to_list(), found.legacy.to_list(), strict=True)) == expected
    problems = set(found.problems.rows())
    for name, each, keys in zip(("ours", "legacy"), (ours, legacy), counted, strict=True):
        nulls = {(name, "null_key", at) for at, row in enumerate(each) if None in row[:2]}
        copies = {(name, "duplicate_key", at) for (_, _, copy), at in keys.items() if copy}
        further = {
            (name, "many_to_many", at) for key, at in keys.items() if key[2] and key in counted[0] and key in counted[1]
        }
        assert {row for row in problems if row[0] == name} == nulls | copies | further


def test_hashes_that_collide_pair_nothing_that_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    """All rows have one hash: the keys themselves decide."""
    monkeypatch.setattr(
        pl.Expr, "hash", lambda self, seed=0: pl.lit(7, pl.UInt64()) + self.is_null().cast(pl.UInt64()) * 0
    )
    ours, legacy = [(1, "a", 0), (2, "a", 0), (1, "b", 0)], [(1, "b", 0), (1, "a", 0), (3, "a", 0)]
    assert pairs_of(ours, legacy, Matching()) == [(0, 1), (2, 0)]


def test_what_cannot_be_paired_by_time_is_named() -> None:
    found = paired(side([(1, "a", None), (None, "a", 1)]), side([(1, "a", 1)]), Matching(("item",), 1))
    assert found.ours.is_empty()
    assert found.problems.rows() == [("ours", "null_key", 1), ("ours", "null_time", 0)]
