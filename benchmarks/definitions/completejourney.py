"""A year of a grocery chain's loyalty cards: every purchase line with product, promotion and item vector."""

import datetime as dt

from sequence_defs import Column, Enrich, EventType, Sequence, Snapshot, Source, Tenant, Time, Versioned

OWNER = "team:bench"
START, END = dt.date(2017, 1, 1), dt.date(2018, 1, 2)
STORE_TIMEZONE = "America/New_York"

# Monday of a week as days since 1970-01-01: week 1 begins on 2016-12-26, which is day 17161.
MONDAY = "CAST({week} * 7 + 17154 AS DATE)"

completejourney = Tenant(name="completejourney", tenant="completejourney", owner=OWNER, description="Loyalty cards.")

household_id = Column(name="household_id", dtype="int64", nullable=False)
store_id = Column(name="store_id", dtype="int64", nullable=False)
basket_id = Column(name="basket_id", dtype="int64", nullable=False)
product_id = Column(name="product_id", dtype="int64", nullable=False)
quantity = Column(name="quantity", dtype="int64")
sales_value = Column(name="sales_value", dtype="float64", unit="USD")
vector = Column(name="embedding", dtype="vector[float32,32]", model="basket_ppmi_svd")

transactions = Source(
    name="transactions",
    tenant="completejourney",
    owner=OWNER,
    description="One row per line of a receipt, stamped in UTC without saying so.",
    location="transactions.parquet",
    columns=(
        household_id,
        store_id,
        basket_id,
        product_id,
        quantity,
        sales_value,
        Column(name="retail_disc", dtype="float64", unit="USD"),
        Column(name="coupon_disc", dtype="float64", unit="USD"),
        Column(name="coupon_match_disc", dtype="float64", unit="USD"),
        Column(name="week", dtype="int64"),
        Column(name="transaction_timestamp", dtype="timestamp", nullable=False),
    ),
    event_time=Time(sql="transaction_timestamp"),
    ingest_time=Time(sql="transaction_timestamp + INTERVAL '5 minutes'"),
    user_id="household_id",
    start=START,
    end=END,
    retention_days=730,
)

products = Source(
    name="products",
    tenant="completejourney",
    owner=OWNER,
    description="Product master data; one state, never dated.",
    location="products.parquet",
    columns=(
        product_id,
        Column(name="manufacturer_id", dtype="int64"),
        Column(name="department", dtype="string"),
        Column(name="brand", dtype="string"),
        Column(name="product_category", dtype="string"),
        Column(name="product_type", dtype="string"),
        Column(name="package_size", dtype="string"),
    ),
)

promotions = Source(
    name="promotions",
    tenant="completejourney",
    owner=OWNER,
    description="Where a product was displayed or advertised, per store and week.",
    location="promotions.parquet",
    columns=(
        product_id,
        store_id,
        Column(name="display_location", dtype="string"),
        Column(name="mailer_location", dtype="string"),
        Column(name="week", dtype="int64", nullable=False),
    ),
)

product_embeddings = Source(
    name="product_embeddings",
    tenant="completejourney",
    owner=OWNER,
    description="Item vectors from basket co-occurrence, retrained now and then.",
    location="derived/product_embeddings_*.parquet",
    columns=(product_id, vector, Column(name="valid_from", dtype="timestamp", nullable=False)),
)

product = Snapshot(
    name="product",
    tenant="completejourney",
    owner=OWNER,
    description="Product master data.",
    source="products",
    key=("product_id",),
    columns=(
        Column(name="department", dtype="string"),
        Column(name="brand", dtype="string"),
        Column(name="product_category", dtype="string"),
    ),
)

promotion = Versioned(
    name="promotion",
    tenant="completejourney",
    owner=OWNER,
    description="Display and mailer of a product in a store; a week lasts from Monday to Monday, store time.",
    source="promotions",
    key=("product_id", "store_id"),
    columns=(
        Column(name="display_location", dtype="string"),
        Column(name="mailer_location", dtype="string"),
    ),
    valid_from=Time(sql=MONDAY.format(week="week"), timezone=STORE_TIMEZONE),
    valid_to=Time(sql=MONDAY.format(week="(week + 1)"), timezone=STORE_TIMEZONE),
)

product_embedding = Versioned(
    name="product_embedding",
    tenant="completejourney",
    owner=OWNER,
    description="Item vector of the latest training before the event.",
    source="product_embeddings",
    key=("product_id",),
    columns=(vector,),
    valid_from=Time(sql="valid_from"),
    refresh="full",
    max_age_days=400,
)

purchase = EventType(
    name="purchase",
    tenant="completejourney",
    owner=OWNER,
    description="A product bought; returns and zero lines are left out.",
    source="transactions",
    executor="priced_line",
    filter="quantity > 0",
    natural_key=("basket_id", "product_id"),
    columns=(
        basket_id,
        product_id,
        store_id,
        quantity,
        sales_value,
        Column(name="base_price", dtype="float64", unit="USD"),
        Column(name="loyalty_price", dtype="float64", unit="USD"),
        Column(name="discount_share", dtype="float64"),
        Column(name="week", dtype="int64"),
    ),
    enrichments=(
        Enrich(enrichment="product"),
        Enrich(enrichment="promotion"),
        Enrich(enrichment="product_embedding"),
    ),
    retention_days=730,
)

household_history = Sequence(
    name="household_history",
    tenant="completejourney",
    owner=OWNER,
    description="Everything a household bought, newest first.",
    event_types=("purchase",),
    columns=(
        "product_id",
        "quantity",
        "sales_value",
        "base_price",
        "discount_share",
        "department",
        "brand",
        "product_category",
        "display_location",
        "mailer_location",
        "embedding",
    ),
    length=500,
    window_days=365,
    retention_days=730,
)
