"""Hostile values by kind: what reality sends in a field, and no test of ours would think of sending.

A kind names the trouble; its values go into columns of the named types. ``meaning`` says what should come of each.
"""

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from tests.hostile.material.instants import (
    CLOCK_CHANGES,
    EDGES,
    EPOCHS,
    INSTANTS,
    ODD_INSTANTS,
    TIME_EDGES,
    TIME_TEXTS,
)

INTEGERS, FLOATS = ("int64", "int8"), ("float64",)
NUMBERS = (*INTEGERS, *FLOATS)
TIMES = ("timestamp", "date")


NUMBER_TEXTS: Final = (
    "7",
    "7.0",
    "18.0",
    "-0",
    "-0.0",
    "1e3",
    "1E3",
    "1e+16",
    "1.5",
    "0.1",
    "1e-3",
    "7.",
    ".5",
    "+7",
    "007",
    " 7",
    "7 ",
    "1,000",
    "1_000",
    "0x10",
    "0b1",
    "7f",
    "\u0667",
    "\uff17",
    "\u22127",
    "1e400",
    "-1e400",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775807.0",
    "9223372036854775808",
    "9223372036854775808.0",
    "-9223372036854775808",
    "-9223372036854775809",
    "18446744073709551615",
    "127.0",
    "128",
    "128.0",
    "-129",
    "NaN",
    "nan",
    "inf",
    "-Infinity",
    "null",
    "None",
    "NULL",
    "N/A",
    "-",
    "true",
    "True",
    "1/2",
    "1 000",
    "$7",
    "7%",
    "12345678901234567890123",
    "0.1000000000000000055511151231257827",
    "1e99999",
)
WHOLE: Final = (7.0, 18.0, 0.0, -0.0, 1e3, 127.0, 128.0, -129.0, 1e16, 2.0**53, 2.0**63, -(2.0**63), 1e300)
FRACTIONS: Final = (1.5, 0.1, 1e-3, 5e-324, -0.5, 126.99999999999999)
NO_NUMBERS: Final = (float("nan"), float("inf"), float("-inf"))
BIG: Final = (2**53 + 1, 2**63 - 1, -(2**63), 2**63, 2**64 - 1, 127, 128, -129)
DECIMALS: Final = (Decimal("7.00"), Decimal("7.50"), Decimal("123456789012345678.00"), Decimal("-0.00"))
ALMOST_WHOLE: Final = tuple(
    map(Decimal, ("7.00000000000000000001", "123456.00000000000001", "1.0000000000000000001", "9007199254740993.0"))
)
BOOLEAN_WORDS: Final = ("true", "TRUE", "True", "false", "1", "0", "yes", "no", "t", "f", "on", "2", "1.0", "Y")

TEXTS: Final = (
    "é",
    "e\u0301",
    "名前😀",
    "\U0010ffff",
    "\u202eabc",
    "a\u2028b\u2029c",
    "\ufeffbom",
    'quo"te',
    "line\nbreak",
    "carriage\rreturn\r\n",
    "tab\tx",
    "a,b;c|d",
    "null",
    "NaN",
    "None",
    "{}",
    "[]",
    '{"a":1}',
    "=1+1",
    "'; DROP TABLE x; --",
    "[bold red]x[/]",
    "[/]",
    "\\",
    "~",
    "a~b\\~c",
    " ",
    " x ",
    "\u00a0",
    "\u200b",
    "\x7f\x1b[31m",
    "x" * 300,
    "%s%n",
    "../../etc",
    "a/b?c=d#e",
    "A",
    "\u0391",
    "ß",
    "İ",
    "\ufffd",
    "�\ud7ff\ue000",
)
HUGE: Final = ("s" * 1_000_000, "é" * 500_000)
NULS: Final = ("\0", "a\0b", "a\0", "\0a")
SURROGATES: Final = ("\ud800", "x\udc00", "\udfff\ud800", "a\ud83d", "\ude00b")
NESTED: Final = ([1], [], {"a": 1}, {}, [[1]], [None])
LISTS: Final = ([1, 2], [], [None], [1, None], ["7"], ["x"], [1.0], [1.5], [2**63], [[1]], [True], "[1, 2]", "[", "")
TEXT_LISTS: Final = (["a"], [], [None, "b"], ["\ud800"], ["a\0"], ["x" * 1000], [["a"]], [{"a": 1}], '["a"]', "a,b")
TIME_LISTS: Final = (
    ["2024-05-01T12:00:00Z"],
    ["9999-12-31T23:59:59-12:00"],
    ["0001-01-01T00:00:00+14:00"],
    [1714564800000],
    [None],
    [],
    ["never"],
    ["2024-05-01", "2024-05-01T12:00:00.5"],
)

# kind -> (types of columns it goes into, values)
KINDS: Final[Mapping[str, tuple[tuple[str, ...], tuple[Any, ...]]]] = {
    "time spelled in text": (TIMES, TIME_TEXTS),
    "time at the edge of the calendar": (TIMES, TIME_EDGES),
    "local time at a clock change": (TIMES, CLOCK_CHANGES),
    "instants and dates of typed files": (TIMES, INSTANTS),
    "instants beyond the calendar": (TIMES, ODD_INSTANTS),
    "number for a time": (TIMES, (*EPOCHS, *EDGES, 1.5, 20261122.0, True)),
    "number as text": (NUMBERS, NUMBER_TEXTS),
    "whole float": (NUMBERS, WHOLE),
    "fraction": (NUMBERS, FRACTIONS),
    "NaN and infinity": (NUMBERS, NO_NUMBERS),
    "number at the edge of its type": (NUMBERS, BIG),
    "decimal": (NUMBERS, DECIMALS),
    "decimal that no float holds": ((*NUMBERS, "bool"), ALMOST_WHOLE),
    "boolean for a number": (NUMBERS, (True, False)),
    "time for a number": (NUMBERS, (dt.datetime(2024, 5, 1, 12), dt.date(2024, 5, 1))),
    "boolean in words": (("bool",), BOOLEAN_WORDS),
    "number for a boolean": (("bool",), (0, 1, 2, -1, 0.0, 1.0, 0.5, float("nan"))),
    "odd text": (("string",), TEXTS),
    "huge text": (("string",), HUGE),
    "NUL in text": (("string",), NULS),
    "lone surrogate": (("string",), SURROGATES),
    "other type for text": (("string",), (7, True, 2**63)),
    "odd text for another type": (("int64", "bool", "timestamp", "date"), ("\ud800", "\0", "x" * 5000, "[/]", "")),
    "nested value in a scalar column": (("int64", "float64", "bool", "date", "timestamp"), NESTED),
    "list of numbers": (("list[int64]",), LISTS),
    "list of texts": (("list[string]",), TEXT_LISTS),
    "list of times": (("list[timestamp]",), TIME_LISTS),
}
