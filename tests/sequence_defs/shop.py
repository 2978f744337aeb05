"""A small project without findings; tests break one thing of it at a time. Every kind of definition is here."""

import datetime as dt

from sequence_defs import (
    Aggregate,
    Blobs,
    Column,
    Compared,
    Derived,
    Enrich,
    EventType,
    Explained,
    Join,
    Legacy,
    LegacySequence,
    ObjectView,
    Pick,
    Sequence,
    Service,
    SessionView,
    Snapshot,
    Source,
    Tenant,
    Time,
    Versioned,
)

shop = Tenant(name="shop", tenant="shop")

views = Source(
    name="views",
    tenant="shop",
    owner="team:shop",
    description="One row per page view.",
    location="views/*.parquet",
    columns=(
        Column(name="ts", dtype="timestamp"),
        Column(name="received_at", dtype="timestamp"),
        Column(name="member", dtype="string", nullable=False),
        Column(name="view_id", dtype="string", nullable=False),
        Column(name="sku", dtype="int64"),
        Column(name="dwell_s", dtype="float64", unit="seconds"),
        Column(name="email", dtype="string", pii=True),
        Column(name="revision", dtype="int64"),
        Column(name="operation", dtype="string"),
    ),
    event_time=Time(sql="ts"),
    ingest_time=Time(sql="received_at"),
    user_id="member",
    rev="revision",
    op="operation",
    start=dt.date(2024, 1, 1),
    end=dt.date(2025, 1, 1),
    retention_days=730,
)

nightly = Source(
    name="old_views",
    tenant="shop",
    owner="team:shop",
    description="Page views as the nightly job wrote them.",
    location="old/{day}.ndjson",
    format="ndjson",
    columns=(
        Column(name="seen_at", dtype="int64"),
        Column(name="who", dtype="string", nullable=False),
        Column(name="id", dtype="string"),
        Column(name="article", dtype="int32"),
        Column(name="seconds", dtype="float32", unit="seconds"),
        Column(name="vector_32", dtype="vector[float32,32]", model="item2vec-3"),
    ),
    event_time=Time(sql="seen_at", epoch_unit="s"),
    user_id="who",
    retention_days=730,
)

orders = Source(
    name="orders",
    tenant="shop",
    owner="team:shop",
    description="One row per order line.",
    location="orders.csv",
    format="csv",
    joins=(Join(location="stores.csv", on=("store",), columns=("city",)),),
    columns=(
        Column(name="sold_on", dtype="date", field="day"),
        Column(name="member", dtype="string", nullable=False),
        Column(name="order_no", dtype="int64", nullable=False),
        Column(name="line_no", dtype="int32", nullable=False),
        Column(name="sku", dtype="int64"),
        Column(name="price", dtype="float64", unit="USD"),
        Column(name="store", dtype="int32"),
        Column(name="city", dtype="string"),
    ),
    event_time=Time(sql="sold_on", timezone="America/New_York"),
    user_id="member",
    start=dt.date(2024, 1, 1),
    retention_days=730,
)

catalogue = Source(
    name="catalogue",
    tenant="shop",
    owner="team:shop",
    description="One row per change of a product.",
    location="catalogue.parquet",
    columns=(
        Column(name="sku", dtype="int64"),
        Column(name="changed", dtype="int64", description="epoch milliseconds"),
        Column(name="brand", dtype="string"),
        Column(name="buyer_email", dtype="string", pii=True),
        Column(name="vector", dtype="vector[float16,32]", model="item2vec-3"),
    ),
)

product = Versioned(
    name="product",
    tenant="shop",
    owner="team:shop",
    description="What the catalogue said of a product.",
    source="catalogue",
    key=("sku",),
    filter="sku IS NOT NULL",
    missing={"brand": "unknown"},
    valid_from=Time(sql="changed", epoch_unit="ms"),
    max_age_days=365,
    columns=(
        Column(name="brand", dtype="string"),
        Column(name="embedding", dtype="vector[float16,32]", model="item2vec-3", sql="vector"),
    ),
)

shelf = Snapshot(
    name="shelf",
    tenant="shop",
    owner="team:shop",
    description="Where a product stands today.",
    source="catalogue",
    key=("sku",),
    day=Time(sql="changed", epoch_unit="ms"),
    columns=(Column(name="shelf", dtype="string", sql="LOWER(brand)"),),
)

