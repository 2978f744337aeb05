"""``where`` of a query: the SQL of definitions' filters, over an answer's columns, with a bound on what it costs."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl

from seqplat_resources.online_store.codec.layout import Flags
from seqplat_resources.query import QueryError
from sequence_defs.compiler import sql

# A list of some hundred ids fits; what compiling costs grows with the square of the nodes, and 150 take about 20 ms.
MAX_CHARS, MAX_NODES = 4_000, 150

# What makes a text longer than its inputs together: nested, a few hundred characters would fill the memory.
_GROWING = frozenset({"Replace", "ReplaceMany", "PadStart", "PadEnd", "ZFill", "Repeat", "RepeatBy"})
# Names columns by a pattern instead of one by one.
_SELECTING = "Selector"


@dataclass(frozen=True)
class Where:
    """A compiled condition on single rows, which reads ``columns``."""

    text: str
    columns: tuple[str, ...]
    expression: pl.Expr

    def matches(self, rows: pl.DataFrame, height: int) -> Flags:
        """Where it is true, of ``height`` rows with at least ``columns``; null counts as false.

        Raises:
            QueryError: a row's values cannot be evaluated, as a strict cast of a text that is no number.
        """
        try:
            found = rows.select(self.expression.alias("_")).to_series()
        except pl.exceptions.PolarsError as error:
            what = f"{self.text!r} cannot be evaluated: {_first_line(error)}"
            raise QueryError("where", what, fix="use TRY_CAST, or narrow the other conditions") from error
        except BaseException as error:  # a panic inside Polars derives from BaseException
            if type(error).__name__ != "PanicException":
                raise
            raise QueryError("where", f"{self.text!r} cannot be evaluated", fix="write it differently") from error
        flags = found.fill_null(value=False).to_numpy()
        return np.full(height, flags[0], np.bool_) if flags.size == 1 and height != 1 else flags


@lru_cache(maxsize=1 << 10)
def compiled(text: str, schema: tuple[tuple[str, pl.DataType], ...]) -> Where:
    """Parse and type ``text`` over the columns of an answer.

    Raises:
        QueryError: it is too long or too large, no expression, names a column that is not there, is not true or false,
            looks at other rows, or makes texts that grow.
    """
    if len(text) > MAX_CHARS:
        raise _refused(f"{len(text)} characters are too many", f"use up to {MAX_CHARS}")
    columns = dict(schema)
    try:
        tree = json.loads(sql.expression(text).meta.serialize(format="json"))
        nodes = list(_nodes(tree))
        if _SELECTING in nodes:
            raise _refused(f"{text!r} selects columns by a pattern", "name each column")
        if len(nodes) > MAX_NODES:
            raise _refused(f"it has {len(nodes)} parts", f"use up to {MAX_NODES}; IN (...) is one part")
        if growing := _GROWING.intersection(nodes):
            raise _refused(f"{text!r} makes texts longer ({', '.join(sorted(growing))})", "compare the column itself")
        if unknown := [name for name in sql.names(text) if name not in columns]:
            raise _refused(f"there is no column {unknown[0]!r} in {text!r}", f"use one of {', '.join(columns)}")
        dtype = sql.infer(text, columns)
        if not isinstance(dtype, pl.Boolean):
            raise _refused(f"{text!r} is {dtype}, not true or false", "compare it with something")
        if not sql.is_row_separable(text, columns):
            raise _refused(f"{text!r} looks at more than one row", "use no aggregates, windows or UNNEST")
    except sql.SqlError as error:
        raise _refused(f"{text[:200]!r} is no condition: {error}", "write one as in a filter: price > 5") from error
    return Where(text, tuple(sql.names(text)), sql.expression(text))


def _refused(what: str, fix: str) -> QueryError:
    return QueryError("where", what, fix=fix)


def _nodes(tree: Any) -> Iterator[str]:
    """Names of the parts of an expression; not what is in literals, nor what columns are called."""
    if isinstance(tree, dict):
        for key, child in tree.items():
            if key[:1].isupper():
                yield key
            if key not in ("Literal", "Column"):
                yield from _nodes(child)
    elif isinstance(tree, list):
        for child in tree:
            yield from _nodes(child)
    elif isinstance(tree, str) and tree[:1].isupper():
        yield tree


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
