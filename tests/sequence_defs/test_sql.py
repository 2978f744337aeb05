"""SQL text is typed over a declared schema, and judged row by row."""

import polars as pl
import pytest

from sequence_defs.compiler.sql import (
    SqlError,
    VolatileSqlError,
    expression,
    formats,
    infer,
    is_row_separable,
    is_timezone,
    is_windowed,
    names,
    schema_of,
    storage_dtype,
    window_partitions,
)
from sequence_defs.schema import Column

SCHEMA: dict[str, pl.DataType] = {
    "a": pl.Int64(),
    "b": pl.String(),
    "f": pl.Float64(),
    "ok": pl.Boolean(),
    "d": pl.Date(),
    "t": pl.Datetime("us", "UTC"),
    "tags": pl.List(pl.String()),
    "user_id": pl.String(),
    "now": pl.Int64(),
    "name@2": pl.Int64(),
}


@pytest.mark.parametrize(
    ("sql", "dtype"),
    [
        ("a + 1", pl.Int64()),
        ("a / 2", pl.Float64()),
        ("a IN (1, 2)", pl.Boolean()),
        ("CAST(a AS DOUBLE)", pl.Float64()),
        ("TRY_CAST(b AS BIGINT)", pl.Int64()),
        ("CASE WHEN a > 1 THEN 'x' ELSE 'y' END", pl.String()),
        ("COALESCE(a, 0)", pl.Int64()),
        ("b || '!'", pl.String()),
        ("d > DATE '2024-01-01'", pl.Boolean()),
        ("STRPTIME(b, '%Y-%m-%d')", pl.Datetime("us")),
        ("SUM(a) OVER (PARTITION BY user_id)", pl.Int64()),
        ('"name@2" * 2', pl.Int64()),
        ("NULL", pl.Null()),
    ],
)
def test_types_are_inferred_from_the_schema_alone(sql: str, dtype: pl.DataType) -> None:
    assert infer(sql, SCHEMA) == dtype


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("a +", "unable to parse 'a +'"),
        ("a, b", "unexpected token ','"),
        ("*", "unable to parse"),
        ("LOWR(b)", "unsupported function 'lowr'"),
        ("nope + 1", 'unable to find column "nope"'),
        ("b + a", "arithmetic on dtypes str and i64 is not allowed"),
        ("b > 1", "cannot compare string with numeric type"),
        ("(SELECT 1)", "a query inside an expression is not possible"),
    ],
)
def test_what_cannot_be_typed_says_why(sql: str, said: str) -> None:
    with pytest.raises(SqlError) as raised:
        infer(sql, SCHEMA)
    assert said.lower() in str(raised.value).lower()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("sql", ["NOW()", "now ( )", "a < CURRENT_TIMESTAMP", "CURRENT_DATE", "RANDOM()", "uuid()"])
def test_clocks_and_dice_are_refused(sql: str) -> None:
    with pytest.raises(VolatileSqlError, match="changes from run to run"):
        expression(sql)


@pytest.mark.parametrize("sql", ["now + 1", "b = 'now()'", "b = 'SELECT'", '"now" > 2', "a /* select now() */ + 1"])
def test_names_texts_and_comments_that_look_like_clocks_or_queries_are_fine(sql: str) -> None:
    assert infer(sql, SCHEMA)


def test_names_are_the_columns_an_expression_reads() -> None:
    assert names('SUM(a) OVER (PARTITION BY user_id ORDER BY t) + a + "name@2"') == ["a", "name@2", "t", "user_id"]


@pytest.mark.parametrize(
    "sql",
    [
        "a",
        "1",
        "'x'",
        "NULL",
        "a IN (1, 2)",
        "NOT (a IN (1, 2) OR b IN ('x'))",
        "CAST(a IN (1) AS INTEGER)",
        "CASE WHEN a IN (1, 2) THEN 'x' ELSE LOWER(b) END",
        "COALESCE(TRY_CAST(b AS INTEGER), 0)",
        "EXTRACT(hour FROM t)",
        "a BETWEEN 1 AND 2 AND b LIKE 'x%'",
        "tags[1]",
    ],
)
def test_expressions_over_one_row_are_separable(sql: str) -> None:
    assert is_row_separable(sql, SCHEMA)


