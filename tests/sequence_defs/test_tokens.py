"""An SQL text is taken apart as the parser will: numbers, quotes, comments, and how much there is of it."""

import math
import threading
import time

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sequence_defs.compiler.sql import SqlError, VolatileSqlError, expression, infer, is_row_separable
from sequence_defs.language.tokens import MAX_DEPTH, MAX_STEPS, read
from sequence_defs.native import NATIVE_ERRORS
from tests.budget import examples

ROWS = pl.DataFrame({"a": [1, 3], "f": [0.1, 2.5], "s": ["x", "1.5"]})


def value(sql: str) -> object:
    return ROWS.select(expression(sql).alias("value"))["value"][0]


@pytest.mark.parametrize(
    ("sql", "wanted"),
    [
        ("a / 1024.0", 1 / 1024),
        ("a / 1024.", 1 / 1024),
        ("a * .1", 0.1),
        ("a + .1 + .2", 1 + 0.1 + 0.2),
        (".1 + .2", 0.1 + 0.2),
        ("1e3", 1000.0),
        ("1.5e-3", 0.0015),
        ("1.5E+3", 1500.0),
        ("-1.5", -1.5),
        ("- .5", -0.5),
        ("2-.5", 1.5),
        ("a IN (1.0, 2.5)", True),
        ("a IN (1.5, 2.5)", False),
        ("f IN (0.1)", True),
        ("f BETWEEN .1 AND 1.", True),
        ("f NOT BETWEEN .1 AND 1.", False),
        ("POW(2., .5)", math.sqrt(2)),
        ("COALESCE(NULL, 0.1)", 0.1),
        ("CASE WHEN a>.5 THEN 0.1 ELSE 0.2 END", 0.1),
        ("a%.7", 1 % 0.7),
        ("9007199254740993.0", 9007199254740992.0),
        ("CAST(0.1 AS DOUBLE)", 0.1),
        ("'1.5' || ' 2.5'", "1.5 2.5"),
        ("'it''s 1.5'", "it's 1.5"),
        ("$$1.5$$", "1.5"),
        ("$t$ '1.5' $t$", " '1.5' "),
        ("a /* 1.5 /* 2.5 */ '*/ -- 3.5\n * 1", 1),
        ("a -- '1.5\n + 1", 2),
        ("- 9223372036854775807", -(2**63) + 1),
    ],
)
def test_a_number_with_a_point_is_a_double(sql: str, wanted: object) -> None:
    assert (value(sql), type(value(sql))) == (wanted, type(wanted))


@pytest.mark.parametrize(
    "sql", ["CAST(1.25 AS DECIMAL(10,2))", "1.25::DECIMAL(10, 2)", "CAST('1.25' AS DECIMAL(10,2))"]
)
def test_a_decimal_that_is_asked_for_stays_one(sql: str) -> None:
    assert isinstance(infer(sql, ROWS.schema), pl.Decimal)
    assert str(value(sql)) == "1.25"


# Polars divides by a literal by way of its reciprocal, which is infinite or has fewer digits at the ends of the range.
numbers = st.floats(1e-30, 1e30) | st.just(0.0)
literals = st.one_of(
    numbers.map(repr).filter(lambda text: "." in text or "e" in text),
    st.decimals(0, 10**9, places=7, allow_nan=False).map(lambda d: f"{d:f}"),
    st.integers(0, 999).map("{}.".format),
    st.integers(0, 999).map(".{:03}".format),
    st.tuples(st.integers(0, 99), st.integers(-9, 9)).map(lambda p: f"{p[0]}e{p[1]:+}"),
)
terms = st.recursive(
    st.one_of(literals, literals.map("(-{})".format), st.just("f"), st.just("a")),
    lambda inner: st.tuples(inner, st.sampled_from(["+", "-", "*", "/"]), inner).map("({0[0]} {0[1]} {0[2]})".format),
    max_leaves=8,
)


@given(st.floats(min_value=0, allow_nan=False, allow_infinity=False))
def test_a_literal_is_its_double(number: float) -> None:
    assert value(repr(number)) == number


