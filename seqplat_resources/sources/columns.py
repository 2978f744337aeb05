"""The columns of a source in their types: read ones, then computed ones, and which rows are the source's at all."""

from collections.abc import Sequence

import polars as pl

from seqplat_resources.values.isolation import attempted
from seqplat_resources.values.typing import problem, typed
from sequence_defs.compiler.arithmetic import checked
from sequence_defs.compiler.sql import names
from sequence_defs.schema import Column, Source

_RAISED = "a computed column: "


def typed_rows(frame: pl.DataFrame, source: Source) -> tuple[pl.DataFrame, pl.Series]:
    """The declared columns in their types, and per row why it is refused, or null."""
    read = [column for column in source.columns if column.sql is None]
    computed = {column.name: column for column in source.columns if column.sql is not None}
    fitted, reasons = _fitted(frame, read, source)
    if not computed:
        return fitted, reasons
    values, raised = attempted(
        fitted,
        lambda some: some.with_columns(
            checked(column.sql or "", fitted.schema).alias(name) for name, column in computed.items()
        ).select(list(computed)),
    )
    more, wrong = _fitted(values, list(computed.values()), source)
    rows = fitted.hstack(more).select(column.name for column in source.columns)
    return rows, _first(reasons, None if raised is None else _RAISED + raised, wrong)


def passing(source: Source, frame: pl.DataFrame, rows: pl.DataFrame, reasons: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Which rows the filter of the source lets through, and ``reasons`` with what it raised.

    A row is not passed over because a value that the filter looks at could not be read: that one is a reject.
    """
    condition = checked(source.filter or "TRUE", rows.schema)
    found, raised = attempted(rows, lambda some: some.with_columns(_keep=condition).select("_keep"))
    kept = found["_keep"].fill_null(value=False) | reasons.str.starts_with(_RAISED).fill_null(value=False)
    for name in _inputs(source):
        if name in frame.columns:
            kept |= rows[name].is_null() & frame[name].is_not_null()
    reasons = _first(reasons, None if raised is None else "filter: " + raised)
    return kept | raised.is_not_null() if raised is not None else kept, reasons


def _fitted(frame: pl.DataFrame, columns: Sequence[Column], source: Source) -> tuple[pl.DataFrame, pl.Series]:
    required = [source.user_id] if source.user_id in {column.name for column in columns} else []
    fields = frame.select(column.name for column in columns)
    types = fields.schema
    fitted, errors = attempted(
        fields, lambda some: some.select(typed(column, types[column.name]) for column in columns)
    )
    found = problem(columns, fields, required=[name for name in required if name], after=fitted)
    reasons, more = attempted(fields, lambda some: some.with_columns(_reason=found).select("_reason"))
    return fitted, _first(reasons["_reason"], errors, more)


def _inputs(source: Source) -> set[str]:
    """The columns that a filter looks at, and those that they are computed from."""
    computed = {column.name: column.sql for column in source.columns if column.sql is not None}
    seen = set(names(source.filter or "TRUE"))
    return seen | {name for column in seen & set(computed) for name in names(computed[column])}


def _first(reasons: pl.Series, *others: pl.Series | None) -> pl.Series:
    for other in others:
        if other is not None:
            reasons = reasons.zip_with(reasons.is_not_null(), other)
    return reasons
