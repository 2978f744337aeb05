"""Instants of a source: what is in the years 1 to 9999 of UTC keeps its meaning, all else is null, nothing raises."""

import datetime as dt
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sequence_defs.compiler.instants import counted, in_range, instant
from sequence_defs.compiler.sql import SqlError
from sequence_defs.schema import Time
from sequence_defs.schema.dtypes import DAY_US, FIRST_DAY, FIRST_US, LAST_DAY, LAST_US

INT64 = st.integers(-(2**63), 2**63 - 1)
# Edges of the type, of the range in every unit, and what people take for another unit.
EDGES = sorted(
    {
        edge // unit + step
        for edge in (-(2**63), 2**63 - 1, FIRST_US, LAST_US, FIRST_US * 1000, LAST_US * 1000, 0, 1_700_000_000 * 10**6)
        for unit in (1, 1_000, 1_000_000)
        for step in (-1, 0, 1)
        if -(2**63) <= edge // unit + step < 2**63
    }
)
COUNTS = st.one_of(st.sampled_from(EDGES), INT64)
ZONES = (
    "UTC",
    "America/New_York",
    "Pacific/Kiritimati",
    "Pacific/Pago_Pago",
    "Asia/Tokyo",
    "Europe/Berlin",
    "Africa/Cairo",
)
UNIT_NS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
EPOCH = dt.datetime(1970, 1, 1)


def told(time: Time, values: list[object], dtype: pl.DataType) -> list[dt.datetime | None]:
    frame = pl.DataFrame({"at": values}, schema={"at": dtype})
    instants = frame.select(instant(time, frame.schema).alias("at"))["at"]
    assert instants.dtype == pl.Datetime("us", "UTC")
    return instants.to_list()


def utc(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=dt.UTC)  # type: ignore[misc, arg-type]


NEW_YORK = Time(sql="at", timezone="America/New_York")


def test_of_two_equal_local_times_the_earlier_is_taken() -> None:
    assert told(NEW_YORK, [dt.datetime(2024, 11, 3, 1, 30)], pl.Datetime("us")) == [utc(2024, 11, 3, 5, 30)]


def test_a_local_time_that_does_not_exist_is_null() -> None:
    times = [dt.datetime(2024, 3, 10, 2, 30), dt.datetime(2024, 3, 10, 3, 30), None]
    assert told(NEW_YORK, times, pl.Datetime("us")) == [None, utc(2024, 3, 10, 7, 30), None]


def test_a_date_is_midnight_of_its_city() -> None:
    days = [dt.date(2024, 1, 1), dt.date(2024, 7, 1), None]
    assert told(NEW_YORK, days, pl.Date()) == [utc(2024, 1, 1, 5), utc(2024, 7, 1, 4), None]


def test_a_day_that_starts_after_its_midnight_starts_at_its_first_hour() -> None:
    sao_paulo = Time(sql="at", timezone="America/Sao_Paulo")
    assert told(sao_paulo, [dt.date(2018, 11, 4)], pl.Date()) == [utc(2018, 11, 4, 3)]


def test_a_timestamp_with_a_zone_keeps_its_instant() -> None:
    noon = dt.datetime(2024, 1, 1, 12, tzinfo=dt.UTC)
    assert told(NEW_YORK, [noon], pl.Datetime("us", "Asia/Tokyo")) == [noon]
    assert told(NEW_YORK, [noon], pl.Datetime("ns", "UTC")) == [noon]


