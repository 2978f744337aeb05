"""Make columns exactly what they were declared to be, and say which rows could not be.

>>> texts = pl.DataFrame({"at": ["2024-05-01T09:00:00+02:00", "yesterday"], "sizes": ["[1, 2]", "[1.5]"]})
>>> at, sizes = Column(name="at", dtype="timestamp"), Column(name="sizes", dtype="list[int64]")
>>> texts.select(typed(at, pl.String()), typed(sizes, pl.String())).rows()
[(datetime.datetime(2024, 5, 1, 7, 0, tzinfo=zoneinfo.ZoneInfo(key='UTC')), [1, 2]), (None, None)]
"""

import re
from collections.abc import Iterable
from typing import cast

import msgspec
import numpy as np
import polars as pl

from seqplat_resources.values.no_numbers import with_numbers_as_texts
from seqplat_resources.values.scalars import is_same, narrowed, scalar
from seqplat_resources.values.spread import spread
from sequence_defs.compiler.sql import storage_dtype
from sequence_defs.schema import Column, parse_dtype
from sequence_defs.schema.dtypes import LAST_DAY, LAST_US, ParsedDtype

_ITEM = {"int8": pl.Int8(), "float16": pl.Float16(), "float32": pl.Float32()}
_ITEM_BYTES = {"int8": 1, "float16": 2, "float32": 4}
# Of how many microseconds one unit of an instant is; Polars cannot even print an instant of the year 300,000.
_PER_US = {"ms": 1000, "us": 1, "ns": 1}  # all there are of nanoseconds can be printed
_CONTROL = re.compile(r"[\x00-\x1f]")
_LACKING = ": null, but it is required"
# Which column a row was refused for, where its reason is that it has no value of that.
LACKING = rf"^(?:\w+: )?column (.+){_LACKING}$"
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_TEXT = msgspec.json.Decoder(str)


def typed(column: Column, present: pl.DataType) -> pl.Expr:
    """The column in its declared type; a value that does not fit becomes null. Vectors become Binary.

    Text is read as the type is written: dates and times as ISO 8601 (UTC unless they say otherwise), lists and
    vectors as JSON. A list fits when all of its items do.
    """
    parsed, value = parse_dtype(column.dtype), pl.col(column.name)
    if parsed.kind == "scalar":
        return scalar(value, parsed.item, present).alias(column.name)
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
    must, types = set(required), before.schema  # making a schema costs as much as it has columns
    reasons = []
    for column in columns:
        value, present = pl.col(column.name), types[column.name]
        kept = after is not None and after[column.name].null_count() == before[column.name].null_count()
        if not kept and not is_same(column.dtype, present):
            unfit = value.is_not_null() & typed(column, present).is_null()
            reasons.append(
                pl.when(unfit).then(
                    pl.format(
                        "column {}: {} is not {}", pl.lit(column.name), _readable(value, present), pl.lit(column.dtype)
                    )
                )
            )
        if (not column.nullable or column.name in must) and before[column.name].null_count():
            reasons.append(pl.when(value.is_null()).then(pl.lit(f"column {column.name}{_LACKING}")))
    return pl.coalesce(*reasons, pl.lit(None, pl.String)) if reasons else pl.lit(None, pl.String)


def _json_lists(texts: pl.Series) -> pl.Series:
    """Each text as a list of texts, null where it is not a JSON array. Row by row: text is no format for vectors."""
    return pl.Series(texts.name, [_json_list(text) for text in texts], dtype=pl.List(pl.String()))


def _json_list(text: str | None) -> list[str | None] | None:
    if text is None:
        return None
    try:
        return [_item(bytes(item)) for item in _ARRAY.decode(text)]
    except (ValueError, RecursionError):
        # Polars writes a list that it read from JSON with control characters as they are.
        escaped = _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
        mended = with_numbers_as_texts(escaped.encode()).decode()
        return _json_list(mended) if mended != text else None


def _item(raw: bytes) -> str | None:
    """What a JSON string says, and of everything else the JSON itself."""
    if raw == b"null":
        return None
    return _TEXT.decode(raw) if raw[:1] == b'"' else raw.decode()


def _items(lists: pl.Expr, dtype: str, present: pl.List) -> pl.Expr:
    return lists.list.eval(scalar(pl.element(), dtype, cast(pl.DataType, present.inner)))


def _vector(lists: pl.Expr, parsed: ParsedDtype, present: pl.List) -> pl.Expr:
    item, dim, inner = parsed.item, parsed.dim, cast(pl.DataType, present.inner)
    if inner == _ITEM[item]:
        items = lists
    elif item == "int8":
        items = _items(lists, item, present)
    else:
        # NOTE: numbers of the wire are first what they say, then narrowed, as a text's are.
        items = _items(lists, "float64", present).list.eval(narrowed(pl.element(), _ITEM[item], pl.Float64()))
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


def _readable(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if dtype.is_nested() or isinstance(dtype, pl.Binary | pl.Duration | pl.Object):
        return pl.lit(f"a {dtype}")
    if isinstance(dtype, pl.Date | pl.Datetime):
        stored = value.to_physical()
        far = 20 * (LAST_DAY if isinstance(dtype, pl.Date) else LAST_US // _PER_US[dtype.time_unit])
        value = pl.when(stored.is_between(-far, far)).then(value).cast(pl.String).fill_null(stored.cast(pl.String))
    return value.cast(pl.String, strict=False).fill_null("a value").str.slice(0, 80)
