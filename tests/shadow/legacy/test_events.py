"""Legacy events as a side of a comparison: our names, our types, our shards, and days that are not there."""

import datetime as dt
import json
from pathlib import Path

import polars as pl
import pytest

from seqplat_resources.batch.builds import raw
from seqplat_resources.lake.layout import shard_of
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.legacy.contract import NoLegacyData
from seqplat_resources.shadow.legacy.events import LegacyEvents, NotCompared
from sequence_defs.schema import Column, Compared, EventType, Legacy, Source, Time
from tests.sources.orders import DAY, NEXT, Orders, orders

BEFORE = DAY - dt.timedelta(days=1)
OLD = Source(
    name="old",
    tenant="shop",
    location="old/{day}.ndjson",
    format="ndjson",
    columns=(
        Column(name="day", dtype="int64", field="uid"),  # called like the partition of its rows
        Column(name="at", dtype="timestamp"),
        Column(name="number", dtype="int32"),
        Column(name="qty", dtype="float64"),
        Column(name="tags", dtype="list[int64]"),
        Column(name="vec", dtype="vector[float32,2]"),
    ),
    event_time=Time(sql="at"),
    user_id="day",
    shards=3,
)
ORDERS = orders(
    "ndjson",
    columns=(
        Column(name="member", dtype="int64", nullable=False),
        Column(name="at", dtype="timestamp"),
        Column(name="number", dtype="int64"),
        Column(name="quantity", dtype="int16"),
        Column(name="tags", dtype="list[int8]"),
        Column(name="vec", dtype="vector[float16,2]"),
    ),
    shards=3,
)
LEGACY = Legacy(
    source="old",
    event_id="number",
    columns={"quantity": Compared(field="qty"), "tags": Compared(), "vec": Compared(cosine=0.99)},
)


def order(legacy: Legacy | None) -> EventType:
    columns = tuple(column for column in ORDERS.columns if column.name not in ("member", "at"))
    return EventType(name="order", tenant="shop", source="orders", id_field="number", columns=columns, legacy=legacy)


@pytest.fixture
def folder(tmp_path: Path) -> Orders:
    found = Orders(tmp_path)
    (found.files / "old").mkdir()
    return found


def line(user: int, number: int | None, at: str, **fields: object) -> str:
    return json.dumps({"uid": user, "number": number, "at": at, **fields}) + "\n"


def built(folder: Orders, files: dict[dt.date, str], legacy: Legacy | None = LEGACY, source: Source = OLD) -> Runtime:
    for day, lines in files.items():
        folder.write(f"old/{day}.ndjson", lines)
    runtime = folder.runtime(ORDERS, source, order(legacy))
    list(raw.ingest(runtime, "old", list(files)))
    return runtime


def test_rows_come_under_our_names_and_types_and_what_no_value_of_ours_equals_is_named(folder: Orders) -> None:
    lines = [
        line(7, 1, f"{DAY}T10:00:00+02:00", qty=2.0, tags=[1, 2], vec=[0.5, -1.0]),
        line(7, 2, f"{DAY}T11:00:00Z", qty=2.5, tags=[1, 300], vec=None),
        line(8, None, f"{DAY}T12:00:00Z", qty=70000, tags=[]),
        line(9, 4, f"{NEXT}T00:00:00Z"),  # no row of its day's file
        "{broken\n",
    ]
    day = LegacyEvents.open(built(folder, {DAY: "".join(lines)}), "order").day(DAY)
    sides = [day.shard(shard, 3) for shard in range(3)]
    rows = pl.concat([side.rows for side in sides]).sort("event_time")
    assert rows.drop("ingest_time").rows() == [
        (7, "1", dt.datetime(2024, 5, 1, 8, tzinfo=dt.UTC), 2, [1, 2], b"\x00\x38\x00\xbc"),
        (7, "2", dt.datetime(2024, 5, 1, 11, tzinfo=dt.UTC), None, None, None),
        (8, None, dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC), None, [], None),
    ]
    types = [rows.schema[name] for name in ("user_id", "quantity", "tags")]
    assert types == [pl.Int64(), pl.Int16(), pl.List(pl.Int8())]
    problems = pl.concat([side.problems for side in sides]).sort("user", "reason")
    assert problems.rows() == [
        ("7", f"old/{DAY}.ndjson row 1", "column quantity: 2.5 is not int16"),
        ("7", f"old/{DAY}.ndjson row 1", "column tags: a list is not list[int8]"),
        ("8", f"old/{DAY}.ndjson row 2", "column quantity: 70000.0 is not int16"),
    ]
    assert day.rejected == {"day": 0, "undated": 2}


@pytest.mark.parametrize("shards", [1, 3, 5])
def test_a_side_has_the_users_of_our_shard_however_legacy_is_split(folder: Orders, shards: int) -> None:
    lines = "".join(line(user, user, f"{DAY}T10:00:00Z") for user in range(40))
    old = OLD.model_copy(update={"columns": (Column(name="day", dtype="int32", field="uid"), *OLD.columns[1:])})
    day = LegacyEvents.open(built(folder, {DAY: lines}, source=old), "order").day(DAY)
    users = pl.DataFrame({"user_id": pl.Series(range(40), dtype=pl.Int64())})
    for shard in range(shards):
        expected = users.filter(shard_of("user_id", shards) == shard)
        assert sorted(day.shard(shard, shards).rows["user_id"]) == expected["user_id"].to_list()


def test_a_margin_takes_what_a_shifted_clock_put_into_the_day_beside_it(folder: Orders) -> None:
    files = {
        BEFORE: line(1, 1, f"{BEFORE}T23:59:59Z") + line(1, 2, f"{BEFORE}T21:59:59Z"),
        DAY: line(1, 3, f"{DAY}T12:00:00Z"),
    }
    legacy = Legacy(source="old", natural_key=("number",), within_s=7200)
    events = LegacyEvents.open(built(folder, files, legacy, OLD.model_copy(update={"start": BEFORE})), "order")
    with_margin = events.day(DAY, margin=dt.timedelta(hours=2))
    assert with_margin.shard(0, 1).rows.sort("number").select("number", "event_id").rows() == [(1, None), (3, None)]
    assert with_margin.absent == [NEXT]
    assert events.day(DAY).shard(0, 1).rows["number"].to_list() == [3]
    assert events.day(DAY).absent == []


def test_a_day_without_legacy_data_says_why_and_one_on_which_nothing_happened_is_empty(folder: Orders) -> None:
    runtime = built(folder, {DAY: ""})
    events = LegacyEvents.open(runtime, "order")
    assert events.day(DAY).shard(0, 1).rows.height == 0
    for day, why in [
        (NEXT, f"no file matches 'old/{NEXT}.ndjson' below {folder.files}"),
        (BEFORE, f"it is none of the days of source 'old', which start on {DAY}"),
    ]:
        with pytest.raises(NoLegacyData, match="no legacy data of event type 'order' for ") as error:
            events.day(day)
        assert (error.value.day, error.value.why) == (day, why)
    folder.write(f"old/{NEXT}.ndjson", line(1, 1, f"{NEXT}T01:00:00Z"))
    with pytest.raises(NoLegacyData, match=f"run `seqplat materialize {NEXT} {NEXT} raw/old`"):
        events.day(NEXT)
    with pytest.raises(NotCompared, match="says no legacy"):
        LegacyEvents.open(folder.runtime(ORDERS, OLD, order(None)), "order")
