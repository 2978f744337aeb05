"""What a value means in a column of a declared type, by the rules of the platform and in plain Python.

A value is what a producer has in hand, before any format: a Python value, ``Odd`` where Python has none for it, or
``Text`` for a string that a person typed. A meaning is the cells that may come of it, or ``REJECT`` among them; where
the rules decide, there is one.
"""

import datetime as dt
import json
import math
import re
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final


class _Reject:
    def __repr__(self) -> str:
        return "REJECT"


REJECT: Final = _Reject()
Meaning = tuple[Any, ...]
NO: Final[Meaning] = (REJECT,)

_WIDTH = {"int8": 8, "int16": 16, "int32": 32, "int64": 64}
_PLAIN_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d{1,4})?", re.ASCII)
# What one reader takes for a number and another does not: the cell may be the number or there is none.
_LOOSE_NUMBER = re.compile(r"\s*[-+]?\d*\.?\d*([eE][-+]?\d{1,4})?\s*", re.ASCII)
_NAMED_NUMBERS = {"nan", "inf", "infinity", "-inf", "-infinity", "+inf", "+infinity", "-nan", "+nan"}
_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?(Z|[+-]\d\d(?::?\d\d)?)?)?", re.ASCII
)


@dataclass(frozen=True)
class Odd:
    """A value that only a file with types can hold: ``count`` units (``D``, ``us``, ``ns`` ...) since 1970."""

    unit: str
    count: int


def meaning(dtype: str, value: Any) -> Meaning:
    """What may be stored of ``value``. None means null, which every column takes here."""
    if value is None:
        return (None,)
    if dtype.startswith("list["):
        return _list(dtype[5:-1], value)
    of_kind = {"float64": _float, "float32": _float, "bool": _bool, "string": _string, "date": _date}
    if dtype in _WIDTH:
        return _integer(_WIDTH[dtype], value)
    return of_kind.get(dtype, _timestamp)(value)


def _integer(bits: int, value: Any) -> Meaning:
    """Whole numbers that fit, however they are written; never a boolean, a time or anything nested."""
    number = _number(value)
    if isinstance(number, tuple):
        return number
    if number is None or number.denominator != 1 or not -(2 ** (bits - 1)) <= number < 2 ** (bits - 1):
        return NO
    if isinstance(value, float) and abs(number) >= 2**63:
        return (int(number), REJECT)  # the least integer as a float is written in digits that are out of range
    return _loosely(value, int(number))


def _float(value: Any) -> Meaning:
    """The nearest float; infinity and NaN where they were named as such, not for what is only too large."""
    if isinstance(value, float) and not math.isfinite(value):
        return (value, REJECT)
    if isinstance(value, str) and value.strip().lower() in _NAMED_NUMBERS:
        return (float(value), REJECT)
    number = _number(value)
    if isinstance(number, tuple):
        return number
    try:
        return NO if number is None else _loosely(value, float(number))
    except OverflowError:
        return NO


def _number(value: Any) -> Fraction | Meaning | None:
    """The exact number; None for what is none, and a meaning where readers may differ in that."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | Decimal):
        return Fraction(value) if not isinstance(value, Decimal) or value.is_finite() else None
    if isinstance(value, float):
        return Fraction(value) if math.isfinite(value) else None
    if not isinstance(value, str):
        return None
    if value == "":
        return (None, REJECT)
    if value.strip() and _LOOSE_NUMBER.fullmatch(value) and any(letter.isdigit() for letter in value):
        text = value.strip().rstrip(".").lower()
        try:
            return Fraction(Decimal(text)) if abs(Decimal(text).adjusted()) < 1000 else None
        except ArithmeticError:
            return None
    return None


def _loosely(value: Any, cell: Any) -> Meaning:
    """A reader may refuse an unusual spelling, and a number with a point that no double is equal to."""
    is_odd = isinstance(value, str) and not _PLAIN_NUMBER.fullmatch(value)
    is_inexact = isinstance(value, str | Decimal) and isinstance(cell, int) and int(float(cell)) != cell
    return (cell, REJECT) if is_odd or (is_inexact and not str(value).lstrip("-").isdigit()) else (cell,)


def _bool(value: Any) -> Meaning:
    if isinstance(value, bool):
        return (value,)
    if isinstance(value, str):
        word = value.lower()
        if word in ("1.0", "0.0"):
            return (word == "1.0", REJECT)
        return (word in ("true", "1"),) if word in ("true", "false", "1", "0") else (REJECT,)
    if isinstance(value, int) and value in (0, 1):
        return (bool(value),)  # 1 in a CSV is a boolean, and it is the same value elsewhere
    return (bool(value), REJECT) if isinstance(value, float) and value in (0.0, 1.0) else NO


def _string(value: Any) -> Meaning:
    """Exactly the text; what cannot be encoded is none. A NUL is a character that stores may refuse."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return NO
        return (value, REJECT) if "\0" in value else (value,)
    if isinstance(value, bool):
        return (str(value).lower(), REJECT)
    if isinstance(value, int):
        return (str(value), REJECT)
    return ANYTHING


