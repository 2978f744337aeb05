"""Where an SQL text is wrong: line, column, caret, and what mends it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sequence_defs.analysis.places import fault_of, pointed
from sequence_defs.compiler.sql import SqlError, expression


@pytest.mark.parametrize(
    ("sql", "place", "said", "fix"),
    [
        ("kind = ", (1, 7), "expected an expression, found the end", ""),
        ("a +* b", (1, 4), "expected an expression, found '*'", ""),
        ("kind\n = = 3", (2, 4), "expected an expression, found '='", ""),
        ("kind = 'a", (1, 8), "Unterminated string literal", ""),
        ("a = 1)", (1, 6), "found ')', which closes nothing", ""),
        ("a = ')' || b)", (1, 13), "closes nothing", ""),
        ("(a", (1, 3), "expected ), found the end", ""),
        ("a FROM b", (1, 3), "expected nothing more, found 'FROM'", ""),
        ("CASE WHEN a THEN 1 ELSE 2", (1, 6), "", "close each CASE with END"),
        ('kind LIKE "%a"', (1, 11), "", "single quotes, '%a'"),
        ("kind = \N{LEFT DOUBLE QUOTATION MARK}a\N{RIGHT DOUBLE QUOTATION MARK}", (1, 8), "no quote", "single quotes"),
        ("a > 1.5 = = 2", (1, 11), "found '='", ""),
        ("LOWR(a)", (1, 1), "did you mean 'LOWER'?", ""),
        ("a > 1 AND NOW() > b", (1, 11), "changes from run to run", ""),
        ("a > 1 /* x", (1, 7), "a comment has no end", ""),
        ("", (1, 1), "found the end", ""),
        ("a = 1)) FROM read_csv('x')", (1, 14), "read_csv", ""),
    ],
)
def test_a_text_that_does_not_parse_is_pointed_at(sql: str, place: tuple[int, int], said: str, fix: str) -> None:
    with pytest.raises(SqlError) as refused:
        expression(sql)
    fault = fault_of(sql, refused.value)
    where, line, caret = pointed(sql, fault.at).split("\n")
    assert where == f"line {place[0]}, column {place[1]}"
    assert line.strip() in sql
    assert caret.index("^") == 8 + place[1] - 1
    assert said in fault.said
    assert fix in fault.fix


def test_a_caret_stands_below_wide_letters_and_in_long_lines() -> None:
    assert pointed("'日本' = = a", 7).split("\n")[2] == " " * 8 + " " * 9 + "^"
    long = "a" * 500 + " = = " + "b" * 500
    _, line, caret = pointed(long, 503).split("\n")
    assert line[caret.index("^")] == "="
    assert len(line) < 140


@given(st.text(alphabet="ab'\"()=<> \n\t\x1b\\,.$;:*-/é日0", max_size=30))
def test_any_text_is_refused_with_a_place_in_it(sql: str) -> None:
    try:
        expression(sql)
    except SqlError as error:
        fault = fault_of(sql, error)
        assert 0 <= fault.at <= len(sql)
        assert all(line.isprintable() for line in pointed(sql, fault.at).split("\n"))
