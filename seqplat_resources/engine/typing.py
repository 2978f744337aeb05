"""Make columns exactly what they were declared to be, and say which rows could not be."""

from collections.abc import Iterable

import numpy as np
import polars as pl

from sequence_defs.compiler.sql import storage_dtype
from sequence_defs.schema import Column, parse_dtype

_ITEM = {"int8": pl.Int8(), "float16": pl.Float16(), "float32": pl.Float32()}
_ITEM_BYTES = {"int8": 1, "float16": 2, "float32": 4}


def typed(column: Column, present: pl.DataType) -> pl.Expr:
    """The column in its declared type; a value that does not fit becomes null. Vectors become Binary."""
    parsed, value = parse_dtype(column.dtype), pl.col(column.name)
    if parsed.kind == "vector" and isinstance(present, pl.Array | pl.List):
        return _vector(value, present, parsed.item, parsed.dim).alias(column.name)
    if isinstance(present, pl.Datetime) and column.dtype == "timestamp":
        value = value.dt.replace_time_zone("UTC") if present.time_zone is None else value.dt.convert_time_zone("UTC")
    if column.dtype == "date" and isinstance(present, pl.Datetime):
        return value.dt.date()
    if column.dtype == "bool" and isinstance(present, pl.String):
        return value.str.to_lowercase().replace_strict(
            {"true": True, "false": False, "1": True, "0": False}, default=None, return_dtype=pl.Boolean
        )
    if column.dtype in ("date", "timestamp") and isinstance(present, pl.String):
        return _parsed_text(value, column.dtype)
    want = storage_dtype(column.dtype)
    if want.is_integer() and present.is_float():
        # NOTE: a cast would cut 1.5 to 1 without a word; only whole numbers are integers.
        return pl.when(value == value.floor()).then(value).cast(want, strict=False).alias(column.name)
    return value.cast(want, strict=False)


def problem(columns: Iterable[Column], before: pl.DataFrame, *, required: Iterable[str] = ()) -> pl.Expr:
    """Per row, the first reason it does not fit its declaration, or null. Evaluated on ``before``.

    ``required`` names columns that must not be null although their declaration allows it.
    """
    must = set(required)
    reasons = []
    for column in columns:
        value, fitted = pl.col(column.name), typed(column, before.schema[column.name])
        if before.schema[column.name] != storage_dtype(column.dtype):
            shown = _shown(value, before.schema[column.name])
            reasons.append(
                pl.when(value.is_not_null() & fitted.is_null()).then(
                    pl.format("column {}: {} is not {}", pl.lit(column.name), shown, pl.lit(column.dtype))
                )
            )
        if not column.nullable or column.name in must:
            reasons.append(pl.when(value.is_null()).then(pl.lit(f"column {column.name}: null, but it is required")))
    return pl.coalesce(*reasons, pl.lit(None, pl.String)) if reasons else pl.lit(None, pl.String)


def _vector(value: pl.Expr, present: pl.DataType, item: str, dim: int) -> pl.Expr:
    as_list = value.arr.to_list() if isinstance(present, pl.Array) else value
    fits = (as_list.list.len() == dim) & as_list.list.eval(pl.element().is_null()).list.any().not_()
    packed = pl.when(fits).then(as_list).cast(pl.List(_ITEM[item]), strict=False).list.to_array(dim)
    return packed.map_batches(lambda s: _pack(s, item, dim), return_dtype=pl.Binary())


def _pack(vectors: pl.Series, item: str, dim: int) -> pl.Series:
    """Rows of a fixed-size array as the bytes they are made of. One copy of the whole column."""
    valid = vectors.is_not_null()
    width = dim * _ITEM_BYTES[item]
    data = np.ascontiguousarray(vectors.filter(valid).explode().cast(_ITEM[item]).to_numpy())
    packed = pl.Series(vectors.name, np.frombuffer(data, dtype=f"V{width}").tolist(), dtype=pl.Binary())
    if packed.len() == vectors.len():
        return packed
    rank = pl.when(pl.col("valid")).then(pl.col("valid").cast(pl.UInt32).cum_sum() - 1)
    return packed.to_frame().select(pl.col(vectors.name).gather(valid.to_frame("valid").select(rank).to_series()))[
        vectors.name
    ]


def _parsed_text(value: pl.Expr, dtype: str) -> pl.Expr:
    if dtype == "date":
        return value.str.to_date(strict=False)
    return value.str.to_datetime(time_unit="us", time_zone="UTC", strict=False)


def _shown(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if isinstance(dtype, pl.List | pl.Array | pl.Struct | pl.Binary):
        return pl.lit(f"a {dtype}")
    return value.cast(pl.String).str.slice(0, 80)
