"""Rows and values as JSON text, whatever their types and values are."""

import json
from collections.abc import Callable, Sequence

import polars as pl

from seqplat_resources.values.isolation import attempted


def json_text(columns: Sequence[str]) -> pl.Expr:
    """Each row's columns as one JSON object with the types they have; bytes, which JSON has not, as hexadecimal."""
    if not columns:
        return pl.lit("{}")
    return pl.struct(columns).map_batches(_objects, return_dtype=pl.String(), is_elementwise=True)


def json_of(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """A list, a map or a struct as JSON text, null where it is null; bytes in it as hexadecimal."""
    wrapped = pl.struct(_plain(value, dtype).alias("v")).struct.json_encode()
    return pl.when(value.is_not_null()).then(wrapped.str.slice(5).str.head(-1))


def _objects(rows: pl.Series) -> pl.Series:
    frame = rows.struct.unnest()
    texts, errors = attempted(frame, _encoded)
    if errors is None:
        return texts["text"]
    # What no writer takes is told in numbers where it is an instant, else in Python's words.
    bad = errors.is_not_null()
    numbers = frame.filter(bad).select(
        pl.col(name).cast(_physical(dtype), strict=False) for name, dtype in frame.schema.items()
    )
    said = [json.dumps(row, ensure_ascii=False, default=_said) for row in numbers.iter_rows(named=True)]
    return texts["text"].scatter(bad.arg_true(), pl.Series(said, dtype=pl.String()))


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


def _said(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
