"""The words of an SQL text, before anything parses it: what is code in it, what a number is, and how much there is."""

import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import NamedTuple

from sequence_defs.language.cost import Cost
from sequence_defs.language.vocabulary import (
    BEFORE_PARENTHESIS,
    COLLECTING,
    MAX_CHARS,
    MAX_DEPTH,
    MAX_DIGITS,
    MAX_NODES,
    MAX_STEPS,
    ROW_FUNCTIONS,
    VOLATILE,
    WINDOW_FUNCTIONS,
    WORDS,
)

_STEPS = frozenset(["and", "or", "xor", "not", "when", "is", "like", "ilike", "rlike", "regexp", "between", "in"])
_FUNCTIONS = {**WINDOW_FUNCTIONS, **ROW_FUNCTIONS}
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
    """An expression that cannot be parsed, typed, or run one row at a time; ``at``: which character, where known."""

    def __init__(self, said: str, at: int | None = None) -> None:
        self.at = at
        super().__init__(said)


class VolatileSqlError(SqlError):
    """An expression that reads a clock or a random source."""


class SqlWords(NamedTuple):
    """``names``: words that can only be columns. ``runnable``: what the parser gets."""

    names: frozenset[str]
    runnable: str


def read(sql: str) -> SqlWords:
    """Take a text apart. A number with a point is a double in ``runnable``: Polars takes it for a decimal.

    Raises:
        VolatileSqlError: it calls what reads a clock or a random source.
        SqlError: it is larger or deeper than can be run, calls what is not in the language, has a comment without end,
            or a number that is none.
    """
    names, runnable, steps, chars, cost, before = set[str](), list[str](), 0, 0, Cost(), ""
    for start, kind, token in _tokens(sql):
        try:
            chars += len(token)
            if chars > MAX_CHARS:
                raise SqlError(f"it has more than {MAX_CHARS} characters; a long list is an enrichment")
            word = token.lower() if kind in ("word", "call", "other") else ""
            steps += kind == "step" or word in _STEPS
            if steps > MAX_STEPS:
                raise SqlError(
                    f"it has more than {MAX_STEPS} operators; IN (...) is one, and a long CASE is an enrichment"
                )
            if kind == "text" and before.isidentifier():
                raise SqlError(f"a text is written without {before!r} before it")
            weight = _weight(token) if kind == "call" else None
            if word == "select":  # before the parser makes a query of it
                raise refused(word)
            if kind == "word" and word not in WORDS:
                names.add(token)
            cost.add(kind, word, weight)
            _within(cost)
            runnable.append(_double(token) if kind == "number" else token)
            before = token if kind in ("word", "call") and word not in WORDS else ""
        except SqlError as error:
            error.at = start
            raise
    return SqlWords(frozenset(names), "".join(runnable))


def place_of(sql: str, name: str) -> tuple[int, str] | None:
    """Where a text first names the column ``name``, and how it is written there; None where it does not."""
    for start, kind, token in _tokens(sql):
        plain = token[1:-1].replace(token[0] * 2, token[0]) if kind == "name" else token
        if kind in ("name", "word") and plain == name:
            return start, token
    return None


def calls(sql: str) -> Iterator[tuple[int, str]]:
    """The functions that a text calls: where, and as they are written.

    Raises:
        SqlError: a number or a comment is not whole.
    """
    return ((start, token) for start, kind, token in _tokens(sql) if kind == "call")


def refused(name: str) -> SqlError:
    """What is said of a function, or a word, that is not in the language."""
    if VOLATILE.fullmatch(name.lower()):
        return VolatileSqlError(f"{name!r} changes from run to run; use a column of the event instead")
    if name.lower() in ("select", "exists"):
        return SqlError("a query inside an expression is not possible; attach an enrichment instead")
    if name.lower() in COLLECTING:
        return SqlError(
            f"{name.upper()} gives each row all rows of its window; use COUNT, MIN, MAX, FIRST or LAST, or let a "
            "sequence list the events"
        )
    if name.lower() == "columns":
        return SqlError("it selects columns by a pattern; name each column")
    near = get_close_matches(name.lower(), _FUNCTIONS, n=1)
    meant = f"; did you mean {near[0].upper()!r}?" if near else ";"
    return SqlError(f"unsupported function {name.lower()!r}{meant} docs/sql.md lists those there are")


def refused_word(word: str) -> SqlError:
    """The same of a word that is no column, though nothing else stands for itself here."""
    if VOLATILE.fullmatch(word.lower()):
        return refused(word)
    return SqlError(f"{word!r} is no word of the language; a column of that name is written in double quotes")


def _weight(name: str) -> int:
    weight = _FUNCTIONS.get(name.lower()) or BEFORE_PARENTHESIS.get(name.lower())
    if weight is None:
        raise refused(name)
    return weight


def _within(cost: Cost) -> None:
    if cost.depth > MAX_DEPTH:
        raise SqlError(f"it is nested more than {MAX_DEPTH} deep; compute a part of it as a column of its own")
    if cost.nodes > MAX_NODES:
        raise SqlError(
            f"it becomes more than {MAX_NODES} parts, as calls, BETWEEN and [...] within each other multiply; "
            "compute a part of it as a column of its own"
        )


def _tokens(sql: str) -> Iterator[tuple[int, str, str]]:
    """Every token: where it begins, its kind, its text."""
    at = 0
    while found := _TOKEN.match(sql, at):
        kind, at = found.lastgroup or "other", found.end()
        kind = {"rest": "number", "dollar": "text"}.get(kind, kind)
        token = found[0]
        if kind == "opening":
            kind, at = "comment", _end_of_comment(sql, at)
            token = sql[found.start() : at]
        elif kind == "number" and found["rest"]:
            raise SqlError(f"{token!r} is no number", found.start())
        elif kind in ("word", "name") and _is_call(sql, at):
            kind, token = "call", token if kind == "word" else token[1:-1]
        yield found.start(), kind, token


def _end_of_comment(sql: str, start: int) -> int:
    """The place after a comment, which may hold others."""
    depth, at = 1, start
    while depth:
        edge = _COMMENT_EDGE.search(sql, at)
        if edge is None:
            raise SqlError("a comment has no end", start - 2)
        depth, at = depth + (1 if edge[0] == "/*" else -1), edge.end()
    return at


def _is_call(sql: str, at: int) -> bool:
    """Whether a parenthesis opens here: then a name is that of a function, however it is quoted."""
    while (found := _TOKEN.match(sql, at)) and (found[0].isspace() or found.lastgroup in ("comment", "opening")):
        at = _end_of_comment(sql, found.end()) if found.lastgroup == "opening" else found.end()
    return found is not None and found[0] == "("


def _double(number: str) -> str:
    if len(number) > MAX_DIGITS:
        raise SqlError(f"{number[:MAX_DIGITS]}... has more than {MAX_DIGITS} digits")
    if "e" in number or "E" in number:
        return number
    if "." in number:
        return f"{number}e0"
    if int(number) > _MAX_INT64 + 1:  # one more is the smallest integer, behind its minus sign
        raise SqlError(f"{number} is larger than an int64; write it with a point, as {number}.0, for a double")
    return number
