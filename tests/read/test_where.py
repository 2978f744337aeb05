"""Conditions of requests: what they may say, and what is refused with which words."""

import datetime as dt
import re

import polars as pl
import pytest

from seqplat_resources.read.merge.where import compiled
from seqplat_resources.release.query import MAX_WHERE_CHARS, QueryError

SCHEMA = (
    ("event_time", pl.Datetime("us", "UTC")),
    ("item", pl.Int64()),
    ("day", pl.Date()),
    ("shop", pl.String()),
    ("Replace", pl.String()),
    ("tags", pl.List(pl.String())),
    ("taste", pl.Array(pl.Float32(), 2)),
)


def matching(text: str, **columns: list[object]) -> list[bool]:
    rows = pl.DataFrame(columns, schema={name: dtype for name, dtype in SCHEMA if name in columns})
    found: list[bool] = compiled(text, SCHEMA).matches(rows, rows.height).tolist()
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("item > 1", [False, True, False]),
        ("item IS NULL OR item = 1", [True, False, True]),
        ("NOT item > 1", [True, False, False]),
        ("CASE WHEN item = 2 THEN TRUE ELSE FALSE END", [False, True, False]),
        ("item IN (2, 3)", [False, True, False]),
        ("1 = 1", [True, True, True]),
        ("item BETWEEN 1 AND 2", [True, True, False]),
    ],
)
def test_rows_match_where_the_condition_is_true(text: str, expected: list[bool]) -> None:
    assert matching(text, item=[1, 2, None]) == expected


def test_only_the_columns_it_names_are_read() -> None:
    assert compiled("shop LIKE 'a%' AND item > 1", SCHEMA).columns == ("item", "shop")
    assert compiled('"Replace" IS NOT NULL AND taste IS NOT NULL', SCHEMA).columns == ("Replace", "taste")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("item >", "is no condition"),
        ("item > 1; DROP TABLE x", "is no condition"),
        ("", "is no condition"),
        ("item + 1", "'item + 1' is a number, not true or false"),
        ("NULL", "not true or false"),
        ("price > 1", "there is no column 'price' in 'price > 1'"),
        ("item > 'x'", "a number and text do not go together in \"item > 'x'\""),
        ("NOT (item = 1 OR shop > 5)", "a number and text do not go together"),
        ("item IN ('a')", "a number and text do not go together"),
        ("REGEXP_LIKE(shop, '(')", "a regular expression in it cannot be read: unclosed group"),
        ("shop SIMILAR TO 'x'", "SimilarTo is not part of the language"),
        ("foo(item)", "unsupported function 'foo'"),
        ("DATE_TRUNC('day', event_time) = DATE '2017-12-01'", "cannot determine the type of event_time"),
        ("DATE(event_time) = DATE '2017-12-01'", "a time and text do not go together"),
        ("item = 1 AND shop = '" + "x" * 3000, 'xxx..." is no condition: Unterminated string literal'),
        ("item > SUM(item)", "looks at more than one row"),
        ("item > SUM(item) OVER (PARTITION BY shop)", "looks at more than one row"),
        ("UNNEST(tags) = 'x'", "looks at more than one row"),
        ("item IN (SELECT item FROM x)", "a query inside an expression"),
        ("event_time > NOW()", "changes from run to run"),
        ("COLUMNS('^item$') > 1", "selects columns by a pattern"),
        ("REPLACE(shop, 'a', 'aaaaaaaa') = 'x'", "makes texts longer"),
        ("LPAD(shop, 2000000000, 'x') = 'x'", "makes texts longer"),
        (" AND ".join(["item > 1"] * 60), "it has "),
        ("(" * 200 + "item > 1" + ")" * 200, "is no condition"),
        ("item = 1" + " " * MAX_WHERE_CHARS, "characters are too many"),
    ],
)
def test_what_cannot_be_asked_is_refused(text: str, what: str) -> None:
    with pytest.raises(QueryError) as refused:
        compiled(text, SCHEMA)
    assert refused.value.field == "where"
    assert what in refused.value.what
    assert refused.value.fix
    assert not re.search(r"[{}]|Span|dyn |Resolved plan|μs|series", str(refused.value).replace(text, ""))


@pytest.mark.parametrize(
    "text",
    [
        "event_time > '2017-12-01'",
        "'2017-12-01T00:00:00Z' <= event_time",
        "event_time > TIMESTAMP '2017-12-01 00:00:00'",
        "event_time BETWEEN '2017-12-01' AND '2017-12-02'",
        "event_time IN ('2017-12-01')",
        "event_time IN (TIMESTAMP '2017-12-01 00:00:00')",
        "event_time > 1512000000",
        "item = 1 AND NOT event_time > item * 2",
        "event_time IN (1512000000)",
        "day > '2017-12-01'",
        "day > 17000",
    ],
)
def test_a_time_is_compared_with_times_alone(text: str) -> None:
    with pytest.raises(QueryError, match="do not go together") as refused:
        compiled(text, SCHEMA)
    assert refused.value.fix == (
        "write a time as TIMESTAMPTZ '2017-12-01T00:00:00Z', a day, from its start in UTC, as DATE '2017-12-01'"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("event_time > TIMESTAMPTZ '2017-12-01T00:00:00Z'", [False, True]),
        ("event_time >= TIMESTAMPTZ '2017-12-01T01:00:00+01:00'", [True, True]),
        ("event_time > CAST('2017-12-01T09:59:59.9Z' AS TIMESTAMPTZ)", [False, True]),
        ("event_time > DATE '2017-12-01'", [False, True]),
        ("event_time BETWEEN DATE '2017-12-01' AND DATE '2017-12-02'", [True, True]),
        ("event_time IN (DATE '2017-12-01')", [True, False]),
        ("CAST(event_time AS DATE) = DATE '2017-12-01'", [True, True]),
        ("EXTRACT(HOUR FROM event_time) = 10", [False, True]),
        ("event_time IS NOT NULL AND NULL IS NULL", [True, True]),
    ],
)
def test_times_are_in_utc(text: str, expected: list[bool]) -> None:
    times: list[object] = [dt.datetime(2017, 12, 1, tzinfo=dt.UTC), dt.datetime(2017, 12, 1, 10, tzinfo=dt.UTC)]
    assert matching(text, event_time=times) == expected


@pytest.mark.parametrize(("number", "wanted"), [(1, [False]), (2**62, None), (-(2**62) - 1, None)])
def test_integers_that_leave_their_type_are_refused(number: int, wanted: list[bool] | None) -> None:
    condition = compiled("n * 2 > 5", (("n", pl.Int64()),))
    rows = pl.DataFrame({"n": [number]})
    if wanted is not None:
        assert condition.matches(rows, 1).tolist() == wanted
        return
    with pytest.raises(QueryError, match=r"an integer does not fit its type; compute with doubles"):
        condition.matches(rows, 1)


def test_a_column_that_is_not_there_has_a_nearest_one() -> None:
    with pytest.raises(QueryError) as refused:
        compiled("shopp = 'a'", SCHEMA)
    assert refused.value.fix == "did you mean 'shop'? Otherwise leave it out"


def test_values_that_cannot_be_evaluated_are_the_callers_mistake() -> None:
    with pytest.raises(QueryError, match=r"cannot be evaluated: a value cannot be converted; use TRY_CAST"):
        matching("CAST(shop AS INT) > 1", shop=["1", "x"])
    assert matching("TRY_CAST(shop AS INT) > 0", shop=["1", "x"]) == [True, False]


def test_a_condition_is_compiled_once() -> None:
    assert compiled("item > 77", SCHEMA) is compiled("item > 77", SCHEMA)
