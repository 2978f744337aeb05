"""Fields, computed columns and filters of a source, from its files to events: what is left out is counted once."""

import json

from seqplat_resources.batch import events, raw, tables
from seqplat_resources.engine.plan import EventPlan
from sequence_defs.schema import Column, EventType, Time
from tests.ingest.orders import DAY, NEXT, Orders, orders, rejects, rows

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
