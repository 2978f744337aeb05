"""SQL expression text: parse, type against a declared schema, and turn into Polars expressions. No data, no I/O."""

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import polars as pl

from sequence_defs.language.bounds import require_bounded
from sequence_defs.language.tokens import SqlError as SqlError  # noqa: PLC0414  (everything here raises it)
from sequence_defs.language.tokens import VolatileSqlError as VolatileSqlError  # noqa: PLC0414
from sequence_defs.language.tokens import read, refused_word
from sequence_defs.native import NATIVE_ERRORS, first_line
from sequence_defs.schema import Column, parse_dtype

Schema = Mapping[str, pl.DataType]

UTC_US = pl.Datetime("us", "UTC")

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
    "timestamp": UTC_US,
}

# A call that is the whole expression: {"Function": {"input": ..., "function": {"StringExpr": {"Strptime": ...}}}}.
_DEPTH_OF_A_CALL = 3


def storage_dtype(dtype: str) -> pl.DataType:
    """The Polars type a portable type is held in: vectors are Binary, row-major little-endian items."""
    parsed = parse_dtype(dtype)
    if parsed.kind == "vector":
        return pl.Binary()
    return pl.List(storage_dtype(parsed.item)) if parsed.kind == "list" else _SCALARS[parsed.item]


def schema_of(columns: Iterable[Column]) -> dict[str, pl.DataType]:
    """Declared columns as a Polars schema, in order."""
    return {column.name: storage_dtype(column.dtype) for column in columns}


def expression(sql: str) -> pl.Expr:
    """Parse one scalar expression. A number with a point or an exponent is a double.

    Raises:
        VolatileSqlError: it reads a clock or a random source.
        SqlError: the text is no expression, has parts that are not of the ``language``, or costs more than is bounded.
    """
    return _parsed(sql)


# Rules of analysis ask for the same several times.
@lru_cache(maxsize=256)
def _parsed(sql: str) -> pl.Expr:
    reading = read(sql)
    try:
        found = pl.sql_expr(reading.runnable)
    except NATIVE_ERRORS as error:
        raise SqlError(first_line(error)) from error
    if others := sorted(reading.names - set(found.meta.root_names())):
        raise refused_word(others[0])
    require_bounded(tree(found))
    return found


def tree(parsed: pl.Expr) -> Any:
    """The nodes of an expression, as Polars writes them in JSON.

    Raises:
        SqlError: it is nested too deep.
    """
    try:
        return json.loads(parsed.meta.serialize(format="json"))
    except NATIVE_ERRORS as error:
        raise SqlError("it is nested too deep to be looked at") from error


def names(sql: str) -> list[str]:
    """Columns an expression reads, sorted.

    Raises:
        SqlError: it does not parse.
    """
    return sorted(set(expression(sql).meta.root_names()))


def formats(sql: str) -> list[tuple[str, bool]]:
    """How the texts are written that an expression reads times of, and whether the time read is all that it gives.

    Raises:
        SqlError: it does not parse, or is nested too deep.
    """
    root = tree(expression(sql))
    found, left = [], [(root, 0)]
    while left:
        node, depth = left.pop()
        if isinstance(node, dict):
            if isinstance(parts := node.get("Strptime"), list):
                found += [(part["format"], depth == _DEPTH_OF_A_CALL) for part in parts if "format" in part]
            node = list(node.values())
        left += [(part, depth + 1) for part in node] if isinstance(node, list) else []
    return [(written, is_all) for written, is_all in found if written is not None]


def infer(sql: str, schema: Schema) -> pl.DataType:
    """The type an expression has over ``schema``.

    Raises:
        SqlError: it does not parse, names a column that is not there, or its operand types do not meet.
    """
    parsed = expression(sql)
    try:
        # Collected, not only resolved: some type clashes show up when the (empty) frame is evaluated.
        return _empty(schema).lazy().select(parsed.alias("value")).collect().schema["value"]
    except NATIVE_ERRORS as error:
        raise SqlError(first_line(error)) from error


def is_windowed(sql: str) -> bool:
    """Whether the expression looks at other rows through ``OVER``."""
    return bool(window_partitions(sql))


def window_partitions(sql: str) -> list[list[str]]:
    """Columns of each window's ``PARTITION BY``; one without it gives an empty list, a computed part is left out.

    Raises:
        SqlError: the expression does not parse.
    """
    return [[part["Column"] for part in parts if "Column" in part] for parts in _partitions(tree(expression(sql)))]


def is_row_separable(sql: str, schema: Schema, *, windows_apart: bool = False) -> bool:
    """Whether a row's value depends on that row alone and is one value, so that batches of any size agree.

    ``windows_apart`` judges only what stands outside ``OVER (...)`` windows.

    Raises:
        SqlError: the expression does not parse.
    """
    try:
        return _is_row_separable(expression(sql), _empty(schema), windows_apart)
    except NATIVE_ERRORS as error:
        raise SqlError(first_line(error)) from error


@lru_cache(maxsize=4096)
def is_timezone(name: str) -> bool:
    """Whether Polars can tell local time in the zone ``name`` (IANA spelling; an offset is no zone)."""
    try:
        pl.DataFrame(schema={"t": pl.Datetime("us")}).select(pl.col("t").dt.replace_time_zone(name))
    except pl.exceptions.PolarsError:
        return False
    return bool(name) and name[0].isalpha()


def _empty(schema: Schema) -> pl.DataFrame:
    return pl.DataFrame(schema=dict(schema))


def _partitions(tree: Any) -> Iterator[list[Any]]:
    if isinstance(tree, dict):
        if "Over" in tree:
            yield tree["Over"]["partition_by"]
        for child in tree.values():
            yield from _partitions(child)
    elif isinstance(tree, list):
        for child in tree:
            yield from _partitions(child)


def _is_row_separable(node: pl.Expr, empty: pl.DataFrame, windows_apart: bool) -> bool:
    # NOTE: the probes of `meta` judge one node, not what is below it: `a > SUM(a)` passes as a whole.
    if node.meta.is_literal():
        return True  # also the list of IN (...), which the probes take for a column of several rows
    if "Over" in tree(node):
        return windows_apart
    try:
        own = node.meta.is_row_separable() and (node.meta.is_length_preserving() or node.meta.is_scalar())
    except pl.exceptions.PolarsError:
        # The probes cannot see through IN (...) before columns are bound. On an empty frame an aggregate gives one
        # row, everything per row gives none; what else mixes rows (LAG, RANK) SQL allows in windows only.
        own = empty.select(node.alias("value")).height == 0
    return own and all(_is_row_separable(part, empty, windows_apart) for part in node.meta.pop())
