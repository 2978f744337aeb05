"""What the demo should answer, from its files alone: no definition, no engine, time zones by the standard library."""

import datetime as dt
import struct
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from tests.oracle import VALUE, Row, attach, deduplicated, newest_first, nulls_last

STORE_ZONE = ZoneInfo("America/New_York")
MONDAY = dt.date(2016, 12, 26)  # of week 1
DISCOUNTS = {"retail": "retail_disc", "coupon": "coupon_disc", "coupon_match": "coupon_match_disc"}


class DemoOracle:
    """All events of the demo and both of its sequences, computed without any definition."""

    def __init__(self, folder: Path) -> None:
        self._read = lambda name: pl.read_parquet(folder / f"{name}.parquet").to_dicts()
        self._products = {row["product_id"]: row for row in self._read("products")}
        purchases, discounts = self._receipts()
        self.events: dict[str, list[Row]] = {
            "purchase": purchases,
            "discount": discounts,
            "coupon_redemption": self._redemptions(),
            "campaign_received": self._campaigns(),
        }

    def sequences(self, name: str) -> dict[int, list[Row]]:
        """Events of each household in order, with the sequence's columns and no bound on their number."""
        types, columns = SEQUENCES[name]
        by_user = defaultdict(list)
        for event_type in types:
            for event in self.events[event_type]:
                by_user[event["user_id"]].append(event)
        return {user: [_picked(event, columns) for event in newest_first(events)] for user, events in by_user.items()}

    def _receipts(self) -> tuple[list[Row], list[Row]]:
        lines = [
            _event(row, "transactions", offset, row["transaction_timestamp"].replace(tzinfo=dt.UTC))
            for offset, row in enumerate(self._read("transactions"))
            if row["quantity"] > 0
        ]
        purchases = [line | {"event_id": f"{line['basket_id']}~{line['product_id']}"} for line in lines]
        purchases, _, _ = deduplicated(purchases, ["basket_id", "product_id"], ["quantity", "sales_value", "week"])
        discounts = [
            line | {"event_id": f"{line['basket_id']}~{line['product_id']}~{kind}"} | _discount(kind, line[column])
            for line in lines
            for kind, column in DISCOUNTS.items()
            if line[column] > 0
        ]
        discounts, _, _ = deduplicated(discounts, ["basket_id", "product_id", "discount_kind"], ["discount_value"])
        return self._enriched_purchases(purchases), [self._with_product(event, ["department"]) for event in discounts]

    def _enriched_purchases(self, purchases: list[Row]) -> list[Row]:
        promotions, demographics = self._promotions(), {row["household_id"]: row for row in self._read("demographics")}
        vectors, starts = self._vectors()
        baskets = defaultdict(list)
        for line in purchases:
            baskets[line["user_id"], line["basket_id"]].append(line)

        def enriched(line: Row) -> Row:
            promoted = promotions.get((line["product_id"], line["store_id"], _store_week(line["event_time"])))
            vector = vectors.get((line["product_id"], max(s for s in starts if s <= line["event_time"])))
            event = self._with_product(line, ["department", "brand", "product_category"]) | {"event_type": "purchase"}
            event = attach(event, promoted, ["display_location", "mailer_location"], "promotion__status")
            event = attach(event, vector, ["product_vector"], "product_embedding__status")
            event = attach(event, demographics.get(line["user_id"]), ["age", "household_size"], "demographics__status")
            basket = baskets[line["user_id"], line["basket_id"]]
            return (
                event
                | _prices(line)
                | {
                    "basket_value": sum(other["sales_value"] for other in basket),
                    "basket_lines": len(basket),
                    "on_promotion": _on_promotion(event),
                    "basket__status": VALUE,
                }
            )

        return [enriched(line) for line in purchases]

    def _promotions(self) -> dict[tuple[int, int, int], Row]:
        found: dict[tuple[int, int, int], Row] = {}
        for row in self._read("promotions"):
            key = (row["product_id"], row["store_id"], row["week"])
            shown = ["display_location", "mailer_location"]
            found[key] = min(row, found.get(key, row), key=lambda r: nulls_last(r[c] for c in shown))
        return found

    def _vectors(self) -> tuple[dict[tuple[int, dt.datetime], Row], set[dt.datetime]]:
        """Vectors by product and training, as half floats; and when each training became valid."""
        vectors, starts = {}, set()
        for row in self._read("product_embeddings"):
            start = row["valid_from"].replace(tzinfo=dt.UTC)
            starts.add(start)
            halves = struct.unpack("<8e", struct.pack("<8e", *row["embedding"]))
            vectors[row["product_id"], start] = {"product_vector": list(halves)}
        return vectors, starts

    def _with_product(self, event: Row, columns: Sequence[str]) -> Row:
        return attach(event, self._products.get(event["product_id"]), columns, "product__status")

    def _redemptions(self) -> list[Row]:
        events = []
        for offset, row in enumerate(self._read("coupon_redemptions")):
            day = row["redemption_date"].date()
            event = _event(row, "coupon_redemptions", offset, _store_midnight(day)) | {"redemption_date": day}
            event["event_id"] = f"{row['campaign_id']}~{row['coupon_upc']}~{day}"
            events.append(event | {"event_type": "coupon_redemption"})
        return deduplicated(events, ["campaign_id", "coupon_upc", "redemption_date"], [])[0]

    def _campaigns(self) -> list[Row]:
        campaigns, events = {row["campaign_id"]: row for row in self._read("campaign_descriptions")}, []
        for offset, row in enumerate(self._read("campaigns")):
            told = campaigns[row["campaign_id"]]
            event = _event(row | told, "campaigns", offset, _store_midnight(told["start_date"].date()))
            event |= {
                "event_id": str(row["campaign_id"]),
                "campaign_days": (told["end_date"] - told["start_date"]).days,
            }
            events.append(event | {"event_type": "campaign_received"})
        return deduplicated(events, ["campaign_id"], [])[0]


