"""Arrays have the types of their columns, whatever the values."""

import datetime as dt
import pickle
import sys
from typing import Any

import numpy as np
import polars as pl
import pytest

from serving.client import BadFill, Batch, Events, Meta, NullsInColumns, UnknownColumn

META = Meta("r", {}, None, None, 1.0, (), None, None)
DAY, TIME = dt.date(2017, 12, 3), dt.datetime(2017, 12, 3, 20, 55, tzinfo=dt.UTC)

# By portable type: how it arrives, a value, what fills it, the array's type.
TYPES: dict[str, tuple[pl.DataType, Any, Any, str]] = {
    "bool": (pl.Boolean(), True, False, "bool"),
    "int8": (pl.Int8(), 3, -1, "int8"),
    "int16": (pl.Int16(), 3, -1, "int16"),
    "int32": (pl.Int32(), 3, -1, "int32"),
    "int64": (pl.Int64(), 2**53 + 1, -1, "int64"),
    "float32": (pl.Float32(), 0.5, -1.0, "float32"),
    "float64": (pl.Float64(), 0.5, -1, "float64"),
    "string": (pl.String(), "a", "<none>", "object"),
    "binary": (pl.Binary(), b"a", b"-", "object"),
    "date": (pl.Date(), DAY, dt.date(1970, 1, 1), "datetime64[D]"),
    "timestamp": (pl.Datetime("us", "UTC"), TIME, dt.datetime(1970, 1, 1), "datetime64[us]"),
    "list[int64]": (pl.List(pl.Int64()), [1, 2], -1, "object"),
    "list[string]": (pl.List(pl.String()), ["a"], "", "object"),
    "vector[int8,2]": (pl.Array(pl.Int8(), 2), [1, 2], 0, "int8"),
    "vector[float32,2]": (pl.Array(pl.Float32(), 2), [1, 2], 0, "float32"),
}
WITHOUT_NULL = {"bool", "int8", "int16", "int32", "int64", "vector[int8,2]"}


def events(**columns: pl.Series) -> Events:
    return Events("u", pl.DataFrame(columns), META)


def batch(lengths: list[int], **columns: pl.Series) -> Batch:
    users = tuple(str(user) for user in range(len(lengths)))
    rows = [user for user, length in zip(users, lengths, strict=True) for _ in range(length)]
    frame = pl.DataFrame({"user_id": pl.Series(rows, dtype=pl.String), **columns})
    return Batch(users, np.array(lengths, np.int64), frame, META)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("rows", ["none", "a value", "a null", "both"])
def test_a_filled_array_has_one_type_whatever_is_null(dtype: str, rows: str) -> None:
    held, value, fill, expected = TYPES[dtype]
    values = {"none": [], "a value": [value], "a null": [None], "both": [value, None]}[rows]
    array = events(c=pl.Series(values, dtype=held)).to_numpy(fill={"c": fill})["c"]
    assert array.dtype == expected
    assert array.shape == (len(values), *([2] if dtype.startswith("vector") else []))
    assert array.flags.writeable


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("rows", ["none", "a value", "a null", "both"])
def test_an_array_that_is_not_filled_has_that_type_or_is_refused(dtype: str, rows: str) -> None:
    held, value, _, expected = TYPES[dtype]
    values = {"none": [], "a value": [value], "a null": [None], "both": [value, None]}[rows]
    asked = events(c=pl.Series(values, dtype=held))
    if dtype in WITHOUT_NULL and None in values:
        with pytest.raises(NullsInColumns):
            asked.to_numpy()
    else:
        assert asked.to_numpy()["c"].dtype == expected


@pytest.mark.parametrize("dtype", [name for name in TYPES if not name.startswith(("list", "vector"))])
def test_nulls_become_the_fill_and_values_stay(dtype: str) -> None:
    held, value, fill, _ = TYPES[dtype]
    array = events(c=pl.Series([None, value], dtype=held)).to_numpy(fill={"c": fill})["c"]
    kept = value.replace(tzinfo=None) if isinstance(value, dt.datetime) else value
    assert array.tolist() == [fill, kept]


def test_nulls_that_are_not_filled_are_nan_nat_or_none() -> None:
    arrays = events(
        f=pl.Series([None, 0.5]), t=pl.Series([None, TIME]), s=pl.Series([None, "a"]), l=pl.Series([None, [1]])
    ).to_numpy()
    assert np.isnan(arrays["f"]).tolist() == [True, False]
    assert np.isnat(arrays["t"]).tolist() == [True, False]
    assert arrays["s"].tolist() == [None, "a"]
    assert arrays["l"][0] is None


def test_a_vector_that_is_null_is_a_row_of_the_fill() -> None:
    column = pl.Series([[1, 2], None], dtype=pl.Array(pl.Int8, 2))
    assert events(v=column).to_numpy(fill=-1)["v"].tolist() == [[1, 2], [-1, -1]]


def test_lists_are_filled_item_by_item_and_are_empty_where_null() -> None:
    column = pl.Series([[1, None], None, [], [None], [4, 5]], dtype=pl.List(pl.Int32))
    filled = events(c=column).to_numpy(fill={"c": -1})["c"]
    assert [row.tolist() for row in filled] == [[1, -1], [], [], [-1], [4, 5]]
    assert {row.dtype for row in filled} == {np.dtype(np.int32)}
    with pytest.raises(NullsInColumns):
        events(c=column).to_numpy()
    assert [row.tolist() for row in events(c=pl.Series([[1], [2]])).to_numpy()["c"]] == [[1], [2]]


