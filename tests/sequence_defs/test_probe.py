"""What no value can be computed with is found before a day fails; what some value fits passes."""

import polars as pl
import pytest

from sequence_defs.analysis.rules.types import _is_value
from sequence_defs.compiler.probe import probe
from sequence_defs.compiler.sql import SqlError, infer, storage_dtype
from sequence_defs.schema import Column
from sequence_defs.schema.dtypes import SCALARS

SCHEMA: dict[str, pl.DataType] = {
    **{name: storage_dtype(name) for name in SCALARS},
    "texts": pl.List(pl.String()),
    "times": pl.List(storage_dtype("timestamp")),
    "counts": pl.List(pl.Int64()),
}


@pytest.mark.parametrize(
    "sql",
    [
        "CAST(string AS TIMESTAMP)",
        "string::DATE",
        "TRY_CAST(string AS TIME)",
        "CASE WHEN string IS NULL THEN NULL ELSE CAST(string AS TIMESTAMP) END",
        "CAST(string AS BOOLEAN)",
        "CAST(texts AS TIMESTAMP)",
        "CAST(binary AS BIGINT)",
        "CAST(date AS BOOLEAN)",
        "CAST(int64 AS DECIMAL(1000, 900))",
        "CAST('2024-01-01' AS TIMESTAMP) < CAST(string AS TIMESTAMP)",
    ],
)
def test_what_fails_for_every_row_is_found(sql: str) -> None:
    infer(sql, SCHEMA)  # it has a type
    with pytest.raises(SqlError):
        probe(sql, SCHEMA)


@pytest.mark.parametrize(
    "sql",
    [
        # Beside the largest integer Polars makes a decimal of a number; the smallest is written with it.
        "int64 > -9223372036854775808",
        "int64 IN (-9223372036854775808, 9223372036854775808)",
        "STRPTIME(string, '%d.%m.%Y')",
        "STRPTIME(string, '%H:%M o''clock on %j in %Y')",
        "DATE(string)",
        "DATE(string, '%Y')",
        "CAST(string AS BIGINT)",
        "CAST(string AS INTEGER) / 0",
        "CAST(SUBSTR(string, 30) AS DOUBLE)",
        "CAST(binary AS VARCHAR)",
        "timestamp < TIMESTAMPTZ '2024-05-01T00:00:00Z'",
        "CAST(timestamp AS TIMESTAMP)",
        "date + INTERVAL '1 day'",
        "ARRAY_LENGTH(texts) + ARRAY_LENGTH(times)",
        "ARRAY_CONTAINS(counts, 7)",
        "ARRAY_TO_STRING(texts, ',')",
        "SUM(int64) OVER (PARTITION BY string)",
        "EXTRACT(YEAR FROM timestamp) + EXTRACT(HOUR FROM timestamp)",
        "STRFTIME(timestamp, '%Y-%m-%d')",
        "int8 + int16 + int32 + int64 + float32 * float64",
        "bool AND string = 'x'",
        "NULL",
        "1.5 > 2",
        *SCALARS,
    ],
)
def test_what_some_row_fits_passes(sql: str) -> None:
    infer(sql, SCHEMA)
    probe(sql, SCHEMA)


@pytest.mark.parametrize(
    "sql", ["texts[-9223372036854775808] IS NULL", "SPLIT_PART(string, ',', -9223372036854775808)", "GREATEST() = 1"]
)
def test_what_polars_panics_on_is_refused(sql: str) -> None:
    with pytest.raises(SqlError):
        probe(sql, SCHEMA)


@pytest.mark.parametrize(
    ("dtype", "good", "bad"),
    [
        ("float32", [0.5, 1, -1, 0, 3.4e38], [1e39, float("nan"), float("inf"), True, "1"]),
        ("float64", [0.5, 1, 1e308], [float("nan"), False, "x"]),
        ("int8", [127, -128], [128, -129, 1.0, True]),
        ("int64", [2**63 - 1, -(2**63)], [2**63, 0.5]),
        ("bool", [True, False], [1, 0, "true", 1.0]),
        ("string", ["", "x"], [1, True, 0.5]),
        ("date", [], ["2024-01-01", 1]),
        ("list[float64]", [], [0.5]),
        ("vector[int8,2]", [], [1]),
    ],
)
def test_the_default_of_a_missing_key_is_a_value_of_its_column(
    dtype: str, good: list[str | float], bad: list[str | float]
) -> None:
    column = Column(name="x", dtype=dtype)
    assert all(_is_value(column, value) for value in good)
    assert not any(_is_value(column, value) for value in bad)
