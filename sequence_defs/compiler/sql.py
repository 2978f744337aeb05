"""SQL expression text: parse, type against a declared schema, and turn into Polars expressions. No data, no I/O."""

import re
from collections.abc import Iterable, Mapping

import polars as pl

from sequence_defs.schema import Column, Time, parse_dtype

Schema = Mapping[str, pl.DataType]

_SCALARS: dict[str, pl.DataType] = {
    "bool": pl.Boolean(),
    "int8": pl.Int8(),
    "int16": pl.Int16(),
    "int32": pl.Int32(),
    "int64": pl.Int64(),
    "float32": pl.Float32(),
    "float64": pl.Float64(),
    "string": pl.String(),
    "binary": pl.Binary(),
    "date": pl.Date(),
    "timestamp": pl.Datetime("us", "UTC"),
}
UTC_US = pl.Datetime("us", "UTC")

# A definition must mean the same at every run: nothing that reads a clock or a random source.
_VOLATILE = re.compile(r"\b(now|current_timestamp|current_date|current_time|localtime\w*|random|rand|uuid\w*)\b", re.I)
_LITERAL = re.compile(r"'(?:[^']|'')*'")
_WINDOW = re.compile(r"\bover\s*\(", re.I)
_PARTITION = re.compile(r"\bover\s*\(\s*partition\s+by\s+([^()]*?)(?:\border\s+by\b[^()]*)?\)", re.I)


class SqlError(ValueError):
    """An expression that cannot be parsed, typed, or run one row at a time."""


def storage_dtype(dtype: str) -> pl.DataType:
    """The Polars type a portable type is held in: vectors are Binary, row-major little-endian items."""
    parsed = parse_dtype(dtype)
    if parsed.kind == "vector":
        return pl.Binary()
    return pl.List(_SCALARS[parsed.item]) if parsed.kind == "list" else _SCALARS[parsed.item]


def schema_of(columns: Iterable[Column]) -> dict[str, pl.DataType]:
    """Declared columns as a Polars schema, in order."""
    return {column.name: storage_dtype(column.dtype) for column in columns}


def expression(sql: str) -> pl.Expr:
    """Parse one scalar expression.

    Raises:
        SqlError: the text is no expression of the Polars SQL dialect, or reads a clock or a random source.
    """
    if found := _VOLATILE.search(_LITERAL.sub("''", sql)):
        raise SqlError(f"{found[0]!r} changes from run to run; use a column of the event instead")
    try:
        return pl.sql_expr(sql)
    except pl.exceptions.PolarsError as error:
        raise SqlError(_first_line(error)) from error


def infer(sql: str, schema: Schema) -> pl.DataType:
    """The type an expression has over ``schema``.

    Raises:
        SqlError: it does not parse, names a column that is not there, or its operand types do not meet.
    """
    parsed = expression(sql)
    try:
        empty = pl.DataFrame(schema=dict(schema))
        # Collected, not only resolved: some type clashes show up when the (empty) frame is evaluated.
        return empty.lazy().select(parsed.alias("value")).collect().schema["value"]
    except pl.exceptions.PolarsError as error:
        raise SqlError(_first_line(error)) from error
    except BaseException as error:  # a panic inside Polars derives from BaseException
        if type(error).__name__ != "PanicException":
            raise
        raise SqlError(f"the expression cannot be evaluated: {_first_line(error)}") from error


def is_windowed(sql: str) -> bool:
    """Whether the expression looks at other rows through ``OVER``."""
    return bool(_WINDOW.search(_LITERAL.sub("''", sql)))


def window_partitions(sql: str) -> list[list[str]]:
    """Columns of each ``PARTITION BY``; a window without one gives an empty list."""
    text = _LITERAL.sub("''", sql)
    found = [[part.strip().strip('"') for part in match.split(",")] for match in _PARTITION.findall(text)]
    return found + [[]] * (len(_WINDOW.findall(text)) - len(found))


def is_row_separable(sql: str, schema: Schema) -> bool:
    """Whether every row's value depends on that row alone, so that batches of any size agree."""
    parsed = expression(sql)
    try:
        return bool(parsed.meta.is_row_separable())
    except pl.exceptions.PolarsError:
        # NOTE: the probe cannot see through IN (...) and CAST before columns are bound; a constant-per-frame
        # expression gives one row on an empty frame, everything per row gives none.
        empty = pl.DataFrame(schema=dict(schema))
        return not is_windowed(sql) and empty.select(parsed.alias("value")).height == 0


def instant(time: Time, schema: Schema) -> pl.Expr:
    """``time`` as UTC microseconds; null where it is null or names a local time that does not exist.

    Raises:
        SqlError: the expression is neither a timestamp, a date nor an integer.
    """
    dtype = infer(time.sql, schema)
    value = expression(time.sql)
    if dtype.is_integer():
        return pl.from_epoch(value, time_unit=_epoch_unit(time)).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    if isinstance(dtype, pl.Date):
        value, dtype = value.cast(pl.Datetime("us")), pl.Datetime("us")
    if not isinstance(dtype, pl.Datetime):
        raise SqlError(f"{time.sql!r} is {dtype}, but a time must be a timestamp, a date or an integer epoch")
    if dtype.time_zone is None:
        value = value.dt.replace_time_zone(time.timezone, ambiguous="earliest", non_existent="null")
    return value.dt.convert_time_zone("UTC").cast(UTC_US)


def _epoch_unit(time: Time) -> str:
    if time.epoch_unit not in ("s", "ms", "us", "ns"):
        raise SqlError(f"epoch_unit {time.epoch_unit!r} is not one of s, ms, us, ns")
    return time.epoch_unit


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
