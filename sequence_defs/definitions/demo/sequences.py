"""What models read."""

from sequence_defs import Pick, Sequence
from sequence_defs.definitions.demo.team import OWNER

household_history = Sequence(
    name="household_history",
    tenant="grocery",
    owner=OWNER,
    description="Everything a household did, newest first.",
    event_types=("purchase", "coupon_redemption", "campaign_received"),
    columns=(
        "product_id",
        "department",
        "brand",
        "quantity",
        "sales_value",
        "on_promotion",
        "campaign_id",
        "coupon_upc",
    ),
    length=500,
    window_days=365,
    retention_days=730,
)

purchase_vectors = Sequence(
    name="purchase_vectors",
    tenant="grocery",
    owner=OWNER,
    description="Products bought and discounts had, with item vectors and basket size, for ranking.",
    event_types=("purchase", "discount"),
    columns=(
        "product_id",
        "basket_id",
        "product_vector",
        "department",
        Pick(name="amount", columns={"purchase": "sales_value", "discount": "discount_value"}),
        "basket_value",
        "basket_lines",
    ),
    length=200,
    window_days=90,
    retention_days=730,
)
