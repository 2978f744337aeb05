"""Enrichment values for a day of batch: the day's bucket of ``enrichments/<name>``."""

import datetime as dt

import polars as pl

from seqplat_resources.batch import tables
from seqplat_resources.lakehouse.layout import DAY
from seqplat_resources.lakehouse.table import LakeTable
from seqplat_resources.runtime import Runtime
from sequence_defs.schema import Snapshot, Versioned


class LakeLookups:
    """The keyed enrichment tables of a release, opened once for a build of many days. Not thread-safe."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._opened: dict[str, tuple[LakeTable, set[tuple[str, ...]]]] = {}

    def day(self, day: dt.date) -> "DayLookup":
        """Lookup for the events of one day."""
        return DayLookup(self, day)

    def read(self, name: str, day: dt.date) -> pl.DataFrame | None:
        """One day's versions, sorted by ``valid_from``; None where the bucket was not built before this object."""
        table, present = self._open(name)
        if (day.isoformat(),) not in present:
            return None
        return table.scan().filter(pl.col(DAY) == day).drop(DAY).collect().sort("valid_from")

    def _open(self, name: str) -> tuple[LakeTable, set[tuple[str, ...]]]:
        if name not in self._opened:
            definition = self._runtime.release.enrichments[name]
            if not isinstance(definition, Versioned | Snapshot):
                raise TypeError(f"enrichment {name!r} of kind {definition.kind} has no table to look up in")
            table = tables.enrichment(self._runtime, definition)
            self._opened[name] = (table, table.buckets())
        return self._opened[name]


class DayLookup:
    """The engine's ``Lookup`` for one day; each table is read once and kept for all shards of the day."""

    def __init__(self, lookups: LakeLookups, day: dt.date) -> None:
        self._lookups, self._day = lookups, day
        self._read: dict[str, pl.DataFrame | None] = {}

    def versions(self, enrichment: str, keys: pl.DataFrame) -> pl.DataFrame | None:
        if enrichment not in self._read:
            self._read[enrichment] = self._lookups.read(enrichment, self._day)
        return self._read[enrichment]
