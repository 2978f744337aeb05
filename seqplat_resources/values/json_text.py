"""Rows and values as JSON text, whatever their types and values are."""

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import polars as pl

from seqplat_resources.values.isolation import attempted

# Rows are written together that have their odd numbers in the same columns; beyond so many kinds one by one.
_MOST_KINDS = 16


def json_text(columns: Sequence[str]) -> pl.Expr:
    """Each row's columns as one JSON object with the types they have; what JSON has not is text: bytes are hexadecimal,
    numbers that are none are ``NaN``, ``Infinity`` and ``-Infinity``."""
    if not columns:
        return pl.lit("{}")
    return pl.struct(columns).map_batches(_objects, return_dtype=pl.String(), is_elementwise=True)


def json_of(value: pl.Expr) -> pl.Expr:
    """A list, a map or a struct as JSON text like that of ``json_text``, null where it is null."""
    wrapped = pl.struct(value.alias("v")).map_batches(_objects, return_dtype=pl.String(), is_elementwise=True)
    return pl.when(value.is_not_null()).then(wrapped.str.slice(5).str.head(-1))


def _objects(rows: pl.Series) -> pl.Series:
    """Many rows at once, also where a column that is missing is written as NaN: those become texts before."""
    frame = rows.struct.unnest()
    finite = frame.select(
        pl.col(n).is_finite().fill_null(True) for n, dtype in frame.schema.items() if dtype.is_float()
    )
    finite = finite.select(name for name in finite.columns if not finite[name].all())
    kinds = finite.unique() if finite.width else finite
    if not 0 < kinds.height <= _MOST_KINDS:
        return _texts(frame)
    texts = pl.Series([None] * frame.height, dtype=pl.String())
    for kind in kinds.iter_rows(named=True):
        places = finite.select(pl.all_horizontal(pl.col(n) == v for n, v in kind.items()).arg_true()).to_series()
        worded = (_words(pl.col(name)).alias(name) for name, is_finite in kind.items() if not is_finite)
        texts = texts.scatter(places, _texts(frame[places].with_columns(worded)))
    return texts


def _words(value: pl.Expr) -> pl.Expr:
    return (
        pl.when(value.is_nan())
        .then(pl.lit("NaN"))
        .when(value > 0)
        .then(pl.lit("Infinity"))
        .otherwise(pl.lit("-Infinity"))
    )


def _texts(frame: pl.DataFrame) -> pl.Series:
    texts, errors = attempted(frame, _encoded)
    said = texts["text"]
    if errors is not None:
        # What no writer takes is told in numbers where it is an instant, else in Python's words.
        bad = errors.is_not_null()
        numbers = frame.filter(bad).select(
            pl.col(name).cast(_physical(dtype), strict=False) for name, dtype in frame.schema.items()
        )
        words = [_written(_worded(row)) for row in numbers.iter_rows(named=True)]
        said = said.scatter(bad.arg_true(), pl.Series(words, dtype=pl.String()))
    return _with_numbers_that_are_none(said, frame)


def _with_numbers_that_are_none(texts: pl.Series, frame: pl.DataFrame) -> pl.Series:
    """The texts of these rows, in which such a number is null until now."""
    floats = {name: dtype for name, dtype in frame.schema.items() if _any(dtype, _is_float)}
    if not floats or not frame.height:
        return texts
    odd = frame.select(
        pl.any_horizontal(_has_none(pl.col(name), dtype).fill_null(False) for name, dtype in floats.items()).alias(
            "odd"
        )
    )["odd"]
    if not odd.any():
        return texts
    values = frame.filter(odd).select(list(floats)).iter_rows(named=True)
    said = [_written(_overlaid(json.loads(text), row)) for text, row in zip(texts.filter(odd), values, strict=True)]
    return texts.scatter(odd.arg_true(), pl.Series(said, dtype=pl.String()))


