"""Columns as NumPy arrays. Their types follow the columns' types alone, never whether there is a null just now."""

import datetime as dt
import operator
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

Array = npt.NDArray[Any]
Arrays = dict[str, Array]
# What stands for null, for all columns or by column.
Value = bool | float | str | bytes | dt.date | np.generic
Fill = Value | Mapping[str, Value]


class NullsInColumns(ValueError):
    """Columns hold nulls, their arrays cannot, and no ``fill`` says what a null is; ``columns`` names all of them."""

    def __init__(self, found: Mapping[str, pl.DataType]) -> None:
        self.columns, self._found = tuple(found), found
        told = ", ".join(f"{name!r} ({dtype})" for name, dtype in found.items())
        example = {name: _example(dtype) for name, dtype in found.items()}
        super().__init__(
            f"nulls in {told}, whose arrays have no value for null; say which value stands for it, "
            f"as fill={example}, or leave the column out of `columns`"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._found,)  # errors of worker processes are pickled


class BadFill(ValueError):
    """``value`` is none that the array of ``column`` could hold."""

    def __init__(self, column: str, dtype: pl.DataType, value: object) -> None:
        self.column, self.dtype, self.value = column, dtype, value
        super().__init__(
            f"column {column!r} is {dtype} and cannot be filled with {value!r}; "
            f"give fill={{{column!r}: ...}} a value of its type, as {_example(dtype)!r}"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.column, self.dtype, self.value)