@pytest.mark.parametrize(("unit", "factor"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
def test_integers_count_from_1970_in_their_unit(unit: str, factor: int) -> None:
    time = Time.model_validate({"sql": "at", "epoch_unit": unit})
    assert told(time, [1_700_000_000 * factor, -factor, None], pl.Int64()) == [
        utc(2023, 11, 14, 22, 13, 20),
        utc(1969, 12, 31, 23, 59, 59),
        None,
    ]


def test_text_is_no_time_until_it_is_parsed() -> None:
    with pytest.raises(SqlError, match="'at' is String, but a time must be a timestamp, a date or an integer epoch"):
        instant(Time(sql="at"), {"at": pl.String()})
    parsed = Time(sql="STRPTIME(at, '%Y-%m-%d %H:%M')", timezone="America/New_York")
    assert told(parsed, ["2024-01-01 07:00"], pl.String()) == [utc(2024, 1, 1, 12)]


@settings(deadline=None)
@given(st.lists(COUNTS, min_size=1), st.sampled_from(sorted(UNIT_NS)))
def test_a_count_is_its_instant_or_null(counts: list[int], unit: str) -> None:
    time = Time.model_validate({"sql": "at", "epoch_unit": unit})
    exact = [count * UNIT_NS[unit] // 1_000 for count in counts]
    expected = [time_us if FIRST_US <= time_us <= LAST_US else None for time_us in exact]
    frame = pl.DataFrame({"at": counts}, schema={"at": pl.Int64})
    assert frame.select(instant(time, frame.schema))["at"].to_physical().to_list() == expected
    whole = pl.col("at").cast(pl.Int128)
    assert frame.select(counted(whole, unit))["at"].to_physical().to_list() == expected  # type: ignore[arg-type]


def test_a_count_beyond_64_bits_is_null() -> None:
    counts = pl.DataFrame({"at": [2**64 - 1, 2**63, 5]}, schema={"at": pl.UInt64})
    assert told_of(counts, Time(sql="at"))["at"].to_physical().to_list() == [None, None, 5]


@settings(deadline=None)
@given(st.lists(COUNTS, min_size=1), st.sampled_from(["ms", "us", "ns"]), st.sampled_from(ZONES), st.booleans())
def test_a_timestamp_of_any_zone_and_unit_is_in_range_or_null(
    counts: list[int], unit: str, zone: str, is_zoned: bool
) -> None:
    dtype = pl.Datetime(unit, "Asia/Tokyo" if is_zoned else None)  # type: ignore[arg-type]
    frame = pl.DataFrame({"at": pl.Series(counts, dtype=pl.Int64).cast(dtype, strict=False)})
    found = told_of(frame, Time(sql="at", timezone=zone))["at"].to_physical().to_list()
    for count, time_us in zip(counts, found, strict=True):
        exact = count * UNIT_NS[unit] // 1_000
        if is_zoned or zone == "UTC":
            assert time_us == (exact if FIRST_US <= exact <= LAST_US else None)
        elif time_us is None:  # an hour that a clock skipped, or outside of the range
            assert not FIRST_US + DAY_US <= exact <= LAST_US - DAY_US or exact != told_as_utc(exact, zone)
        else:
            assert FIRST_US <= time_us <= LAST_US
            assert abs(time_us - exact) <= DAY_US


def told_as_utc(local_us: int, zone: str) -> int:
    """The local time that comes back from UTC: another one where a clock skips it."""
    local = (EPOCH + dt.timedelta(microseconds=local_us)).replace(tzinfo=ZoneInfo(zone))
    back = local.astimezone(dt.UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    return (back - EPOCH) // dt.timedelta(microseconds=1)


@settings(deadline=None)
@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1), st.sampled_from(ZONES))
def test_a_date_is_a_midnight_in_range_or_null(days: list[int], zone: str) -> None:
    edges = [FIRST_DAY - 1, FIRST_DAY, FIRST_DAY + 1, LAST_DAY - 1, LAST_DAY, LAST_DAY + 1]
    numbers = [*days, *edges, -(2**31), 2**31 - 1]
    frame = pl.DataFrame({"at": pl.Series(numbers, dtype=pl.Int32).cast(pl.Date)})
    found = told_of(frame, Time(sql="at", timezone=zone))["at"].to_physical().to_list()
    for day, time_us in zip(numbers, found, strict=True):
        if time_us is None:
            assert not FIRST_DAY < day < LAST_DAY
        else:
            assert FIRST_US <= time_us <= LAST_US
            assert abs(time_us - day * DAY_US) <= DAY_US


def test_the_first_midnight_east_of_greenwich_is_before_the_range() -> None:
    """Local mean time in Berlin was 53 minutes ahead: an hour later is in the range, and is not that midnight."""
    assert told(Time(sql="at", timezone="Europe/Berlin"), [dt.date(1, 1, 1)], pl.Date()) == [None]
    assert told(NEW_YORK, [dt.date(9999, 12, 31)], pl.Date()) == [utc(9999, 12, 31, 5)]
    assert told(NEW_YORK, [dt.datetime(9999, 12, 31, 20)], pl.Datetime("us")) == [None]
    assert told(Time(sql="at", timezone="Asia/Tokyo"), [dt.datetime(1, 1, 1, 8)], pl.Datetime("us")) == [None]


@settings(deadline=None)
@given(st.lists(COUNTS, min_size=1))
def test_what_is_stored_is_in_range(counts: list[int]) -> None:
    times = pl.Series("at", counts, dtype=pl.Int64).cast(pl.Datetime("us", "UTC"))
    found = pl.DataFrame({"at": times}).select(in_range(pl.col("at"), times.dtype))["at"]
    assert found.dtype == times.dtype
    assert found.to_physical().to_list() == [c if FIRST_US <= c <= LAST_US else None for c in counts]
    days = pl.Series("at", [FIRST_DAY - 1, FIRST_DAY, LAST_DAY, LAST_DAY + 1, None], dtype=pl.Int32).cast(pl.Date)
    kept = pl.DataFrame({"at": days}).select(in_range(pl.col("at"), pl.Date()))["at"]
    assert kept.to_list() == [None, dt.date.min, dt.date.max, None, None]


def told_of(frame: pl.DataFrame, time: Time) -> pl.DataFrame:
    return frame.select(instant(time, frame.schema).alias("at"))
