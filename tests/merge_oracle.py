"""What merging batch and stream should answer, said the slow way: lists and dicts, sharing no code with what it judges.

A row is a dict: `event_type, user, event_id, event_time, ingest_time, rev, op, source_partition, offset, value`, and
`seen`, when streaming showed it, where that is later than its `ingest_time`.
"""

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]
Marks = Mapping[str, int]
# How far apart the times of copies may be, of event types for which it is not three days.
HORIZONS = {"view": dt.timedelta(hours=24)}


def place(row: Row) -> tuple[Any, ...]:
    """Where a row stands in the order, descending: where its source declares an order, its position says nothing."""
    order = row.get("source_order")
    source = (1, order, "", 0) if order is not None else (0, "", row["source_partition"], row["offset"])
    return row["event_time"], *source, row["event_type"], row["event_id"]


def day_of(row: Row) -> str:
    return str(row["event_time"].date())


def consumed(rows: Iterable[Row], marks: Marks) -> list[Row]:
    return [row for row in rows if row["offset"] < marks.get(row["source_partition"], 0)]


def best(
    rows: Iterable[Row],
    *,
    batch: Callable[[Row], bool] = lambda row: False,
    horizons: Mapping[str, dt.timedelta] = HORIZONS,
) -> list[Row]:
    """The rows that count: those without a better one of their event.

    Rows of one rev are of one event if they are of one day, or no further apart than the horizon; a higher rev counts
    against all of its id.
    """
    same: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in rows:
        same[row["event_type"], row["user"], row["event_id"]].append(row)
    found = []
    for (event_type, _, _), copies in same.items():
        ranked = sorted(
            copies, key=lambda r: (-r["rev"], not batch(r), r["ingest_time"], r["source_partition"], r["offset"])
        )
        horizon = horizons.get(event_type, dt.timedelta(hours=72))
        found += [row for n, row in enumerate(ranked) if not any(beats(o, row, horizon) for o in ranked[:n])]
    return found


def beats(better: Row, row: Row, horizon: dt.timedelta) -> bool:
    """Whether a row of the same id that ranks before another is of the same event."""
    apart = abs(better["event_time"] - row["event_time"])
    return bool(better["rev"] > row["rev"] or day_of(better) == day_of(row) or apart <= horizon)


def bucket(rows: Iterable[Row], event_type: str, day: str, marks: Marks, filtered: Collection[Any]) -> list[Row]:
    """What batch publishes of a day when it has consumed so much: without events that it knows to be of another.

    Rows with a ``filtered`` value are for batch as if they had never been; a correction with one retracts its event.
    """
    known = [
        row if row["value"] not in filtered else {**row, "op": "retract"}
        for row in consumed(rows, marks)
        if row["event_type"] == event_type and (row["value"] not in filtered or row["rev"] > 0)
    ]
    return [row for row in best(known) if day_of(row) == day]


def gave_way(rows: Iterable[Row], published: Iterable[Row], day: str, marks: Marks) -> dict[str, int]:
    """By day, the rows that batch knew of and that gave way to an equal rev among those it ``published`` of ``day``."""
    known, days = consumed(rows, marks), Counter[str]()
    for one in published:
        horizon = HORIZONS.get(one["event_type"], dt.timedelta(hours=72))
        for row in known:
            is_copy = all(one[name] == row[name] for name in ("event_type", "user", "event_id", "rev"))
            days[day_of(row)] += is_copy and day_of(row) != day and beats(one, row, horizon)
    return dict(+days)


@dataclass(frozen=True)
class Wanted:
    """What is asked of a sequence, as functions of a row. ``score`` is the similarity, None without a vector."""

    since: dt.datetime | None = None
    until: dt.datetime | None = None
    event_types: Collection[str] | None = None
    where: Callable[[Row], bool] = lambda row: True
    as_of: dt.datetime | None = None
    score: Callable[[Row], float | None] | None = None
    k: int = 0

    def lets_through(self, row: Row) -> bool:
        return (
            (self.since is None or row["event_time"] >= self.since)
            and (self.until is None or row["event_time"] < self.until)
            and (self.event_types is None or row["event_type"] in self.event_types)
            and self.where(row)
            and (self.score is None or self.score(row) is not None)
        )

    def most_similar(self, rows: list[Row]) -> list[Row]:
        """Of rows in order; Python sorts stably, so that equal ones stay in order."""
        score = self.score
        return rows if score is None else sorted(rows, key=lambda row: score(row) or 0.0, reverse=True)[: self.k]


