"""Fields, computed columns and filters of a source, from its files to events: what is left out is counted once."""

import datetime as dt
import json

import polars as pl
import pytest

from seqplat_resources.batch.builds import events, imports, raw
from seqplat_resources.batch.builds.events import RawMissing
from seqplat_resources.batch.inputs import tables
from seqplat_resources.engine.contract import NoLookup
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.engine.run import run
from seqplat_resources.quality.completeness import completeness
from seqplat_resources.sources.log import LogBatch, Partition
from seqplat_resources.stream.lake import StreamLake
from seqplat_resources.stream.messages import decode_messages, users_named
from sequence_defs.schema import Column, EventType, Join, Time
from tests.sources.orders import DAY, NEXT, Orders, orders, rejects, rows

SOURCE = orders(
    "ndjson",
    columns=(
        Column(name="account", dtype="string", field="data.account"),
        Column(name="device", dtype="string", field='data."device.id"'),
        Column(name="at", dtype="timestamp", nullable=False, field="@timestamp"),
        Column(name="number", dtype="int64", field="data.items[0].no"),
        Column(name="member", dtype="string", sql="COALESCE(account, 'device:' || device)"),
        Column(name="kind", dtype="string", field="_type"),
    ),
    filter="kind = 'order'",
    event_time=Time(sql="at"),
)
ORDER = EventType(
    name="order",
    tenant="shop",
    source="orders",
    id_field="number",
    columns=(
        Column(name="number", dtype="int64", nullable=False),
        Column(name="half", dtype="float64", sql="number / 2.0"),
    ),
)


def line(number: object, day: int, kind: str = "order", **data: object) -> bytes:
    record = {"_type": kind, "@timestamp": f"2024-05-0{day}T10:00:00Z", "data": {"items": [{"no": number}], **data}}
    return json.dumps(record).encode()


def test_messages_are_keyed_by_the_user_that_the_source_means() -> None:
    """By a path, by what is computed of others; what is no row of the source names nobody."""
    values = [line(1, 1, account="ann"), b"no json", line(2, 1, **{"device.id": "d"}), line(3, 1), b"[]"]
    assert users_named(SOURCE, values) == ["ann", None, "device:d", None, None]
    numbered = orders("ndjson", columns=(Column(name="user", dtype="int64", field="u.id"), *orders().columns[1:]))
    numbered = numbered.model_copy(update={"user_id": "user"})
    assert users_named(numbered, [b'{"u":{"id":7.0}}', b'{"u":{"id":"7"}}', b'{"u":{"id":"x"}}']) == ["7", "7", None]


def test_events_are_made_of_what_the_source_means(folder: Orders) -> None:
    lines = [
        line(1, 1, account="ann"),
        line(2, 1, **{"device.id": "d"}),
        line(3, 2, account="bob"),
        line(4, 2, "heartbeat"),
        line("five", 1, "heartbeat"),
        line(6, 1),
    ]
    folder.write("orders.ndjson", b"\n".join(lines))
    runtime = folder.runtime(SOURCE, ORDER)
    for built_days in ([DAY, NEXT], [DAY], [NEXT, DAY]):
        built = list(raw.ingest(runtime, "orders", built_days))
        assert [result.facts.get("filtered") for result in built] == [2, *[None] * (len(built_days) - 1)]
    assert rows(runtime, "member", "number") == [("ann", 1), ("device:d", 2), ("bob", 3)]
    (refused,) = rejects(runtime)
    assert (refused["reason"], refused["payload"]) == ("column member: null, but it is required", lines[5])
    list(events.build(runtime, "order", [DAY, NEXT]))
    found = tables.events(runtime, EventPlan.of(runtime.loaded, "order")).scan().sort("number").collect()
    assert found.select("user_id", "half").rows() == [("ann", 0.5), ("device:d", 1.0), ("bob", 1.5)]


DATED = (
    Column(name="member", dtype="string", nullable=False),
    Column(name="at", dtype="timestamp", nullable=False),
    Column(name="number", dtype="int64"),
    Column(name="day", dtype="date"),
    Column(name="rate", dtype="float64"),
    Column(name="following", dtype="date", sql="day + INTERVAL '1 day'"),
)
SAID = EventType(
    name="order",
    tenant="shop",
    source="orders",
    id_field="number",
    filter="day < DATE '2024-04-30'",
    columns=(
        Column(name="number", dtype="int64", nullable=False),
        Column(name="said", dtype="date", sql="day"),
        Column(name="following", dtype="date"),
        Column(name="rate", dtype="float64"),
    ),
)


