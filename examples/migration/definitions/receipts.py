"""The first attempt: what somebody writes who has not yet seen the two pipelines side by side."""

import datetime as dt

from sequence_defs import (
    Blobs,
    Column,
    Compared,
    Enrich,
    EventType,
    Legacy,
    LegacySequence,
    Sequence,
    Source,
    Tenant,
    Time,
    Versioned,
)

OWNER = "team:grocery"
# One event in a thousand may differ; the bands by default ask for ten times the events.
PER_MILLE = 0.001
START, END = dt.date(2017, 11, 6), dt.date(2017, 11, 17)

grocery = Tenant(name="grocery", tenant="grocery", description="Receipts of a grocery chain.")

receipts = Source(
    name="receipts",
    tenant="grocery",
    owner=OWNER,
    description="One row per receipt, as tills send them.",
    location="tills/{day}.parquet",
    columns=(
        Column(name="household_id", dtype="int64", nullable=False, description="loyalty-card household"),
        Column(name="receipt_id", dtype="int64", nullable=False),
        Column(name="store_id", dtype="int64", nullable=False),
        Column(name="till", dtype="string"),
        Column(name="product_id", dtype="int64", description="what cost most"),
        Column(name="lines", dtype="int64", nullable=False),
        Column(name="unit", dtype="string", description="what the amount is counted in"),
        Column(name="amount", dtype="float64", unit="USD"),
        Column(name="closed_at", dtype="timestamp", nullable=False),
        Column(name="received_at", dtype="timestamp", nullable=False),
    ),
    event_time=Time(sql="closed_at"),
    ingest_time=Time(sql="received_at"),
    user_id="household_id",
    start=START,
    end=END,
    retention_days=730,
)

product_embeddings = Source(
    name="product_embeddings",
    tenant="grocery",
    owner=OWNER,
    description="Item vectors from basket co-occurrence, retrained now and then.",
    location="product_embeddings.parquet",
    columns=(
        Column(name="product_id", dtype="int64", nullable=False),
        Column(name="embedding", dtype="vector[float32,8]", model="basket_ppmi_svd"),
        Column(name="valid_from", dtype="timestamp", nullable=False),
    ),
)

product_embedding = Versioned(
    name="product_embedding",
    tenant="grocery",
    owner=OWNER,
    description="Item vector of the latest training before the event.",
    source="product_embeddings",
    key=("product_id",),
    columns=(Column(name="embedding", dtype="vector[float32,8]", model="basket_ppmi_svd"),),
    valid_from=Time(sql="valid_from"),
    refresh="full",
    max_age_days=400,
)

nightly_receipts = Source(
    name="nightly_receipts",
    tenant="grocery",
    owner=OWNER,
    description="Receipts as the nightly job has written them since 2014.",
    location="nightly/events/*.parquet",
    columns=(
        Column(name="household", dtype="int64", nullable=False),
        Column(name="id", dtype="string", nullable=False),
        Column(name="local_time", dtype="string", nullable=False),
        Column(name="store", dtype="int64"),
        Column(name="till", dtype="string"),
        Column(name="product_id", dtype="int64"),
        Column(name="vector", dtype="vector[float32,8]", model="basket_ppmi_svd"),
        Column(name="lines", dtype="int64"),
        Column(name="amount", dtype="float32", unit="USD"),
    ),
    event_time=Time(sql="STRPTIME(local_time, '%Y-%m-%d %H:%M:%S')"),
    user_id="household",
    retention_days=730,
)

receipt = EventType(
    name="receipt",
    tenant="grocery",
    owner=OWNER,
    description="Somebody went shopping.",
    lifecycle="shadow",
    source="receipts",
    filter="amount > 0",
    id_field="receipt_id",
    columns=(
        Column(name="receipt_id", dtype="int64", nullable=False),
        Column(name="store_id", dtype="int64", nullable=False),
        Column(name="till", dtype="string"),
        Column(name="product_id", dtype="int64"),
        Column(name="lines", dtype="int64", nullable=False),
        Column(name="amount", dtype="float64", unit="USD"),
    ),
    enrichments=(Enrich(enrichment="product_embedding", columns={"product_vector": "embedding"}),),
    retention_days=730,
    legacy=Legacy(
        source="nightly_receipts",
        event_id="id",
        waits_s=3600,
        columns={
            "event_time": Compared(absolute=1, limit=PER_MILLE),
            "store_id": Compared(field="store", limit=PER_MILLE),
            "till": Compared(limit=PER_MILLE),
            "product_id": Compared(limit=PER_MILLE),
            "lines": Compared(limit=PER_MILLE),
            "amount": Compared(),
            "product_vector": Compared(field="vector", cosine=0.999),
        },
        serve=True,
    ),
)

shopping = Sequence(
    name="shopping",
    tenant="grocery",
    owner=OWNER,
    description="A household's newest receipts.",
    event_types=("receipt",),
    columns=("store_id", "till", "amount"),
    length=20,
    window_days=14,
    retention_days=730,
    legacy=LegacySequence(
        at=Blobs(location="nightly/blobs/{day}.parquet", user_id="household", events="events", encoding="json"),
        fields=(
            Column(name="id", dtype="string", nullable=False),
            Column(name="t", dtype="string", nullable=False),
        ),
        event_id="id",
        event_time=Time(sql="STRPTIME(t, '%Y-%m-%d %H:%M:%S')"),
        length=20,
    ),
)