@pytest.mark.parametrize(
    "sql",
    [
        "SUM(a)",
        "a > SUM(a)",
        "a IN (1, 2) AND MAX(a) > 3",
        "MAX(a IN (1, 2))",
        "SUM(CASE WHEN a IN (1, 2) THEN 1 ELSE 0 END)",
        "CASE WHEN a > AVG(a) THEN 1 ELSE 0 END",
        "COALESCE(a, FIRST(a))",
        "COUNT(*)",
        "COUNT(DISTINCT a)",
        "ROW_NUMBER()",
        "SUM(a) OVER ()",
        "UNNEST(tags)",
    ],
)
def test_aggregates_are_not_separable_wherever_they_stand(sql: str) -> None:
    assert not is_row_separable(sql, SCHEMA)
    assert not is_row_separable(sql, SCHEMA, windows_apart=True)


@pytest.mark.parametrize(
    "sql",
    [
        "SUM(a) OVER (PARTITION BY user_id)",
        "a - LAG(a) OVER (PARTITION BY user_id ORDER BY t)",
        "ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY t, LOWER(b))",
        "LAG(a IN (1, 2)) OVER (PARTITION BY user_id ORDER BY t)",
        "COUNT(*) OVER (PARTITION BY user_id, b) - 1",
    ],
)
def test_windows_are_separable_only_when_set_apart(sql: str) -> None:
    assert not is_row_separable(sql, SCHEMA)
    assert is_row_separable(sql, SCHEMA, windows_apart=True)


def test_an_aggregate_beside_a_window_is_not_separable_even_when_windows_are_set_apart() -> None:
    assert not is_row_separable("MAX(a) OVER (PARTITION BY user_id) - MAX(a)", SCHEMA, windows_apart=True)


@pytest.mark.parametrize(
    ("sql", "partitions"),
    [
        ("a", []),
        ("b = 'OVER (PARTITION BY x)'", []),
        ("SUM(a) OVER (PARTITION BY user_id)", [["user_id"]]),
        ('SUM(a) OVER (PARTITION BY "user_id", "name@2" ORDER BY LOWER(b))', [["user_id", "name@2"]]),
        ("SUM(a) OVER (PARTITION BY LOWER(user_id), d)", [["d"]]),
        ("SUM(a) OVER (ORDER BY t)", [[]]),
        ("SUM(a) OVER (PARTITION BY d) + LAG(a) OVER (PARTITION BY user_id ORDER BY t)", [["d"], ["user_id"]]),
        ("SUM(CASE WHEN a IN (1, 2) THEN 1 END) OVER (PARTITION BY user_id)", [["user_id"]]),
    ],
)
def test_partitions_of_windows_are_read_from_the_parsed_expression(sql: str, partitions: list[list[str]]) -> None:
    assert window_partitions(sql) == partitions
    assert is_windowed(sql) == bool(partitions)


def test_vectors_are_stored_as_bytes_and_lists_as_lists() -> None:
    columns = (Column(name="v", dtype="vector[float16,8]"), Column(name="l", dtype="list[int8]"))
    assert schema_of(columns) == {"v": pl.Binary(), "l": pl.List(pl.Int8())}
    with pytest.raises(ValueError, match="'decimal' is not a column type; use one of bool, int8"):
        storage_dtype("decimal")


@pytest.mark.parametrize(
    ("name", "known"),
    [("UTC", True), ("America/New_York", True), ("Mars/Phobos", False), ("+01:00", False), ("", False)],
)
def test_time_zones_are_iana_names(name: str, known: bool) -> None:
    assert is_timezone(name) == known


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("STRPTIME(a, '%d.%m.%Y')", [("%d.%m.%Y", True)]),
        ("DATE(REPLACE(a, '.', ''), '%Y%m%d')", [("%Y%m%d", True)]),
        ("day + (STRPTIME(a, '%H:%M') - STRPTIME('00:00', '%H:%M'))", [("%H:%M", False)] * 2),
        ("COALESCE(STRPTIME(a, '%F'), b)", [("%F", False)]),
        ("a || '%Y'", []),
        ("DATE(a)", []),
    ],
)
def test_formats_of_times_are_found_wherever_they_stand(sql: str, found: list[tuple[str, bool]]) -> None:
    """With whether the time is all that the expression gives: what it says no year of may be added to a day."""
    assert formats(sql) == found
