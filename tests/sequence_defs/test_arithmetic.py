"""Integers that leave their type are errors, and everything else is what Polars makes of it."""

import datetime as dt
import re

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sequence_defs.compiler.arithmetic import IntegerOverflow, checked
from sequence_defs.compiler.sql import expression

SCHEMA = {
    "a": pl.Int64(),
    "b": pl.Int32(),
    "f": pl.Float64(),
    "t": pl.String(),
    "l": pl.List(pl.Int64()),
    "s": pl.Datetime("us", "UTC"),
}
ROWS = pl.DataFrame(
    {
        "a": [5, 7],
        "b": [7, -3],
        "f": [0.5, 2.0],
        "t": ["x", ""],
        "l": [[1, 2], [3, 4]],
        "s": [dt.datetime(2020, 5, 1)] * 2,
    },
    schema_overrides=SCHEMA,
)
FIRST, LAST = -(2**63), 2**63 - 1


@pytest.mark.parametrize(
    "sql",
    [
        "a",
        "a * b - 3",
        "a * 2.5",
        "a / 2 + b",
        "b % 3 + b // 2",
        "ABS(-a)",
        "POW(a, 2)",
        "a IN (1, 5, 10) AND t IN ('x', 'y')",
        "CASE WHEN a > 5 THEN a * 2 ELSE b END",
        "COALESCE(NULLIF(a, 5), 1) * 1000",
        "l[1] + 1",
        "LENGTH(t) * 3 || ' of ' || t",
        "EXTRACT(year FROM s) * 100 + EXTRACT(month FROM s)",
        "CAST(a * 1000 AS TIMESTAMP)",
        "s - INTERVAL '1 day'",
        "3 * 4",
        "a * NULL",
    ],
)
def test_what_fits_is_as_before(sql: str) -> None:
    wanted, found = (ROWS.select(value=make) for make in (expression(sql), checked(sql, SCHEMA)))
    assert found.schema == wanted.schema
    assert found.equals(wanted)


@pytest.mark.parametrize(
    ("sql", "row"),
    [
        ("a * 2", {"a": 2**62}),
        ("b * 2", {"b": 2**31 - 1}),
        ("a + 1", {"a": LAST}),
        ("-a", {"a": FIRST}),
        ("ABS(a)", {"a": FIRST}),
        ("a * 1000000 / 1000000.0", {"a": LAST}),
        ("t || CAST(a * a AS VARCHAR)", {"a": 2**32, "t": "x"}),
        ("CAST(t AS BIGINT) * 1000", {"t": str(LAST)}),
        ("a * 1000 > 5", {"a": LAST - 100}),
        ("CASE WHEN a > 3 THEN a * 2 ELSE b END", {"a": 2**62, "b": 1}),
        ("l[1] + 1", {"l": [LAST]}),
    ],
)
def test_what_leaves_its_type_raises(sql: str, row: dict[str, object]) -> None:
    rows = pl.DataFrame([row], schema={name: SCHEMA[name] for name in row})
    with pytest.raises(IntegerOverflow, match="does not fit its type"):
        rows.select(checked(sql, SCHEMA))


def test_a_branch_that_is_not_taken_may_leave_its_type() -> None:
    rows = pl.DataFrame({"a": [2**62, 3]})
    assert rows.select(checked("CASE WHEN a < 1000 THEN a * 2 ELSE 0 END", SCHEMA)).to_series().to_list() == [0, 6]


integers = st.one_of(st.integers(-9, 9), st.sampled_from([FIRST, LAST, 2**31, -(2**31), 2**32, 10**9]))
sums = st.recursive(
    st.sampled_from(["a", "c", "d", "3", "1000000", "2147483648"]),
    lambda inner: st.tuples(inner, st.sampled_from("+-*"), inner).map("({0[0]} {0[1]} {0[2]})".format),
    max_leaves=6,
)


class Watched:
    """An integer that remembers whether it, or one it was made of, left 64 bits."""

    def __init__(self, value: int, fits: bool = True) -> None:
        self.value, self.fits = value, fits and FIRST <= value <= LAST

    def __add__(self, other: "Watched") -> "Watched":
        return Watched(self.value + other.value, self.fits and other.fits)

    def __sub__(self, other: "Watched") -> "Watched":
        return Watched(self.value - other.value, self.fits and other.fits)

    def __mul__(self, other: "Watched") -> "Watched":
        return Watched(self.value * other.value, self.fits and other.fits)


@given(sums.filter(lambda sql: "a" in sql), st.tuples(integers, integers, integers))
def test_it_is_exact_or_raises(sql: str, values: tuple[int, int, int]) -> None:
    row = dict(zip("acd", values, strict=True))
    rows = pl.DataFrame([row], schema=dict.fromkeys(row, pl.Int64()))
    watched = re.sub(r"\d+", r"Watched(\g<0>)", sql)
    wanted = eval(watched, {name: Watched(value) for name, value in row.items()} | {"Watched": Watched})
    try:
        found = rows.select(checked(sql, rows.schema)).item()
    except IntegerOverflow:
        assert not wanted.fits
    else:
        assert found == wanted.value
