"""What is wrong with a query: where, with a caret below it, and what was probably meant."""

import re
from collections.abc import Sequence
from difflib import get_close_matches

from seqplat_resources.errors import Final
from sequence_defs.language.tokens import calls, place_of
from sequence_defs.native import first_line

ONLY_SELECT = "only SELECT, and EXPLAIN SELECT, can be asked; nothing is changed by SQL"

# As Polars words them.
_SYNTAX = re.compile(r"^sql parser error: (?P<what>.*?),? at Line: (?P<line>\d+), Column: (?P<column>\d+)", re.DOTALL)
_NO_TABLE = re.compile(r"^relation '(?P<name>.*)' was not found")
_NO_COLUMN = re.compile(r"unable to find column \"(?P<name>.*?)\"; valid columns: \[(?P<known>.*)\]")
_NO_COLUMN_OF = re.compile(r"^no column named '(?P<name>.*)' found in table '(?P<table>.*)'")
_NO_FUNCTION = re.compile(r"^unsupported function '(?P<name>.*)'")
_NO_STATEMENT = re.compile(r"^(statement type is not supported|table '.*' does not exist)")
# Of running it, a value that does not fit, or a text that is no time.
_OF_A_QUERY = (
    *("SQLInterfaceError", "SQLSyntaxError", "ColumnNotFoundError", "SchemaError", "DuplicateError", "ShapeError"),
    *("InvalidOperationError", "ComputeError", "PanicException"),
)
_LONGEST_LINE = 160


class QueryRefused(Final):
    """A query that cannot be run. ``line`` and ``column`` count from 1; 0 where no place is known."""

    def __init__(self, said: str, *, line: int = 0, column: int = 0) -> None:
        self.line, self.column = line, column
        super().__init__(said)


def of_polars(error: BaseException, sql: str, tables: Sequence[str]) -> QueryRefused | None:
    """What Polars raised of a query, in our words; None where it is not the query that is wrong."""
    said = first_line(error)
    if type(error).__name__ not in _OF_A_QUERY:
        return None
    if found := _SYNTAX.search(said):
        return _at(found["what"], sql, int(found["line"]), int(found["column"]), 1)
    if _NO_STATEMENT.search(said):
        return QueryRefused(ONLY_SELECT)
    return _of_a_name(said, sql, tables) or QueryRefused(said)


def _of_a_name(said: str, sql: str, tables: Sequence[str]) -> QueryRefused | None:
    if found := _NO_TABLE.search(said):
        return _unknown("table or view", found["name"], sql, tables, "`seqplat sql --tables` shows what there is")
    if found := _NO_COLUMN.search(said):
        known = re.findall(r'"((?:[^"\\]|\\.)*)"', found["known"])
        return _unknown("column", found["name"], sql, known, f"there are {', '.join(known)}")
    if found := _NO_COLUMN_OF.search(said):
        more = f"{found['table']!r} has none; `seqplat sql --tables NAME` shows those of a table"
        return _unknown("column", found["name"], sql, (), more)
    if found := _NO_FUNCTION.search(said):
        written = [(start, token) for start, token in calls(sql) if token.lower() == found["name"].lower()]
        return refused(f"there is no function {found['name']!r}", sql, *written[0]) if written else None
    return None


def refused(said: str, sql: str, start: int, token: str = " ") -> QueryRefused:
    """``said`` of what stands at character ``start`` of a query."""
    before = sql[:start]
    return _at(said, sql, before.count("\n") + 1, start - (before.rfind("\n") + 1) + 1, len(token))


def _unknown(what: str, name: str, sql: str, known: Sequence[str], more: str) -> QueryRefused:
    by_lower = {each.lower(): each for each in known}
    near = get_close_matches(name.lower(), by_lower, n=1)
    said = f"there is no {what} {name!r}; " + (f"did you mean {by_lower[near[0]]!r}?" if near else more)
    place = place_of(sql, name)
    return refused(said, sql, *place) if place else QueryRefused(said)


def _at(said: str, sql: str, line: int, column: int, width: int) -> QueryRefused:
    lines = sql.split("\n")
    if not 0 < line <= len(lines):  # at the end of the text
        line, column = len(lines), len(lines[-1]) + 1
    text = lines[line - 1].replace("\t", " ").rstrip("\r")
    cut = max(0, column - 1 - _LONGEST_LINE // 2)
    shown, at = text[cut : cut + _LONGEST_LINE], column - 1 - cut
    caret = " " * at + "^" * max(1, min(width, len(shown) - at))
    return QueryRefused(f"line {line}, column {column}: {said}\n  {shown}\n  {caret}", line=line, column=column)
