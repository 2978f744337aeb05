"""The days that were compared, in ``shadow/<event type>``: what was counted, and of which state of either side."""

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from seqplat_resources.batch.inputs import tables
from seqplat_resources.lake.files import FilePart
from seqplat_resources.lake.layout import DAY, SHADOW
from seqplat_resources.lake.table import BucketCommit, LakeTable
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.days.counts import DayCounts

Marks = Mapping[str, int]


def marks_of(table: LakeTable) -> dict[dt.date, int]:
    """By day, a number that is another one where the bucket was written anew; from the Delta log alone."""
    files = table.files().select(DAY, "path").sort(DAY, "path").group_by(DAY).agg("path")
    return {dt.date.fromisoformat(day): _number(paths) for day, paths in files.iter_rows()}


def _number(paths: list[str]) -> int:
    # 53 bits are exact in every JSON reader.
    return int.from_bytes(hashlib.sha256("\n".join(paths).encode()).digest()[:8]) >> 11


@dataclass(frozen=True)
class ComparedDay:
    """One day as it was counted, by ``release``, of buckets with these ``marks`` (by table).

    ``definition`` is another text where another event type would have been counted, or by another comparison.
    """

    day: dt.date
    release: str
    definition: str
    marks: Marks
    counts: DayCounts


@dataclass(frozen=True)
class ComparedDays:
    """Those of one event type, or of one sequence where ``layer`` says so."""

    table: LakeTable

    @classmethod
    def of(cls, runtime: Runtime, name: str, layer: str = SHADOW) -> "ComparedDays":
        return cls(tables.shadow(runtime, name, layer))

    def keep(self, found: ComparedDay) -> BucketCommit:
        """In place of what was counted of the day before."""
        marks = json.dumps(dict(found.marks), sort_keys=True)
        notes = {"release": found.release, "definition": found.definition, "marks": marks}
        return self.table.replace({DAY: found.day}, [FilePart(found.counts.rows())], notes=lambda: notes)

    def days(self) -> list[dt.date]:
        """All that were compared."""
        return sorted(dt.date.fromisoformat(day) for (day,) in self.table.buckets())

    def read(self, days: Iterable[dt.date]) -> list[ComparedDay]:
        """Those of ``days`` that were compared."""
        wanted = [day for day in self.days() if day in set(days)]
        if not wanted:
            return []
        rows = self.table.scan().filter(pl.col(DAY).is_in(wanted)).collect().partition_by(DAY, as_dict=True)
        found = []
        for day in wanted:
            notes = self.table.notes({DAY: day})
            counts = DayCounts.of(rows[(day,)]) if (day,) in rows else DayCounts({}, {})
            marks = json.loads(notes.get("marks", "{}"))
            found.append(ComparedDay(day, notes.get("release", ""), notes.get("definition", ""), marks, counts))
        return found