@settings(max_examples=examples(30))
@given(st.tuples(literals, st.sampled_from(["+", "-", "*", "/"]), terms).map("({0[0]} {0[1]} {0[2]})".format))
def test_arithmetic_is_that_of_doubles(sql: str) -> None:
    try:
        wanted = eval(sql, {"a": 1, "f": 0.1})
    except ZeroDivisionError:
        return
    if isinstance(wanted, float) and math.isfinite(wanted):
        # The reciprocal is rounded, too.
        assert value(sql) == (pytest.approx(wanted, rel=1e-12, abs=1e-300) if "/" in sql else wanted)


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("a > 1_000", "'1_000' is no number"),
        ("a > 1.5L", "'1.5L' is no number"),
        ("a > 1e", "'1e' is no number"),
        ("a > 0x1f", "'0x1f' is no number"),
        ("a > 18446744073709551616", "18446744073709551616 is larger than an int64; write it with a point"),
        ("a /* /* */", "a comment has no end"),
    ],
)
def test_what_the_parser_would_take_for_something_else_is_refused(sql: str, said: str) -> None:
    with pytest.raises(SqlError) as raised:
        expression(sql)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    "sql",
    ['"now"()', "`now`()", '"NoW" ()', 'a < "now"/* */()', "now/**/()", 'a + "random"--\n()', "uuid /*/**/*/ ()"],
)
def test_a_clock_is_seen_under_any_spelling(sql: str) -> None:
    with pytest.raises(VolatileSqlError):
        expression(sql)


def test_names_and_texts_that_only_look_like_a_clock_are_fine() -> None:
    for sql in ("'now()'", '"now" + 1', "`now` + 1", "$$now()$$", "a -- now()", "a /* now() /* */ */"):
        expression(sql)


CHAINS = {
    "a": ("a", " + a"),
    "and": ("a > 1", " AND a > 1"),
    "tight": ("a", "+a"),
    "cast": ("a", "::bigint"),
    "text": ("s", "||s"),
    "when": ("CASE WHEN a = 1 THEN 2", " WHEN a = 1 THEN 2"),
}
NESTS = {
    "paren": ("(", "a", ")"),
    "abs": ("ABS(", "a", ")"),
    "not": ("NOT ", "a > 1", ""),
    "minus": ("- ", "a", ""),
    "case": ("CASE WHEN a > 1 THEN ", "a", " END"),
    "cast": ("TRY_CAST(", "a", " AS BIGINT)"),
    "list": ("[", "1", "]"),
    "in": ("a IN (", "a", ")"),
}


def judged(sql: str) -> str:
    """What comes of it, in a thread: whose stack is no larger than that of a server's workers."""
    said: list[str] = []

    def judge() -> None:
        try:
            infer(sql, ROWS.schema)
            is_row_separable(sql, ROWS.schema)
            ROWS.lazy().select(expression(sql).alias("value")).collect()
            said.append("")
        except (SqlError, *NATIVE_ERRORS) as error:
            said.append(str(error))

    before = threading.stack_size(2 << 20)
    try:
        thread = threading.Thread(target=judge)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    return said[0]


@pytest.mark.parametrize("times", [10, 100, MAX_STEPS - 2, 100_000])
@pytest.mark.parametrize("shape", CHAINS)
def test_a_long_chain_is_run_or_refused(shape: str, times: int) -> None:
    first, more = CHAINS[shape]
    said = judged(first + more * times + (" END" if shape == "when" else ""))
    assert times > 10 or not said
    assert times < MAX_STEPS or "operators" in said


@pytest.mark.parametrize("times", [5, MAX_DEPTH, MAX_DEPTH + 1, 60, 20_000])
@pytest.mark.parametrize("shape", NESTS)
def test_a_deep_nest_is_run_or_refused(shape: str, times: int) -> None:
    before, inside, after = NESTS[shape]
    said = judged(before * times + inside + after * times)
    assert times < 20_000 or said
    assert times <= MAX_DEPTH or "deep" in said or shape in ("not", "minus")


def test_a_mixed_nest_is_judged_in_a_moment() -> None:
    """Each level goes three down in the parser, which then takes both of two ways for each."""
    for inside in ("- - ", "((", "NOT - ", "1 OR 2 AND 3 + 4 * "):
        started = time.process_time()
        judged(f"CAST({inside}" * MAX_DEPTH + "a" + (")" * inside.count("(") + " AS BIGINT)") * MAX_DEPTH)
        assert time.process_time() - started < 20


def test_a_long_list_is_one_step() -> None:
    sql = f"a IN ({', '.join(map(str, range(20_000)))})"
    assert read(sql).runnable == sql
    assert value(sql) is True
