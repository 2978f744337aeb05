"""What a parsed expression may be made of, and what it may cost for a row; looked at before anything runs it.

>>> import json
>>> import polars as pl
>>> tree = json.loads(pl.sql_expr("upper(product)").meta.serialize(format="json"))
>>> require_bounded(tree)
>>> require_bounded(json.loads(pl.sql_expr("rpad(product, 1000000)").meta.serialize(format="json")))
Traceback (most recent call last):
    ...
sequence_defs.language.tokens.SqlError: it makes texts longer, by up to 1 times and 1000000 ...
"""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from sequence_defs.language.tokens import SqlError
from sequence_defs.language.vocabulary import MAX_PRECISION, MAX_WINDOWS, ROW_NODES, WINDOW_NODES

# A text made of others is at most so many times as long as those, and so many characters longer.
MAX_GROWTH, MAX_ADDED = 1_000, 20_000
# Of a regular expression, in characters; a class of characters is as much as twenty. ``\\w{50}`` is made in 30 ms.
MAX_PATTERN, _CLASS = 1_000, 20
# How a time is written.
MAX_FORMAT = 100
# Columns in one window, as often as Polars writes them.
MAX_NAMED = 64
# Rows before a row that a window without end of the partition looks at.
MAX_FRAME = 10_000

_COUNTED = re.compile(r"\{\s*(\d*)\s*(?:,\s*(\d*)\s*)?\}")
_CLASSES = re.compile(r"\\[dDwWsSpPbBhH]|\[")
_MAKERS = frozenset({"ConcatHorizontal", "Replace", "Join", "PadStart", "PadEnd"})

Tree = Any


class Growth(NamedTuple):
    """How much longer than what is read the texts are that an expression makes: so many times, and characters more."""

    times: int
    added: int


def nodes(tree: Tree) -> Iterator[str]:
    """Names of the parts of an expression; not what is in literals, nor what columns are called."""
    left = [tree]
    while left:
        node = left.pop()
        if isinstance(node, dict):
            yield from (key for key in node if key[:1].isupper())
            left += [child for key, child in node.items() if key not in ("Literal", "Column", "ToString", "format")]
        elif isinstance(node, list):
            left += node
        elif isinstance(node, str) and node[:1].isupper():
            yield node


def require_bounded(tree: Tree) -> None:
    """
    Raises:
        SqlError: it has a part that is not of the language, a window in a window, or costs more than any row is worth.
    """
    if unknown := sorted(set(nodes(tree)) - ROW_NODES - WINDOW_NODES):
        raise SqlError(f"{unknown[0]} is not part of the language; docs/sql.md says what is")
    _require_windows(tree)
    for node in _dicts(tree):
        _require_small(node)
    growth = growth_of(tree)
    if growth.times > MAX_GROWTH or growth.added > MAX_ADDED:
        raise SqlError(
            f"it makes texts longer, by up to {growth.times} times and {growth.added} characters, where {MAX_GROWTH} "
            f"times and {MAX_ADDED} are the most"
        )


def require_decimals(tree: Tree) -> None:
    """
    Raises:
        SqlError: a cast is to a decimal that no value has; Polars gives it a type all the same.
    """
    for node in _dicts(tree):
        decimal = node.get("Decimal")  # a type; one of a number that is written out has the number before it
        if isinstance(decimal, list) and len(decimal) == 2 and not _is_decimal(*decimal):
            raise SqlError(
                f"there is no DECIMAL({decimal[0]}, {decimal[1]}); up to {MAX_PRECISION} digits, point included"
            )


def growth_of(tree: Tree) -> Growth:
    """An upper bound.

    Raises:
        SqlError: it depends on a value of the row.
    """
    times, added = 0, 0
    left: list[tuple[Tree, int, bool]] = [(tree, 1, False)]
    while left:
        node, factor, within = left.pop()
        if isinstance(node, list):
            left += [(child, factor, within) for child in node]
        elif isinstance(node, dict):
            if "Column" in node or "Literal" in node:
                times += factor if within and "Column" in node else 0
                added += factor * len(_text(node) or "") if within else 0
                continue
            more, longer, makes = _made_longer(node)
            added += factor * longer
            left += [(child, factor * more, within or makes) for child in node.values()]
    return Growth(times, added)


