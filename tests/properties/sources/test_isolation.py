"""Rows on which a step raises are found among any others, and the others are as they would be alone."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from seqplat_resources.values.isolation import attempted, isolated


@given(values=st.lists(st.integers(0, 9), max_size=40), bad=st.sets(st.integers(0, 9)))
def test_the_rows_on_which_a_step_raises_are_alone(values: list[int], bad: set[int]) -> None:
    def step(some: pl.DataFrame) -> pl.DataFrame:
        if set(some["v"]) & bad:
            raise ValueError("one of these\nand more")
        return some.select(pl.col("v") * 2)

    frame = pl.DataFrame({"v": values}, schema={"v": pl.Int64})
    found = isolated(frame, step)
    assert found.done["v"].to_list() == [2 * v for v in values if v not in bad]
    assert found.failed == {n: "ValueError: one of these" for n, v in enumerate(values) if v in bad}
    same, errors = attempted(frame, step)
    assert same["v"].to_list() == [None if v in bad else 2 * v for v in values]
    assert (errors is None) == (not found.failed)
