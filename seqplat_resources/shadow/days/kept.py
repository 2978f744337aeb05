"""The days that were compared, in ``shadow/<event type>``: what was counted, and of which state of either side."""

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from seqplat_resources.batch.inputs import tables
from seqplat_resources.lake.files import FilePart, known_notes
from seqplat_resources.lake.layout import DAY, SHADOW
from seqplat_resources.lake.table import BucketCommit, LakeTable
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.days.counts import DayCounts
from seqplat_resources.times import instant_of_ms

Marks = Mapping[str, int]


@dataclass(frozen=True)
class ComparedOf:
    """What a day was compared of: buckets with these ``marks`` (by table), by ``release``.

    ``definition`` is another text where another event type would have been counted, or by another comparison.
    """

    day: dt.date
    release: str
    definition: str
    marks: Marks

    @classmethod
    def noted(cls, day: dt.date, notes: Mapping[str, str]) -> "ComparedOf":
        """By the notes of its bucket."""
        marks = json.loads(notes.get("marks", "{}"))
        return cls(day, notes.get("release", ""), notes.get("definition", ""), marks)


@dataclass(frozen=True)
class ComparedDay(ComparedOf):
    """One day as it was counted."""

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

    def newest(self, days: int) -> list[tuple[ComparedOf, dt.datetime]]:
        """Of the newest that were compared, what they were compared of and when.

        Cost: the footer of one file per day, once per process.
        """
        files = self.table.files().group_by(DAY).agg(pl.col("path").first(), pl.col("written_ms").max()).sort(DAY)
        options = tuple(self.table.home.storage_options.items())
        found = []
        for text, path, at in files.tail(days).select(DAY, "path", "written_ms").iter_rows():
            noted = known_notes(f"{self.table.uri}/{path}", options)
            found.append((ComparedOf.noted(dt.date.fromisoformat(text), noted), instant_of_ms(at)))
        return found

    def read(self, days: Iterable[dt.date]) -> list[ComparedDay]:
        """Those of ``days`` that were compared."""
        wanted = [day for day in self.days() if day in set(days)]
        if not wanted:
            return []
        rows = self.table.scan().filter(pl.col(DAY).is_in(wanted)).collect().partition_by(DAY, as_dict=True)
        found = []
        for day in wanted:
            of = ComparedOf.noted(day, self.table.notes({DAY: day}))
            counts = DayCounts.of(rows[(day,)]) if (day,) in rows else DayCounts({}, {})
            found.append(ComparedDay(day, of.release, of.definition, of.marks, counts))
        return found
