"""A type holds another exactly when every value survives the way there and back."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sequence_defs.analysis.widening import alike, cast_to, holds, holds_column, nearest_dtype
from sequence_defs.compiler.sql import storage_dtype
from sequence_defs.schema import Column

NUMBERS = ["int8", "int16", "int32", "int64", "float32", "float64"]
EXTREMES = {
    "int8": [-(2**7), 2**7 - 1],
    "int16": [-(2**15), 2**15 - 1],
    "int32": [-(2**31), 2**31 - 1],
    "int64": [-(2**63), 2**63 - 2],
    "float32": [0.5, 3.4028234e38],
    "float64": [0.1, 1.7976931348623157e308],
}


@settings(deadline=None)
@given(found=st.sampled_from(NUMBERS), declared=st.sampled_from(NUMBERS))
def test_a_number_type_holds_another_when_its_extremes_survive(found: str, declared: str) -> None:
    values = pl.Series(EXTREMES[found], dtype=storage_dtype(found))
    there = values.cast(storage_dtype(declared), strict=False)
    survives = values.equals(there.cast(storage_dtype(found), strict=False), null_equal=False)
    assert holds(declared, storage_dtype(found)) == survives


@pytest.mark.parametrize(
    ("declared", "found", "expected"),
    [
        ("string", pl.Int64(), False),
        ("int64", pl.Boolean(), False),
        ("timestamp", pl.Date(), False),
        ("timestamp", pl.Datetime("us"), True),
        ("timestamp", pl.Datetime("ms", "Asia/Tokyo"), True),
        ("timestamp", pl.Datetime("ns", "UTC"), False),
        ("list[int64]", pl.List(pl.Int32()), True),
        ("list[int32]", pl.List(pl.Int64()), False),
        ("int32", pl.UInt32(), False),
        ("int64", pl.UInt32(), True),
        ("int64", pl.UInt64(), False),
        ("bool", pl.Null(), True),
        ("float64", pl.Duration("us"), False),
    ],
)
def test_other_types_hold_only_their_own_kind(declared: str, found: pl.DataType, expected: bool) -> None:
    assert holds(declared, found) is expected


def test_a_vector_holds_only_its_own_shape() -> None:
    ours = Column(name="v", dtype="vector[float16,8]")
    assert holds_column(ours, ours)
    assert not holds_column(ours, Column(name="v", dtype="vector[float32,8]"))
    assert not holds_column(ours, Column(name="v", dtype="binary"))


@pytest.mark.parametrize(
    ("found", "nearest"),
    [
        (pl.UInt32(), "int64"),
        (pl.Int8(), "int8"),
        (pl.Datetime("us"), "timestamp"),
        (pl.List(pl.UInt8()), "list[int16]"),
        (pl.Duration("us"), None),
    ],
)
def test_the_nearest_type_is_the_smallest_that_holds_it(found: pl.DataType, nearest: str | None) -> None:
    assert nearest_dtype(found) == nearest


def test_a_cast_is_suggested_only_where_sql_has_the_type() -> None:
    assert cast_to("int8", "a + b") == "TRY_CAST(a + b AS TINYINT)"
    assert cast_to("vector[int8,4]", "a") is None


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("int32", "int64", True),
        ("float32", "float64", True),
        ("list[int8]", "list[int64]", True),
        ("int64", "float64", False),
        ("int64", "string", False),
        ("int64", "list[int64]", False),
        ("date", "timestamp", False),
        ("vector[float32,2]", "vector[float32,2]", True),
        ("vector[float32,2]", "vector[float16,2]", False),
        ("vector[float32,2]", "vector[float32,3]", False),
    ],
)
def test_values_of_two_types_can_be_the_same_value(one: str, other: str, expected: bool) -> None:
    assert alike(one, other) is alike(other, one) is expected
