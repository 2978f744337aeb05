"""Lookups for tests: enrichment values from frames at hand instead of a lake or an online store.

>>> prices = pl.DataFrame({"product": ["tea", "tea"], "valid_from": [2, 1], "price": [2.5, 2.0]})
>>> FrameLookup({"price": prices}).versions("price", prices)["price"].to_list()
[2.0, 2.5]
"""

from collections.abc import Mapping

import polars as pl


class FrameLookup:
    """Values held in memory, for tests and examples."""

    def __init__(self, tables: Mapping[str, pl.DataFrame]) -> None:
        self._tables = {name: table.sort("valid_from") for name, table in tables.items()}

    def versions(self, enrichment: str, keys: pl.DataFrame) -> pl.DataFrame | None:
        return self._tables.get(enrichment)
