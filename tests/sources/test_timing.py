"""Clocks that are wrong: stamps of logs and files that cannot be, and times ahead of every clock."""

import datetime as dt
import os
from collections.abc import Sequence

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqplat_resources.batch.builds import raw
from seqplat_resources.sources.decode import DecodedRows, decode
from seqplat_resources.sources.log import LogBatch, Partition
from seqplat_resources.sources.timing import AHEAD, EARLIEST, received, stamps, waited_ms
from seqplat_resources.stream.messages import decode_messages
from seqplat_resources.stream.report import lateness
from seqplat_resources.times import instant_of_ms, milliseconds
from sequence_defs.schema import Column, Source, Time
from tests.building import ManualClock, utc
from tests.sources.orders import COLUMNS, DAY, UNDATED, Orders, orders, reasons, rejects, rows

NOW = utc(2024, 5, 1, 12)
NOW_MS = milliseconds(NOW)
CLOCK = ManualClock(NOW)
NEVER = (
    *(-1, 0, 1, -(2**63), 2**63 - 1, 10**15),
    NOW_MS // 1_000,  # seconds, microseconds and nanoseconds taken for milliseconds
    NOW_MS * 1_000,
    NOW_MS * 1_000_000,
    milliseconds(utc(1980, 1, 1)),
    milliseconds(utc(1999, 12, 31, 23, 59, 59)),
    milliseconds(utc(2030, 1, 1)),
    milliseconds(NOW + AHEAD) + 1,
)
POSSIBLE = (milliseconds(EARLIEST), NOW_MS - 1, NOW_MS, milliseconds(NOW + AHEAD))

streamed = Source(
    name="orders",
    tenant="shop",
    topic="orders",
    columns=COLUMNS,
    event_time=Time(sql="at"),
    user_id="member",
)


def sent(stamps_ms: Sequence[int], at: dt.datetime = NOW, source: Source = streamed) -> DecodedRows:
    value = b'{"member": "ann", "at": "%s"}' % at.isoformat().encode()
    numbers = list(range(len(stamps_ms)))
    batch = LogBatch(Partition("orders", 0), numbers, list(stamps_ms), [value] * len(numbers), len(numbers))
    return decode_messages(source, [batch], clock=CLOCK)


def test_a_stamp_that_cannot_be_is_our_clock() -> None:
    found = sent([*NEVER, *POSSIBLE])
    receipts = found.rows["_ingest_time"].to_list()
    # The first stamp that can be is of 2000: its event came a lifetime before it happened.
    assert receipts == [NOW] * len(NEVER) + [instant_of_ms(stamp) for stamp in POSSIBLE[1:]]
    assert found.rejects["reason"].to_list() == [
        "event_time: 2024-05-01 12:00:00.000000+00:00 is more than 24 h after its receipt at "
        "2000-01-01 00:00:00.000000+00:00"
    ]
    assert set(lateness(found.rows)) == {"on_time"}


@settings(deadline=None)
@given(st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 2 * NOW_MS) | st.sampled_from(NEVER), min_size=1))
def test_of_any_64_bits_a_receipt_is_a_time_that_can_be(stamps_ms: list[int]) -> None:
    frame = pl.DataFrame({"at": stamps(pl.Series(stamps_ms, dtype=pl.Int64))})
    receipts = frame.select(received(pl.col("at"), NOW))["at"].to_list()
    first, last = milliseconds(EARLIEST), milliseconds(NOW + AHEAD)
    assert receipts == [instant_of_ms(stamp) if first <= stamp <= last else NOW for stamp in stamps_ms]
    for stamp, receipt in zip(stamps_ms, receipts, strict=True):
        assert waited_ms(stamp, NOW) == max(0, NOW_MS - milliseconds(receipt))
    found = sent(stamps_ms, at=EARLIEST)
    assert found.rows.height == len(stamps_ms)


def test_a_topic_whose_messages_are_all_of_2030_is_refused_and_goes_on() -> None:
    ahead = utc(2030, 1, 1)
    found = sent([milliseconds(ahead)] * 3, at=ahead)
    assert found.rows.height == 0
    assert found.rejects["day"].to_list() == [UNDATED] * 3
    assert found.rejects["reason"][0] == (
        "event_time: 2030-01-01 00:00:00.000000+00:00 is more than 24 h after its receipt at "
        "2024-05-01 12:00:00.000000+00:00"
    )


@pytest.mark.parametrize("lead_s", [0, 90, 3_600, 86_400, 10**30])
def test_an_event_is_at_most_the_lead_ahead(lead_s: int) -> None:
    source = streamed.model_copy(update={"max_lead_s": lead_s})
    reach = min(lead_s, 10**9)
    assert sent([NOW_MS], NOW + dt.timedelta(seconds=reach), source).rows.height == 1
    over = sent([NOW_MS], NOW + dt.timedelta(seconds=reach + 1), source)
    said = {0: "0 h", 90: "90 s", 3_600: "1 h", 86_400: "24 h"}
    if lead_s in said:
        assert f"is more than {said[lead_s]} after its receipt at" in over.rejects["reason"][0]
    else:
        assert over.rows.height == 1