spend = Derived(
    name="spend",
    tenant="shop",
    owner="team:shop",
    description="What the user has spent so far on the day.",
    columns=(
        Column(name="amount", dtype="float64", sql="COALESCE(price, 0.0)"),
        Column(
            name="spent",
            dtype="float64",
            sql="SUM(amount) OVER (PARTITION BY user_id ORDER BY event_time)",
        ),
    ),
)

risk = Service(
    name="risk",
    tenant="shop",
    owner="team:shop",
    description="Fraud score of an order.",
    url="https://risk.example/score",
    key=("order_no",),
    columns=(Column(name="score", dtype="float32"),),
)

view = EventType(
    name="view",
    tenant="shop",
    owner="team:shop",
    description="A product page was looked at.",
    source="views",
    filter="dwell_s > 1",
    id_field="view_id",
    columns=(
        Column(name="view_id", dtype="string", nullable=False),
        Column(name="item", dtype="int64", sql="sku"),
        Column(name="dwell", dtype="float64", unit="seconds", sql="dwell_s"),
        Column(name="email", dtype="string", pii=True),
    ),
    enrichments=(
        Enrich(enrichment="product", on={"sku": "item"}),
        Enrich(enrichment="shelf", on={"sku": "item"}),
    ),
    start=dt.date(2024, 2, 1),
    retention_days=365,
    legacy=Legacy(
        source="old_views",
        event_id="id",
        columns={
            "item": Compared(field="article"),
            "dwell": Compared(field="seconds", absolute=0.5),
            "embedding": Compared(field="vector_32", cosine=0.999),
            "event_time": Compared(absolute=1),
        },
        explained=(
            Explained(cause="filter", where="dwell <= 2", because="It kept 2 s and more.", until=dt.date(2025, 6, 1)),
        ),
    ),
)

order = EventType(
    name="order",
    tenant="shop",
    owner="team:shop",
    description="A product was bought.",
    source="orders",
    natural_key=("order_no", "line_no"),
    columns=(
        Column(name="order_no", dtype="int64", nullable=False),
        Column(name="line_no", dtype="int64", nullable=False),
        Column(name="sku", dtype="int64"),
        Column(name="price", dtype="float64", unit="USD"),
        Column(name="city", dtype="string"),
    ),
    enrichments=(
        Enrich(enrichment="product", columns={"product_brand": "brand", "embedding": "embedding"}),
        Enrich(enrichment="spend"),
        Enrich(enrichment="risk"),
    ),
    retention_days=365,
)

activity = Sequence(
    name="activity",
    tenant="shop",
    owner="team:shop",
    description="What a member looked at and bought.",
    event_types=("view", "order"),
    columns=(
        "embedding",
        "spent",
        "event_time",
        Pick(name="item", columns={"view": "item", "order": "sku"}),
        Pick(name="brand", columns={"view": "brand", "order": "product_brand"}),
    ),
    length=512,
    window_days=365,
    pii="granted",
    legacy=LegacySequence(
        at=Blobs(location="blobs/{day}.parquet", user_id="uid", events="state"),
        fields=(
            Column(name="key", dtype="string"),
            Column(name="kind", dtype="string", field="meta.kind"),
            Column(name="clock", dtype="int64"),
            Column(name="label", dtype="string"),
        ),
        event_id="key",
        event_time=Time(sql="clock", epoch_unit="ms"),
        event_type="kind",
        event_types={"view": "V"},
        columns={"brand": Compared(field="label")},
        explained=(
            Explained(cause="late", where="brand IS NULL AND legacy_brand = 'x'", because="Waits.", at_most=0.01),
        ),
    ),
)

visit = SessionView(
    name="visit",
    tenant="shop",
    owner="team:shop",
    description="What a member looked at in one go.",
    event_types=("view",),
    scope="brand",
    boundary="event_type = 'view' AND dwell > 1000.0",
    columns=(
        Aggregate(name="looked_at", kind="distinct", column="item"),
        Aggregate(name="dwelt", kind="sum", column="dwell", event_types=("view",), where="dwell > 1.5"),
        Aggregate(name="last_event", kind="last", column="event_id"),
    ),
)

article = ObjectView(
    name="article",
    tenant="shop",
    owner="team:shop",
    description="What a member did with an article on a day.",
    event_types=("view",),
    key="item",
    action="brand",
    actions=("acme", "other"),
    columns=(Aggregate(name="longest", kind="max", column="dwell"),),
)
