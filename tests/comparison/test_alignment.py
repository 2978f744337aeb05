"""Edit distances and common ids against plain dynamic programming."""

from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqplat_resources.comparison.alignment import subsequence
from seqplat_resources.comparison.alignment.lists import aligned
from seqplat_resources.comparison.alignment.subsequence import longest_increasing

ids = st.lists(st.sampled_from("abcdefghijkl"), max_size=12, unique=True)
with_copies = st.lists(st.sampled_from(["a", "b", "c", None]), max_size=7)


def lcs(a: list[str], b: list[str]) -> int:
    row = [0] * (len(b) + 1)
    for x in a:
        before = row
        row = [0]
        for n, y in enumerate(b):
            row.append(before[n] + 1 if x == y else max(before[n + 1], row[n]))
    return row[-1]


def lists(values: list[list[str]]) -> pl.Series:
    return pl.Series(values, dtype=pl.List(pl.String()))


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(ids, ids) | ids.flatmap(lambda a: st.tuples(st.just(a), st.permutations(a))), max_size=6))
def test_lists_are_aligned_as_by_dynamic_programming(pairs: list[tuple[list[str], list[str]]]) -> None:
    found = aligned(lists([a for a, _ in pairs]), lists([b for _, b in pairs]))
    assert found.in_order.tolist() == [lcs(a, b) for a, b in pairs]
    assert found.common.tolist() == [len({*a} & {*b}) for a, b in pairs]
    assert found.edits.tolist() == [len(a) + len(b) - 2 * lcs(a, b) for a, b in pairs]
    beginnings = [
        next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b))) for a, b in pairs
    ]
    assert found.beginning.tolist() == beginnings
    assert not found.unsound.size


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(with_copies, with_copies), max_size=6))
def test_repeats_and_nulls_count_as_often_as_they_are_there(pairs: list[tuple[list[str], list[str]]]) -> None:
    found = aligned(lists([a for a, _ in pairs]), lists([b for _, b in pairs]))
    without = [[Counter(x for x in each if x is not None) for each in pair] for pair in pairs]
    assert found.common.tolist() == [(a & b).total() for a, b in without]
    assert all(found.in_order <= found.common)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.permutations(range(9)).flatmap(lambda p: st.integers(0, 9).map(lambda n: p[:n])), max_size=8),
    st.sampled_from([1, 20, 1 << 18]),
)
def test_longest_increasing_runs(runs: list[list[int]], piles: int) -> None:
    values = [100 * run + value for run, each in enumerate(runs) for value in each]
    numbers = [run for run, each in enumerate(runs) for _ in each]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subsequence, "_PILES", piles)
        found = longest_increasing(np.array(values, np.int64), np.array(numbers, np.int64), len(runs))
    assert found.tolist() == [lcs([*map(str, each)], [*map(str, sorted(each))]) for each in runs]


@pytest.mark.parametrize("size", [1, 2, 3, 20_000])
def test_a_list_backwards_keeps_one(size: int) -> None:
    assert longest_increasing(np.arange(size)[::-1].copy(), np.zeros(size, np.int64), 2).tolist() == [1, 0]