def test_an_old_receipt_does_not_take_part_in_what_our_clock_says() -> None:
    """Receipt declared within the lead of our clock, and an event within the lead of that receipt: too far from us."""
    source = streamed.model_copy(
        update={"columns": (*COLUMNS, Column(name="got", dtype="timestamp")), "ingest_time": Time(sql="got")}
    )
    hour = dt.timedelta(hours=1)
    at = [NOW, NOW + 24 * hour, NOW + 25 * hour, NOW, NOW, NOW]
    got = [NOW, NOW + 20 * hour, NOW + 20 * hour, NOW + 25 * hour, None, utc(1, 1, 1)]
    frame = pl.DataFrame(
        {"member": ["ann"] * 6, "at": at, "got": got, "number": [1] * 6, "amount": [1.0] * 6},
    ).with_columns(
        pl.col("at", "got").cast(pl.Datetime("us", "UTC")),
        _partition=pl.lit("p"),
        _offset=pl.int_range(6, dtype=pl.Int64),
        _received=pl.lit(None, pl.Datetime("us", "UTC")),
    )
    found = decode(frame, source, clock=CLOCK)
    assert found.rows["_offset"].to_list() == [0, 1]
    assert [reason.split(" 2024-05-02")[0] for reason in found.rejects["reason"]] == [
        "event_time:",
        "ingest_time:",
        "ingest_time: no receipt time",
        "event_time: 2024-05-01 12:00:00.000000+00:00 is more than 24 h after its receipt at "
        "0001-01-01 00:00:00.000000+00:00",
    ]
    assert "is more than 24 h ahead of our clock at 2024-05-01 12:00" in found.rejects["reason"][0]
    assert "is more than 24 h ahead of our clock at 2024-05-01 12:00" in found.rejects["reason"][1]


# What archives, container layers and clocks that are wrong leave; the last is beyond what a calendar has.
LOST_S = [0, 315_532_800, 1_893_456_000, -86_400, -(10**9), 10**12]


@pytest.mark.parametrize("modified_s", LOST_S)
def test_a_file_whose_time_was_lost_was_received_now(folder: Orders, modified_s: int) -> None:
    folder.write("orders.csv", "member,at,number\nann,2024-05-01T10:00:00Z,1\nann,2024-05-02T23:00:00Z,2\n")
    try:
        os.utime(folder.files / "orders.csv", (modified_s, modified_s))
    except OSError:
        pytest.skip("this file system has no such time")
    source = orders("csv", ingest_time=None)
    runtime = folder.runtime(source, clock=CLOCK)
    list(raw.ingest(runtime, "orders", [DAY]))
    assert rows(runtime, "number", "_ingest_time") == [(1, NOW)]
    assert reasons(runtime) == [
        (
            1,
            "event_time: 2024-05-02 23:00:00.000000+00:00 is more than 24 h after its receipt at "
            "2024-05-01 12:00:00.000000+00:00",
        )
    ]
    assert {row["day"] for row in rejects(runtime)} == {UNDATED}


def test_a_file_that_says_when_it_was_written_was_received_then(folder: Orders) -> None:
    folder.write("orders.csv", "member,at,number\nann,2024-05-01T10:00:00Z,1\n")
    written = utc(2024, 5, 1, 11)
    os.utime(folder.files / "orders.csv", (written.timestamp(), written.timestamp()))
    runtime = folder.runtime(orders("csv", ingest_time=None), clock=CLOCK)
    list(raw.ingest(runtime, "orders", [DAY]))
    assert rows(runtime, "_ingest_time") == [(written,)]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_an_epoch_out_of_range_is_a_reject_of_its_row(folder: Orders, unit: str) -> None:
    """Nothing wraps: the largest number of milliseconds is no day of 1969."""
    per_s = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    good = int(utc(2024, 5, 1, 10).timestamp()) * per_s
    bad = [2**63 - 1, -(2**63), *([253_402_300_800 * per_s, -62_135_596_801 * per_s] if unit != "ns" else [])]
    frame = pl.DataFrame({"member": ["ann"] * (len(bad) + 1), "at": [*bad, good], "number": range(len(bad) + 1)})
    folder.write("orders.parquet", frame)
    columns = (COLUMNS[0], Column(name="at", dtype="int64", nullable=False), *COLUMNS[2:])
    time = Time.model_validate({"sql": "at", "epoch_unit": unit})
    runtime = folder.ingest(orders("parquet", columns=columns, event_time=time, ingest_time=None, start=None))
    assert rows(runtime, "number") == [(len(bad),)]
    said = {reason for _, reason in reasons(runtime)}
    assert said <= {"event_time: at gives no time"} | {r for r in said if unit == "ns" and "after its receipt" in r}
