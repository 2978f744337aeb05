"""One value in one declared type, whatever type it came in: a number is judged alike as text and as a number.

What does not fit is null. docs/values.md has the rules as a table.

>>> texts = pl.DataFrame({"amount": ["7", "7.0", "7.5", "seven"]})
>>> texts.select(scalar(pl.col("amount"), "int64", pl.String())).to_series().to_list()
[7, 7, None, None]
"""

import datetime as dt
import re
from collections.abc import Callable
from decimal import Decimal

import polars as pl

from seqplat_resources.times import microseconds, number_of
from seqplat_resources.values.json_text import json_of
from sequence_defs.compiler.instants import counted, in_range
from sequence_defs.compiler.sql import UTC_US, storage_dtype
from sequence_defs.schema.dtypes import FIRST_DAY, FIRST_US, LAST_DAY, LAST_US

# Parquet's bytes that are not marked as text are among them.
_OTHER_TEXTS = (pl.Binary, pl.Categorical, pl.Enum)
_BOOLS = {"true": True, "false": False, "1": True, "0": False}
_WHOLE = r"^([+-]?[0-9]+)\.0*$"
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)
# Of the calendar: its beginning, where every year has four digits, and its end.
_YEAR_1000 = dt.datetime(1000, 1, 1, tzinfo=dt.UTC)
_INSTANTS = (FIRST_US, microseconds(_YEAR_1000), LAST_US)
_DAYS = (FIRST_DAY, number_of(_YEAR_1000.date()), LAST_DAY)
_FOUR_DIGITS = r"^\s*[+-]?[0-9]{4}"
# A float tells exactly whether a number of so few characters is whole: it has fewer than 15 digits.
_EXACT_AS_FLOAT, _LONGEST_NUMBER = 16, 100


def scalar(value: pl.Expr, dtype: str, present: pl.DataType) -> pl.Expr:
    """``value``, which is of type ``present``, as the scalar type ``dtype``; null where it does not fit."""
    if isinstance(present, pl.Binary) and dtype == "binary":
        return value
    if present.is_nested():
        return json_of(value) if dtype == "string" else _nothing(value, dtype)
    if isinstance(present, _OTHER_TEXTS):
        value, present = value.map_batches(as_texts, return_dtype=pl.String()), pl.String()
    return _RULES.get(dtype, _integer)(value, dtype, present)


def is_same(dtype: str, present: pl.DataType) -> bool:
    """Whether every value of type ``present`` is one of the declared ``dtype`` as it stands."""
    return storage_dtype(dtype) == present and not any(kind in dtype for kind in ("date", "timestamp", "vector"))


def _integer(value: pl.Expr, dtype: str, present: pl.DataType) -> pl.Expr:
    want = storage_dtype(dtype)
    if isinstance(present, pl.String):
        return value.map_batches(lambda texts: _integers(texts, want), return_dtype=want, is_elementwise=True)
    if present.is_float():
        return value.map_batches(lambda floats: _integers_of(floats, want), return_dtype=want, is_elementwise=True)
    if present.is_decimal():
        # NOTE: a cast would cut 1.5 to 1 without a word; only whole numbers are integers.
        value = pl.when(value == value.floor()).then(value)
    return value.cast(want, strict=False) if _is_number(present) else _nothing(value, dtype)


def _float(value: pl.Expr, dtype: str, present: pl.DataType) -> pl.Expr:
    want = storage_dtype(dtype)
    if isinstance(present, pl.String):
        return value.map_batches(lambda texts: _floats(texts, want), return_dtype=want, is_elementwise=True)
    if not _is_number(present):
        return _nothing(value, dtype)
    return narrowed(value, want, present)


def narrowed(value: pl.Expr, want: pl.DataType, present: pl.DataType) -> pl.Expr:
    """A number as a float; null if it is finite and too large for one."""
    found = value.cast(want, strict=False)
    if present == want or present == pl.Float32() or (want == pl.Float64() and present.is_float()):
        return found
    finite = value.is_finite() if present.is_float() else pl.lit(True)
    return pl.when(~(found.is_infinite() & finite)).then(found)


