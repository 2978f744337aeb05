"""The language is closed, and what a text of it may cost is bounded before anything runs it."""

import json
import time
from itertools import product
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sequence_defs.compiler.probe import probe
from sequence_defs.compiler.sql import SqlError, VolatileSqlError, expression, infer, tree
from sequence_defs.language.bounds import nodes
from sequence_defs.language.tokens import read
from sequence_defs.language.vocabulary import MAX_NODES, ROW_FUNCTIONS, ROW_NODES, WINDOW_FUNCTIONS, WINDOW_NODES
from sequence_defs.native import NATIVE_ERRORS

SCHEMA = {
    "a": pl.Int64(),
    "b": pl.Boolean(),
    "s": pl.String(),
    "t": pl.Datetime("us", "UTC"),
    "l": pl.List(pl.String()),
    "n": pl.List(pl.Int64()),
}


def nested(form: str, times: int, inner: str = "a") -> str:
    for _ in range(times):
        inner = form.replace("{}", inner)
    return inner


# A second is what a text that is refused may take on a slow machine; most of these would never end.
HOSTILE = [
    # generators, and whatever else makes much of little
    "GENERATE_SERIES(1, 20000000000)",
    'RANGE(1, 20000000000) IS NULL AND "generate_series"(1, 2) IS NULL',
    "ARRAY_LENGTH(`generate_series`(1, 20000000000)) > 1",
    "ARRAY_LENGTH(GENERATE_SERIES /* : */ (1, 20000000000)) > 1",
    "REPEAT('x', 10000000000)",
    "LPAD(s, 10000000000, 'x')",
    "RPAD(s, a, 'x')",
    "LPAD(s, 1e9, 'x')",
    nested("REPLACE({}, 'a', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa')", 8, "s"),
    nested("REPLACE({}, '', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa')", 3, "s"),
    "REPLACE(s, 'a', s)",
    "REGEXP_REPLACE(s, 'x*', '" + "y" * 2000 + "')",
    "ARRAY_TO_STRING(l, '" + "y" * 2000 + "')",
    "CONCAT(" + ", ".join(["s"] * 2000) + ")",
    "STRFTIME(t, '" + "%Y" * 5000 + "')",
    # deep, and wide by being written several times
    *(
        nested(form, 15)
        for form in (
            "SPLIT_PART({}, 'x', 1)",
            "SPLIT_PART(s, 'x', {})",
            "l[{}]",
            "ARRAY_GET(l, {})",
            "NULLIF({}, 1)",
            "(({}) BETWEEN 1 AND 2)",
            "({} IN (a, a, a, a))",
            "(a IN ({}, {}))",
            "CASE {} WHEN 1 THEN 2 WHEN 3 THEN 4 WHEN 5 THEN 6 END",
            "EXTRACT(EPOCH FROM {})",
            "SUBSTR(s, {}, {})",
            "POW({}, {})",
            "CORR({}, {})",
            "CAST({} AS INT)",
            "RIGHT({}, 2)",
        )
        if len(nested(form, 15)) < 100_000
    ),
    # one after the other, without anything that is open
    nested("{} BETWEEN 1 AND a", 100),
    nested("a BETWEEN 1 AND {}", 100),
    nested("{} IN (a, a)", 50),
    nested("{} XOR a BETWEEN 1 AND a", 50),
    nested("{} XOR a IN (a, a)", 50),
    "b AND " + nested("{} NOT BETWEEN 1 AND a", 50) + " AND b",
    nested("CAST({} AS INT)", 250),
    nested("TRY_CAST({} AS INT)", 100),
    nested("SUM({}) OVER (PARTITION BY a ORDER BY t)", 2),
    nested("LAG({}) OVER (PARTITION BY a ORDER BY t)", 14),
    "(" * 200_000,
    "[" * 200_000,
    "CASE " * 100_000,
    "a" + " + a" * 100_000,
    " + ".join(["SUM(a) OVER (PARTITION BY a)"] * 50),
    *(f"{name}(s) OVER (PARTITION BY a)" for name in ("ARRAY_AGG", '"string_agg"', "GROUP_CONCAT", "ListAgg")),
    "ARRAY_LENGTH(ARRAY_AGG(DISTINCT a) OVER ())",
    "RANK() OVER (PARTITION BY s ORDER BY " + ", ".join(["t"] * 300) + ")",
    "SUM(a) OVER (PARTITION BY a ORDER BY t ROWS BETWEEN 1000000000 PRECEDING AND CURRENT ROW)",
    # regular expressions
    "s ~ '" + "x" * 100_000 + "'",
    r"s ~ '\w{1000}'",
    r"s ~ '((\w{10}){10}){10}'",
    r"s ~ '(((a{30}){30}){30}){30}'",
    r"s ~* '\w{0,400}'",
    r"REGEXP_LIKE(s, '\w{200}')",
    r"STRPOS(s, '\w{900}') > 0",
    r"POSITION('\w{900}' IN s) > 0",
    r"s RLIKE '[a-z]{500}'",
    "s ~ '" + r"\pL" * 200 + "'",
    "STRPOS(s, s) > 0",
    "s LIKE '" + "x_" * 50_000 + "'",
    # numbers and types
    "CAST('1' AS DECIMAL(1000, 900))",
    "a::DECIMAL(99,98)::DOUBLE",
    "CAST(a AS DECIMAL(5, 9))",
    "9" * 4000,
    "a = 1." + "1" * 4000,
    # another language
    "(SELECT 1)",
    "a IN (SELECT a FROM x)",
    "EXISTS (SELECT 1)",
    "COLUMNS('.*')",
    "*",
    "a.b",
    "s -> 'x'",
    "x'41' = s",
    "E'a'",
    "CAST(s AS JSON)",
    "CURRENT_USER",
    "READ_CSV('/etc/passwd')",
]


