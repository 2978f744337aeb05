"""Lookups for tests: enrichment values from frames at hand instead of a lake or an online store."""

from collections.abc import Mapping

import polars as pl


class FrameLookup:
    """Values held in memory, for tests and examples."""

    def __init__(self, tables: Mapping[str, pl.DataFrame]) -> None:
        self._tables = {name: table.sort("valid_from") for name, table in tables.items()}

    def versions(self, enrichment: str, keys: pl.DataFrame) -> pl.DataFrame | None:
        return self._tables.get(enrichment)