def test_all_columns_with_nulls_are_named_with_the_fix() -> None:
    asked = events(n=pl.Series([None, 1]), b=pl.Series([None, True]), f=pl.Series([None, 0.5]))
    with pytest.raises(NullsInColumns) as raised:
        asked.to_numpy()
    assert raised.value.columns == ("n", "b")
    assert str(raised.value) == (
        "nulls in 'n' (Int64), 'b' (Boolean), whose arrays have no value for null; "
        "say which value stands for it, as fill={'n': -1, 'b': False}, or leave the column out of `columns`"
    )
    assert list(asked.to_numpy(["f"])) == ["f"]


def test_one_value_fills_all_columns_it_fits_and_leaves_those_with_a_null_of_their_own() -> None:
    arrays = events(n=pl.Series([None, 1]), f=pl.Series([None, 0.5]), s=pl.Series([None, "a"])).to_numpy(fill=-1)
    assert {name: array.tolist() for name, array in arrays.items()} == {
        "n": [-1, 1],
        "f": [-1.0, 0.5],
        "s": [None, "a"],
    }


@pytest.mark.parametrize(
    ("column", "fill"),
    [
        (pl.Series([1]), 0.5),
        (pl.Series([1]), "none"),
        (pl.Series([1]), True),
        (pl.Series([1], dtype=pl.Int8), 300),
        (pl.Series([True]), 0),
        (pl.Series([[1]], dtype=pl.List(pl.Int8)), 0.5),
    ],
)
@pytest.mark.parametrize("by_column", [False, True])
def test_a_fill_that_does_not_fit_is_refused_before_a_null_comes(column: pl.Series, fill: Any, by_column: bool) -> None:
    with pytest.raises(BadFill):
        events(c=column).to_numpy(fill={"c": fill} if by_column else fill)


@pytest.mark.parametrize(
    ("column", "fill"),
    [
        (pl.Series(["a"]), 0),
        (pl.Series([0.5]), "none"),
        (pl.Series([TIME]), 0),
        (pl.Series([TIME]), DAY),
        (pl.Series([DAY]), TIME),
        (pl.Series([b"a"]), "a"),
        (pl.Series([dt.timedelta(1)]), "a"),
        (pl.Series([1]), None),
    ],
)
def test_a_fill_for_a_column_has_to_fit_it(column: pl.Series, fill: Any) -> None:
    with pytest.raises(BadFill, match=r"column 'c' is .* and cannot be filled with .*; give fill=\{'c': \.\.\.\}"):
        events(c=column).to_numpy(fill={"c": fill})


def test_a_column_that_is_not_there_is_named_with_the_nearest() -> None:
    asked = batch([1], price=pl.Series([1]))
    for wrong in ({"columns": ["prise"]}, {"fill": {"prise": 0}}):
        with pytest.raises(UnknownColumn, match=r"^the answer has no column 'prise'; did you mean 'price'\?$"):
            asked.padded(2, **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("lengths", [[], [0], [0, 0], [2, 0, 1]])
def test_padded_arrays_have_the_type_and_shape_whatever_there_is(dtype: str, lengths: list[int]) -> None:
    held, value, fill, expected = TYPES[dtype]
    column = pl.Series([value, None, value][: sum(lengths)], dtype=held)
    arrays, mask = batch(lengths, c=column).padded(4, fill={"c": fill})
    assert arrays["c"].dtype == expected
    assert arrays["c"].shape == (len(lengths), 4, *([2] if dtype.startswith("vector") else []))
    assert mask.sum(axis=1).tolist() == lengths


def test_padding_is_the_zero_of_the_type_beside_what_stands_for_null() -> None:
    columns = {
        "n": pl.Series([7, None]),
        "b": pl.Series([True, None]),
        "s": pl.Series(["a", None]),
        "t": pl.Series([TIME, None]),
        "l": pl.Series([["a"], None]),
        "v": pl.Series([[1, 2], None], dtype=pl.Array(pl.Float32, 2)),
    }
    arrays, mask = batch([2], **columns).padded(3, fill={"n": -1, "b": False, "s": "<none>"})
    assert mask.tolist() == [[True, True, False]]
    assert arrays["n"].tolist() == [[7, -1, 0]]
    assert arrays["b"].tolist() == [[True, False, False]]
    assert arrays["s"].tolist() == [["a", "<none>", ""]]
    assert np.isnat(arrays["t"]).tolist() == [[False, True, False]]
    assert arrays["t"][0, 2] == np.datetime64(0, "us")
    assert arrays["l"][0, 1] is None
    assert arrays["l"][0, 2].tolist() == []
    assert arrays["v"][0, 2].tolist() == [0, 0]


def test_no_places_and_fewer_than_none() -> None:
    asked = batch([1, 0], n=pl.Series([7]))
    arrays, mask = asked.padded(0)
    assert arrays["n"].shape == mask.shape == (2, 0)
    with pytest.raises(ValueError, match="length is -1; a sequence has 0 places or more"):
        asked.padded(-1)


def test_a_table_of_pyarrow_without_pyarrow_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ModuleNotFoundError, match="install pyarrow, or hand on `frame`"):
        events(a=pl.Series([1])).to_arrow()


def test_answers_can_be_compared_and_kept_in_sets() -> None:
    one, other = events(n=pl.Series([1, 2])), batch([1], n=pl.Series([1]))
    assert one == one
    assert len({one, other, events(n=pl.Series([1, 2]))}) == 3


@pytest.mark.parametrize("options", [{}, {"fill": "none"}, {"columns": ["m"]}])
def test_errors_travel_between_processes(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        events(n=pl.Series([None, 1])).to_numpy(**options)
    found = pickle.loads(pickle.dumps(raised.value))
    assert (type(found), str(found)) == (type(raised.value), str(raised.value))
