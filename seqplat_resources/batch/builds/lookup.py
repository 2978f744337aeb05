"""Enrichment values for days of batch: the days' buckets of ``enrichments/<name>``."""

import datetime as dt
from collections.abc import Collection, Iterator, Sequence
from itertools import groupby

import polars as pl

from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.inputs.redefined import redefined
from seqplat_resources.enrichment import ServiceLookup
from seqplat_resources.lake.files import label_of
from seqplat_resources.lake.layout import DAY
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.times import end_us, midnight, number_of
from sequence_defs.compiler.sql import UTC_US
from sequence_defs.schema import Snapshot, Versioned


class LakeLookups:
    """The keyed enrichment tables and the services of a release, opened once for a build of many days.

    Not thread-safe; ``close`` it when the build ends. ``days`` are those that it is for; None: any.
    """

    def __init__(self, runtime: Runtime, days: Collection[dt.date] | None = None) -> None:
        self._runtime, self._days = runtime, days
        self.services = ServiceLookup(runtime, runtime.home.environment, patient=True)
        self._opened: dict[str, tuple[LakeTable, dict[dt.date, list[str]]]] = {}

    def close(self) -> None:
        """Close connections to services."""
        self.services.close()

    def over(self, days: Sequence[dt.date]) -> "DaysLookup":
        """Lookup for the events of some days, ascending."""
        return DaysLookup(self, days)

    def has(self, name: str, day: dt.date) -> bool:
        """Whether the day's bucket was built before this object looked, by the definition that there is now."""
        return day in self._open(name)[1]

    def read(self, name: str, days: Sequence[dt.date]) -> pl.DataFrame | None:
        """The versions that events of ``days`` may see, sorted by ``valid_from``.

        Shapes:
            Each version holds within the days of the bucket it was found in and nowhere else, so that an event finds
            exactly what its own day's bucket says. Consecutive days with the same content are read once.
            None where a day's bucket was not built.
        """
        table, files = self._open(name)
        if any(day not in files for day in days):
            return None
        versions = pl.concat(_within(table, files[first], first, last) for first, last in _runs(days, files))
        # Buckets are written in this order, and looking is cheaper than sorting.
        return versions if versions["valid_from"].is_sorted() else versions.sort("valid_from", maintain_order=True)

    def _open(self, name: str) -> tuple[LakeTable, dict[dt.date, list[str]]]:
        if name not in self._opened:
            definition = self._runtime.release.enrichments[name]
            if not isinstance(definition, Versioned | Snapshot):
                raise TypeError(f"enrichment {name!r} of kind {definition.kind} has no table to look up in")
            table = tables.enrichment(self._runtime, definition)
            files: dict[dt.date, list[str]] = {}
            # What another definition looked up would be taken for what this one would have found: as if not built.
            others = redefined(self._runtime, f"enrichments/{name}", self._days)
            for day, path in table.files().select(DAY, "path").iter_rows():
                if (of := dt.date.fromisoformat(day)) not in others:
                    files.setdefault(of, []).append(path)
            self._opened[name] = (table, files)
        return self._opened[name]


class DaysLookup:
    """The engine's ``Lookup`` for some days; each table is read once and kept for all shards of the days."""

    def __init__(self, lookups: LakeLookups, days: Sequence[dt.date]) -> None:
        self._lookups, self._days = lookups, days
        self._read: dict[str, pl.DataFrame | None] = {}

    def versions(self, enrichment: str, keys: pl.DataFrame) -> pl.DataFrame | None:
        if enrichment not in self._read:
            self._read[enrichment] = self._lookups.read(enrichment, self._days)
        return self._read[enrichment]

    def fetch(self, service: str, keys: pl.DataFrame) -> pl.DataFrame:
        return self._lookups.services.fetch(service, keys)


def _runs(days: Sequence[dt.date], files: dict[dt.date, list[str]]) -> Iterator[tuple[dt.date, dt.date]]:
    """First and last of consecutive days whose buckets have the same content, which their files' labels tell."""

    def content(numbered: tuple[int, dt.date]) -> tuple[object, ...]:
        position, day = numbered
        labels = [label_of(path) for path in files[day]]
        known = len(labels) == 1 and labels[0].startswith("c")
        return (labels[0], number_of(day) - position) if known else ("", day)

    for _, group in groupby(enumerate(days), key=content):
        run = [day for _, day in group]
        yield run[0], run[-1]


def _within(table: LakeTable, paths: Sequence[str], first: dt.date, last: dt.date) -> pl.DataFrame:
    """A bucket's versions, cut to the days that have its content. An open start or end is that of the days."""
    start, end = pl.lit(midnight(first)).cast(UTC_US), pl.lit(end_us(last), pl.Int64).cast(UTC_US)
    return table.read(paths).with_columns(
        valid_from=pl.max_horizontal("valid_from", start), valid_to=pl.min_horizontal("valid_to", end)
    )
