"""Integer arithmetic that does not wrap: what leaves its type is an error of its row, never another number.

Polars computes integers modulo their width: ``2147483647 * 2`` of an int32 is -2. So sums, differences, products and
absolute values of integers are also computed in 128 bits, with null for what does not fit: where that makes another
result, it raises. ``CASE`` computes all its branches, so a branch that is not taken may leave its type.
"""

import json
from functools import lru_cache
from typing import Any

import polars as pl

from sequence_defs.compiler.sql import Schema, expression, tree
from sequence_defs.native import NATIVE_ERRORS

Node = dict[str, Any]

_OPERATORS = ("Plus", "Minus", "Multiply")
_FUNCTIONS = ({"Sql": {"Binary": "Mul"}}, "Abs")
_CAST: Node = tree(pl.col("x").cast(pl.Int128(), strict=False))["Cast"]


class IntegerOverflow(ArithmeticError):
    """An integer does not fit the type it is computed in."""


def checked(sql: str, schema: Schema) -> pl.Expr:
    """One scalar expression over columns of ``schema``. Evaluating it raises ``IntegerOverflow`` where an integer on
    which the result depends leaves its type.

    Raises:
        SqlError: as ``expression``, or it is nested too deep.
    """
    return _checked(sql, tuple((name, schema[name]) for name in _names(sql) if name in schema))


@lru_cache(maxsize=4096)
def _names(sql: str) -> tuple[str, ...]:
    return tuple(sorted(set(expression(sql).meta.root_names())))


@lru_cache(maxsize=4096)
def _checked(sql: str, columns: tuple[tuple[str, pl.DataType], ...]) -> pl.Expr:
    parsed, empty = expression(sql), pl.DataFrame(schema=dict(columns))
    root = tree(parsed)
    fitting = _fitting(root, empty)
    if fitting == root:
        return parsed
    both = pl.struct(parsed.alias("wrapped"), _expr(fitting).alias("fitting"))
    return both.map_batches(_alike, return_dtype=_dtype(root, empty), is_elementwise=True)


def _alike(both: pl.Series) -> pl.Series:
    wrapped, fitting = both.struct.field("wrapped"), both.struct.field("fitting")
    if wrapped.ne_missing(fitting).any():
        raise IntegerOverflow("an integer does not fit its type; compute with doubles, or CAST to a wider type first")
    return wrapped


def _fitting(node: Any, empty: pl.DataFrame) -> Any:
    if isinstance(node, list):
        return [_fitting(part, empty) for part in node]
    if not isinstance(node, dict):
        return node
    inner = {name: _fitting(part, empty) for name, part in node.items()}
    dtype = _integer(node, _operands(node), empty)
    if dtype is None:
        return inner
    wide = [_cast(part, pl.Int128()) for part in _operands(inner)]
    if call := inner.get("Function"):
        return _cast({"Function": call | {"input": wide}}, dtype)
    return _cast({"BinaryExpr": inner["BinaryExpr"] | {"left": wide[0], "right": wide[1]}}, dtype)


def _operands(node: Node) -> list[Node]:
    """What a node computes with that can leave its type; nothing for other nodes."""
    if (operator := node.get("BinaryExpr")) and operator["op"] in _OPERATORS:
        return [operator["left"], operator["right"]]
    if (call := node.get("Function")) and call["function"] in _FUNCTIONS:
        return list(call["input"])
    return []


def _integer(node: Node, operands: list[Node], empty: pl.DataFrame) -> pl.DataType | None:
    """The type of an integer made of integers; None of constants and of what is not known before it is computed."""
    try:
        if not operands or not _expr(node).meta.root_names():
            return None
        made, *given = (_dtype(each, empty) for each in (node, *operands))
    except NATIVE_ERRORS:
        return None
    return made if all(dtype.is_integer() for dtype in (made, *given)) else None


def _dtype(node: Node, empty: pl.DataFrame) -> pl.DataType:
    return empty.lazy().select(_expr(node)).collect_schema().dtypes()[0]


def _cast(node: Node, dtype: pl.DataType) -> Node:
    return {"Cast": _CAST | {"expr": node, "dtype": {"Literal": str(dtype)}}}  # null where it does not fit


def _expr(node: Node) -> pl.Expr:
    return pl.Expr.deserialize(json.dumps(node).encode(), format="json")
