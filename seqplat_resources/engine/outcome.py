"""What a run of the engine gives back: events, rejects, and where every raw row went."""

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import polars as pl

from seqplat_resources.values.json_text import json_text

REJECTS_SCHEMA: dict[str, pl.DataType] = {
    "day": pl.Date(),
    "source_partition": pl.String(),
    "offset": pl.Int64(),
    "payload": pl.Binary(),
    "reason": pl.String(),
}

# The position of a reject that stands for all of its file.
WHOLE_FILE = -1


@dataclass(frozen=True)
class Counts:
    """Rows by fate. ``read == filtered + withdrawn + kept`` for raw rows; kept ones give events, rejects, duplicates.

    ``withdrawn`` rows are corrections that the filter leaves out: of them come events as well, which retract what they
    correct. ``moved`` events were unique here and belong to another day, by a later revision or an earlier receipt.
    """

    read: int = 0
    filtered: int = 0
    withdrawn: int = 0
    rejected: int = 0
    duplicates: int = 0
    conflicts: int = 0
    moved: int = 0
    events: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


@dataclass(frozen=True)
class Outcome:
    """``events`` in table order and sorted by user and newest first; ``rejects`` as in ``REJECTS_SCHEMA``.

    ``by_day`` has the counts of each UTC day of event time that any raw row is of. ``superseded`` are rows that counted
    once, with when that ended; None where nobody asked, or there are none.
    """

    events: pl.DataFrame
    rejects: pl.DataFrame
    by_day: Mapping[dt.date, Counts]
    superseded: pl.DataFrame | None = None

    @property
    def counts(self) -> Counts:
        """Of all days together."""
        return sum(self.by_day.values(), start=Counts())


def tally(days: pl.Series) -> Counter[dt.date]:
    """How many of each day there are; nulls are not counted."""
    return Counter(dict(days.drop_nulls().value_counts().iter_rows()))


def rejects_of(
    raw: pl.DataFrame, *, reason: pl.Expr, day: pl.Expr, fields: Sequence[str] | None = None
) -> pl.DataFrame:
    """One reject per row of ``raw``: its bucket, its position, its fields as JSON text, and why.

    ``fields`` are by default the columns without a leading underscore.
    """
    if raw.height == 0:
        return no_rejects()
    fields = [name for name in raw.columns if not name.startswith("_")] if fields is None else fields
    return raw.select(
        day=day,
        source_partition=pl.col("_partition"),
        offset=pl.col("_offset"),
        payload=json_text(fields).cast(pl.Binary),
        reason=reason,
    )


def no_rejects() -> pl.DataFrame:
    """An empty frame of ``REJECTS_SCHEMA``."""
    return pl.DataFrame(schema=REJECTS_SCHEMA)
