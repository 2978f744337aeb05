"""Receipt lines: prices per unit, derived from what was paid and what was taken off."""

from typing import ClassVar

import polars as pl

from seqplat_resources.engine.registry import executor
from seqplat_resources.executors.declarative import Declarative
from sequence_defs.schema import EventType, Source


@executor("priced_line")
class PricedLine(Declarative):
    """Adds ``base_price``, ``loyalty_price`` (per unit) and ``discount_share`` to a receipt line.

    Reads ``quantity``, ``sales_value``, ``retail_disc``, ``coupon_disc`` and ``coupon_match_disc``; discounts are
    positive amounts for the whole line. A line without units has no unit price: null, never infinity.
    """

    def normalize(self, raw: pl.LazyFrame, event_type: EventType, source: Source) -> pl.LazyFrame:
        units = pl.when(pl.col("quantity") > 0).then(pl.col("quantity"))
        paid, matched, retail = pl.col("sales_value"), pl.col("coupon_match_disc"), pl.col("retail_disc")
        shelf = paid + retail + matched
        # The manufacturer's coupon is settled later, so it is off the customer's bill but not off sales_value.
        saved = retail + matched + pl.col("coupon_disc")
        return (
            super()
            .normalize(raw, event_type, source)
            .with_columns(
                base_price=shelf / units,
                loyalty_price=(paid + matched) / units,
                discount_share=pl.when(shelf > 0).then(saved / shelf),
            )
        )


@executor("discounts")
class Discounts(Declarative):
    """One event per kind of discount on a receipt line: none, one or several per raw row.

    Gives ``discount_kind`` (retail, coupon, coupon_match) and ``discount_value`` (the amount for the line).
    """

    KINDS: ClassVar = {"retail": "retail_disc", "coupon": "coupon_disc", "coupon_match": "coupon_match_disc"}

    def normalize(self, raw: pl.LazyFrame, event_type: EventType, source: Source) -> pl.LazyFrame:
        kinds = [
            pl.struct(pl.lit(kind).alias("discount_kind"), pl.col(column).alias("discount_value"))
            for kind, column in self.KINDS.items()
        ]
        return (
            super()
            .normalize(raw, event_type, source)
            .with_columns(_discounts=pl.concat_list(kinds))
            .explode("_discounts")
            .unnest("_discounts")
            .filter(pl.col("discount_value") > 0)
        )
