"""Make columns exactly what they were declared to be, and say which rows could not be."""

import json
import re
from collections.abc import Callable, Iterable
from typing import cast

import numpy as np
import polars as pl

from seqplat_resources.engine.spread import spread
from sequence_defs.compiler.sql import UTC_US, storage_dtype
from sequence_defs.schema import Column, parse_dtype
from sequence_defs.schema.dtypes import ParsedDtype

_ITEM = {"int8": pl.Int8(), "float16": pl.Float16(), "float32": pl.Float32()}
_ITEM_BYTES = {"int8": 1, "float16": 2, "float32": 4}


def typed(column: Column, present: pl.DataType) -> pl.Expr:
    """The column in its declared type; a value that does not fit becomes null. Vectors become Binary.

    Text is read as the type is written: dates and times as ISO 8601 (UTC unless they say otherwise), lists and
    vectors as JSON. A list fits when all of its items do.
    """
    parsed, value = parse_dtype(column.dtype), pl.col(column.name)
    if parsed.kind == "scalar":
        return _scalar(value, parsed.item, present).alias(column.name)
    if parsed.kind == "vector" and isinstance(present, pl.Binary):
        return pl.when(value.bin.size() == parsed.dim * _ITEM_BYTES[parsed.item]).then(value).alias(column.name)
    if isinstance(present, pl.String):
        value, present = value.map_batches(_json_lists, return_dtype=pl.List(pl.String())), pl.List(pl.String())
    elif isinstance(present, pl.Array):
        value, present = value.arr.to_list(), pl.List(present.inner)
    if not isinstance(present, pl.List):
        return pl.lit(None, storage_dtype(column.dtype)).alias(column.name)
    if parsed.kind == "vector":
        return _vector(value, parsed, present).alias(column.name)
    items = _items(value, parsed.item, present)
    whole = items.list.drop_nulls().list.len() == value.list.drop_nulls().list.len()
    return pl.when(whole).then(items).alias(column.name)


def problem(
    columns: Iterable[Column], before: pl.DataFrame, *, required: Iterable[str] = (), after: pl.DataFrame | None = None
) -> pl.Expr:
    """Per row, the first reason it does not fit its declaration, or null. Evaluated on ``before``.

    ``required`` names columns that must not be null although their declaration allows it. ``after`` has the columns as
    ``typed``, where the caller made them already: one with no more nulls than before has lost nothing.
    """
    must = set(required)
    reasons = []
    for column in columns:
        value, fitted = pl.col(column.name), typed(column, before.schema[column.name])
        kept = after is not None and after[column.name].null_count() == before[column.name].null_count()
        if not kept and (
            before.schema[column.name] != storage_dtype(column.dtype) or column.dtype.startswith("vector")
        ):
            shown = _shown(value, before.schema[column.name])
            reasons.append(
                pl.when(value.is_not_null() & fitted.is_null()).then(
                    pl.format("column {}: {} is not {}", pl.lit(column.name), shown, pl.lit(column.dtype))
                )
            )
        if (not column.nullable or column.name in must) and before[column.name].null_count():
            reasons.append(pl.when(value.is_null()).then(pl.lit(f"column {column.name}: null, but it is required")))
    return pl.coalesce(*reasons, pl.lit(None, pl.String)) if reasons else pl.lit(None, pl.String)


def _scalar(value: pl.Expr, dtype: str, present: pl.DataType) -> pl.Expr:
    """A value of one of the scalar types, or null."""
    want = storage_dtype(dtype)
    if present.is_nested():
        return pl.lit(None, want)
    if isinstance(present, pl.String) and dtype in _FROM_TEXT:
        return _FROM_TEXT[dtype](value)
    if isinstance(present, pl.Binary) and dtype == "string":
        return value.map_batches(_utf8_texts, return_dtype=pl.String())
    if isinstance(present, pl.Datetime) and dtype == "timestamp":
        value = value.dt.replace_time_zone("UTC") if present.time_zone is None else value.dt.convert_time_zone("UTC")
    if isinstance(present, pl.Datetime) and dtype == "date":
        return value.dt.date()
    if want.is_integer() and (present.is_float() or present.is_decimal()):
        # NOTE: a cast would cut 1.5 to 1 without a word; only whole numbers are integers.
        value = pl.when(value == value.floor()).then(value)
    return value.cast(want, strict=False)


def _bool_of(text: pl.Expr) -> pl.Expr:
    known = {"true": True, "false": False, "1": True, "0": False}
    return text.str.to_lowercase().replace_strict(known, default=None, return_dtype=pl.Boolean())