Pick = str | Callable[[Row], Any]

SEQUENCES: dict[str, tuple[tuple[str, ...], dict[str, Pick]]] = {
    "household_history": (
        ("purchase", "coupon_redemption", "campaign_received"),
        {
            **{name: name for name in ("product_id", "department", "brand", "quantity", "sales_value", "on_promotion")},
            **{name: name for name in ("campaign_id", "coupon_upc")},
        },
    ),
    "purchase_vectors": (
        ("purchase", "discount"),
        {
            **{name: name for name in ("product_id", "basket_id", "product_vector", "department")},
            "amount": lambda event: event["sales_value" if event["event_type"] == "purchase" else "discount_value"],
            **{name: name for name in ("basket_value", "basket_lines")},
        },
    ),
}


def _event(row: Row, source: str, offset: int, at: dt.datetime) -> Row:
    return row | {
        "user_id": row["household_id"],
        "event_time": at,
        "ingest_time": at + dt.timedelta(minutes=5),
        "rev": 0,
        "source_partition": f"{source}.parquet",
        "offset": offset,
    }


def _picked(event: Row, columns: Mapping[str, Pick]) -> Row:
    always = {name: event[name] for name in ("event_time", "event_type", "event_id")}
    return always | {out: event.get(of) if isinstance(of, str) else of(event) for out, of in columns.items()}


def _discount(kind: str, value: float) -> Row:
    return {"event_type": "discount", "discount_kind": kind, "discount_value": value}


def _prices(line: Row) -> Row:
    units, paid, matched = line["quantity"], line["sales_value"], line["coupon_match_disc"]
    shelf = paid + line["retail_disc"] + matched
    saved = line["retail_disc"] + matched + line["coupon_disc"]
    share = saved / shelf if shelf > 0 else None
    return {"base_price": shelf / units, "loyalty_price": (paid + matched) / units, "discount_share": share}


def _store_midnight(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), STORE_ZONE).astimezone(dt.UTC)


def _store_week(at: dt.datetime) -> int:
    return (at.astimezone(STORE_ZONE).date() - MONDAY).days // 7 + 1


def _on_promotion(event: Row) -> bool:
    """Displayed or advertised; a product without a row that week was neither."""
    return any((event[column] or "0") != "0" for column in ("display_location", "mailer_location"))
