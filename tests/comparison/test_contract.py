"""Sums of counts: what they are the sums of, and that they add up."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqplat_resources.comparison.contract import ColumnRule, Sums

counts = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)).map(sorted), max_size=12)


def sums(rows: list[list[int]]) -> Sums:
    return Sums.of(
        pl.Series([d for d, _ in rows], dtype=pl.UInt32()), pl.Series([n for _, n in rows], dtype=pl.UInt32())
    )


@given(one=counts, other=counts)
def test_sums_are_those_over_users_and_parts_add_up(one: list[list[int]], other: list[list[int]]) -> None:
    rows = one + other
    expected = Sums(
        sum(n > 0 for _, n in rows),
        *(sum(f(d, n) for d, n in rows) for f in (lambda d, n: d, lambda d, n: n, lambda d, n: d * d)),
        *(sum(f(d, n) for d, n in rows) for f in (lambda d, n: n * n, lambda d, n: d * n)),
    )
    assert sums(rows) == expected == sums(one) + sums(other)


def test_a_column_is_compared_in_one_way() -> None:
    with pytest.raises(ValueError, match="says two ways to compare one column; keep `cosine`, `as_set` or the tol"):
        ColumnRule(absolute=1, as_set=True)