def _date_of(text: pl.Expr) -> pl.Expr:
    # NOTE: always with a format. Without one Polars takes that of the first value for all the others.
    return pl.coalesce(text.str.to_date("%Y-%m-%d", strict=False), _timestamp_of(text).dt.date())


def _timestamp_of(text: pl.Expr) -> pl.Expr:
    return text.map_batches(_timestamps, return_dtype=UTC_US, is_elementwise=True)


# No text has two of these forms, so the order in which they are tried changes nothing but the time it takes.
_ZONED = "%Y-%m-%d %H:%M:%S%.f%#z"
_PLAIN = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d")
_ENDS_LIKE_A_ZONE = re.compile(r":\d\d[.\d]*\s*[-+Z]")


def _timestamps(texts: pl.Series) -> pl.Series:
    """A column is mostly written one way: other forms are tried only while there are texts that gave no time."""
    spaced, nulls = texts.str.replace("T", " ", literal=True), texts.null_count()
    is_zoned = _ENDS_LIKE_A_ZONE.search(str(texts.first(ignore_nulls=True))) is not None
    first_form, *others = (_ZONED, *_PLAIN) if is_zoned else (*_PLAIN, _ZONED)
    found = _times(spaced, first_form)
    for form in others:
        if found.null_count() == nulls:
            break
        found = found.zip_with(found.is_not_null(), _times(spaced, form))
    return found


def _times(texts: pl.Series, form: str) -> pl.Series:
    if form == _ZONED:
        return texts.str.to_datetime(form, time_unit="us", time_zone="UTC", strict=False)
    return texts.str.to_datetime(form, time_unit="us", strict=False).dt.replace_time_zone("UTC")


_FROM_TEXT: dict[str, Callable[[pl.Expr], pl.Expr]] = {"bool": _bool_of, "date": _date_of, "timestamp": _timestamp_of}


def _utf8_texts(data: pl.Series) -> pl.Series:
    try:
        return data.cast(pl.String())
    except pl.exceptions.ComputeError:  # also where the cast is not strict
        return pl.Series(data.name, [_utf8_text(value) for value in data], dtype=pl.String())


def _utf8_text(value: bytes | None) -> str | None:
    try:
        return value.decode() if value is not None else None
    except UnicodeDecodeError:
        return None


def _json_lists(texts: pl.Series) -> pl.Series:
    """Each text as a list of texts, null where it is not a JSON array. Row by row: text is no format for vectors."""
    return pl.Series(texts.name, [_json_list(text) for text in texts], dtype=pl.List(pl.String()))


def _json_list(text: str | None) -> list[str | None] | None:
    try:
        items = json.loads(text) if text is not None else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(items, list):
        return None
    return [item if item is None or isinstance(item, str) else json.dumps(item) for item in items]


def _items(lists: pl.Expr, dtype: str, present: pl.List) -> pl.Expr:
    return lists.list.eval(_scalar(pl.element(), dtype, cast(pl.DataType, present.inner)))


def _vector(lists: pl.Expr, parsed: ParsedDtype, present: pl.List) -> pl.Expr:
    item, dim = parsed.item, parsed.dim
    # Floats only change their width, so the long way per item is for integers.
    items = _items(lists, item, present) if item == "int8" else lists.cast(pl.List(_ITEM[item]), strict=False)
    fits = (items.list.len() == dim) & (items.list.drop_nulls().list.len() == dim)
    packed = pl.when(fits).then(items).list.to_array(dim)
    return packed.map_batches(lambda s: _pack(s, item, dim), return_dtype=pl.Binary())


def _pack(vectors: pl.Series, item: str, dim: int) -> pl.Series:
    """Rows of a fixed-size array as the bytes they are made of. One copy of the whole column."""
    valid = vectors.is_not_null()
    width = dim * _ITEM_BYTES[item]
    data = np.ascontiguousarray(vectors.filter(valid).explode().cast(_ITEM[item]).to_numpy())
    packed = pl.Series(vectors.name, np.frombuffer(data, dtype=f"V{width}").tolist(), dtype=pl.Binary())
    if packed.len() == vectors.len():
        return packed
    return spread(packed.to_frame(), valid).to_series()


def _shown(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if isinstance(dtype, pl.List | pl.Array | pl.Struct | pl.Binary):
        return pl.lit(f"a {dtype}")
    return value.cast(pl.String).str.slice(0, 80)