def _has_none(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Whether there is a number that is none in a value of a type with floats."""
    if isinstance(dtype, pl.Array):
        value, dtype = value.arr.to_list(), pl.List(dtype.inner)
    if isinstance(dtype, pl.Map):
        entry = {"key": _instance(dtype.key), "value": _instance(dtype.value)}
        value, dtype = value.cast(pl.List(pl.Struct(entry))), pl.List(pl.Struct(entry))
    if isinstance(dtype, pl.List):
        return value.list.eval(_has_none(pl.element(), _instance(dtype.inner)).fill_null(False)).list.any()
    if isinstance(dtype, pl.Struct):
        inside = ((field.name, _instance(field.dtype)) for field in dtype.fields)
        return pl.any_horizontal(
            _has_none(value.struct.field(name), of).fill_null(False) for name, of in inside if _any(of, _is_float)
        )
    return ~value.is_finite()


def _overlaid(said: Any, value: Any) -> Any:
    """What JSON says of a value, where it says null of a number that is none, in words."""
    if isinstance(value, float) and not math.isfinite(value):
        return _worded(value)
    if isinstance(said, dict) and isinstance(value, dict):
        plain = {_key(name): item for name, item in value.items()}
        return {name: _overlaid(item, plain.get(name)) for name, item in said.items()}
    if isinstance(said, list) and isinstance(value, list):
        return [_overlaid(item, of) for item, of in zip(said, value, strict=True)]
    return said


def _worded(value: Any) -> Any:
    """A value as ``json`` can write it."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {_key(name): _worded(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_worded(item) for item in value]
    if isinstance(value, bytes):
        return value.hex()
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _key(name: object) -> str:
    return name.hex() if isinstance(name, bytes) else str(name)


def _written(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _encoded(rows: pl.DataFrame) -> pl.DataFrame:
    plain = (_plain(pl.col(name), dtype).alias(name) for name, dtype in rows.schema.items())
    return rows.select(pl.struct(plain).struct.json_encode().alias("text"))


def _plain(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """A value as JSON can say it: bytes as hexadecimal, keys of maps as texts."""
    if isinstance(dtype, pl.Binary):
        return value.bin.encode("hex")
    if isinstance(dtype, pl.Array):
        value, dtype = value.arr.to_list(), pl.List(dtype.inner)
    if not _any(dtype, _is_odd):
        return value
    if isinstance(dtype, pl.Map):
        key, item = _instance(dtype.key), _instance(dtype.value)
        pairs = value.cast(pl.List(pl.Struct({"key": key, "value": item})))
        said = _plain(pl.element().struct.field("key"), key).cast(pl.String)
        what = _plain(pl.element().struct.field("value"), item)
        return pairs.list.eval(pl.struct(key=said, value=what)).cast(_plain_type(dtype))
    if isinstance(dtype, pl.List):
        return value.list.eval(_plain(pl.element(), _instance(dtype.inner)))
    assert isinstance(dtype, pl.Struct)
    fields = (_plain(value.struct.field(f.name), _instance(f.dtype)).alias(f.name) for f in dtype.fields)
    return pl.when(value.is_not_null()).then(pl.struct(fields))


def _plain_type(dtype: pl.DataType) -> pl.DataType:
    if isinstance(dtype, pl.Map):
        return pl.Map(pl.String(), _plain_type(_instance(dtype.value)))
    if isinstance(dtype, pl.List | pl.Array):
        return pl.List(_plain_type(_instance(dtype.inner)))
    if isinstance(dtype, pl.Struct):
        return pl.Struct({field.name: _plain_type(_instance(field.dtype)) for field in dtype.fields})
    return pl.String() if isinstance(dtype, pl.Binary) else dtype


def _is_odd(dtype: pl.DataType) -> bool:
    return isinstance(dtype, pl.Binary) or (isinstance(dtype, pl.Map) and _instance(dtype.key) != pl.String())


def _is_float(dtype: pl.DataType) -> bool:
    return dtype.is_float()


def _any(dtype: pl.DataType, claim: Callable[[pl.DataType], bool]) -> bool:
    """Whether the claim holds of the type or of one in it."""
    inside: list[object] = []
    if isinstance(dtype, pl.List | pl.Array):
        inside = [dtype.inner]
    elif isinstance(dtype, pl.Map):
        inside = [dtype.key, dtype.value]
    elif isinstance(dtype, pl.Struct):
        inside = [field.dtype for field in dtype.fields]
    return claim(dtype) or any(_any(_instance(each), claim) for each in inside)


def _physical(dtype: pl.DataType) -> pl.DataType:
    """The type with numbers where there are instants, dates, times and durations."""
    if isinstance(dtype, pl.List | pl.Array):
        return pl.List(_physical(_instance(dtype.inner)))
    if isinstance(dtype, pl.Map):
        entry = {"key": _physical(_instance(dtype.key)), "value": _physical(_instance(dtype.value))}
        return pl.List(pl.Struct(entry))
    if isinstance(dtype, pl.Struct):
        return pl.Struct({field.name: _physical(_instance(field.dtype)) for field in dtype.fields})
    return pl.Int64() if dtype.is_temporal() else dtype


def _instance(dtype: object) -> pl.DataType:
    return dtype() if isinstance(dtype, type) else dtype  # type: ignore[return-value]
