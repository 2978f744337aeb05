"""SQL text: it parses, names what is there, fits its types, and means the same in every batch and at every run."""

import re
from collections.abc import Iterator

import polars as pl

from sequence_defs.analysis.diagnostics import Finding, rule
from sequence_defs.analysis.expressions import Expression, expressions, texts
from sequence_defs.analysis.places import as_text, fault_of, pointed
from sequence_defs.analysis.widening import cast_to, holds, nearest_dtype
from sequence_defs.analysis.wording import excerpt, instead, label
from sequence_defs.compiler.project import Project
from sequence_defs.compiler.sql import SqlError, VolatileSqlError, expression, is_row_separable, window_partitions
from sequence_defs.language.tokens import place_of
from sequence_defs.schema import Column, Derived, Location, Service, parse_dtype

_CAST_FIX = "cast one side with TRY_CAST(<column> AS <type>)"
# Polars reads no times out of text without being told how they are written.
_FROM_TEXT = re.compile(r"from string to (?:date|time)")
_TEXT_FIX = (
    "say how it is written, as in STRPTIME(<column>, '%Y-%m-%d %H:%M:%S'), or declare the column timestamp or date"
)


@rule("SP201", "error", "SQL parses")
def unparsable(project: Project) -> Iterator[Finding]:
    """An expression is one scalar expression of the Polars SQL dialect, without queries inside it."""
    for found in texts(project):
        error = _refusal(found)
        if error is not None and not isinstance(error, VolatileSqlError):
            fault = fault_of(found.sql, error)
            yield Finding(
                found.where,
                f"{found.title} is not an SQL expression: {_shown(found.sql)}: {fault.said}: "
                f"{pointed(found.sql, fault.at)}",
                fault.fix or "write one expression over the columns, as in a SELECT list",
            )


@rule("SP202", "error", "columns named in SQL exist")
def unknown_column(project: Project) -> Iterator[Finding]:
    """Event columns, filters and times see the source's columns; derived columns see the event so far."""
    for found in expressions(project):
        for name in found.named():
            if found.scope.lacks(name):
                at, token = place_of(found.sql, name) or (0, name)
                near = instead(name, found.scope.columns, "declare the column in the source")
                yield Finding(
                    found.where,
                    f"{found.title} reads column {name!r}, which is not there: {_shown(found.sql)}: "
                    f"{pointed(found.sql, at)}",
                    f"{as_text(token)}; {near}" if token.startswith('"') else near,
                )


@rule("SP203", "error", "operand types meet")
def type_clash(project: Project) -> Iterator[Finding]:
    """The expression has a type over the declared columns, and a value for some row: it is tried on made-up ones."""
    for found in expressions(project):
        outcome = found.outcome()
        if isinstance(outcome, str):
            types = ", ".join(f"{name} is {found.scope.columns[name].dtype}" for name in found.named())
            yield Finding(
                found.where,
                f"{found.title} cannot be typed: {found.sql!r}: {outcome}",
                f"{_TEXT_FIX if _FROM_TEXT.search(outcome) else _CAST_FIX}; {types or 'it reads no column'}",
            )


@rule("SP204", "error", "SQL reads no clock and no dice")
def volatile(project: Project) -> Iterator[Finding]:
    """A replay must give the same value, so nothing may depend on when or where it runs."""
    for found in texts(project):
        error = _refusal(found)
        if isinstance(error, VolatileSqlError):
            yield Finding(
                found.where,
                f"{found.title} gives another value at every run: {_shown(found.sql)}: {error}: "
                f"{pointed(found.sql, fault_of(found.sql, error).at)}",
                "use a time or an id that the event carries",
            )


@rule("SP205", "error", "a filter is true or false")
def filter_not_boolean(project: Project) -> Iterator[Finding]:
    """A filter keeps a row where it is true; other types have no truth."""
    for found in expressions(project):
        dtype = found.dtype()
        if found.use == "filter" and dtype is not None and not isinstance(dtype, pl.Boolean):
            yield Finding(
                found.where,
                f"{found.title} is {nearest_dtype(dtype) or dtype}, not bool: {found.sql!r}",
                f"compare it with something, e.g. {found.sql} > 0 or {found.sql} IS NOT NULL",
            )


