"""One value in each format: as JSON, as a field of a CSV, and in a typed column of a Parquet file."""

import csv
import datetime as dt
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from tests.hostile.material.meaning import Odd

CANNOT: Any = object()  # the format has no way to say the value


def as_json(value: Any) -> Any:
    """The bytes of the value in a JSON document, or ``CANNOT``. Lone surrogates are escaped, as most writers do."""
    if isinstance(value, Odd):
        return CANNOT
    if isinstance(value, dt.date):
        return json.dumps(value.isoformat()).encode()
    if isinstance(value, Decimal):
        return str(value).encode()
    try:
        return json.dumps(value, allow_nan=False, default=_plain).encode()
    except ValueError:
        return CANNOT


def _plain(value: Any) -> str:
    if isinstance(value, dt.date):
        return value.isoformat()
    raise TypeError(f"{value!r} has no JSON")


def as_object(fields: Mapping[str, Any]) -> Any:
    """One JSON object, or ``CANNOT``."""
    parts = {name: as_json(value) for name, value in fields.items()}
    if any(part is CANNOT for part in parts.values()):
        return CANNOT
    return b"{" + b", ".join(json.dumps(name).encode() + b": " + part for name, part in parts.items()) + b"}"


def as_field(value: Any) -> Any:
    """The text of a CSV field, or ``CANNOT``. An empty field is null, so an empty text cannot be said."""
    if isinstance(value, Odd) or value == "" or (isinstance(value, str) and not value.isprintable() and "\0" in value):
        return CANNOT
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return value if value.isascii() or _encodes(value) else CANNOT
    if isinstance(value, dt.date):
        return value.isoformat()
    return (
        json.dumps(value, default=_plain)
        if isinstance(value, list | dict)
        else repr(value)
        if isinstance(value, float)
        else str(value)
    )


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def as_records(header: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> bytes:
    """A CSV of rows that it can say; its dialect is that of RFC 4180."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows([as_field(row.get(name)) for name in header] for row in rows)
    return text.getvalue().encode()


def physical(value: Any) -> Any:
    """The Polars type a producer would keep the value in, or ``CANNOT``."""
    if isinstance(value, str):
        return pl.String() if _encodes(value) else CANNOT
    if isinstance(value, Odd):
        return pl.Date() if value.unit == "D" else pl.Datetime(value.unit)  # type: ignore[arg-type]
    if isinstance(value, dt.datetime):
        return pl.Datetime("us", "UTC" if value.tzinfo else None) if _in_utc(value) is not None else CANNOT
    if isinstance(value, Decimal):
        return pl.Decimal(38, 2 if value == round(value, 2) else 20)
    if isinstance(value, int) and not isinstance(value, bool):
        return pl.Int64() if -(2**63) <= value < 2**63 else pl.UInt64() if 0 <= value < 2**64 else CANNOT
    if isinstance(value, list):
        inner = {repr(kind): kind for item in value if item is not None for kind in [physical(item)]}
        return pl.List(next(iter(inner.values()))) if len(inner) == 1 and CANNOT not in inner.values() else CANNOT
    plain = {bool: pl.Boolean(), float: pl.Float64(), dt.date: pl.Date()}
    return plain.get(type(value), CANNOT)


def _in_utc(time: dt.datetime) -> dt.datetime | None:
    try:
        return time.replace(tzinfo=time.tzinfo or dt.UTC).astimezone(dt.UTC)
    except OverflowError:
        return None


def column(name: str, values: Sequence[Any], dtype: pl.DataType) -> pl.Series:
    """Values of one physical type; None is null."""
    if any(isinstance(value, Odd) for value in values):
        counts = [value.count if isinstance(value, Odd) else None for value in values]
        width = pl.Int32() if isinstance(dtype, pl.Date) else pl.Int64()
        return pl.Series(name, counts, dtype=width).cast(dtype)
    return pl.Series(name, list(values), dtype=dtype)


def write_parquet(path: Path, columns: Iterable[pl.Series]) -> None:
    """A file as a data frame library writes it."""
    pl.DataFrame(list(columns)).write_parquet(path)
