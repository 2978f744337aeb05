"""Run an expression on made-up values: some that no value can be computed with still have a type.

Polars resolves ``CAST(text AS TIMESTAMP)`` to a type, and refuses every row it is then given.
"""

import datetime as dt
import re
from typing import Any

import polars as pl

from sequence_defs.compiler.sql import Schema, SqlError, expression, names, tree
from sequence_defs.language.bounds import require_decimals
from sequence_defs.native import NATIVE_ERRORS, first_line

_TIME = dt.datetime(2024, 5, 1, 10, 30, tzinfo=dt.UTC)
_SAMPLES: dict[type[pl.DataType], tuple[Any, ...]] = {
    pl.Boolean: (True, False),
    pl.String: (
        "7",
        "x",
        "2024-05-01",
        "2024-05-01 10:30:00",
        "2024-05-01T10:30:00Z",
        "1.5",
        "true",
        "[1]",
    ),
    pl.Binary: (b"7", b"x"),
    pl.Date: (_TIME.date(),),
    pl.Datetime: (_TIME,),
}
_INTEGERS = (7, 1, 0, 100)
_FLOATS = (1.5, 7.0, 0.25)
_ROWS = 9
# A value that is none of the wanted type; another value may be one.
_OF_A_VALUE = re.compile(r"conversion from|invalid utf-?8|could not find an appropriate format", re.IGNORECASE)


def probe(sql: str, schema: Schema) -> None:
    """Evaluate over typical rows of ``schema``. An expression that some value could be computed with passes.

    Raises:
        SqlError: it does not parse, or fails for every row, whatever is in it.
    """
    parsed, read = expression(sql), {name: schema[name] for name in names(sql)}
    require_decimals(tree(parsed))
    rows = pl.DataFrame({name: _samples(dtype) for name, dtype in read.items()}, schema=read, strict=False)
    if not read:
        rows = pl.DataFrame({"_": [None]})
    problems = []
    for some in (rows, *rows.iter_slices(1)):
        problem = _problem(parsed, some)
        if problem is None or _OF_A_VALUE.search(problem):
            return
        problems.append(problem)
    raise SqlError(problems[-1])


def _problem(parsed: pl.Expr, rows: pl.DataFrame) -> str | None:
    try:
        rows.lazy().select(parsed.alias("value")).collect()
    except NATIVE_ERRORS as error:
        return first_line(error)
    return None


def _samples(dtype: pl.DataType) -> list[Any]:
    if isinstance(dtype, pl.List):
        inner = dtype.inner if isinstance(dtype.inner, pl.DataType) else dtype.inner()
        return [[value] for value in _samples(inner)]
    kind = _INTEGERS if dtype.is_integer() else _FLOATS if dtype.is_float() else _SAMPLES.get(type(dtype), (None,))
    return [kind[row % len(kind)] for row in range(_ROWS)]