@pytest.mark.parametrize("from_log", [False, True])
@pytest.mark.parametrize("format", ["csv", "ndjson", "parquet"])
def test_a_source_may_call_a_column_as_its_table_calls_its_partition(
    folder: Orders, format: str, *, from_log: bool
) -> None:
    """In filters, computed columns, joins and refused rows it is what was sent, never the day of the event."""
    sent = pl.DataFrame(
        {
            "member": ["ann"] * 5,
            "at": [f"2024-05-0{day}T10:00:00Z" for day in (1, 1, 2, 1, 2)],
            "number": range(5),
            "day": ["2024-04-01", "2024-04-30", "2024-04-02", None, "soon"],
        }
    )
    write = {"csv": pl.DataFrame.write_csv, "ndjson": pl.DataFrame.write_ndjson, "parquet": pl.DataFrame.write_parquet}
    rates = pl.DataFrame({"day": ["2024-04-01", "2024-05-01"], "rate": [0.5, 9.0]})
    for frame, name in ((sent, "orders"), (rates, "rates")):
        write[format](frame, folder.files / f"{name}.{format}")  # type: ignore[operator]
    join = Join(location=f"rates.{format}", on=("day",), columns=("rate",))
    source = orders(format, columns=DATED, joins=(join,), **({"topic": "orders", "location": ""} if from_log else {}))
    runtime = folder.runtime(source, SAID)
    if from_log:
        list(imports.import_files(runtime, "orders", [str(folder.files / f"orders.{format}")]))
    else:
        list(raw.ingest(runtime, "orders", [DAY, NEXT]))
    (refused,) = rejects(runtime)
    assert refused["reason"] == "column day: soon is not date"
    assert b"soon" in refused["payload"]
    list(events.build(runtime, "order", [DAY, NEXT]))
    plan = EventPlan.of(runtime.loaded, "order")
    found = tables.events(runtime, plan).scan().sort("number").collect()
    first, third = dt.date(2024, 4, 1), dt.date(2024, 4, 2)
    after = dt.timedelta(days=1)
    expected = [(DAY, 0, first, first + after, 0.5), (NEXT, 2, third, third + after, None)]
    assert found.select("day", "number", "said", "following", "rate").rows() == expected
    assert completeness(runtime, "order", [DAY, NEXT])["passed"].to_list() == [True, True]


def test_a_stream_keeps_such_a_column_too(folder: Orders) -> None:
    sent = [{"member": "ann", "at": "2024-05-01T10:00:00Z", "number": 7, "day": "2024-04-01"}]
    source = orders("ndjson", columns=tuple(c for c in DATED if c.name != "rate"), location="", topic="orders")
    said = SAID.model_copy(update={"columns": SAID.columns[:3]})
    runtime = folder.runtime(source, said)
    plan, partition = EventPlan.of(runtime.loaded, "order"), Partition("orders", 0)
    batch = LogBatch(partition, [4], [0], [json.dumps(row).encode() for row in sent], 5)
    decoded = decode_messages(source, [batch])
    streamed = run(plan, decoded.rows, NoLookup(), complete=False).events
    assert streamed["said"].to_list() == [dt.date(2024, 4, 1)]
    kept = StreamLake(runtime, source, {"order": plan})
    kept.starts = {"orders:0": 4}
    kept.add(decoded.rows, decoded.rejects, {"order": streamed}, {"orders:0": 5})
    list(kept.flush())
    list(events.build(runtime, "order", [DAY]))
    found = tables.events(runtime, plan).scan().select("said", "following").collect()
    assert found.equals(streamed.select("said", "following"))


def test_a_day_of_files_and_a_log_waits_for_its_files(folder: Orders) -> None:
    """Of its messages alone it would look whole."""
    frame = pl.DataFrame({"member": ["ann"], "at": ["2024-05-01T10:00:00Z"], "number": [1], "day": ["2024-04-01"]})
    frame.write_ndjson(folder.files / "orders.ndjson")
    runtime = folder.runtime(orders("ndjson", columns=DATED, topic="orders"), SAID)
    list(imports.import_files(runtime, "orders", [str(folder.files / "orders.ndjson")]))
    with pytest.raises(RawMissing, match="materialize raw/orders for 2024-05-01 first"):
        list(events.build(runtime, "order", [DAY]))
    list(raw.ingest(runtime, "orders", [DAY]))
    assert [built.rows for built in events.build(runtime, "order", [DAY])] == [1]
