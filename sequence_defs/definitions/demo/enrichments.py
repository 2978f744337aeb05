"""Signals attached to the demo's events."""

from sequence_defs import Column, Derived, Snapshot, Time, Versioned
from sequence_defs.definitions.demo.team import OWNER, STORE_TIMEZONE

# Monday of a week as days since 1970-01-01: week 1 begins on 2016-12-26, which is day 17161.
MONDAY = "CAST({week} * 7 + 17154 AS DATE)"

product = Snapshot(
    name="product",
    tenant="grocery",
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
    tenant="grocery",
    owner=OWNER,
    description="Display and mailer of a product in a store; a week lasts from Monday to Monday, store time.",
    source="promotions",
    key=("product_id", "store_id"),
    columns=(
        Column(name="display_location", dtype="string", description="0 is not on display"),
        Column(name="mailer_location", dtype="string", description="0 is not in a mailer"),
    ),
    valid_from=Time(sql=MONDAY.format(week="week"), timezone=STORE_TIMEZONE),
    valid_to=Time(sql=MONDAY.format(week="(week + 1)"), timezone=STORE_TIMEZONE),
)

product_embedding = Versioned(
    name="product_embedding",
    tenant="grocery",
    owner=OWNER,
    description="Item vector of the latest training before the event.",
    source="product_embeddings",
    key=("product_id",),
    columns=(Column(name="embedding", dtype="vector[float16,8]", model="basket_ppmi_svd"),),
    valid_from=Time(sql="valid_from"),
    refresh="full",
    max_age_days=400,
)

demographics = Snapshot(
    name="demographics",
    tenant="grocery",
    owner=OWNER,
    description="Household attributes, where the household gave them.",
    source="demographics",
    key=("household_id",),
    columns=(
        Column(name="age", dtype="string", pii=True),
        Column(name="household_size", dtype="string"),
    ),
)

basket = Derived(
    name="basket",
    tenant="grocery",
    owner=OWNER,
    description="The whole basket, seen from each of its lines.",
    columns=(
        Column(
            name="basket_value",
            dtype="float64",
            unit="USD",
            sql="SUM(sales_value) OVER (PARTITION BY user_id, basket_id)",
        ),
        Column(name="basket_lines", dtype="int64", sql="COUNT(product_id) OVER (PARTITION BY user_id, basket_id)"),
        Column(
            name="on_promotion",
            dtype="bool",
            # A product without a row that week was neither displayed nor advertised.
            sql="COALESCE(display_location, '0') <> '0' OR COALESCE(mailer_location, '0') <> '0'",
        ),
    ),
)
