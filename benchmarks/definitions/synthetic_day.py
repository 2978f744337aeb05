"""The generated day as definitions: one kind of event with two enrichments, its vectors as float32 and as float16."""

import datetime as dt

from sequence_defs import Column, Enrich, EventType, Sequence, Source, Tenant, Time, Versioned

OWNER = "team:bench"
START = dt.date(2026, 1, 15)

bench = Tenant(name="bench", tenant="bench", owner=OWNER, description="Owner of what is only measured.")

item_id = Column(name="item_id", dtype="int64", nullable=False)

clicks = Source(
    name="clicks",
    tenant="bench",
    owner=OWNER,
    description="Raw events, in no order, some delivered twice.",
    location="raw/*.parquet",
    columns=(
        Column(name="user_id", dtype="int64", nullable=False),
        item_id,
        Column(name="session_id", dtype="int64", nullable=False),
        Column(name="event_seq", dtype="int64", nullable=False),
        Column(name="event_ts", dtype="timestamp", nullable=False),
        Column(name="ingest_ts", dtype="timestamp", nullable=False),
        Column(name="kind", dtype="int64"),
        Column(name="price", dtype="float64", unit="USD"),
        Column(name="quantity", dtype="int64"),
        Column(name="surface", dtype="string"),
    ),
    event_time=Time(sql="event_ts"),
    ingest_time=Time(sql="ingest_ts"),
    user_id="user_id",
    start=START,
    end=START + dt.timedelta(days=1),
    retention_days=30,
)

item_versions = Source(
    name="item_versions",
    tenant="bench",
    owner=OWNER,
    description="A change log of items.",
    location="item_versions.parquet",
    columns=(
        item_id,
        Column(name="valid_from", dtype="timestamp", nullable=False),
        Column(name="category", dtype="string"),
        Column(name="brand", dtype="string"),
        Column(name="list_price", dtype="float64", unit="USD"),
    ),
)

item = Versioned(
    name="item",
    tenant="bench",
    owner=OWNER,
    description="The item as it was at the time of the event.",
    source="item_versions",
    key=("item_id",),
    columns=(
        Column(name="category", dtype="string"),
        Column(name="brand", dtype="string"),
        Column(name="list_price", dtype="float64", unit="USD"),
    ),
    valid_from=Time(sql="valid_from"),
    max_age_days=400,
)


def _with_vectors_of(item_type: str, suffix: str) -> tuple[Source, Versioned, EventType, Sequence]:
    """The item's vector, the event type that attaches it and what models read, all with items of ``item_type``."""
    vector = Column(name="embedding", dtype=f"vector[{item_type},32]", model="synthetic")
    source = Source(
        name=f"item_embeddings{suffix}",
        tenant="bench",
        owner=OWNER,
        description="Item vectors, retrained within the day.",
        location="item_embeddings.parquet",
        columns=(item_id, Column(name="valid_from", dtype="timestamp", nullable=False), vector),
    )
    enrichment = Versioned(
        name=f"item_embedding{suffix}",
        tenant="bench",
        owner=OWNER,
        description="Item vector of the latest training before the event.",
        source=source.name,
        key=("item_id",),
        columns=(vector,),
        valid_from=Time(sql="valid_from"),
        max_age_days=400,
    )
    event_type = EventType(
        name=f"click{suffix}",
        tenant="bench",
        owner=OWNER,
        description="A click of the eight kinds that count.",
        source="clicks",
        filter="kind < 8",
        natural_key=("session_id", "item_id", "event_seq"),
        columns=(
            item_id,
            Column(name="session_id", dtype="int64", nullable=False),
            Column(name="event_seq", dtype="int64", nullable=False),
            Column(name="kind", dtype="int64"),
            Column(name="price", dtype="float64", unit="USD"),
            Column(name="quantity", dtype="int64"),
            Column(name="surface", dtype="string"),
            Column(name="amount", dtype="float64", unit="USD", sql="price * quantity"),
        ),
        enrichments=(Enrich(enrichment="item"), Enrich(enrichment=enrichment.name)),
        retention_days=30,
    )
    sequence = Sequence(
        name=f"recent_clicks{suffix}",
        tenant="bench",
        owner=OWNER,
        description="What a user clicked, newest first.",
        event_types=(event_type.name,),
        columns=("item_id", "amount", "category", "embedding"),
        length=100,
        window_days=30,
        retention_days=30,
    )
    return source, enrichment, event_type, sequence


full = _with_vectors_of("float32", "")
half = _with_vectors_of("float16", "_half")
