"""What households do."""

from sequence_defs import Column, Enrich, EventType
from sequence_defs.definitions.demo.team import OWNER

basket_id = Column(name="basket_id", dtype="int64", nullable=False)
product_id = Column(name="product_id", dtype="int64", nullable=False)
store_id = Column(name="store_id", dtype="int64", nullable=False)

purchase = EventType(
    name="purchase",
    tenant="grocery",
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
        Column(name="household_id", dtype="int64", nullable=False),
        Column(name="quantity", dtype="int64"),
        Column(name="sales_value", dtype="float64", unit="USD"),
        Column(name="base_price", dtype="float64", unit="USD", description="shelf price of one unit"),
        Column(name="loyalty_price", dtype="float64", unit="USD", description="price of one unit with the card"),
        Column(name="discount_share", dtype="float64", description="share of the shelf price not paid"),
        Column(name="week", dtype="int64"),
    ),
    enrichments=(
        Enrich(enrichment="product"),
        Enrich(enrichment="promotion"),
        Enrich(enrichment="product_embedding", columns={"product_vector": "embedding"}),
        Enrich(enrichment="demographics"),
        Enrich(enrichment="basket"),
    ),
    retention_days=730,
)

discount = EventType(
    name="discount",
    tenant="grocery",
    owner=OWNER,
    description="A discount of one kind on one line; a line may carry up to three.",
    source="transactions",
    executor="discounts",
    filter="quantity > 0",
    natural_key=("basket_id", "product_id", "discount_kind"),
    columns=(
        basket_id,
        product_id,
        Column(name="discount_kind", dtype="string", nullable=False, description="retail, coupon or coupon_match"),
        Column(name="discount_value", dtype="float64", unit="USD"),
    ),
    enrichments=(Enrich(enrichment="product", columns={"department": "department"}),),
    retention_days=730,
)

coupon_redemption = EventType(
    name="coupon_redemption",
    tenant="grocery",
    owner=OWNER,
    description="A campaign coupon handed in; known to the day.",
    source="coupon_redemptions",
    natural_key=("campaign_id", "coupon_upc", "redemption_date"),
    columns=(
        Column(name="campaign_id", dtype="int64", nullable=False),
        Column(name="coupon_upc", dtype="int64", nullable=False),
        Column(name="redemption_date", dtype="date", nullable=False),
    ),
    retention_days=730,
)

campaign_received = EventType(
    name="campaign_received",
    tenant="grocery",
    owner=OWNER,
    description="A campaign sent to the household, at its start.",
    source="campaigns",
    natural_key=("campaign_id",),
    columns=(
        Column(name="campaign_id", dtype="int64", nullable=False),
        Column(name="campaign_type", dtype="string"),
        Column(
            name="campaign_days",
            dtype="int64",
            unit="days",
            # A difference of dates is a duration; as an integer it counts microseconds.
            sql="CAST(CAST(end_date - start_date AS BIGINT) / 86400000000 AS BIGINT)",
        ),
    ),
    retention_days=730,
)