class UnknownColumn(ValueError):
    """A column is asked for, or filled, that the answer does not have."""

    def __init__(self, column: str, known: Sequence[str]) -> None:
        self.column, self.known = column, tuple(known)
        close = get_close_matches(column, known, 1)
        fix = f"did you mean {close[0]!r}?" if close else f"it has {list(known)}"
        super().__init__(f"the answer has no column {column!r}; {fix}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.column, self.known)


def arrays_of(frame: pl.DataFrame, columns: Sequence[str], fill: Fill | None) -> Arrays:
    """
    Shapes:
        Out: by column, in the order of ``columns``, a writable array of the frame's N rows; N x dimension of vectors.
        A list is an array within an array of objects.
    Nulls:
        Are what ``fill`` says, in lists each null item, while a null list is an empty one. Without it they are NaN,
        NaT or None. One value for all columns leaves out those whose type it does not fit, if they have one of these.
    Raises:
        NullsInColumns: there are nulls in columns of whole numbers or truth values without ``fill``.
        BadFill, UnknownColumn: said there; whether or not there are nulls.
    """
    values = _values(frame, columns, fill)
    arrays = {name: _array(frame[name], values.get(name)) for name in columns}
    if failed := [name for name, array in arrays.items() if array is None]:
        raise NullsInColumns({name: frame.schema[name] for name in failed})
    return {name: array for name, array in arrays.items() if array is not None}


def padded(
    frame: pl.DataFrame, lengths: npt.NDArray[np.int64], length: int, columns: Sequence[str], fill: Fill | None
) -> tuple[Arrays, npt.NDArray[np.bool_]]:
    """Sequences that lie end to end in ``frame``, of so many rows each, as arrays of one length.

    Shapes:
        Out: by column an array of sequences x ``length`` (vectors: x dimension), cut or padded at the end; and the
        mask, True where a row is.
    Raises:
        As ``arrays_of``; rows that are cut off count. ValueError: ``length`` is negative.
    """
    if length < 0:
        raise ValueError(f"length is {length}; a sequence has 0 places or more")
    starts = np.cumsum(lengths) - lengths
    sequence_of = np.repeat(np.arange(lengths.size), lengths)
    place = np.arange(frame.height) - np.repeat(starts, lengths)
    kept = place < length
    mask = np.zeros((lengths.size, length), np.bool_)
    mask[sequence_of[kept], place[kept]] = True
    arrays: Arrays = {}
    for name, values in arrays_of(frame, columns, fill).items():
        arrays[name] = np.empty((lengths.size, length, *values.shape[1:]), values.dtype)
        arrays[name].fill(padding(frame.schema[name]))
        arrays[name][mask] = values[kept]
    return arrays, mask


def padding(dtype: pl.DataType) -> Any:
    """What stands where no event is: zero, False, 1970-01-01, empty text, bytes or list."""
    if isinstance(dtype, pl.List):
        return _of_type(dtype.inner)  # type: ignore[arg-type]
    if dtype == pl.Binary:
        return b""
    return "" if _of_type(dtype).dtype == object else 0


def _values(frame: pl.DataFrame, columns: Sequence[str], fill: Fill | None) -> dict[str, Any]:
    """By column what its nulls become, as NumPy takes it."""
    single = not isinstance(fill, Mapping)
    given = {} if fill is None else dict.fromkeys(columns, fill) if not isinstance(fill, Mapping) else fill
    for name in (*columns, *given):
        if name not in frame.columns:
            raise UnknownColumn(name, frame.columns)
    values = {}
    for name, value in given.items():
        dtype = frame.schema[name]
        try:
            values[name] = _fitting(value, dtype)
        except (TypeError, ValueError, OverflowError):
            if single and _has_null(dtype):
                continue
            raise BadFill(name, dtype, value) from None
    return values


def _fitting(value: Any, dtype: pl.DataType) -> Any:
    """
    Raises:
        TypeError, ValueError, OverflowError: it does not fit.
    """
    item = _of_type(_item(dtype)).dtype
    match item.kind:
        case "b":
            fitting = _only(value, bool, np.bool_)
        case "i" | "u":
            fitting = _whole(value, item)
        case "f":
            fitting = float(_only(value, int, float, np.integer, np.floating, never=bool))
        case "M":
            fitting = _time(value, item)
        case "O":
            fitting = _only(value, bytes if _item(dtype) == pl.Binary else str)
        case _:
            raise TypeError
    return fitting


def _only(value: Any, *kinds: type, never: type = type(None)) -> Any:
    if isinstance(value, kinds) and not isinstance(value, never):
        return value
    raise TypeError


def _whole(value: Any, item: np.dtype[Any]) -> int:
    number, bounds = operator.index(_only(value, int, np.integer, never=bool)), np.iinfo(item)
    if not bounds.min <= number <= bounds.max:
        raise OverflowError
    return number


def _time(value: Any, item: np.dtype[Any]) -> Any:
    if item == "datetime64[D]":
        return np.datetime64(_only(value, dt.date, np.datetime64, never=dt.datetime), "D")
    if isinstance(value, dt.datetime) and value.tzinfo:
        value = value.astimezone(dt.UTC).replace(tzinfo=None)
    return np.datetime64(_only(value, dt.datetime, np.datetime64)).astype(item)


def _array(series: pl.Series, value: Any) -> Array | None:
    """None where there is a null and nothing to stand for it."""
    dense = _dense(series.drop_nulls(), value)
    if dense is None or not series.null_count():
        return dense
    is_list = isinstance(series.dtype, pl.List)
    if value is not None:
        null = padding(series.dtype) if is_list else value
    elif is_list or _has_null(series.dtype):
        null = _NULL.get(dense.dtype.kind)
    else:
        return None
    array = np.empty((len(series), *dense.shape[1:]), dense.dtype)
    array.fill(null)
    array[series.is_not_null().to_numpy()] = dense
    return array


def _dense(series: pl.Series, value: Any) -> Array | None:
    """Of a column without nulls, though its lists may have some."""
    if not isinstance(series.dtype, pl.List):
        return series.to_numpy(writable=True)
    items = _array(series.explode(empty_as_null=False), value)
    if items is None:
        return None
    rows = np.empty(len(series), object)
    ends = np.cumsum(series.list.len().to_numpy())
    for row, part in enumerate(np.split(items, ends)[:-1]):  # assigned as a whole, arrays of equal length would spread
        rows[row] = part
    return rows


_NULL: Mapping[str, Any] = {"f": np.nan, "M": np.datetime64("NaT"), "m": np.timedelta64("NaT")}


def _has_null(dtype: pl.DataType) -> bool:
    """Whether its arrays have a value for null: NaN, NaT, None."""
    item = _item(dtype)
    return not (item == pl.Boolean or item.is_integer())


def _item(dtype: pl.DataType) -> pl.DataType:
    while isinstance(dtype, pl.List | pl.Array):
        dtype = dtype.inner  # type: ignore[assignment]
    return dtype


def _of_type(dtype: pl.DataType) -> Array:
    """An array of no rows."""
    return pl.Series([], dtype=dtype).to_numpy()


def _example(dtype: pl.DataType) -> Any:
    """A value to fill it with, for messages."""
    item = _item(dtype)
    if item == pl.Boolean:
        return False
    if item.is_temporal():
        return dt.date(1970, 1, 1) if item == pl.Date else dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    if item.is_numeric():
        return -1 if dtype.is_signed_integer() else 0
    return b"" if item == pl.Binary else ""