@pytest.mark.parametrize("sql", HOSTILE, ids=range(len(HOSTILE)))
def test_what_could_cost_more_than_a_row_is_worth_is_refused_at_once(sql: str) -> None:
    began = time.process_time()
    with pytest.raises(SqlError) as refused:
        probe(sql, SCHEMA)  # which parses it first
    assert time.process_time() - began < 2
    assert len(str(refused.value)) < 500


CLOCKS = [
    "NOW()",
    '"now"()',
    "`Now` ()",
    "now/* */()",
    '"now" -- \n ()',
    "CURRENT_TIMESTAMP",
    "current_Timestamp()",
    '"CURRENT_TIMESTAMP"()',
    "CURRENT_DATE",
    "CURRENT_TIME",
    "LOCALTIME",
    "LOCALTIMESTAMP",
    '"localtimestamp"()',
    "RANDOM()",
    '"uuid"()',
    "a + EXTRACT(YEAR FROM CURRENT_DATE)",
    "CASE WHEN NOW() > t THEN 1 END",
    "a -- '\n > CURRENT_TIMESTAMP",
    "$$x$$ || CURRENT_DATE",
]


@pytest.mark.parametrize("sql", CLOCKS)
def test_a_clock_is_one_however_it_is_written(sql: str) -> None:
    with pytest.raises(VolatileSqlError, match="changes from run to run"):
        expression(sql)


@pytest.mark.parametrize("name", ["now", "current_date", "random", "uuid", "select", "day", "case"])
def test_a_column_may_have_any_name_in_quotes(name: str) -> None:
    assert infer(f'"{name}" > 1', {name: pl.Int64()}) == pl.Boolean()


GOOD = [
    "a IN (" + ", ".join(map(str, range(5000))) + ")",
    "LOWER(s) IN (" + ", ".join(f"'sku-{i}'" for i in range(3000)) + ")",
    " OR ".join(f"a BETWEEN {i} AND {i + 1}" for i in range(40)),
    " AND ".join(f"(a > {i} OR s LIKE '%x{i}%')" for i in range(60)),
    "CASE " + " ".join(f"WHEN a = {i} THEN 'x{i}'" for i in range(100)) + " ELSE s END",
    "CASE a " + " ".join(f"WHEN {i} THEN 'x{i}'" for i in range(100)) + " END",
    nested("COALESCE({}, 'x')", 12, "s"),
    nested("REPLACE({}, 'ab', 'a')", 12, "s"),
    "SPLIT_PART(SPLIT_PART(SPLIT_PART(s, '/', 3), '?', 1), ':', 1)",
    "REPLACE(REPLACE(REPLACE(LOWER(TRIM(s)), ' ', '%20'), '+', '%2B'), '/', '%2F')",
    "CONCAT(s, '-', CAST(a AS VARCHAR)) || '/' || s",
    r"s ~ '^[a-z0-9._%+-]+@[a-z0-9.-]+\.[a-z]{2,4}$'",
    r"REGEXP_REPLACE(s, '\s+', ' ', 'g')",
    "CAST(a AS DECIMAL(38, 6))",
    "LPAD(s, 12, '0')",
    "SUM(a) OVER (PARTITION BY s ORDER BY t ROWS BETWEEN 30 PRECEDING AND CURRENT ROW)",
    "a - LAG(a, 1) OVER (PARTITION BY s ORDER BY t) + COUNT(*) OVER (PARTITION BY s)",
    "SUM(a) FILTER (WHERE b) OVER (PARTITION BY s)",
    "CAST(t AS DATE) - DATE '2020-01-01' > INTERVAL '1 day'",
    "EXTRACT(DOW FROM t) IN (6, 7) AND t + INTERVAL '5 minutes' < TIMESTAMPTZ '2024-01-01T00:00:00Z'",
    "ARRAY_CONTAINS(l, 'x') AND n[1] > 2 AND ARRAY_LENGTH(l) > 3",
    "NOT (s IS NULL OR a IS DISTINCT FROM 3) AND NULLIF(s, '') IS NOT NULL",
    "TRIM(LEADING '0' FROM s) = SUBSTRING(s FROM 2 FOR 3)",
]


