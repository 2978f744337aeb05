"""Parquet files: damage, drift of columns and types, times, joins, and days."""

import base64
import datetime as dt
import json
import math
import re
import struct
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from seqplat_resources.batch.builds import events, raw
from seqplat_resources.batch.inputs import tables
from seqplat_resources.lake.files import FilePart, FileWriter
from seqplat_resources.lake.table import BucketCommit, LakeTable
from seqplat_resources.sources.decode import SourceDrift
from seqplat_resources.sources.files import SourceUnreadable
from sequence_defs.schema import Column, EventType, Join, Time
from tests.building import utc
from tests.sources.orders import COLUMNS, DAY, NEXT, UNDATED, Orders, orders, reasons, rejects, rows

PARQUET = orders("parquet")


def frame(*at: dt.datetime | None, **columns: object) -> pl.DataFrame:
    """An order per time; a list gives each its value, anything else is the same for all."""
    count = len(at)
    given = {"member": "ann", "number": list(range(count)), **columns}
    values = {name: value if isinstance(value, list | pl.Series) else [value] * count for name, value in given.items()}
    times = pl.Series("at", list(at), dtype=pl.Datetime("us", "UTC"))
    return pl.DataFrame({"at": times, **values})


# ---- Damage ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [3, 4, 100, -1])
def test_a_damaged_file_costs_itself_and_no_other(folder: Orders, kept: int) -> None:
    folder.write("orders-1.parquet", frame(utc(2024, 5, 1, 10)))
    whole = (folder.files / "orders-1.parquet").read_bytes()
    damaged = whole[:kept] if kept >= 0 else whole[:-50] + b"\0" * 50
    folder.write("orders-2.parquet", damaged)
    folder.write("orders-3.parquet", frame(utc(2024, 5, 1, 11)))
    for days in ([DAY], [DAY, NEXT]):
        runtime = folder.ingest(PARQUET, *days)
        assert rows(runtime, "_partition") == [("orders-1.parquet",), ("orders-3.parquet",)]
        (reject,) = rejects(runtime)
        assert (reject["source_partition"], reject["offset"], reject["day"]) == ("orders-2.parquet", -1, UNDATED)
        assert reject["payload"] == damaged[:1000]
        assert reject["reason"].startswith("source 'orders': orders-2.parquet is not readable parquet (")
        assert reject["reason"].endswith(
            "); replace the file, or move it out of the source's location, and run the partition again"
        )
    folder.write("orders-2.parquet", frame(utc(2024, 5, 1, 12)))
    assert rejects(folder.ingest(PARQUET)) == []


@pytest.mark.parametrize("format", ["parquet", "csv", "ndjson"])
@pytest.mark.parametrize("content", [b"", b"\n\n  \n", b"\xef\xbb\xbf"])
def test_a_file_without_anything_in_it_is_an_empty_day_in_every_format(
    folder: Orders, format: str, content: bytes
) -> None:
    folder.write(f"orders.{format}", content if format != "parquet" else b"")
    runtime = folder.ingest(orders(format))
    assert (rows(runtime), rejects(runtime)) == ([], [])


def test_a_file_that_may_not_be_read_is_an_error(folder: Orders) -> None:
    """Waiting or asking for it may help, so its rows are not given up."""
    (folder.files / "orders.csv").mkdir()
    with pytest.raises(SourceUnreadable, match=r"orders\.csv is not readable csv"):
        folder.ingest(orders())


def test_a_location_that_matches_nothing_is_an_error_with_the_place(folder: Orders) -> None:
    with pytest.raises(SourceUnreadable) as refused:
        folder.ingest(PARQUET)
    assert str(refused.value) == (
        f"source 'orders': no file matches 'orders*.parquet' below {folder.files}; "
        "set SEQPLAT_SOURCES or mend `location`"
    )


