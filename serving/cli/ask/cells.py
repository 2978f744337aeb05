"""The values of an answer as cells of a table: any type, any nesting, any length."""

import json
from collections.abc import Iterator
from typing import Any, cast

import polars as pl

from seqplat_resources.shown_text import plain
from seqplat_resources.times import date_of, instant
from serving.cli.output import text

# A list shows as many items as fit, at least one; a text is cut where it would fill the screen.
LIST_CHARS = 40
TEXT_CHARS = 400


def cells(frame: pl.DataFrame) -> Iterator[tuple[str, ...]]:
    """Each row of ``frame`` as one text per column.

    Times are looked at as numbers, because Python has none outside of the years 1 to 9999 and Polars has.
    """
    columns = [
        [cell(value, dtype) for value in frame[name].cast(_as_numbers(dtype)).to_list()]
        for name, dtype in frame.schema.items()
    ]
    return zip(*columns, strict=True)


def cell(value: Any, dtype: pl.DataType) -> str:
    """One value, times and dates as numbers since 1970 in the unit of ``dtype``; null as a dash."""
    if value is None:
        return text(None)
    if isinstance(dtype, pl.List | pl.Array):
        return _list(value, _inner(dtype))
    if isinstance(dtype, pl.Struct):
        fields = (f"{field.name}: {_item(value[field.name], _inner(field))}" for field in dtype.fields)
        return f"{{{', '.join(fields)}}}"
    if isinstance(dtype, pl.Datetime | pl.Date):
        return _time(value, dtype)
    shown = text(value)
    return shown if len(shown) <= TEXT_CHARS else f"{shown[:TEXT_CHARS]}… ({len(value)} characters)"


def _list(values: list[Any], inner: pl.DataType) -> str:
    """The beginning tells it from another, the length what it is."""
    shown: list[str] = []
    for value in values:
        item = _item(value, inner)
        if shown and len(", ".join([*shown, item])) > LIST_CHARS:
            return f"[{', '.join(shown)} … x{len(values)}]"
        shown.append(item)
    return f"[{', '.join(shown)}]"


def _item(value: Any, dtype: pl.DataType) -> str:
    """As inside of a list: texts in quotes, so that commas of theirs separate nothing."""
    if isinstance(value, str):
        cut = value if len(value) <= LIST_CHARS else f"{value[:LIST_CHARS]}…"
        return plain(json.dumps(cut, ensure_ascii=False))
    return f"{value:.3g}" if isinstance(value, float) else cell(value, dtype)


def _time(value: int, dtype: pl.Datetime | pl.Date) -> str:
    unit = "days" if isinstance(dtype, pl.Date) else dtype.time_unit
    try:
        if isinstance(dtype, pl.Date):
            return date_of(value).isoformat()
        return text(instant(value // 1000 if unit == "ns" else value * 1000 if unit == "ms" else value))
    except (OverflowError, ValueError):
        return f"{value} {unit} since 1970"


def _inner(of: pl.List | pl.Array | pl.Field) -> pl.DataType:
    return cast(pl.DataType, of.dtype if isinstance(of, pl.Field) else of.inner)


def _as_numbers(dtype: pl.DataType) -> pl.DataType:
    """The type with every time in it as the number it is."""
    if isinstance(dtype, pl.List):
        return pl.List(_as_numbers(_inner(dtype)))
    if isinstance(dtype, pl.Array):
        return pl.Array(_as_numbers(_inner(dtype)), dtype.size)
    if isinstance(dtype, pl.Struct):
        return pl.Struct({field.name: _as_numbers(_inner(field)) for field in dtype.fields})
    if isinstance(dtype, pl.Datetime):
        return pl.Int64()
    return pl.Int32() if isinstance(dtype, pl.Date) else dtype