@pytest.mark.parametrize("sql", GOOD, ids=range(len(GOOD)))
def test_what_people_write_is_of_the_language(sql: str) -> None:
    assert infer(sql, SCHEMA)


ARGUMENTS = ["", "a", "s", "t", "l", "n", "a, 1", "s, 'x'", "s, 1", "s, 1, 'x'", "s, 'x', 'y'", "s, 'x', 1", "'day', t"]
ARGUMENTS += ["4", "l, 'x'", "b, a, 1", "a, a", "a, 0.5", "a, 2"]


@pytest.mark.parametrize("name", sorted({*ROW_FUNCTIONS, *WINDOW_FUNCTIONS} - {"date_trunc"}))
def test_a_function_of_the_list_can_be_called(name: str) -> None:
    """And what Polars makes of it is on the list as well, which tells when a new Polars calls something otherwise."""
    windows = [" OVER (PARTITION BY s ORDER BY t)", " OVER (PARTITION BY s)"]
    found, others = list[str](), list[str]()
    for arguments, over in product(ARGUMENTS, windows if name in WINDOW_FUNCTIONS and name != "unnest" else [""]):
        try:
            found += nodes(tree(expression(f"{name}({arguments}){over}")))
        except SqlError as refused:
            others += [str(refused)] if "not part of the language" in str(refused) else []
    assert found
    assert not others
    if name in ROW_FUNCTIONS:
        assert ROW_NODES.issuperset(found)


def test_the_two_lists_are_apart_and_documented() -> None:
    assert not ROW_NODES & WINDOW_NODES
    assert not ROW_FUNCTIONS.keys() & WINDOW_FUNCTIONS.keys()
    told = Path("docs/sql.md").read_text()
    assert [name for name in {**ROW_FUNCTIONS, **WINDOW_FUNCTIONS} if f"`{name.upper()}`" not in told] == []


forms = st.sampled_from(
    [
        *("SPLIT_PART({}, 'x', 1)", "l[{}]", "NULLIF({}, {})", "({} BETWEEN {} AND 3)", "({} IN (a, {}))", "ABS({})"),
        *("CASE {} WHEN 1 THEN {} ELSE 3 END", "RIGHT(s, {})", "SUBSTR(s, {}, {})", "({} + {})", "CAST({} AS INT)"),
        *("{} BETWEEN {} AND a", "{} BETWEEN 1 AND {}", "{} IN (a, a)", "{} XOR {}", "{} AND {}", "NOT {}", "{} || {}"),
        *("EXTRACT(EPOCH FROM {})", "COALESCE({}, {})", "SUM({})", "POW({}, 2)", "ARRAY_GET(l, {})", "CORR({}, {})"),
    ]
)


@given(st.lists(forms, min_size=1, max_size=6))
def test_what_a_text_becomes_is_never_much_more_than_estimated(chosen: list[str]) -> None:
    """Each node takes some 100 bytes of JSON."""
    sql = "a"
    for form in chosen:
        sql = form.replace("{}", sql)
    try:
        runnable = read(sql).runnable
        written = pl.sql_expr(runnable).meta.serialize(format="json")
    except (SqlError, *NATIVE_ERRORS):
        return
    assert len(list(nodes(json.loads(written)))) <= 12 * MAX_NODES
