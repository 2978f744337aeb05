"""Comparing values against the same rules in plain Python, on values from the edges of their types."""

import datetime as dt
import math
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqplat_resources.comparison.columns import ColumnTypesError, with_differences
from seqplat_resources.comparison.contract import ColumnRule

NAN, INF = math.nan, math.inf
T = dt.datetime(2026, 5, 4, 12, tzinfo=dt.UTC)
MIXED = [
    None,
    [],
    [None],
    [1.0],
    [-0.0, 1.0],
    [0.0, 1.0],
    [1.0, 0.0],
    [0.0, 0.0],
    [2.0, 1e-9],
    [NAN, 1.0],
    [1e200, 1e200],
]
ODD = [None, [NAN, 1.0], [None, 1.0], [INF, 1.0]]
POOLS: dict[str, tuple[Any, list[Any]]] = {
    "floats": (pl.Float64(), [None, NAN, INF, -INF, 0.0, -0.0, 1.0, 1.05, 1.0000001, 1e308, -1e308, 5e-324]),
    "integers": (pl.Int64(), [None, 0, 1, 2, 3, -(2**63), 2**63 - 1, 2**53, 2**53 + 1]),
    "unsigned": (pl.UInt64(), [None, 0, 1, 2**64 - 1, 2**64 - 2]),
    "times": (pl.Datetime("us", "UTC"), [None, T, *(T + dt.timedelta(milliseconds=ms) for ms in (1, 50, 3_600_000))]),
    "dates": (pl.Date(), [None, T.date(), T.date() + dt.timedelta(days=1)]),
    "texts": (pl.String(), [None, "", "a", "A", "a "]),
    "bytes": (pl.Binary(), [None, b"", b"\0"]),
    "flags": (pl.Boolean(), [None, True, False]),
    "vectors": (pl.Array(pl.Float32(), 2), [*([float(x), float(y)] for x in (0, 1, -1) for y in (0, 0.05, 1)), *ODD]),
    "lists": (pl.List(pl.Float64()), MIXED),
    "labels": (pl.List(pl.String()), [None, [], [None], ["a"], ["a", "a"], ["b", "a"], ["a", "b", None], [""]]),
}  # fmt: skip
NUMERIC = ("floats", "integers", "unsigned")
TOLERANCES = [ColumnRule(absolute=0.06), ColumnRule(relative=0.01), ColumnRule(absolute=1, relative=0.5)]
VECTOR_RULES = [*TOLERANCES, ColumnRule(cosine=0.99), ColumnRule(cosine=1.0), ColumnRule(cosine=-1.0)]
CASES = [
    *((name, ColumnRule()) for name in POOLS),
    *((name, rule) for name in NUMERIC for rule in TOLERANCES),
    *((name, ColumnRule(absolute=seconds)) for name in ("times", "dates") for seconds in (0.05, 3_600)),
    *((name, rule) for name in ("vectors", "lists") for rule in VECTOR_RULES),
    *((name, ColumnRule(as_set=True)) for name in ("labels", "lists")),
]


def same(a: Any, b: Any) -> bool:
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float) and isinstance(b, float):
        return a == b or (math.isnan(a) and math.isnan(b))
    return type(a) is type(b) and a == b


def close(a: Any, b: Any, rule: ColumnRule) -> bool:
    if same(a, b) or a is None or b is None:
        return same(a, b)
    if isinstance(a, dt.date):
        a, b = (each.timestamp() if isinstance(each, dt.datetime) else each.toordinal() * 86_400 for each in (a, b))
    if isinstance(a, float) and not (math.isfinite(a) and math.isfinite(b)):
        return False
    within = round(abs(a - b), 9) if a < 1e15 else abs(a - b)
    return (rule.absolute is not None and within <= rule.absolute) or (
        rule.relative is not None and abs(a - b) <= rule.relative * max(abs(a), abs(b))
    )


def cosine(a: list[Any], b: list[Any]) -> float:
    if None in a or None in b or not all(map(math.isfinite, a + b)) or not any(a) or not any(b):
        return NAN
    a, b = ([x / max(map(abs, v)) for x in v] for v in (a, b))
    return round(sum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b), 12)


def equal(a: Any, b: Any, rule: ColumnRule) -> bool:
    if same(a, b) or a is None or b is None or rule.is_exact:
        return same(a, b)
    if rule.as_set:
        return all(any(same(x, y) for y in other) for one, other in ((a, b), (b, a)) for x in one)
    if rule.cosine is not None:
        return len(a) == len(b) and cosine(a, b) >= rule.cosine
    if isinstance(a, list):
        return len(a) == len(b) > 0 and all(close(x, y, rule) for x, y in zip(a, b, strict=True))
    return close(a, b, rule)


@pytest.mark.parametrize(("pool", "rule"), CASES, ids=str)
def test_every_value_against_every_value(pool: str, rule: ColumnRule) -> None:
    dtype, values = POOLS[pool]
    pairs = [(a, b) for a in values for b in values]
    frame = pl.DataFrame(
        {"x": pl.Series([a for a, _ in pairs], dtype=dtype), "legacy_x": pl.Series([b for _, b in pairs], dtype=dtype)}
    )
    found = with_differences(frame, {"x": rule})["differs_x"].to_list()
    wrong = [(pair, got) for pair, got in zip(pairs, found, strict=True) if got is equal(*pair, rule)]
    assert wrong == []


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(*[st.lists(st.floats(-2, 2, width=32), max_size=5)] * 2), max_size=8))
def test_vectors_of_any_lengths(pairs: list[tuple[list[float], list[float]]]) -> None:
    frame = pl.DataFrame(
        {"x": [a for a, _ in pairs], "legacy_x": [b for _, b in pairs]},
        schema=dict.fromkeys(("x", "legacy_x"), pl.List(pl.Float64())),
    )
    for rule in (ColumnRule(absolute=0.5), ColumnRule(cosine=0.9)):
        found = with_differences(frame, {"x": rule})["differs_x"].to_list()
        assert found == [not equal(a, b, rule) for a, b in pairs]


def test_arrays_of_another_length_differ() -> None:
    frame = pl.DataFrame(
        {
            "x": pl.Series([[1.0, 2.0]], dtype=pl.Array(pl.Float64(), 2)),
            "legacy_x": pl.Series([[1.0]], dtype=pl.Array(pl.Float64(), 1)),
        }
    )
    assert with_differences(frame, {"x": ColumnRule(cosine=-1.0)})["differs_x"].to_list() == [True]


@pytest.mark.parametrize(
    ("one", "other", "rule", "said"),
    [
        (1, "1", ColumnRule(), "'x' is Int64 on our side and String on legacy's: read both as the same type"),
        ("a", "b", ColumnRule(absolute=1), "'x' is String, which has no such distance: compare it exactly, not by"),
        (1.0, 2.0, ColumnRule(cosine=0.9), "'x' is Float64, which has no such distance"),
        (["a"], ["b"], ColumnRule(cosine=0.9), "'x' has items of type String, which have no angle: drop `cosine`"),
        (T, T + dt.timedelta(1), ColumnRule(relative=0.1), "which has no such distance"),
        ("a", "b", ColumnRule(as_set=True), "'x' is String, which is no set: drop `as_set` of it"),
    ],
)  # fmt: skip
def test_a_rule_that_does_not_fit_the_type_is_named(one: Any, other: Any, rule: ColumnRule, said: str) -> None:
    with pytest.raises(ColumnTypesError) as error:
        with_differences(pl.DataFrame({"x": [one], "legacy_x": [other]}), {"x": rule})
    assert said in str(error.value)
