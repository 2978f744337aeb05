"""Time in numbers: instants in microseconds and days, both since 1970-01-01 UTC, and their text and range.

Every module that counts time counts it so. Nothing here reads a clock.

>>> day_number("2024-05-01"), day_text(19844), microseconds(dt.datetime(2024, 5, 1, tzinfo=dt.UTC))
(19844, '2024-05-01', 1714521600000000)
"""

import datetime as dt
from functools import lru_cache
from typing import Final

from sequence_defs.schema.dtypes import DAY_US, FIRST_DAY, FIRST_US, LAST_DAY, LAST_US

__all__ = [
    "DAY_S",
    "DAY_US",
    "EPOCH",
    "FIRST_DAY",
    "FIRST_US",
    "LAST_DAY",
    "LAST_US",
    "date_of",
    "day_number",
    "day_of",
    "day_text",
    "days_around",
    "end_us",
    "instant",
    "instant_of_ms",
    "microseconds",
    "midnight",
    "milliseconds",
    "number_of",
]

DAY_S: Final = 86_400
EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

_US, _MS = dt.timedelta(microseconds=1), dt.timedelta(milliseconds=1)
_EPOCH_DAY = EPOCH.toordinal()


@lru_cache(maxsize=1 << 13)
def day_number(day: str) -> int:
    """The number of a day ``YYYY-MM-DD``. Raises: ValueError, it is none."""
    return number_of(dt.date.fromisoformat(day))


@lru_cache(maxsize=1 << 13)
def day_text(number: int) -> str:
    """The day as ``YYYY-MM-DD``. Raises: ValueError, it is outside of ``FIRST_DAY`` to ``LAST_DAY``."""
    return date_of(number).isoformat()


def number_of(day: dt.date) -> int:
    return day.toordinal() - _EPOCH_DAY


def date_of(number: int) -> dt.date:
    """Raises: ValueError, the day is outside of ``FIRST_DAY`` to ``LAST_DAY``."""
    return dt.date.fromordinal(number + _EPOCH_DAY)


def days_around(day: dt.date, reach: int) -> tuple[dt.date, dt.date]:
    """The first and the last day that is no further than ``reach`` days from ``day``, as far as there are days."""
    number = number_of(day)
    return date_of(max(FIRST_DAY, number - reach)), date_of(min(LAST_DAY, number + reach))


def midnight(day: dt.date) -> dt.datetime:
    """When the day begins."""
    return dt.datetime.combine(day, dt.time(), dt.UTC)


def end_us(day: dt.date) -> int:
    """When the day ends, exclusive, in microseconds. After the last day there is, that is no instant of a calendar."""
    return (number_of(day) + 1) * DAY_US


def microseconds(time: dt.datetime) -> int:
    return (time - EPOCH) // _US


def day_of(time: dt.datetime) -> int:
    """The number of its day in UTC."""
    return microseconds(time) // DAY_US


def milliseconds(time: dt.datetime) -> int:
    return (time - EPOCH) // _MS


def instant(time_us: int) -> dt.datetime:
    """Raises: OverflowError, the time is outside of ``FIRST_US`` to ``LAST_US``."""
    return EPOCH + dt.timedelta(microseconds=time_us)


def instant_of_ms(time_ms: int) -> dt.datetime:
    """Raises: OverflowError, as ``instant``."""
    return EPOCH + dt.timedelta(milliseconds=time_ms)