def _date(value: Any) -> Meaning:
    """A day of the years 1 to 9999. Never a number: 20261122 is no day, whatever it looks like."""
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return (value,)
    return tuple(time.date() if isinstance(time, dt.datetime) else time for time in _timestamp(value))


def _timestamp(value: Any) -> Meaning:
    """An instant of the years 1 to 9999 after the shift to UTC; a time without a zone is UTC. Never a number."""
    if isinstance(value, dt.datetime):
        return _shifted(value)
    if isinstance(value, dt.date):
        midnight = dt.datetime.combine(value, dt.time(), dt.UTC)
        return (midnight, REJECT)
    return _time_of(value) if isinstance(value, str) else NO


def _time_of(text: str) -> Meaning:
    if text == "":
        return (None, REJECT)
    found = _ISO.fullmatch(text.strip())
    if not found:
        return LOOSE_TIMES.get(text, NO)
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    if hour == "24" or second == "60":
        return ANYTHING  # ISO has them, readers may not
    try:
        time = dt.datetime(
            *(int(part or 0) for part in (year, month, day, hour, minute, second)), tzinfo=_zone(zone)
        ).replace(microsecond=int((fraction or "").ljust(6, "0")))
    except ValueError:
        return NO
    shifted = _shifted(time)
    return shifted if text == text.strip() else (*shifted, REJECT)


def _zone(text: str | None) -> dt.timezone:
    if text is None or text == "Z":
        return dt.UTC
    hours, minutes = int(text[1:3]), int(text[3:].lstrip(":") or 0)
    if minutes > 59:
        raise ValueError(f"no offset: {text}")
    return dt.timezone((1 if text[0] == "+" else -1) * dt.timedelta(hours=hours, minutes=minutes))


def _shifted(time: dt.datetime) -> Meaning:
    try:
        return (time.replace(tzinfo=time.tzinfo or dt.UTC).astimezone(dt.UTC),)
    except OverflowError:
        return NO


def _list(item: str, value: Any) -> Meaning:
    """All items or none. A list as text is JSON."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return NO
    if not isinstance(value, list):
        return NO
    items = [meaning(item, each) for each in value]
    if any(each == NO for each in items):
        return NO
    return ([each[0] for each in items], *(() if all(len(each) == 1 for each in items) else (REJECT,)))


class _Any:
    """Any cell at all: the rules leave it open."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "ANY"


ANYTHING: Final[Meaning] = (_Any(), REJECT)
# Spellings that a reader may know; if it does, they are this instant.
_NOON = dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC)
LOOSE_TIMES: Final[dict[str, Meaning]] = dict.fromkeys(
    (
        "2024-05-01t12:00:00z",
        "2024-05-01T12:00:00.0000000Z",
        "2024-05-01T12:00:00.000000000Z",
        "2024-05-01 12:00:00 UTC",
        "2024-05-01T12:00:00 Z",
        "2024-05-01T12:00:00,000",
        "2024-05-01T12Z",
        "20240501T120000Z",
        "2024-05-01T12:00:00Z[UTC]",
        "2024-5-1 12:00:00",
        "Wed, 01 May 2024 12:00:00 GMT",
    ),
    (_NOON, REJECT),
)


def allows(meaning: Meaning, cell: Any) -> bool:
    """Whether the cell, or ``REJECT``, is one of those that may come of a value."""
    return any(_same(wanted, cell) for wanted in meaning)


def _same(wanted: Any, cell: Any) -> bool:
    if wanted is REJECT or cell is REJECT:
        return wanted is cell
    if isinstance(wanted, float) and isinstance(cell, float):
        return wanted == cell or (math.isnan(wanted) and math.isnan(cell))
    if isinstance(wanted, list) and isinstance(cell, list):
        return len(wanted) == len(cell) and all(map(_same, wanted, cell))
    return bool(wanted == cell) and (isinstance(wanted, bool) == isinstance(cell, bool) or isinstance(wanted, _Any))
