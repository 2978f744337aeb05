"""Where an SQL text is wrong: line, column, and the line itself with a caret below the place.

>>> print(pointed("price >\\n= = 3", 10))
line 2, column 3
        = = 3
          ^
"""

import re
import unicodedata
from dataclasses import dataclass

import polars as pl

from sequence_defs.analysis.wording import excerpt
from sequence_defs.compiler.sql import SqlError
from sequence_defs.native import NATIVE_ERRORS, first_line

# Of a long line only what is around the place is shown.
_AROUND = 60
_INDENT = " " * 8
_PARSER = re.compile(
    r"^sql parser error: (?P<said>.*?)(?:,? found: (?P<found>.*?))?"
    r"(?: at Line: (?P<line>\d+), Column: (?P<column>\d+))?$"
)
# What stands around a text while the parser looks for the place. A comment at its end would swallow the bracket.
_BEFORE, _AFTER = "SELECT (", "\n)"
_CURLY = re.compile(
    "[\N{LEFT DOUBLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK}\N{LEFT SINGLE QUOTATION MARK}"
    "\N{RIGHT SINGLE QUOTATION MARK}\N{DOUBLE LOW-9 QUOTATION MARK}]"
)
_QUOTED_PATTERN = re.compile(r'pattern must be a string literal; found (?P<token>"[^"]*")')
_UNEXPECTED = re.compile(r"""found unexpected token '(?P<token>.+)'|datatype "(?P<type>[^"]+)\"""")
IN_SINGLE_QUOTES = "a text is written in single quotes, {}: double quotes name a column"


@dataclass(frozen=True)
class Fault:
    """What is wrong with a text that does not parse, in which character, and what mends it (blank if not known)."""

    said: str
    at: int
    fix: str = ""


def fault_of(sql: str, error: SqlError) -> Fault:
    """Where and why ``sql`` was refused with ``error``."""
    if error.at is not None:
        return Fault(str(error), error.at)
    if curly := _CURLY.search(sql):
        return Fault(f"{curly[0]!r} is no quote of SQL", curly.start(), "write texts in plain single quotes: 'a text'")
    if found := _QUOTED_PATTERN.search(str(error)):
        return Fault(str(error), max(sql.find(found["token"]), 0), as_text(found["token"]))
    return _by_parser(sql) or Fault(excerpt(str(error), 200)[1:-1], _mentioned(sql, str(error)))


def as_text(token: str) -> str:
    """What to do where a name in double quotes was meant as a text."""
    return IN_SINGLE_QUOTES.format("'" + token[1:-1].replace("'", "''") + "'")


def pointed(sql: str, at: int) -> str:
    """``line 1, column 9``, and below it the line with a caret. ``at`` counts characters from 0; the end is a place."""
    at = min(max(at, 0), len(sql))
    before = sql[:at]
    number, column = before.count("\n") + 1, at - (before.rfind("\n") + 1)
    line = sql.split("\n")[number - 1]
    first = max(0, column - _AROUND)
    left, right = ("..." if first else ""), ("..." if len(line) > column + _AROUND else "")
    shown = left + _plain(line[first : column + _AROUND]) + right
    room = len(left) + sum(map(_width, _plain(line[first:column])))
    return f"line {number}, column {column + 1}\n{_INDENT}{shown}\n{_INDENT}{' ' * room}^"


def _by_parser(sql: str) -> Fault | None:
    """What the parser of SQL says of the text as a part of a query, as it gives no place of an expression alone.

    It is asked of texts only that were refused, and nothing is run: there is no table, and what reads files is refused
    before.
    """
    try:
        pl.SQLContext().execute(_BEFORE + sql + _AFTER)
    except NATIVE_ERRORS as error:
        told = _PARSER.match(first_line(error))
    else:
        return None
    if told is None or told["line"] is None:
        return Fault(_because(told["said"], "the end"), len(sql)) if told else None
    at = _offset(sql, int(told["line"]), int(told["column"]))
    if at >= len(sql.rstrip()):
        if told["said"] == "Expected: end of statement" and (stray := _stray(sql)) is not None:
            return Fault("expected nothing more, found ')', which closes nothing", stray)
        return Fault(_because(told["said"], "the end"), len(sql.rstrip()), _unclosed(sql))
    return Fault(_because(told["said"], repr(told["found"]) if told["found"] else ""), at, _unclosed(sql))


def _offset(sql: str, line: int, column: int) -> int:
    """Of a place that is told for the text with ``_BEFORE`` before it."""
    if line == 1:
        return max(column - 1 - len(_BEFORE), 0)
    lines = sql.split("\n")
    return sum(len(each) + 1 for each in lines[: line - 1]) + column - 1


def _because(said: str, found: str) -> str:
    said = re.sub(r"^Expected:? *", "expected ", said)
    said = "expected nothing more" if said == "expected )" and found != "the end" else said
    return f"{said}, found {found}" if found else said


def _unclosed(sql: str) -> str:
    words = [word.lower() for word in re.findall(r"'(?:[^']|'')*'|\"[^\"]*\"|\w+", sql)]
    return "close each CASE with END" if words.count("case") > words.count("end") else ""


def _mentioned(sql: str, said: str) -> int:
    found = _UNEXPECTED.search(said)
    return max(sql.find(found["token"] or found["type"]), 0) if found else 0


def _stray(sql: str) -> int | None:
    """The place of a bracket that closes what nothing opened."""
    depth = 0
    for found in re.finditer(r"'(?:[^']|'')*'|\"[^\"]*\"|--[^\n]*|[()]", sql):
        depth += {"(": 1, ")": -1}.get(found[0], 0)
        if depth < 0:
            return found.start()
    return None


def _plain(text: str) -> str:
    """As many characters as ``text`` has, each one that a terminal shows."""
    return "".join(letter if letter.isprintable() else " " if letter.isspace() else "\N{MIDDLE DOT}" for letter in text)


def _width(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1
