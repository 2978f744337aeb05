"""Conditions of requests: what they may say, and what is refused with which words."""

import polars as pl
import pytest

from seqplat_resources.merge.where import MAX_CHARS, compiled
from seqplat_resources.query import QueryError

SCHEMA = (
    ("event_time", pl.Datetime("us", "UTC")),
    ("item", pl.Int64()),
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
        ("item + 1", "is Int64, not true or false"),
        ("NULL", "not true or false"),
        ("price > 1", "there is no column 'price' in 'price > 1'"),
        ("item > 'x'", "cannot compare string with numeric"),
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
        ("item = 1" + " " * MAX_CHARS, "characters are too many"),
    ],
)
def test_what_cannot_be_asked_is_refused(text: str, what: str) -> None:
    with pytest.raises(QueryError) as refused:
        compiled(text, SCHEMA)
    assert refused.value.field == "where"
    assert what in refused.value.what
    assert refused.value.fix


def test_values_that_cannot_be_evaluated_are_the_callers_mistake() -> None:
    with pytest.raises(QueryError, match=r"cannot be evaluated.*TRY_CAST"):
        matching("CAST(shop AS INT) > 1", shop=["1", "x"])
    assert matching("TRY_CAST(shop AS INT) > 0", shop=["1", "x"]) == [True, False]


def test_a_condition_is_compiled_once() -> None:
    assert compiled("item > 77", SCHEMA) is compiled("item > 77", SCHEMA)