@rule("SP206", "error", "a column holds what its SQL gives")
def narrowed(project: Project) -> Iterator[Finding]:
    """The declared type is the inferred one or a wider one of its family; everything else is cast in the open."""
    for found in expressions(project):
        dtype, column = found.dtype(), found.column
        if dtype is None or column is None or holds(column.dtype, dtype):
            continue
        gives = nearest_dtype(dtype)
        cast = cast_to(column.dtype, found.sql)
        ways = [f"declare dtype={gives!r}" if gives else "", f"write {cast}" if cast else ""]
        yield Finding(
            found.where,
            f"{found.title} is declared {column.dtype}, but its SQL gives {gives or dtype}: {found.sql!r}",
            ", or ".join(way for way in ways if way) or "change the expression",
        )


@rule("SP207", "error", "a value depends on its own row")
def not_row_separable(project: Project) -> Iterator[Finding]:
    """Rows arrive in batches of any size, so only a derived column may look at other rows, and only in a window."""
    for found in _separability_known(project):
        if not is_row_separable(found.sql, found.schema, windows_apart=found.derived):
            yield Finding(
                found.where,
                f"{found.title} depends on which rows share a batch, or gives several values: {found.sql!r}",
                "put the aggregate in a window: OVER (PARTITION BY user_id ...)"
                if found.derived
                else "move it to a Derived enrichment, as a window: OVER (PARTITION BY user_id ...)",
            )


@rule("SP208", "error", "windows stay within a user")
def window_over_users(project: Project) -> Iterator[Finding]:
    """A day is built in shards of users, so a window that spans users would see an arbitrary part of them."""
    for found in _separability_known(project):
        for partition in window_partitions(found.sql) if found.derived else []:
            if "user_id" not in partition:
                by = f"is partitioned by {', '.join(partition)}" if partition else "names no column in PARTITION BY"
                yield Finding(
                    found.where,
                    f"{found.title} looks across users: its window {by}: {found.sql!r}",
                    "add user_id to PARTITION BY",
                )


@rule("SP209", "error", "SQL is written where it runs")
def sql_misplaced(project: Project) -> Iterator[Finding]:
    """Service columns are read as they come; a derived column has nothing but its expression."""
    for enrichment in project.enrichments.values():
        for column in enrichment.columns:
            if isinstance(enrichment, Service) and column.sql is not None:
                yield _never_run(column, label(enrichment), "compute it in a Derived enrichment after this one")
            if isinstance(enrichment, Derived) and column.sql is None:
                yield Finding(
                    column.declared_at,
                    f"column {column.name!r} of {label(enrichment)} is derived but has no SQL",
                    "write sql=...",
                )


@rule("SP210", "error", "a vector's SQL keeps its shape")
def vector_reshaped(project: Project) -> Iterator[Finding]:
    """Inside SQL a vector is bytes, so its item type and dimension are only known if they stay as they were."""
    for found in texts(project):
        column = found.column
        vectors = [found.scope.columns[n] for n in found.named() if _is_vector(found.scope.columns.get(n))]
        for vector in vectors if column is not None and _is_vector(column) else []:
            if column is not None and vector.dtype != column.dtype:
                yield Finding(
                    found.where,
                    f"{found.title} is declared {column.dtype}, but {vector.name!r} is {vector.dtype}",
                    f"declare dtype={vector.dtype!r}; another shape is another column with its own model",
                )


def _shown(sql: str) -> str:
    """In one line; where it is wrong stands below."""
    return excerpt(sql, 200)


def _refusal(found: Expression) -> SqlError | None:
    try:
        expression(found.sql)
    except SqlError as error:
        return error
    return None


def _separability_known(project: Project) -> Iterator[Expression]:
    seen: set[tuple[Location, str]] = set()
    for found in expressions(project):
        key = (found.where, found.sql)
        if found.dtype() is not None and key not in seen:
            seen.add(key)
            yield found


def _never_run(column: Column, owner: str, remedy: str) -> Finding:
    return Finding(column.declared_at, f"column {column.name!r} of {owner} has SQL, which nothing runs", remedy)


def _is_vector(column: Column | None) -> bool:
    return column is not None and parse_dtype(column.dtype).kind == "vector"
