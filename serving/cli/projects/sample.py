"""The sample of the template ``clickstream``: made up, and the same each time."""

import datetime as dt
import json
import random
from collections.abc import Iterator

_DAYS, _VISITORS, _PRODUCTS = 7, 40, 25
_START = dt.datetime(2026, 11, 1)
_CATEGORIES, _BRANDS = ("shoes", "jackets", "bags", "hats"), ("Nord", "Alba", "Terra")
# Of a hundred actions.
_ACTIONS = ("view",) * 80 + ("cart",) * 14 + ("order",) * 6


def clickstream() -> Iterator[tuple[str, str]]:
    """Files below ``data``: ``products.csv``, and ``clicks.jsonl`` by time."""
    chance = random.Random(20261101)
    prices = {f"S-{number:03}": round(chance.uniform(8, 180), 2) for number in range(1, _PRODUCTS + 1)}
    products = [f"{sku},{chance.choice(_CATEGORIES)},{chance.choice(_BRANDS)}" for sku in prices]
    yield "products.csv", "\n".join(["sku,category,brand", *products]) + "\n"
    yield "clicks.jsonl", "".join(json.dumps(click) + "\n" for click in _clicks(chance, prices))


def _clicks(chance: random.Random, prices: dict[str, float]) -> list[dict[str, object]]:
    visits = []
    for day in range(_DAYS):
        for visitor in range(1, _VISITORS + 1):
            at = _START + dt.timedelta(days=day, seconds=chance.randrange(6 * 3600, 22 * 3600))
            for _ in range(chance.randrange(0, 12)):
                visits.append((at, f"v{visitor:03}", chance.choice(_ACTIONS), chance.choice(list(prices))))
                at += dt.timedelta(seconds=chance.randrange(5, 240))
    clicks: list[dict[str, object]] = []
    for number, (when, who, action, sku) in enumerate(sorted(visits), 1):
        price = {"price": prices[sku]} if action == "order" else {}
        click = {"click_id": f"c{number:05}", "visitor": who, "action": action, "sku": sku}
        clicks.append({**click, **price, "at": f"{when.isoformat()}Z"})
    return clicks
