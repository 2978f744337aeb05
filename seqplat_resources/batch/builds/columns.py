"""Build single columns of days of events that are there: the engine runs as ever, and only they are written.

Which rows a day has is never assumed: those that come out are compared with those that are stored, one by one and in
order. Where any differs the day is somebody else's business, and is built as a whole.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.errors import Final
from seqplat_resources.lake.columns.whole import WholeTable
from seqplat_resources.lake.files import FilePart, label_of
from seqplat_resources.lake.layout import DAY
from seqplat_resources.lake.table import Bucket, BucketCommit

# What says which row it is, whose, when, and where it came from; the rest of a row may differ, and stays as stored.
ROW = ("user_id", "event_id", "event_time", "rev", "op", "source_partition", "offset", "shard")


class ColumnsUnknown(Final):
    """Columns that the event type does not have, or that say which row it is."""


def require_columns(plan: EventPlan, columns: Sequence[str]) -> None:
    """
    Raises:
        ColumnsUnknown
    """
    system = {"tenant", "event_type", "release", "ingest_time", "available_time", *ROW}
    own = [column.name for column in plan.columns if column.name not in system]
    if wrong := [name for name in columns if name not in own]:
        raise ColumnsUnknown(
            f"{plan.event_type.name} has no column {', '.join(map(repr, wrong))} that can be built alone; there are: "
            f"{', '.join(own)}"
        )


@dataclass
class ColumnsOfDays:
    """``columns`` of some days that are built together, to be put beside them; what is ``other`` is built as a whole.

    Days are taken together that have the same columns beside already (``alike``).
    """

    table: WholeTable
    columns: Sequence[str]
    other: list[dt.date] = field(default_factory=list)

    def put(
        self, days: Sequence[dt.date], made: Iterator[tuple[Mapping[str, dt.date], FilePart]], *, meaning: str
    ) -> list[BucketCommit]:
        """Put them beside the days whose rows are those that are ``made``; nothing where there are none.

        Raises:
            As ``LakeTable.replace_many``.
        """
        found = self._compared(days, made)
        good = [day for day in days if day not in self.other]
        if not good:
            return []

        def parts() -> Iterator[tuple[Bucket, str, pl.DataFrame]]:
            for day in good:
                for path, rows in found[day].items():
                    yield {DAY: day}, path, rows

        return self.table.put_beside([{DAY: day} for day in good], self.columns, parts, meaning=meaning)

    def _compared(
        self, days: Sequence[dt.date], made: Iterator[tuple[Mapping[str, dt.date], FilePart]]
    ) -> dict[dt.date, dict[str, pl.DataFrame]]:
        """By day and file of it the columns of its rows."""
        files = self._files(days)
        found: dict[dt.date, dict[str, pl.DataFrame]] = {day: {} for day in days}
        for bucket, part in made:
            day = bucket[DAY]
            path = files[day].get(part.label)
            if path is None or not self._is_stored(path, part.rows):
                self.other.append(day)
            else:
                found[day][path] = part.rows.select(self.columns)
        for day in days:
            for label, path in files[day].items():
                if path not in found[day]:  # a file of no rows, or of rows that are none any more
                    if label != "none":
                        self.other.append(day)
                    found[day][path] = pl.DataFrame(
                        schema={n: t for n, t in self.table.schema.items() if n in self.columns}
                    )
            if not files[day]:
                self.other.append(day)
        self.other = sorted(set(self.other))
        return found

    def _files(self, days: Sequence[dt.date]) -> dict[dt.date, dict[str, str]]:
        """By day and label its files; none of a day that has several of a label, which no build leaves behind."""
        found: dict[dt.date, dict[str, str]] = {day: {} for day in days}
        for text, path in self.table.files().select(DAY, "path").iter_rows():
            if (day := dt.date.fromisoformat(text)) in found:
                label = label_of(path)
                found[day][label if label not in found[day] else f"{label} {path}"] = path
        return found

    def _is_stored(self, path: str, rows: pl.DataFrame) -> bool:
        keys = [name for name in ROW if name in self.table.schema]
        stored = self.table.read([path]).select(keys)
        return stored.equals(rows.select(keys))
