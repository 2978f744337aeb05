"""Values as people see them: of any type and length, and none of them steers the terminal."""

import datetime as dt
from io import StringIO
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing.parametric import dataframes
from rich.console import Console

from serving.cli import output
from serving.cli.ask.cells import LIST_CHARS, TEXT_CHARS, cells
from tests.budget import examples

STRUCT = pl.Struct({"a": pl.Int64(), "b": pl.List(pl.String())})


@pytest.mark.parametrize(
    ("value", "dtype", "shown"),
    [
        (["a", "b"], pl.List(pl.String()), '["a", "b"]'),
        ([], pl.List(pl.String()), "[]"),
        (None, pl.List(pl.String()), "-"),
        ([None, "b"], pl.List(pl.String()), '[-, "b"]'),
        (["a, b", 'c"'], pl.List(pl.String()), '["a, b", "c\\""]'),
        ([True, None], pl.List(pl.Boolean()), "[True, -]"),
        ([b"\x00\x01"], pl.List(pl.Binary()), "[<2 bytes>]"),
        ([dt.date(2024, 5, 1)], pl.List(pl.Date()), "[2024-05-01]"),
        ([0.25, 1e30, float("nan")], pl.List(pl.Float64()), "[0.25, 1e+30, nan]"),
        ([0.1234567] * 64, pl.Array(pl.Float32(), 64), f"[{', '.join(['0.123'] * 6)} … x64]"),
        (list(range(100_000)), pl.List(pl.Int64()), "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 … x100000]"),
        (["x" * 500, "y"], pl.List(pl.String()), f'["{"x" * LIST_CHARS}…" … x2]'),
        ([[1], []], pl.List(pl.List(pl.Int8())), "[[1], []]"),
        ({"a": 1, "b": [None]}, STRUCT, "{a: 1, b: [-]}"),
        ([{"a": None, "b": None}], pl.List(STRUCT), "[{a: -, b: -}]"),
        ("é\x1b[31m\n\u202e", pl.String(), "é\\x1b[31m\\n\\u202e"),
        ("z" * 1000, pl.String(), "z" * TEXT_CHARS + "… (1000 characters)"),
        (b"\xff", pl.Binary(), "<1 bytes>"),
        (dt.datetime(999, 1, 2, 3, 4, 5, 678), pl.Datetime("us", "UTC"), "0999-01-02 03:04:05"),
    ],
)
def test_any_value_is_a_cell(value: Any, dtype: pl.DataType, shown: str) -> None:
    frame = pl.DataFrame({"one": [value]}, schema={"one": dtype}, strict=False)
    assert list(cells(frame)) == [(shown,)]


@pytest.mark.parametrize(
    ("number", "dtype", "shown"),
    [
        (2**62, pl.Datetime("us", "UTC"), f"{2**62} us since 1970"),
        (-(2**62), pl.Datetime("ms"), f"{-(2**62)} ms since 1970"),
        (1_500_000_000, pl.Datetime("ns"), "1970-01-01 00:00:01"),
        (2**30, pl.Date(), f"{2**30} days since 1970"),
    ],
)
def test_times_that_python_does_not_have_are_numbers(number: int, dtype: pl.DataType, shown: str) -> None:
    one = pl.Series("one", [number]).cast(pl.Int32() if dtype == pl.Date else pl.Int64()).cast(dtype)
    many = one.implode().alias("many")
    assert list(cells(pl.DataFrame([one, many]))) == [(shown, f"[{shown}]")]


@settings(max_examples=examples(30))
@given(dataframes(max_cols=4, max_size=4, excluded_dtypes=[pl.Object, pl.Categorical, pl.Enum]))
def test_whatever_a_frame_holds_is_one_printable_line_per_cell(frame: pl.DataFrame) -> None:
    shown = list(cells(frame))
    assert len(shown) == (frame.height if frame.width else 0)
    for row in shown:
        assert not any("\x00" <= letter < " " or letter in "\x1b\x7f\u202e\u2028" for cell in row for letter in cell)
        assert all(letter < "\ud800" or letter > "\udfff" for cell in row for letter in cell)


@settings(max_examples=examples(30))
@given(st.lists(st.text(alphabet=st.characters(codec=None)), min_size=1, max_size=3), st.sampled_from(["", "[red]"]))
def test_no_text_is_markup_or_steers_the_terminal(texts: list[str], start: str) -> None:
    heard, shown = StringIO(), output.console
    output.console = Console(file=heard, width=10_000, highlight=False, force_terminal=False)
    try:
        output.table(start + texts[0], ["a", "b"], [(start + each, "[bold]x[/bold]") for each in texts])
        output.suggest(start + texts[-1])
        output.console.print(f"[dim]of[/dim] {output.quoted(start + texts[0])}!")
    finally:
        output.console = shown
    said = heard.getvalue()
    assert said.count("[bold]x[/bold]") == len(texts)
    assert said.count("[red]") >= (len(texts) + 3 if start else 0)
    assert not set(said) & set("\x1b\x07\x08\x9b\u202e\r")
    said.encode()
