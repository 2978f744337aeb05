"""What streams and batch together should answer when one id comes again and again, said the slow way.

A row is a dict: ``user, event_id, event_time, ingest_time, rev, op, passes, source_partition, offset, value, seq``;
``passes`` tells whether the event type's filter lets it through. Rows that were refused are not here.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]
HORIZON = dt.timedelta(hours=72)
Marks = Mapping[str, int]


def day_of(row: Row) -> dt.date:
    day: dt.date = row["event_time"].date()
    return day


def counts(row: Row) -> bool:
    """A row that the filter refuses is nothing, unless it corrects: then it removes what it corrects."""
    return row["passes"] or row["rev"] > 0


def removes(row: Row) -> bool:
    return row["op"] == "retract" or not row["passes"]


def are_copies(one: Row, other: Row) -> bool:
    """Whether two rows of one identity and rev say one event although their times differ."""
    return bool(day_of(one) == day_of(other) or abs(one["event_time"] - other["event_time"]) <= HORIZON)


def best(rows: Iterable[Row], *, batch: Callable[[Row], bool] = lambda row: False) -> list[Row]:
    """The rows that count: those that give way to no other of their event."""

    def rank(row: Row) -> tuple[Any, ...]:
        return (-row["rev"], not batch(row), row["ingest_time"], row["source_partition"], row["offset"])

    by_identity: dict[tuple[str, str], list[Row]] = {}
    for row in sorted(filter(counts, rows), key=rank):
        by_identity.setdefault((row["user"], row["event_id"]), []).append(row)
    return [
        row
        for same in by_identity.values()
        for place, row in enumerate(same)
        if not any(better["rev"] > row["rev"] or are_copies(better, row) for better in same[:place])
    ]


def scattered(rows: Iterable[Row]) -> set[tuple[str, str]]:
    """Identities with copies further apart than the horizon: in between, what they show depends on who met whom."""
    times: dict[tuple[str, str, int], list[dt.datetime]] = {}
    for row in rows:
        times.setdefault((row["user"], row["event_id"], row["rev"]), []).append(row["event_time"])
    return {key[:2] for key, found in times.items() if max(found) - min(found) > HORIZON}


def newest_first(rows: Iterable[Row], *, by_seq: bool) -> list[Row]:
    """The total order. Of equal times a declared order column tells it, nulls last; else positions do."""

    def key(row: Row) -> tuple[Any, ...]:
        declared = (row["seq"] is not None, row["seq"] or 0)
        order: tuple[Any, ...] = declared if by_seq else (row["source_partition"], row["offset"])
        return (row["event_time"], *order, row["event_id"])

    return sorted(rows, key=key, reverse=True)


@dataclass
class World:
    """What was streamed and published so far. Nothing is ever evicted here."""

    rows: list[Row]
    by_seq: bool = False
    streamed: dict[str, int] = field(default_factory=dict)
    buckets: dict[dt.date, tuple[Marks, list[Row]]] = field(default_factory=dict)

    def publish(self, marks_of: Mapping[dt.date, Marks]) -> None:
        """Days that were built, each from the rows before its marks: an event is where the row that counts is."""
        for day, marks in marks_of.items():
            known = [row for row in self.rows if row["offset"] < marks.get(row["source_partition"], 0)]
            self.buckets[day] = (marks, [row for row in best(known) if day_of(row) == day])

    def is_covered(self, row: Row) -> bool:
        marks, _ = self.buckets.get(day_of(row), ({}, []))
        return row["offset"] < marks.get(row["source_partition"], 0)

    def answer(self, user: str, today: dt.date, *, length: int | None = None, window: int | None = None) -> list[Row]:
        """Batch rows and the streamed rows no bucket has read: one per event, not removed, in order, truncated last."""
        published = [row for _, rows in self.buckets.values() for row in rows]
        from_batch = set(map(id, published))
        shown = [row for row in self.rows if row["offset"] < self.streamed.get(row["source_partition"], 0)]
        every = [*published, *(row for row in shown if not self.is_covered(row))]
        mine = [row for row in every if row["user"] == user]
        standing = [row for row in best(mine, batch=lambda row: id(row) in from_batch) if not removes(row)]
        first = self.first_day(today, window)
        return newest_first((row for row in standing if day_of(row) >= first), by_seq=self.by_seq)[:length]

    def first_day(self, today: dt.date, window: int | None) -> dt.date:
        """The window is counted back from the newest day that is published, at the latest from today."""
        if window is None:
            return dt.date.min
        newest = min(max(self.buckets, default=today), today)
        return newest - dt.timedelta(days=min(window - 1, (newest - dt.date.min).days))


def settled(rows: Iterable[Row], user: str, *, by_seq: bool = False) -> list[Row]:
    """What everybody agrees on when all is streamed, built and published."""
    return newest_first((r for r in best(rows) if r["user"] == user and not removes(r)), by_seq=by_seq)
