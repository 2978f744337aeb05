"""``where`` of a query: the SQL of definitions' filters, over an answer's columns, with a bound on what it costs."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl

from seqplat_resources.online_store.codec.layout import Flags
from seqplat_resources.release.query import MAX_WHERE_CHARS, QueryError
from sequence_defs.analysis.wording import excerpt, instead
from sequence_defs.compiler import sql
from sequence_defs.compiler.arithmetic import IntegerOverflow, checked
from sequence_defs.compiler.probe import probe
from sequence_defs.language import bounds
from sequence_defs.language.vocabulary import ROW_NODES
from sequence_defs.native import NATIVE_ERRORS

# What typing costs grows with the square of the nodes, and 150 take some 10 ms.
MAX_NODES = 150
# A definition is reviewed and a condition is not: the texts it makes of a row's are no longer than they are, give or
# take a prefix.
MAX_GROWTH, MAX_ADDED = 4, 256

# Of a long expression, what an error repeats.
_SHOWN_CHARS = 200
_TIME_FIX = "write a time as TIMESTAMPTZ '2017-12-01T00:00:00Z', a day, from its start in UTC, as DATE '2017-12-01'"
_ROWS_FIX = "use no aggregates, windows or UNNEST"
_TIMES = ("a time", "a day")
# How Polars tells of what it does not know, and of regular expressions; the rest of its texts is about its inside.
_UNSUPPORTED = re.compile(r"expression (\w+)\b.* is not currently supported", re.DOTALL)
_PATTERN = re.compile(r"regex parse error:.*^error: (.+?)$", re.DOTALL | re.MULTILINE)
_COLUMN = re.compile(r'col\("([^"]*)"\)')
_INSIDE = re.compile(r"[{}]|Span\(|dyn |dtype|panick|out of bounds")


@dataclass(frozen=True)
class Where:
    """A compiled condition on single rows, which reads ``columns``."""

    text: str
    columns: tuple[str, ...]
    expression: pl.Expr

    def matches(self, rows: pl.DataFrame, height: int) -> Flags:
        """Where it is true, of ``height`` rows with at least ``columns``; null counts as false.

        Raises:
            QueryError: a row's values cannot be evaluated, as a cast of a text that is no number, or ``n * 2`` that is
                too large for ``n``.
        """
        try:
            found = rows.select(self.expression.alias("_")).to_series()
        except IntegerOverflow as error:
            what = f"{excerpt(self.text, _SHOWN_CHARS)} cannot be evaluated: an integer does not fit its type"
            raise QueryError("where", what, fix="compute with doubles: CAST(x AS DOUBLE) * 2") from error
        except NATIVE_ERRORS as error:
            pattern = _PATTERN.search(str(error))
            why = f"a regular expression cannot be read: {pattern[1]}" if pattern else "a value cannot be converted"
            what = f"{excerpt(self.text, _SHOWN_CHARS)} cannot be evaluated: {why}"
            raise QueryError("where", what, fix="use TRY_CAST, or narrow the other conditions") from error
        flags = found.fill_null(value=False).to_numpy()
        return np.full(height, flags[0], np.bool_) if flags.size == 1 and height != 1 else flags


@lru_cache(maxsize=256)
def compiled(text: str, schema: tuple[tuple[str, pl.DataType], ...]) -> Where:
    """Parse and type ``text`` over the columns of an answer.

    Raises:
        QueryError: it is too long or too large, no expression, names a column that is not there, is not true or false,
            looks at other rows, compares a time with what is none, or makes texts that grow.
    """
    if len(text) > MAX_WHERE_CHARS:
        raise _refused(f"{len(text)} characters are too many", f"use up to {MAX_WHERE_CHARS}")
    columns, shown = dict(schema), excerpt(text, _SHOWN_CHARS)
    try:
        _require_cheap(sql.tree(sql.expression(text)), shown)
        if unknown := [name for name in sql.names(text) if name not in columns]:
            fix = instead(unknown[0], columns, "leave it out")
            raise _refused(f"there is no column {unknown[0]!r} in {shown}", fix)
        dtype = _type(text, columns)
        if not isinstance(dtype, pl.Boolean):
            raise _refused(f"{shown} is {_kind(dtype) or 'nothing'}, not true or false", "compare it with something")
    except sql.SqlError as error:
        raise _refused(f"{shown} is no condition: {_message(error)}", "write one as in a filter: price > 5") from error
    return Where(text, tuple(sql.names(text)), checked(text, columns))


def _refused(what: str, fix: str) -> QueryError:
    return QueryError("where", what, fix=fix)


def _require_cheap(tree: Any, shown: str) -> None:
    found = list(bounds.nodes(tree))
    if len(found) > MAX_NODES:
        raise _refused(f"it has {len(found)} parts", f"use up to {MAX_NODES}; IN (...) is one part")
    if not ROW_NODES.issuperset(found):
        raise _refused(f"{shown} looks at more than one row", _ROWS_FIX)
    growth = bounds.growth_of(tree)
    if growth.times > MAX_GROWTH or growth.added > MAX_ADDED:
        raise _refused(f"{shown} makes texts longer", "compare the column itself")


def _type(text: str, columns: dict[str, pl.DataType]) -> pl.DataType:
    """The type of the whole, where what meets in it goes together.

    Raises:
        QueryError: it does not.
        SqlError: something else is wrong.
    """
    try:
        dtype = sql.infer(text, columns)
        probe(text, columns)
    except sql.SqlError:
        if pair := _clash(sql.expression(text), pl.DataFrame(schema=columns), lambda a, b: a != b):
            raise _refused_pair(text, pair) from None
        raise
    # NOTE: to Polars a number is a time, too: so many microseconds (of a day: days) since 1970. Nobody means that.
    read = {_kind(columns[name]) for name in sql.names(text)}
    if not read.isdisjoint(_TIMES) and (
        pair := _clash(sql.expression(text), pl.DataFrame(schema=columns), _is_time_and_number)
    ):
        raise _refused_pair(text, pair)
    return dtype


def _clash(node: pl.Expr, empty: pl.DataFrame, differ: Callable[[str, str], bool]) -> tuple[str, str] | None:
    """The kinds of the first two operands that differ, innermost first."""
    parts = node.meta.pop()
    for part in parts:
        if found := _clash(part, empty, differ):
            return found
    if len(parts) != 2:
        return None
    one, other = (_operand(part, empty) for part in parts)
    return (one, other) if one and other and differ(one, other) else None


def _is_time_and_number(one: str, other: str) -> bool:
    return "a number" in (one, other) and (one in _TIMES or other in _TIMES)


def _operand(node: pl.Expr, empty: pl.DataFrame) -> str | None:
    try:
        dtype = empty.lazy().select(node.alias("value")).collect_schema()["value"]
    except NATIVE_ERRORS:
        return None
    if isinstance(dtype, pl.List) and node.meta.is_literal():  # what stands in IN (...) is one list
        inner = dtype.inner
        return _kind(inner() if isinstance(inner, type) else inner)
    return _kind(dtype)


def _kind(dtype: pl.DataType) -> str | None:
    """What a caller calls it; None for NULL, which goes with everything."""
    if isinstance(dtype, pl.Datetime):
        return "a time" if dtype.time_zone else "a time without a time zone"
    if dtype.is_numeric():
        return "a number"
    return _KINDS.get(type(dtype), "a list")


_KINDS: dict[type[pl.DataType], str | None] = {
    pl.Null: None,
    pl.Boolean: "true or false",
    pl.String: "text",
    pl.Binary: "binary",
    pl.Date: "a day",
    pl.Time: "a time of day",
    pl.Duration: "a span of time",
}


def _refused_pair(text: str, pair: tuple[str, str]) -> QueryError:
    one, other = sorted(pair)
    fix = _TIME_FIX if one in _TIMES or other in _TIMES else "compare like with like; CAST(... AS ...) converts"
    return _refused(f"{one} and {other} do not go together in {excerpt(text, _SHOWN_CHARS)}", fix)


def _message(error: sql.SqlError) -> str:
    """An error in words that say nothing of the engine."""
    if error.__cause__ is None:  # our own
        return str(error)
    whole = str(error.__cause__)
    if pattern := _PATTERN.search(whole):
        return f"a regular expression in it cannot be read: {pattern[1]}"
    if unsupported := _UNSUPPORTED.search(whole):
        return f"{unsupported[1]} is not part of the language"
    text = _COLUMN.sub(r"\1", str(error)).removeprefix("sql parser error: ")
    return "its parts do not go together" if _INSIDE.search(text) else text
