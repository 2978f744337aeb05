"""The words of an SQL text, before anything parses it: what is code in it, what a number is, and how much there is."""

import re
from collections.abc import Iterator
from typing import NamedTuple

# Each of these may nest an expression one deeper, and the parser and Polars go down on the native stack: at some ten
# thousand they end the process, and parsing takes the square of their number.
MAX_STEPS = 500
# Where the parser gives up on depth it tries every nested CAST in two ways: 16 of them take a second, 32 a day.
MAX_DEPTH = 16
_STEPS = frozenset(["and", "or", "xor", "not", "when", "is", "like", "ilike", "rlike", "regexp", "between", "in"])
_DEEPER = frozenset({"(", "[", "{", "case"})
_HIGHER = frozenset({")", "]", "}", "end"})
_MAX_INT64 = 2**63 - 1

_TOKEN = re.compile(
    r"""(?P<text>'(?:[^']|'')*'|(?P<dollar>\$\w*\$).*?(?P=dollar))
    |(?P<name>"(?:[^"]|"")*"|`(?:[^`]|``)*`)
    |(?P<comment>--[^\n]*)
    |(?P<opening>/\*)
    |(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)(?P<rest>\w*)
    |(?P<word>[^\W\d][\w$]*)
    |(?P<step>::|[-+*/%&|^~<>=!]+)
    |(?P<other>.)""",
    re.DOTALL | re.VERBOSE,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")


class SqlError(ValueError):
    """An expression that cannot be parsed, typed, or run one row at a time."""


class Reading(NamedTuple):
    """``code``: the text without what is quoted and commented. ``runnable``: what the parser gets.

    In ``code`` a text is ``''`` and a quoted name ``""``, but for a quoted name that is called like a function.
    """

    code: str
    runnable: str


def read(sql: str) -> Reading:
    """Take a text apart. A number with a point is a double in ``runnable``: Polars takes it for a decimal.

    Raises:
        SqlError: it is larger or deeper than can be run, has a comment without end, or a number that is none.
    """
    code, runnable, steps, depth = [], [], 0, 0
    for kind, token in _tokens(sql):
        word = token.lower() if kind in ("word", "other") else ""
        steps += kind == "step" or word in _STEPS
        depth += (word in _DEEPER) - (word in _HIGHER)
        if steps > MAX_STEPS:
            raise SqlError(f"it has more than {MAX_STEPS} operators; IN (...) is one, and a long CASE is an enrichment")
        if depth > MAX_DEPTH:
            raise SqlError(f"it is nested more than {MAX_DEPTH} deep; compute a part of it as a column of its own")
        code.append(_CODE.get(kind, token))
        runnable.append(_double(token) if kind == "number" else token)
    return Reading("".join(code), "".join(runnable))


_CODE = {"text": "''", "name": '""', "comment": " "}


def _tokens(sql: str) -> Iterator[tuple[str, str]]:
    at = 0
    while found := _TOKEN.match(sql, at):
        kind, at = found.lastgroup or "other", found.end()
        kind = {"rest": "number", "dollar": "text"}.get(kind, kind)
        token = found[0]
        if kind == "opening":
            kind, at = "comment", _end_of_comment(sql, at)
            token = sql[found.start() : at]
        elif kind == "number" and found["rest"]:
            raise SqlError(f"{token!r} is no number")
        elif kind == "name" and _is_call(sql, at):
            kind, token = "word", token[1:-1]
        yield kind, token


def _end_of_comment(sql: str, start: int) -> int:
    """The place after a comment, which may hold others."""
    depth, at = 1, start
    while depth:
        edge = _COMMENT_EDGE.search(sql, at)
        if edge is None:
            raise SqlError("a comment has no end")
        depth, at = depth + (1 if edge[0] == "/*" else -1), edge.end()
    return at


def _is_call(sql: str, at: int) -> bool:
    """Whether a parenthesis opens here: then a name in quotes is that of a function, however it is written."""
    while (found := _TOKEN.match(sql, at)) and (found[0].isspace() or found.lastgroup in ("comment", "opening")):
        at = _end_of_comment(sql, found.end()) if found.lastgroup == "opening" else found.end()
    return found is not None and found[0] == "("


def _double(number: str) -> str:
    if "e" in number or "E" in number:
        return number
    if "." in number:
        return f"{number}e0"
    if int(number) > _MAX_INT64 + 1:  # one more is the smallest integer, behind its minus sign
        raise SqlError(f"{number} is larger than an int64; write it with a point, as {number}.0, for a double")
    return number
