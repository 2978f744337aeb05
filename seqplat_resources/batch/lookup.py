"""Enrichment values for a day of batch: the day's bucket of ``enrichments/<name>``."""

import datetime as dt

import polars as pl

from seqplat_resources.batch import tables
from seqplat_resources.lakehouse.layout import DAY
from seqplat_resources.runtime import Runtime


class DayLookup:
    """Looks up in one day's buckets; each table is read once and kept while the day is built. Not thread-safe."""

    def __init__(self, runtime: Runtime, day: dt.date) -> None:
        self._runtime, self._day = runtime, day
        self._tables: dict[str, pl.DataFrame | None] = {}

    def versions(self, enrichment: str, keys: pl.DataFrame) -> pl.DataFrame | None:
        if enrichment not in self._tables:
            self._tables[enrichment] = self._read(enrichment)
        return self._tables[enrichment]

    def _read(self, name: str) -> pl.DataFrame | None:
        definition = self._runtime.release.enrichments[name]
        if definition.kind not in ("versioned", "snapshot"):
            raise TypeError(f"enrichment {name!r} of kind {definition.kind} has no table to look up in")
        table = tables.enrichment(self._runtime, definition)
        if (self._day.isoformat(),) not in table.buckets():
            return None
        return table.scan().filter(pl.col(DAY) == self._day).drop(DAY).collect().sort("valid_from")