def test_a_folder_may_have_any_name(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Only the location is a pattern, not the folder it is below."""
    folder = Orders(tmp_path_factory.mktemp("odd") / "[a]*")
    folder.write("orders.parquet", frame(utc(2024, 5, 1)))
    assert rows(folder.ingest(PARQUET), "number", "_partition") == [(0, "orders.parquet")]


# ---- Columns and types -------------------------------------------------------------------------------------------


def test_a_file_without_a_required_column_costs_itself(folder: Orders) -> None:
    folder.write("orders-1.parquet", frame(utc(2024, 5, 1)))
    folder.write("orders-2.parquet", frame(utc(2024, 5, 1)).drop("member"))
    runtime = folder.ingest(PARQUET)
    assert rows(runtime, "_partition") == [("orders-1.parquet",)]
    assert reasons(runtime) == [
        (
            -1,
            "source 'orders': orders-2.parquet has no column ['member']; it has ['at', 'number']. "
            "Mend the file, or say with field= what a column is called there, or declare the column nullable",
        )
    ]


def test_a_file_without_an_optional_column_has_nulls(folder: Orders) -> None:
    folder.write("orders-1.parquet", frame(utc(2024, 5, 1)).drop("number"))
    folder.write("orders-2.parquet", frame(utc(2024, 5, 1), number=[5]))
    assert rows(folder.ingest(PARQUET), "number", "amount") == [(None, None), (5, None)]


def test_unknown_columns_are_kept_and_reported(folder: Orders) -> None:
    """Whatever their type or name, so that nothing of a row is lost."""
    odd = {"color": "red", "parts": [[1, 2]], "data": b"\x00\xff", "_id": 7, "price": Decimal("1.50")}
    folder.write("orders.parquet", frame(utc(2024, 5, 1), **{k: [v] if k != "parts" else v for k, v in odd.items()}))
    runtime = folder.runtime(PARQUET)
    (result,) = raw.ingest(runtime, "orders", [DAY])
    ((extra,),) = rows(runtime, "_extra")
    assert '"color":"red"' in extra
    assert '"parts":[1,2]' in extra
    assert '"data":"00ff"' in extra
    assert '"_id":7' in extra
    assert result.facts["unknown_fields"] == "_id, color, data, parts, price"


@pytest.mark.parametrize(
    ("dtype", "values", "fitted", "said"),
    [
        ("int64", pl.Series([1.0, 1.5, None]), [1, None], "1.5 is not int64"),
        ("int64", pl.Series([Decimal("1.00"), Decimal("1.50"), None]), [1, None], "1.50 is not int64"),
        ("int8", pl.Series([1, 300, None]), [1, None], "300 is not int8"),
        ("int64", pl.Series([1, 2**64 - 1, None], dtype=pl.UInt64), [1, None], "18446744073709551615 is not int64"),
        ("int64", pl.Series([{"a": 1}, None, None]), [None, None], "a Struct"),
        ("int64", pl.Series([[1], None, None]), [None, None], "a List(Int64) is not int64"),
        ("string", pl.Series([b"ok", b"\xff", None]), ["ok", None], "a Binary is not string"),
        ("string", pl.Series([dt.timedelta(1), None, None]), [None, None], "is not string"),
        ("list[int64]", pl.Series([["1"], ["x"], None]), [[1], None], "is not list[int64]"),
        ("list[int64]", pl.Series([1, None, None]), [None, None], "1 is not list[int64]"),
        ("date", pl.Series(["2024-05-01", "01/05/2024", None]), [dt.date(2024, 5, 1), None], "01/05/2024 is not date"),
        ("date", pl.Series(["0024-05-01", "24-05-01", None]), [dt.date(24, 5, 1), None], "24-05-01 is not date"),
        (
            "timestamp",
            pl.Series(["2024-05-01T12:00+02:00", "999-05-01T12:00Z", None]),
            [utc(2024, 5, 1, 10), None],
            "is",
        ),
        ("timestamp", pl.Series([0, -(2**63), None], dtype=pl.Datetime("ms")), [utc(1970, 1, 1), None], "-9223"),
        ("string", pl.Series([{"a": b"\x00\xff"}, {"a": None}, None]), ['{"a":"00ff"}', '{"a":null}', None], ""),
        ("string", pl.Series([[b"a"], [None], None]), ['["61"]', "[null]", None], ""),
        ("bool", pl.Series(["TRUE", "yes", None]), [True, None], "yes is not bool"),
        (
            "vector[float16,2]",
            pl.Series([[1.0, 2.0], [1.0], None]),
            [struct.pack("<2e", 1, 2), None],
            "is not vector[float16,2]",
        ),
        ("vector[int8,2]", pl.Series([[1.0, 2.0], [1.0, 0.5], None]), [struct.pack("2b", 1, 2), None], "is not vector"),
        ("vector[int8,2]", pl.Series([b"\x01\x02", b"\x01", None]), [b"\x01\x02", None], "is not vector[int8,2]"),
    ],
)
def test_values_that_do_not_fit_are_rejected_and_null_is_not_one_of_them(
    folder: Orders, dtype: str, values: pl.Series, fitted: list[object], said: str
) -> None:
    source = orders("parquet", columns=(*COLUMNS[:3], Column(name="odd", dtype=dtype)))
    folder.write("orders.parquet", frame(*[utc(2024, 5, 1)] * 3, odd=values))
    runtime = folder.ingest(source)
    assert [odd for (odd,) in rows(runtime, "odd")] == fitted
    found = [reason for _, reason in reasons(runtime)]
    assert len(found) == 3 - len(fitted)
    assert all(reason.startswith("column odd: ") and said in reason for reason in found)


# ---- Times -------------------------------------------------------------------------------------------------------


def test_events_from_the_future_and_from_before_the_source_are_rejected_undated(folder: Orders) -> None:
    """Undated, because a day that nobody partitions would hide them."""
    times = [utc(2024, 5, 1, 10), utc(2024, 4, 30, 23, 59, 59), utc(2024, 5, 2, 10, 0, 1), utc(1970, 1, 1)]
    folder.write("orders.parquet", frame(*times, received=[utc(2024, 5, 1, 10)] * 4))
    received = Column(name="received", dtype="timestamp")
    source = orders("parquet", columns=(*COLUMNS, received), ingest_time=Time(sql="received"))
    runtime = folder.ingest(source, DAY, NEXT)
    assert rows(runtime, "_offset") == [(0,)]
    assert {row["day"] for row in rejects(runtime)} == {UNDATED}
    assert reasons(runtime) == [
        (1, "event_time: 2024-04-30 23:59:59.000000+00:00 is before the start of the source"),
        (
            2,
            "event_time: 2024-05-02 10:00:01.000000+00:00 is more than 24 h after its receipt at "
            "2024-05-01 10:00:00.000000+00:00",
        ),
        (3, "event_time: 1970-01-01 00:00:00.000000+00:00 is before the start of the source"),
    ]


def test_events_after_the_end_of_the_source_are_rejected(folder: Orders) -> None:
    folder.write("orders.parquet", frame(utc(2024, 5, 1, 10), utc(2024, 5, 2)))
    runtime = folder.ingest(orders("parquet", end=NEXT))
    assert rows(runtime, "_offset") == [(0,)]
    assert reasons(runtime) == [(1, "event_time: 2024-05-02 00:00:00.000000+00:00 is after the end of the source")]


def test_an_epoch_of_zero_stays_out_of_every_day(folder: Orders) -> None:
    """A source without a start does not refuse it, but it belongs to its own day and not to the one ingested."""
    folder.write("orders.parquet", frame(utc(2024, 5, 1, 10), utc(1970, 1, 1, 5)))
    for days in ([DAY], [DAY, NEXT]):
        runtime = folder.ingest(orders("parquet", start=None), *days)
        assert rows(runtime, "_offset") == [(0,)]


def test_receipt_is_the_time_of_the_file_where_the_source_does_not_say(folder: Orders) -> None:
    folder.write("orders.parquet", frame(utc(2024, 5, 1)))
    modified = (folder.files / "orders.parquet").stat().st_mtime
    ((receipt,),) = rows(folder.ingest(orders("parquet", ingest_time=None)), "_ingest_time")
    assert receipt.timestamp() == pytest.approx(modified, abs=1e-6)


def test_local_times_at_a_clock_change(folder: Orders) -> None:
    """In autumn the earlier of two equal times is meant, in spring an hour does not exist; a day always begins."""
    columns = (*COLUMNS[:1], Column(name="local", dtype="timestamp"), COLUMNS[2])
    naive = [
        dt.datetime(2024, 11, 3, 1, 30),  # twice: 05:30 and 06:30 UTC
        dt.datetime(2024, 11, 3, 2, 30),
        dt.datetime(2024, 3, 10, 2, 30),  # never
        dt.datetime(2024, 3, 10, 3, 30),
    ]
    local = Time(sql="CAST(local AS TIMESTAMP)", timezone="America/New_York")
    folder.write("orders.parquet", pl.DataFrame({"member": ["ann"] * 4, "local": naive, "number": range(4)}))
    source = orders("parquet", columns=columns, event_time=local, ingest_time=None, start=None)
    runtime = folder.ingest(source, dt.date(2024, 11, 3), dt.date(2024, 3, 10))
    assert sorted(rows(runtime, "_offset", "_event_time")) == [
        (0, utc(2024, 11, 3, 5, 30)),
        (1, utc(2024, 11, 3, 7, 30)),
        (3, utc(2024, 3, 10, 7, 30)),
    ]
    assert reasons(runtime) == [(2, "event_time: CAST(local AS TIMESTAMP) gives no time")]


def test_a_local_day_that_begins_an_hour_late_is_no_reject(folder: Orders) -> None:
    """In Cairo clocks went from 0:00 to 1:00 on that day."""
    columns = (*COLUMNS[:1], Column(name="on", dtype="date"), COLUMNS[2])
    folder.write("orders.parquet", pl.DataFrame({"member": ["ann"], "on": [dt.date(2024, 4, 26)], "number": [1]}))
    time = Time(sql='"on"', timezone="Africa/Cairo")
    runtime = folder.ingest(
        orders("parquet", columns=columns, event_time=time, ingest_time=None, start=None), dt.date(2024, 4, 25)
    )
    assert rows(runtime, "_event_time") == [(utc(2024, 4, 25, 22),)]


@pytest.mark.parametrize("zone", ["+05:30     ", "Mars/Harbor"])
def test_a_zone_that_nobody_knows_costs_no_instant(folder: Orders, zone: str) -> None:
    """pandas keeps offsets of texts it parsed as zones; what is stored is UTC."""
    at = pl.Series("at", [utc(2024, 5, 1, 10)]).dt.convert_time_zone("Asia/Kuwait")
    member = "who writes ARROW:schema"
    folder.write("orders.parquet", pl.DataFrame([at]).with_columns(member=pl.lit(member), number=1))
    path = folder.files / "orders.parquet"
    data = path.read_bytes()
    notes = max(re.findall(rb"[A-Za-z0-9+/=]{100,}", data), key=len)
    said = base64.b64decode(notes)
    assert said.count(b"Asia/Kuwait") == 1, "as it is in Arrow's notes"
    path.write_bytes(data.replace(notes, base64.b64encode(said.replace(b"Asia/Kuwait", zone.encode()))))
    runtime = folder.ingest(PARQUET)
    assert (rows(runtime, "_event_time", "member"), rejects(runtime)) == ([(utc(2024, 5, 1, 10), member)], [])


# ---- Joins -------------------------------------------------------------------------------------------------------

JOINED = orders(
    "parquet",
    columns=(*COLUMNS, Column(name="city", dtype="string")),
    joins=(Join(location="cities.parquet", on=("number",), columns=("city",)),),
)


def test_a_joined_file_adds_its_columns_and_null_where_it_has_no_row(folder: Orders) -> None:
    folder.write("orders.parquet", frame(utc(2024, 5, 1), utc(2024, 5, 1), number=[1, 2]))
    folder.write("cities.parquet", pl.DataFrame({"number": [1, 3], "city": ["Bonn", "Köln"], "more": [0, 0]}))
    assert rows(folder.ingest(JOINED), "number", "city", "_extra") == [(1, "Bonn", None), (2, None, None)]


def test_a_joined_file_without_a_column_is_refused(folder: Orders) -> None:
    folder.write("orders.parquet", frame(utc(2024, 5, 1), number=[1]))
    folder.write("cities.parquet", pl.DataFrame({"number": [1]}))
    with pytest.raises(SourceDrift) as refused:
        folder.ingest(JOINED)
    assert str(refused.value).startswith("source 'orders': cities.parquet has no column ['city']; it has ['number']")
    assert not tables.raw(folder.runtime(JOINED), JOINED).exists()


def test_a_key_of_which_a_joined_file_says_two_things_costs_the_rows_that_have_it(folder: Orders) -> None:
    """Said twice alike it is no doubt; the type it is written in is that of the source's column."""
    folder.write("orders.parquet", frame(*[utc(2024, 5, 1)] * 5, number=[1, 2, None, 3, 1]))
    cities = {"number": ["1", "2.0", "2", None, None, "3", "x"], "city": ["Bonn", "a", "b", "c", "d", "Kiel", "e"]}
    folder.write("cities.parquet", pl.concat([pl.DataFrame(cities), pl.DataFrame(cities)[:1]]))
    runtime = folder.ingest(JOINED)
    assert rows(runtime, "_offset", "city") == [(0, "Bonn"), (2, None), (3, "Kiel"), (4, "Bonn")]
    doubt, unread = sorted(rejects(runtime), key=lambda reject: reject["offset"])
    assert (unread["source_partition"], unread["offset"]) == ("cities.parquet", 6), "no row of ours can have that key"
    assert (unread["reason"], unread["payload"]) == ("column number: x is not int64", b'{"number":"x","city":"e"}')
    assert (doubt["offset"], doubt["reason"]) == (1, "cities.parquet has 2 different rows of number = 2")
    assert doubt["payload"] == b'{"at":"2024-05-01T00:00:00+00:00","member":"ann","number":2}'


@pytest.mark.parametrize("format", ["csv", "ndjson"])
def test_lines_are_joined_to_files_of_any_format_by_fields_that_need_no_column(folder: Orders, format: str) -> None:
    text = {
        "csv": "member,at,town\nann,2024-05-01,7\nbob,2024-05-01,8\n",
        "ndjson": '{"member":"ann","at":"2024-05-01","town":7}\n{"member":"bob","at":"2024-05-01","town":"8"}\n',
    }
    folder.write(f"orders.{format}", text[format])
    folder.write(
        f"towns.{format}", {"csv": "town,city\n7,Bonn\n", "ndjson": '{"town":"7","city":"Bonn"}\nno\n'}[format]
    )
    columns, join = (
        (*COLUMNS, Column(name="city", dtype="string")),
        Join(location=f"towns.{format}", on=("town",), columns=("city",)),
    )
    runtime = folder.ingest(orders(format, columns=columns, joins=(join,)))
    assert [row[:2] for row in rows(runtime, "member", "city", "_extra")] == [("ann", "Bonn"), ("bob", None)]
    assert rows(runtime, "_extra")[1] == ('{"town":"8"}',)
    assert [(r["source_partition"], r["offset"]) for r in rejects(runtime)] == (
        [("towns.ndjson", 1)] if format == "ndjson" else []
    )


# ---- Days --------------------------------------------------------------------------------------------------------


def test_a_range_of_days_leaves_what_single_days_leave(folder: Orders) -> None:
    """Rows and rejects, those without a day among them; and a second run replaces them all."""
    source = orders("parquet", columns=(*COLUMNS[:2], Column(name="number", dtype="int8")))
    times = [utc(2024, 5, 1, 1), utc(2024, 5, 2, 1), utc(2024, 5, 1, 2), utc(2024, 5, 2, 2), utc(2023, 1, 1)]
    folder.write("orders-1.parquet", frame(*times, number=[1, 2, 1000, 1000, 5]))
    folder.write("orders-2.parquet", frame(*times, number=[3, 4, 2000, 2000, 6]))
    single = folder.runtime(source)
    for day in (DAY, NEXT):
        list(raw.ingest(single, "orders", [day]))
    once = rows(single, "number", "_partition"), rejects(single)
    assert len(once[0]) == 4
    assert len(once[1]) == 6
    for days in ([DAY, NEXT], [NEXT, DAY], [DAY, NEXT]):
        runtime = folder.ingest(source, *days)
        assert (rows(runtime, "number", "_partition"), rejects(runtime)) == once


def test_rejects_that_were_mended_disappear(folder: Orders) -> None:
    folder.write("orders.parquet", frame(utc(2024, 5, 1), utc(2024, 5, 1), member=["ann", None]))
    assert len(rejects(folder.ingest(PARQUET))) == 1
    folder.write("orders.parquet", frame(utc(2024, 5, 1), utc(2024, 5, 1), member=["ann", "bob"]))
    assert rejects(folder.ingest(PARQUET)) == []


def test_a_day_reads_its_own_files_and_waits_for_an_absent_one(folder: Orders) -> None:
    daily = orders("parquet", location="orders-{day}.parquet")
    folder.write("orders-2024-05-01.parquet", frame(utc(2024, 5, 1, 3)))
    folder.write("orders-2024-05-03.parquet", b"not even parquet")
    runtime = folder.ingest(daily, DAY, NEXT)
    assert rows(runtime, "_partition") == [("orders-2024-05-01.parquet",)]
    assert tables.raw(runtime, daily).buckets() == {("2024-05-01",)}
    (late,) = raw.ingest(runtime, daily.name, [NEXT])
    assert late.awaited == f"no file matches 'orders-2024-05-02.parquet' below {runtime.sources_root}"
    folder.ingest(daily.model_copy(update={"no_file_on": ("thu",)}), DAY, NEXT)
    assert tables.raw(runtime, daily).buckets() == {("2024-05-01",), ("2024-05-02",)}, "none is expected on a Thursday"


def test_rows_of_another_day_in_a_days_file_are_kept_as_rejects(folder: Orders) -> None:
    """No other run reads them, so leaving them out would lose them without a trace."""
    daily = orders("parquet", location="orders-{day}.parquet")
    folder.write("orders-2024-05-01.parquet", frame(utc(2024, 5, 1, 3), utc(2024, 5, 2, 3)))
    folder.write("orders-2024-05-02.parquet", frame(utc(2024, 5, 2, 3), utc(2024, 5, 1, 3), member=["ann", None]))
    for days in ([DAY, NEXT], [NEXT]):
        runtime = folder.ingest(daily, *days)
        assert [(r["day"], r["source_partition"], r["offset"], r["reason"]) for r in rejects(runtime)] == [
            (
                UNDATED,
                "orders-2024-05-01.parquet",
                1,
                "event_time: 2024-05-02 03:00:00.000000+00:00 is not of 2024-05-01, the day of its file",
            ),
            (UNDATED, "orders-2024-05-02.parquet", 1, "column member: null, but it is required"),
        ]


# ---- Events ------------------------------------------------------------------------------------------------------

ORDER = EventType(
    name="order", tenant="shop", source="orders", natural_key=("number",), columns=(COLUMNS[2], COLUMNS[3])
)


def test_events_without_an_identity_are_rejected_and_repeated_ones_counted(folder: Orders) -> None:
    times = [utc(2024, 5, 1, hour) for hour in range(5)]
    folder.write("orders.parquet", frame(*times, number=[1, None, 2, 2, 1], amount=[1.0, 2.0, 3.0, 3.0, 9.0]))
    runtime = folder.runtime(PARQUET, ORDER)
    for _ in range(2):
        list(raw.ingest(runtime, "orders", [DAY]))
        (built,) = events.build(runtime, "order", [DAY])
        assert [(r["stage"], r["day"], r["offset"], r["reason"]) for r in rejects(runtime)] == [
            ("order", DAY, 1, "order: column number: null, but it is required")
        ]
        assert built.facts == {
            "read": 5, "filtered": 0, "withdrawn": 0, "rejected": 1,
            "duplicates": 0, "conflicts": 2, "moved": 0, "events": 2,
        }  # fmt: skip


def test_an_ingest_that_fails_after_writing_files_shows_none_of_them(
    folder: Orders, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.write("orders.parquet", frame(utc(2024, 5, 1)))
    runtime = folder.ingest(PARQUET)

    def fail(*args: object) -> None:
        raise RuntimeError("the disk is full")

    folder.write("orders.parquet", frame(utc(2024, 5, 1), utc(2024, 5, 1), member=["ann", None]))
    monkeypatch.setattr(FileWriter, "verify", fail)
    with pytest.raises(RuntimeError):
        list(raw.ingest(runtime, "orders", [DAY]))
    monkeypatch.undo()
    assert (rows(runtime, "_offset"), rejects(runtime)) == ([(0,)], [])


def test_runs_of_different_days_keep_each_others_rejects(folder: Orders, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rejects without a day share a bucket, so it is read only by the run that holds it."""
    daily = orders("parquet", location="orders-{day}.parquet")
    for day in (DAY, NEXT):
        folder.write(f"orders-{day}.parquet", frame(utc(2024, 5, day.day, 3), None))
    runtime, held = folder.runtime(daily), []
    replace = LakeTable.replace

    def meanwhile(
        table: LakeTable, bucket: dict[str, object], parts: Iterable[FilePart], **options: Any
    ) -> BucketCommit:
        if bucket == {"stage": "ingest", "day": UNDATED} and not held:
            held.append(bucket)
            list(raw.ingest(runtime, "orders", [NEXT]))
        return replace(table, bucket, parts, **options)

    monkeypatch.setattr(LakeTable, "replace", meanwhile)
    list(raw.ingest(runtime, "orders", [DAY]))
    assert [row["source_partition"] for row in rejects(runtime)] == [f"orders-{day}.parquet" for day in (DAY, NEXT)]


def test_what_is_refused_of_a_joined_file_is_kept_once(folder: Orders) -> None:
    """It is read for every day of a source with a file a day, also when a day is built again."""
    join = Join(location="rates*.csv", on=("number",), columns=("rate",))
    source = orders(
        location="orders-{day}.csv", columns=(*COLUMNS, Column(name="rate", dtype="float64")), joins=(join,)
    )
    for day in (DAY, NEXT):
        folder.write(f"orders-{day}.csv", f"member,at,number,amount\nann,{day}T10:00:00Z,1,2\nann,never,2,2\n")
    folder.write("rates-1.csv", "number,rate\n1,0.5\n1,2,3\n")
    for days in ([DAY], [NEXT], [DAY, NEXT], [DAY]):
        runtime = folder.ingest(source, *days)
    assert sorted(row["source_partition"] for row in rejects(runtime)) == [
        *(f"orders-{day}.csv" for day in (DAY, NEXT)),
        "rates-1.csv",
    ]
    assert rows(runtime, "rate") == [(0.5,), (0.5,)]


def test_numbers_that_json_does_not_have_are_kept_in_words(folder: Orders) -> None:
    """In fields that nobody declared, in nested ones that are declared text, and in the payloads of rejects."""
    nested = [{"x": math.nan, "y": [{"z": -math.inf, "n": 1}]}, {"x": 1e300, "y": []}, None]
    odd = pl.Series([math.nan, None, math.inf], dtype=pl.Float32)
    columns = (*COLUMNS[:2], Column(name="nested", dtype="string"))
    times = [utc(2024, 5, 1, hour) for hour in (10, 11, 12)]
    folder.write("orders.parquet", frame(*times, nested=nested, odd=odd, more=nested).drop("number"))
    runtime = folder.ingest(orders("parquet", columns=columns))
    said = ['{"x":"NaN","y":[{"z":"-Infinity","n":1}]}', '{"x":1e300,"y":[]}', None]
    assert [json.loads(text) if text else None for (text,) in rows(runtime, "nested")] == [
        json.loads(text) if text else None for text in said
    ]
    extras = [json.loads(text) for (text,) in rows(runtime, "_extra")]
    assert [row["odd"] for row in extras] == ["NaN", None, "Infinity"]
    assert [row["more"] for row in extras] == [json.loads(text) if text else None for text in said]
    folder.write("orders.parquet", frame(*times, nested=nested, odd=odd).with_columns(member=pl.lit(None, pl.String)))
    payloads = [json.loads(row["payload"]) for row in rejects(folder.ingest(orders("parquet", columns=columns)))]
    assert [row["odd"] for row in payloads] == ["NaN", None, "Infinity"]
    assert payloads[0]["nested"] == json.loads(said[0] or "")
