"""Clocks of producers and brokers: event times and receipts, right, wrong and impossible; and what they mean."""

import datetime as dt
from typing import Final

from tests.building import days, utc
from tests.hostile.material.draws import Draw
from tests.hostile.material.meaning import REJECT, Meaning, meaning

NOW: Final = utc(2024, 5, 10, 12)
DAYS: Final = days(dt.date(2024, 5, 1), 10)
LEAD: Final = dt.timedelta(hours=24)
TRUSTED_FROM: Final = utc(2000, 1, 1)
SKEW: Final = dt.timedelta(minutes=5)
_EPOCH: Final = utc(1970, 1, 1)


def ms(time: dt.datetime) -> int:
    """UTC milliseconds since 1970."""
    return (time - _EPOCH) // dt.timedelta(milliseconds=1)


NOW_MS: Final = ms(NOW)
SANE_STAMPS: Final = tuple(NOW_MS - minutes * 60_000 for minutes in (0, 1, 60, 600, 1440, 4000))
# Kafka's record timestamp is the producer's unless the topic says otherwise.
WRONG_STAMPS: Final = (
    -1,
    0,
    NOW_MS // 1000,
    NOW_MS * 1000,
    NOW_MS * 1_000_000,
    10**15,
    2**63 - 1,
    -(2**63),
    ms(utc(1980, 1, 1)),
    ms(utc(1999, 12, 31)),
    ms(utc(2030, 1, 1)),
    NOW_MS + 3_600_000,
    NOW_MS + 300_001,
    253_402_300_800_000,
)
ALMOST_RIGHT_STAMPS: Final = (ms(utc(2000, 1, 1)), NOW_MS + 300_000, NOW_MS + 1)
STAMPS: Final = (*WRONG_STAMPS, *ALMOST_RIGHT_STAMPS)


def receipt(stamp_ms: int, now: dt.datetime = NOW) -> dt.datetime:
    """When a message was received: the log's stamp where it can be, our clock where it cannot."""
    if not ms(TRUSTED_FROM) <= stamp_ms <= ms(now + SKEW):
        return now
    return _EPOCH + dt.timedelta(milliseconds=stamp_ms)


def is_ahead(time: dt.datetime, stamp_ms: int, now: dt.datetime = NOW) -> bool:
    """Whether an event claims to be further ahead than anyone's clock may be."""
    return time - min(receipt(stamp_ms, now), now) > LEAD


# Event times as a producer with a wrong clock sends them, in text; whether they stand depends on the receipt too.
WRONG_TIMES: Final = (
    "2030-01-01T00:00:00Z",
    "2124-05-01T00:00:00Z",
    "9999-12-31T23:59:59.999999Z",
    "9999-12-31T23:59:59.999999-12:00",
    "2262-04-12T00:00:00Z",
    "2024-05-10T23:00:00Z",
    "2024-05-11T11:59:59Z",
    "2024-05-11T12:00:00Z",
    "2024-05-11T12:00:01Z",
    "2024-05-13T00:00:00Z",
    "2023-05-01T12:00:00Z",
    "1970-01-01T00:00:00Z",
    "1970-01-20T20:16:04.800Z",
    "1980-01-01T00:00:00Z",
    "1969-12-31T23:59:59Z",
    "1601-01-01T00:00:00Z",
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "0000-00-00T00:00:00Z",
    "2024-05-01T00:00:00+14:00",
    "2024-05-01T23:59:59.999999-12:00",
    "2024-02-30T00:00:00Z",
    "2024-05-01T25:00:00Z",
    "",
    "1714564800",
)


def event_time(value: object, stamp_ms: int, now: dt.datetime = NOW) -> Meaning:
    """What an event time in text means to a message of that stamp."""
    times = meaning("timestamp", value)
    return tuple(
        REJECT if time is None or (isinstance(time, dt.datetime) and is_ahead(time, stamp_ms, now)) else time
        for time in times
    )


def sane_time(draw: Draw) -> dt.datetime:
    """One of a few instants of a day, its edges among them."""
    at = draw.of((dt.time(12), dt.time(0), dt.time(23, 59, 59, 999999), dt.time(6, 30)))
    return dt.datetime.combine(draw.of(DAYS[:9]), at, dt.UTC)


def sane_stamp(draw: Draw, at: dt.datetime) -> int:
    """A receipt that lets an event of that time through."""
    return draw.of([stamp for stamp in SANE_STAMPS if not is_ahead(at, stamp)])