def _made_longer(node: Mapping[str, Any]) -> tuple[int, int, bool]:
    """By how many times a node makes its texts longer, by how many characters, and whether it makes texts at all."""
    if "BinaryExpr" in node:
        return 1, 0, node["BinaryExpr"]["op"] == "Plus"
    name, options, inputs = _call(node)
    if name not in _MAKERS:
        return 1, 0, False
    if name == "Replace":
        old, new = (_text(part) for part in inputs[1:3])
        if old is None or new is None:
            raise SqlError("it makes texts longer, by how much a value says; REPLACE takes texts that are written out")
        # What an empty pattern finds is between all characters; and a replacement may say again what was found.
        is_plain = options["literal"] and bool(old)
        return (max(1, math.ceil(len(new) / len(old))) if is_plain else len(new) * 2 + 1), 0, True
    if name == "Join":
        delimiter = _text(inputs[1])
        if delimiter is None:
            raise SqlError("it makes texts longer, by how much a value says; write the delimiter out")
        return 1 + len(delimiter), 0, True
    if name == "ConcatHorizontal":
        return 1, len(options["delimiter"]) * len(inputs), True
    width = inputs[1].get("Literal", {}).get("Dyn", {}).get("Int") if isinstance(inputs[1], dict) else None
    if width is None:
        raise SqlError("it makes texts longer, by how much a value says; write the length out")
    return 1, abs(int(width)), True


def _require_windows(tree: Tree) -> None:
    found, left = 0, [(tree, False)]
    while left:
        node, within = left.pop()
        if isinstance(node, dict):
            if "Over" in node:
                found += 1
                if within:
                    raise SqlError("a window is inside another; compute the inner one as a column of its own")
                if sum("Column" in part for part in _dicts(node)) > MAX_NAMED:
                    raise SqlError(f"a window names more than {MAX_NAMED} columns; it is sorted by each")
                within = True
            node = list(node.values())
        left += [(child, within) for child in node] if isinstance(node, list) else []
    if found > MAX_WINDOWS:
        raise SqlError(f"it has more than {MAX_WINDOWS} windows; compute some as columns of their own")


def _require_small(node: Mapping[str, Any]) -> None:
    _, options, inputs = _call(node)
    if options.get("literal") is False:
        _require_pattern(_text(inputs[1]))
    written = node.get("ToString") or node.get("format")
    if isinstance(written, str) and len(written) > MAX_FORMAT:
        raise SqlError(f"a format of times has more than {MAX_FORMAT} characters")
    if isinstance(size := node.get("window_size"), int) and size > MAX_FRAME:
        raise SqlError(f"a window of {size} rows is longer than {MAX_FRAME}; ROWS UNBOUNDED PRECEDING has no bound")


def _require_pattern(pattern: str | None) -> None:
    if pattern is None:
        raise SqlError("a regular expression is written out as a text, not read from a column")
    counted = [int(most or least or 0) for least, most in _COUNTED.findall(pattern)]
    size = (len(pattern) + _CLASS * len(_CLASSES.findall(pattern))) * math.prod(max(1, count) for count in counted)
    if size > MAX_PATTERN:
        raise SqlError(
            f"a regular expression is too large: {len(pattern)} characters, and classes and counted repeats multiply; "
            "make it shorter, or repeat with * or +"
        )


def _is_decimal(precision: int | None, scale: int | None) -> bool:
    return (precision or 1) <= MAX_PRECISION and 0 <= (scale or 0) <= (precision or MAX_PRECISION)


def _call(node: Mapping[str, Any]) -> tuple[str, Mapping[str, Any], list[Any]]:
    """The name of a function of texts or lists, its options and its inputs; no name where the node is none."""
    function = node.get("Function")
    if not isinstance(function, dict) or "function" not in function:
        return "", {}, []
    made, inputs = function["function"], function["input"]
    kind = made.get("StringExpr", made.get("ListExpr")) if isinstance(made, dict) else None
    if not isinstance(kind, dict):
        return str(kind), {}, inputs
    ((name, options),) = kind.items()
    return name, options if isinstance(options, dict) else {}, inputs


def _text(node: Tree) -> str | None:
    """The text that a node is, if it is one that is written out."""
    literal = node.get("Literal") if isinstance(node, dict) else None
    scalar = literal.get("Scalar") if isinstance(literal, dict) else None
    found = scalar.get("String") if isinstance(scalar, dict) else None
    return found if isinstance(found, str) else None


def _dicts(tree: Tree) -> Iterator[dict[str, Any]]:
    left = [tree]
    while left:
        node = left.pop()
        if isinstance(node, dict):
            yield node
            node = [child for key, child in node.items() if key != "Column"]
        left += node if isinstance(node, list) else []
