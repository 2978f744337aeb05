"""The generated stream as definitions: one topic, one kind of event, the item it is about."""

import datetime as dt

from sequence_defs import Column, Enrich, EventType, Sequence, Snapshot, Source, Tenant, Time

OWNER = "team:bench"
START = dt.date(2026, 1, 15)
RETENTION_DAYS = 3650  # no benchmark run is ever too late for the generated day

bench = Tenant(name="bench", tenant="bench", owner=OWNER, description="Owner of what is only measured.")

item_id = Column(name="item_id", dtype="int64", nullable=False)
attributes = (Column(name="category", dtype="string"), Column(name="brand", dtype="string"))

events = Source(
    name="events",
    tenant="bench",
    owner=OWNER,
    description="What users do in a shop, as their devices say it.",
    topic="bench-events",
    columns=(
        Column(name="user_id", dtype="int64", nullable=False),
        Column(name="event_id", dtype="string", nullable=False),
        item_id,
        Column(name="kind", dtype="int64"),
        Column(name="price", dtype="float64", unit="USD"),
        Column(name="ts", dtype="timestamp", nullable=False),
        Column(name="page", dtype="string"),
        Column(name="device", dtype="string"),
    ),
    event_time=Time(sql="ts"),
    user_id="user_id",
    start=START,
    retention_days=RETENTION_DAYS,
)

items = Source(
    name="items",
    tenant="bench",
    owner=OWNER,
    description="The catalogue.",
    location="items.parquet",
    columns=(item_id, *attributes),
)

item = Snapshot(
    name="item",
    tenant="bench",
    owner=OWNER,
    description="Where an item stands in the catalogue.",
    source="items",
    key=("item_id",),
    columns=attributes,
)

action = EventType(
    name="action",
    tenant="bench",
    owner=OWNER,
    description="An action of the eight kinds that count.",
    source="events",
    filter="kind < 8",
    id_field="action_id",
    columns=(
        Column(name="action_id", dtype="string", nullable=False, sql="event_id"),
        item_id,
        Column(name="kind", dtype="int64"),
        Column(name="price", dtype="float64", unit="USD"),
        Column(name="page", dtype="string"),
        Column(name="device", dtype="string"),
    ),
    enrichments=(Enrich(enrichment="item"),),
    retention_days=RETENTION_DAYS,
)

recent_actions = Sequence(
    name="recent_actions",
    tenant="bench",
    owner=OWNER,
    description="What a user did, newest first.",
    event_types=("action",),
    columns=("item_id", "category", "price"),
    length=100,
    window_days=30,
    retention_days=RETENTION_DAYS,
)