ALL = Wanted()


@dataclass
class World:
    """What was streamed and published so far, and which day it is. Nothing is ever evicted here."""

    rows: list[Row]
    filtered: Collection[Any] = ()
    streamed: dict[str, int] = field(default_factory=dict)
    today: dt.date = dt.date(2024, 5, 4)
    # Per event type its epochs: day -> (marks, rows of the bucket). The last one is current.
    epochs: dict[str, list[dict[str, tuple[Marks, list[Row]]]]] = field(default_factory=dict)

    def publish(self, event_type: str, days: Iterable[str], marks: Marks) -> None:
        fresh = {day: (dict(marks), bucket(self.rows, event_type, day, marks, self.filtered)) for day in days}
        self.epochs[event_type] = [*self.epochs.get(event_type, []), {**self.current(event_type), **fresh}]

    def rollback(self, event_type: str, to_epoch: int) -> None:
        self.epochs[event_type].append(self.epochs[event_type][to_epoch - 1])

    def current(self, event_type: str) -> dict[str, tuple[Marks, list[Row]]]:
        return self.epochs.get(event_type, [{}])[-1]

    def is_covered(self, row: Row) -> bool:
        marks, _ = self.current(row["event_type"]).get(day_of(row), ({}, []))
        return bool(marks.get(row["source_partition"], 0) > row["offset"])

    def answer(
        self,
        user: str,
        event_types: Iterable[str],
        *,
        length: int | None = None,
        window_days: int | None = None,
        wanted: Wanted = ALL,
        together: Callable[[list[Row]], list[Row]] = lambda rows: rows,
    ) -> list[Row]:
        """Batch rows and stream rows no bucket has read, one per event, not retracted, in order, truncated last.

        ``together`` makes rows of events in order, where several are one.
        """
        mine, from_batch = self.stored(user, event_types)
        if wanted.as_of is not None:
            mine = [row for row in mine if available(row, batch=id(row) in from_batch) <= wanted.as_of]
        first = self.first_day(event_types, window_days, wanted.as_of)
        standing = [row for row in best(mine, batch=lambda r: id(r) in from_batch) if row["op"] != "retract"]
        shown = [row for row in standing if day_of(row) >= first and wanted.lets_through(row)]
        ordered = together(sorted(shown, key=place, reverse=True))
        return wanted.most_similar(ordered[:length])

    def stored(self, user: str, event_types: Iterable[str]) -> tuple[list[Row], set[int]]:
        """A user's rows that count in the comparison, and the identities of those that are published."""
        published = [row for name in event_types for _, rows in self.current(name).values() for row in rows]
        from_batch = set(map(id, published))
        fresh = [
            row for row in self.shown_by_stream(event_types) if not self.is_covered(row) and id(row) not in from_batch
        ]
        return [row for row in [*published, *fresh] if row["user"] == user], from_batch

    def shown_by_stream(self, event_types: Iterable[str]) -> list[Row]:
        return [row for row in consumed(self.rows, self.streamed) if row["event_type"] in event_types]

    def first_day(self, event_types: Iterable[str], window_days: int | None, as_of: dt.datetime | None) -> str:
        if not window_days:
            return ""
        published = [dt.date.fromisoformat(day) for name in event_types for day in self.current(name)]
        newest = min(max(published, default=self.today), self.today)
        newest = min(newest, as_of.date()) if as_of else newest
        return str(newest - dt.timedelta(days=window_days - 1))

    def changed_after(self, user: str, event_types: Iterable[str], as_of: dt.datetime) -> int:
        """Events of which only a revision or retraction is stored that came after ``as_of``."""
        mine, from_batch = self.stored(user, event_types)

        def later(row: Row) -> bool:
            return available(row, batch=id(row) in from_batch) > as_of

        known = {(row["event_type"], row["event_id"]) for row in mine if not later(row)}
        changed = {
            (row["event_type"], row["event_id"])
            for row in mine
            if later(row) and (row["rev"] or row["op"] == "retract")
        }
        return len(changed - known)


def available(row: Row, *, batch: bool) -> dt.datetime:
    """When a row was first visible to readers: batch knows only when it was received."""
    time: dt.datetime = row["ingest_time"] if batch else row.get("seen", row["ingest_time"])
    return time
