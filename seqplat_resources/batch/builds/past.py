"""Write ``superseded/<event_type>`` beside the days of events it belongs to: what counted once, and until when."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from seqplat_resources.batch.builds.healing import with_streamed_values
from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.inputs.spans import by_day
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.lake.files import FilePart
from seqplat_resources.lake.layout import DAY
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.release.runtime import Runtime

# A note in a bucket of events: what its rows superseded is kept.
KEPT = "superseded"


@dataclass
class SupersededRows:
    """Those of some ``days`` that are built together, collected shard by shard. They are few, and held in memory."""

    plan: EventPlan
    table: LakeTable
    days: Sequence[dt.date]
    _parts: list[tuple[Mapping[str, dt.date], FilePart]] = field(default_factory=list)

    @classmethod
    def of(cls, runtime: Runtime, plan: EventPlan, days: Sequence[dt.date]) -> "SupersededRows":
        return cls(plan, tables.superseded(runtime, plan), days)

    def add(self, rows: pl.DataFrame | None, served: LakeTable | None, label: str) -> None:
        """Those of one shard; of enrichments they have what was served of these very rows, where batch has nothing."""
        if rows is None:
            return
        if served is not None:
            at = ("source_partition", "offset", "event_id")
            rows, _ = with_streamed_values(rows, self.plan, served, self.days, same=at)
        self._parts += [
            ({DAY: day}, FilePart(part, label)) for day, part in by_day(rows, pl.col("event_time").dt.date())
        ]

    def keep(self, notes: Mapping[str, str]) -> None:
        """Replace the days' buckets; one that had no rows and gets none is not touched.

        To be called before the events they gave way to are visible: who reads both tables takes away equal rows, so
        that a crash in between loses nothing and doubles nothing.
        Raises:
            As ``LakeTable.replace_many``.
        """
        wanted = {bucket[DAY] for bucket, _ in self._parts}
        if self.table.exists():
            wanted |= {day for (text,) in self.table.buckets() if (day := dt.date.fromisoformat(text)) in self.days}
        if wanted:
            self.table.replace_many([{DAY: day} for day in sorted(wanted)], self._parts, notes=lambda: notes)
