"""Day arithmetic and instants, held against Python's own calendar; and that they stand in one module."""

import datetime as dt
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqplat_resources import times
from seqplat_resources.online_store import keys
from seqplat_resources.online_store.spans import SPAN_DAYS, RollSpan

PACKAGES = ("sequence_defs", "seqplat_resources", "seqplat_assets", "serving")
# The client imports nothing of ours; the definitions hold the range that belongs to the portable types.
HOMES = {"seqplat_resources/times.py", "sequence_defs/schema/dtypes.py"}
ARITHMETIC = re.compile(r"toordinal|fromordinal|\b86_?400(?:_000_000|000000)?\b|\bdate(?:time)?\(1970, 1, 1")


def test_time_is_counted_in_one_module() -> None:
    root = Path(times.__file__).parents[1]
    files = [path for name in PACKAGES for path in (root / name).rglob("*.py")]
    found = {path.relative_to(root).as_posix() for path in files if ARITHMETIC.search(path.read_text())}
    others = {name for name in found - HOMES if not name.startswith(("serving/client/", "sequence_defs/definitions/"))}
    defaults = {f"sequence_defs/schema/{name}.py" for name in ("sequences", "sources", "views")}
    assert others == defaults, "the default lead, and how long a session or row may be, stand with their fields"


@settings(deadline=None)
@given(st.dates())
def test_a_day_has_one_number(day: dt.date) -> None:
    number = times.day_number(day.isoformat())
    assert number == times.number_of(day) == (day - dt.date(1970, 1, 1)).days
    assert times.day_text(number) == day.isoformat()
    assert times.date_of(number) == day
    assert times.microseconds(times.midnight(day)) == number * times.DAY_US


@settings(deadline=None)
@given(st.datetimes(timezones=st.just(dt.UTC)))
def test_an_instant_is_its_microseconds(time: dt.datetime) -> None:
    time_us = times.microseconds(time)
    assert times.instant(time_us) == time
    assert times.milliseconds(time) == time_us // 1000
    assert times.FIRST_US <= time_us <= times.LAST_US


def test_the_range_is_the_calendar() -> None:
    assert times.instant(times.FIRST_US) == dt.datetime.min.replace(tzinfo=dt.UTC)
    assert times.instant(times.LAST_US) == dt.datetime.max.replace(tzinfo=dt.UTC)
    assert (times.date_of(times.FIRST_DAY), times.date_of(times.LAST_DAY)) == (dt.date.min, dt.date.max)
    with pytest.raises(ValueError, match="out of range"):
        times.day_text(times.LAST_DAY + 1)
    with pytest.raises(OverflowError):
        times.instant(times.LAST_US + 1)


@settings(deadline=None)
@given(st.dates())
def test_stored_keys_count_days_as_they_always_did(day: dt.date) -> None:
    assert keys.ordinal(day.isoformat()) == day.toordinal()
    assert keys.iso(day.toordinal()) == day.isoformat()


@settings(deadline=None)
@given(st.dates())
def test_every_day_lies_in_a_span(day: dt.date) -> None:
    span = RollSpan.of(day.isoformat())
    assert span.first_day <= day.isoformat() <= span.last_day
    assert RollSpan.of(span.first_day) == RollSpan.of(span.last_day) == span
    assert times.day_number(span.last_day) - times.day_number(span.first_day) < SPAN_DAYS


def test_the_calendar_begins_and_ends_within_a_span() -> None:
    assert RollSpan.of("0001-01-05") == RollSpan("0001-01-01", "0001-01-31")
    assert RollSpan.of("9999-12-31").last_day == "9999-12-31"


@pytest.mark.parametrize(
    ("day", "first", "last"),
    [
        ("2024-03-01", "2024-02-27", "2024-03-04"),
        ("0001-01-01", "0001-01-01", "0001-01-04"),
        ("9999-12-31", "9999-12-28", "9999-12-31"),
    ],
)
def test_days_around_a_day_end_where_days_do(day: str, first: str, last: str) -> None:
    found = times.days_around(dt.date.fromisoformat(day), 3)
    assert found == (dt.date.fromisoformat(first), dt.date.fromisoformat(last))