def _bool(value: pl.Expr, dtype: str, present: pl.DataType) -> pl.Expr:
    if isinstance(present, pl.String):
        return value.map_batches(_bools, return_dtype=pl.Boolean(), is_elementwise=True)
    if isinstance(present, pl.Boolean):
        return value
    return (
        pl.when(value == 1).then(True).when(value == 0).then(False) if _is_number(present) else _nothing(value, dtype)
    )


def _string(value: pl.Expr, _dtype: str, present: pl.DataType) -> pl.Expr:
    if isinstance(present, pl.Duration | pl.Object):
        return _nothing(value, "string")
    if isinstance(present, pl.Time):
        return value.dt.to_string("iso")  # a cast would cut the fraction of the second off
    return value if isinstance(present, pl.String) else value.cast(pl.String, strict=False)


def _binary(value: pl.Expr, dtype: str, present: pl.DataType) -> pl.Expr:
    return _string(value, dtype, present).cast(pl.Binary)


def _date(value: pl.Expr, dtype: str, present: pl.DataType) -> pl.Expr:
    if isinstance(present, pl.String):
        return value.map_batches(_dates, return_dtype=pl.Date(), is_elementwise=True)
    if isinstance(present, pl.Datetime):
        return _instant(value, present).dt.date()
    return in_range(value, present) if isinstance(present, pl.Date) else _nothing(value, dtype)


def _timestamp(value: pl.Expr, dtype: str, present: pl.DataType) -> pl.Expr:
    if isinstance(present, pl.String):
        return value.map_batches(_timestamps, return_dtype=UTC_US, is_elementwise=True)
    if isinstance(present, pl.Datetime):
        return _instant(value, present)
    if isinstance(present, pl.Date):
        return in_range(value, present).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return _nothing(value, dtype)


_RULES: dict[str, Callable[[pl.Expr, str, pl.DataType], pl.Expr]] = {
    "bool": _bool,
    "float32": _float,
    "float64": _float,
    "string": _string,
    "binary": _binary,
    "date": _date,
    "timestamp": _timestamp,
}


def _is_number(present: pl.DataType) -> bool:
    return present.is_numeric() or isinstance(present, pl.Null)


def _nothing(value: pl.Expr, dtype: str) -> pl.Expr:
    null = pl.lit(None, storage_dtype(dtype))
    return pl.when(value.is_null()).then(null).otherwise(null)  # as many as there are values, also among list items


def _instant(value: pl.Expr, present: pl.Datetime) -> pl.Expr:
    return counted(value.to_physical(), present.time_unit)


def _filled(found: pl.Series, texts: pl.Series, second: Callable[[pl.Series], pl.Series]) -> pl.Series:
    """``found``, and where it has nothing for a text, what ``second`` says of those texts."""
    if found.null_count() == texts.null_count():
        return found
    missed = found.is_null() & texts.is_not_null()
    return found.scatter(missed.arg_true(), second(texts.filter(missed)).cast(found.dtype, strict=False))


def _integers(texts: pl.Series, want: pl.DataType) -> pl.Series:
    """Texts of whole numbers in any spelling: ``7``, ``7.0``, ``7e3``."""
    found = texts.cast(want, strict=False)
    return _filled(found, texts, lambda left: _filled(_without_point(left), left, _with_exponent))


def _integers_of(floats: pl.Series, want: pl.DataType) -> pl.Series:
    """Whole floats. One of more digits than it holds is what its text says: that is all other formats have of it."""
    exact = floats.abs() < 2**53
    found = floats.set(~(exact & (floats == floats.floor())).fill_null(False), None).cast(want, strict=False)
    if exact.all():
        return found
    large = (~exact).fill_null(False)
    return found.scatter(large.arg_true(), _integers(floats.filter(large).cast(pl.String()), want))


def _without_point(texts: pl.Series) -> pl.Series:
    return texts.str.replace(_WHOLE, "$1").cast(pl.Int64(), strict=False)


def _with_exponent(texts: pl.Series) -> pl.Series:
    short = texts.set(texts.str.len_chars() > _EXACT_AS_FLOAT, None)
    floats = short.cast(pl.Float64(), strict=False)
    whole = (floats == floats.floor()) & (floats.abs() < 2**53)
    found = floats.set(~whole.fill_null(False), None).cast(pl.Int64(), strict=False)
    long = texts.str.len_chars().is_between(_EXACT_AS_FLOAT + 1, _LONGEST_NUMBER)
    inexact = long | (floats.abs() >= 2**53).fill_null(False)
    exact = pl.Series([_whole(text) for text in texts.filter(inexact)], dtype=pl.Int64())
    return found.scatter(inexact.arg_true(), exact)


