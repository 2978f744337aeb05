"""Where the demo's raw rows come from.

Purchases are stamped in UTC without saying so; days and weeks are those of the stores' city. History was loaded in
bulk, so receipt is taken to be five minutes after the event rather than the file's date.
"""

from sequence_defs import Column, Join, Source, Time
from sequence_defs.definitions.demo.team import END, OWNER, START, STORE_TIMEZONE

household = Column(name="household_id", dtype="int64", nullable=False, description="loyalty-card household")
product = Column(name="product_id", dtype="int64", nullable=False)
store = Column(name="store_id", dtype="int64", nullable=False)

transactions = Source(
    name="transactions",
    tenant="grocery",
    owner=OWNER,
    description="One row per line of a receipt.",
    location="transactions.parquet",
    topic="transactions",
    columns=(
        household,
        store,
        Column(name="basket_id", dtype="int64", nullable=False),
        product,
        Column(name="quantity", dtype="int64"),
        Column(name="sales_value", dtype="float64", unit="USD", description="paid for the line"),
        Column(name="retail_disc", dtype="float64", unit="USD", description="loyalty-card discount"),
        Column(name="coupon_disc", dtype="float64", unit="USD", description="manufacturer coupon"),
        Column(name="coupon_match_disc", dtype="float64", unit="USD", description="the store's match of a coupon"),
        Column(name="week", dtype="int64", description="week number in the stores' city, 1 from 2016-12-26"),
        Column(name="transaction_timestamp", dtype="timestamp", nullable=False),
    ),
    event_time=Time(sql="transaction_timestamp"),
    ingest_time=Time(sql="transaction_timestamp + INTERVAL '5 minutes'"),
    user_id="household_id",
    start=START,
    end=END,
    retention_days=730,
)

coupon_redemptions = Source(
    name="coupon_redemptions",
    tenant="grocery",
    owner=OWNER,
    description="One row per redeemed coupon, by store day.",
    location="coupon_redemptions.parquet",
    columns=(
        household,
        Column(name="coupon_upc", dtype="int64", nullable=False),
        Column(name="campaign_id", dtype="int64", nullable=False),
        Column(name="redemption_date", dtype="date", nullable=False),
    ),
    event_time=Time(sql="redemption_date", timezone=STORE_TIMEZONE),
    ingest_time=Time(sql="CAST(redemption_date AS TIMESTAMP) + INTERVAL '5 minutes'", timezone=STORE_TIMEZONE),
    user_id="household_id",
    start=START,
    end=END,
    retention_days=730,
)

campaigns = Source(
    name="campaigns",
    tenant="grocery",
    owner=OWNER,
    description="One row per household and campaign it was sent.",
    location="campaigns.parquet",
    joins=(
        Join(
            location="campaign_descriptions.parquet",
            on=("campaign_id",),
            columns=("campaign_type", "start_date", "end_date"),
        ),
    ),
    columns=(
        Column(name="campaign_id", dtype="int64", nullable=False),
        household,
        Column(name="campaign_type", dtype="string"),
        Column(name="start_date", dtype="date", nullable=False),
        Column(name="end_date", dtype="date"),
    ),
    event_time=Time(sql="start_date", timezone=STORE_TIMEZONE),
    ingest_time=Time(sql="CAST(start_date AS TIMESTAMP) + INTERVAL '5 minutes'", timezone=STORE_TIMEZONE),
    user_id="household_id",
    start=START,
    end=END,
    retention_days=730,
)

products = Source(
    name="products",
    tenant="grocery",
    owner=OWNER,
    description="Product master data; one state, never dated.",
    location="products.parquet",
    columns=(
        product,
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
    tenant="grocery",
    owner=OWNER,
    description="Where a product was displayed or advertised, per store and week.",
    location="promotions.parquet",
    columns=(
        product,
        store,
        Column(name="display_location", dtype="string"),
        Column(name="mailer_location", dtype="string"),
        Column(name="week", dtype="int64", nullable=False),
    ),
)

product_embeddings = Source(
    name="product_embeddings",
    tenant="grocery",
    owner=OWNER,
    description="Item vectors from basket co-occurrence, retrained now and then.",
    location="product_embeddings.parquet",
    columns=(
        product,
        Column(name="embedding", dtype="vector[float16,8]", model="basket_ppmi_svd"),
        Column(name="valid_from", dtype="timestamp", nullable=False),
    ),
)

demographics = Source(
    name="demographics",
    tenant="grocery",
    owner=OWNER,
    description="What about a third of the households told about themselves.",
    location="demographics.parquet",
    columns=(
        household,
        Column(name="age", dtype="string", pii=True),
        Column(name="income", dtype="string", pii=True),
        Column(name="home_ownership", dtype="string", pii=True),
        Column(name="marital_status", dtype="string", pii=True),
        Column(name="household_size", dtype="string"),
        Column(name="household_comp", dtype="string", pii=True),
        Column(name="kids_count", dtype="string", pii=True),
    ),
)