def _whole(text: str) -> int | None:
    if not _NUMBER.fullmatch(text) or (value := Decimal(text)) != value.to_integral_value():
        return None
    return int(value) if -(2**63) <= value < 2**63 else None


def _floats(texts: pl.Series, want: pl.DataType) -> pl.Series:
    found = texts.cast(pl.Float64(), strict=False).cast(want)
    infinite = found.is_infinite().fill_null(False)
    if not infinite.any():
        return found
    return found.set(infinite & ~texts.str.contains("(?i)inf").fill_null(False), None)  # 1e400 is no number of ours


def _bools(texts: pl.Series) -> pl.Series:
    found = texts.str.to_lowercase().replace_strict(_BOOLS, default=None, return_dtype=pl.Boolean())
    return _filled(found, texts, _bools_of_numbers)


def _bools_of_numbers(texts: pl.Series) -> pl.Series:
    numbers = _integers(texts, pl.Int64())
    return numbers.set(~numbers.is_between(0, 1).fill_null(False), None).cast(pl.Boolean())


def _dates(texts: pl.Series) -> pl.Series:
    # NOTE: always with a format. Without one Polars takes that of the first value for all the others.
    found = texts.str.to_date("%Y-%m-%d", strict=False)
    return _within(_filled(found, texts, lambda left: _timestamps(left).dt.date()), texts)


def _within(found: pl.Series, texts: pl.Series) -> pl.Series:
    """Those of the years 1 to 9999, written in four digits: 26-11-22 is nobody's year 26.

    A function of a series, as an expression would compute the times twice.
    """
    numbers = found.to_physical()
    first, plain, last = _DAYS if found.dtype == pl.Date() else _INSTANTS
    low, high = numbers.min(), numbers.max()
    if low is None or (plain <= low and high <= last):  # type: ignore[operator]
        return found
    fits = numbers.is_between(first, last) & ((numbers >= plain) | texts.str.contains(_FOUR_DIGITS))
    return found.set(~fits.fill_null(True), None)


# No text has two of these forms, so the order in which they are tried changes nothing but the time it takes.
_ZONED = "%Y-%m-%d %H:%M:%S%.f%#z"
_ZONED_MINUTE = "%Y-%m-%d %H:%M%#z"  # as Java writes a time whose seconds are zero
_PLAIN = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d")
_ENDS_LIKE_A_ZONE = re.compile(r":\d\d[.\d]*\s*[-+Z]")


def _timestamps(texts: pl.Series) -> pl.Series:
    """A column is mostly written one way: other forms are tried only while there are texts that gave no time."""
    spaced, nulls = texts.str.replace("T", " ", literal=True), texts.null_count()
    is_zoned = _ENDS_LIKE_A_ZONE.search(str(texts.first(ignore_nulls=True))) is not None
    first_form, *others = (_ZONED, _ZONED_MINUTE, *_PLAIN) if is_zoned else (*_PLAIN, _ZONED, _ZONED_MINUTE)
    found = _times(spaced, first_form)
    for form in others:
        if found.null_count() == nulls:
            break
        found = found.zip_with(found.is_not_null(), _times(spaced, form))
    return _within(found, texts)


def _times(texts: pl.Series, form: str) -> pl.Series:
    if form in (_ZONED, _ZONED_MINUTE):
        return texts.str.to_datetime(form, time_unit="us", time_zone="UTC", strict=False)
    return texts.str.to_datetime(form, time_unit="us", strict=False).dt.replace_time_zone("UTC")


def as_texts(data: pl.Series) -> pl.Series:
    """Texts that are written in another type, as categories or as bytes; null where these are no UTF-8.

    A series of any other type is what it is.
    """
    if not isinstance(data.dtype, _OTHER_TEXTS):
        return data
    try:
        return data.cast(pl.String())
    except pl.exceptions.ComputeError:  # also where the cast is not strict
        return pl.Series(data.name, [_utf8_text(value) for value in data], dtype=pl.String())


def _utf8_text(value: bytes | None) -> str | None:
    try:
        return value.decode() if value is not None else None
    except UnicodeDecodeError:
        return None
