"""The events that a view is made of, and what a day of one notes of them: a view's day may need events of other days.

>>> events = ViewEvents.open(shop, ViewPlan.of(shop.loaded, "sessions/visit"))
>>> events.read(days[:1]).select("user_id", "event_id", "event_type").rows()
[('ann', '1', 'purchase'), ('bob', '2', 'purchase')]
>>> moved(shop, "sessions/visit")
{}
"""

import datetime as dt
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.inputs.spans import marks_of, rows_by_day, written_at
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.errors import Final
from seqplat_resources.lake.files import known_notes
from seqplat_resources.lake.layout import DAY
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.release.sequence_plan import promised_days
from seqplat_resources.release.view_plan import ViewPlan
from seqplat_resources.times import date_of, number_of
from sequence_defs.schema import SessionView

# The notes of a bucket: by day the first and last day of events that decide it; the marks of these days' buckets by
# event type; the meaning of the view; and by what its sessions are named.
REACH, MARKS, MEANING, NAMES = "reach", "marks", "meaning", "names"
# First and last number of the days whose events decide a day.
Reach = tuple[int, int]


class EventsMissing(Final):
    """A day of a view, or of a sequence, one of whose event types was never built."""

    @classmethod
    def of(cls, asset: str, day: dt.date, missing: Sequence[str]) -> "EventsMissing":
        """Of ``asset`` the ``day``, for which events of the types ``missing`` are not there."""
        return cls(
            f"{asset} {day}: events of {list(missing)} were never built for that day; "
            f"materialize {', '.join(f'events/{t}' for t in missing)} first, or together with it"
        )


@dataclass(frozen=True)
class ViewEvents:
    """The event tables of a view as they are when this is opened."""

    plan: ViewPlan
    tables: Mapping[str, LakeTable]
    ranges: Mapping[str, tuple[dt.date | None, dt.date | None]]

    @classmethod
    def open(cls, runtime: Runtime, plan: ViewPlan) -> "ViewEvents":
        """Pin them. A type that is retired should have no day, and may have some."""
        release, found = runtime.release, dict[str, LakeTable]()
        for name in dict.fromkeys(plan.definition.event_types):
            found[name] = tables.events(runtime, EventPlan.of(runtime.loaded, name)).pinned()
        live = [name for name in found if release.event_types[name].lifecycle != "retired"]
        ranges = {name: promised_days(release, name) for name in live}
        return cls(plan, found, ranges)

    def expected(self, day: dt.date) -> list[str]:
        """The event types that should have the day."""
        return [
            name
            for name, (start, end) in self.ranges.items()
            if (start is None or day >= start) and (end is None or day < end)
        ]

    def missing(self, day: dt.date) -> list[str]:
        """Those that should have it and do not."""
        return [name for name in self.expected(day) if day not in self.rows_of[name]]

    @cached_property
    def rows_of(self) -> Mapping[str, Mapping[dt.date, int]]:
        """By event type how many rows each day has that is built."""
        return {name: rows_by_day(table) for name, table in self.tables.items()}

    @cached_property
    def rows_by_day(self) -> dict[dt.date, int]:
        """Of all event types together."""
        found: dict[dt.date, int] = {}
        for rows in self.rows_of.values():
            for day, count in rows.items():
                found[day] = found.get(day, 0) + count
        return found

    def read(self, days: Collection[dt.date], users: pl.Series | None = None) -> pl.DataFrame:
        """The standing events of some days, ready to be told apart; ``users`` are the only ones, where given."""
        needs = self.plan.needs
        parts = [pl.LazyFrame(schema=needs)]
        for name, table in self.tables.items():
            if not any(day in self.rows_of[name] for day in days):
                continue
            rows = table.scan().filter(pl.col(DAY).is_in(list(days)), pl.col("op") == "upsert")
            if users is not None:
                rows = rows.filter(pl.col("user_id").is_in(users.implode()))
            has = set(table.schema) - self.plan.lacks[name]
            parts.append(
                rows.select(
                    (pl.col(key) if key in has else pl.lit(None)).cast(of).alias(key) for key, of in needs.items()
                )
            )
        return self.plan.prepared(pl.concat(parts).collect())

    def notes(self, reach: Mapping[dt.date, Reach]) -> dict[str, str]:
        """What buckets of the days in ``reach`` keep in their files."""
        days = {date_of(number) for first, last in reach.values() for number in range(first, last + 1)}
        marks = {name: {str(day): of[day] for day in sorted(days) if day in of} for name, of in self._marks.items()}
        spans = {str(day): [str(date_of(number)) for number in of] for day, of in reach.items()}
        names = {NAMES: self.plan.namer.version} if isinstance(self.plan.definition, SessionView) else {}
        return {REACH: json.dumps(spans), MARKS: json.dumps(marks), MEANING: self.plan.meaning, **names}

    @cached_property
    def _marks(self) -> Mapping[str, Mapping[dt.date, int]]:
        return {name: marks_of(table) for name, table in self.tables.items()}

    def moved(self, day: dt.date, noted: Mapping[str, str]) -> list[tuple[str, dt.date]]:
        """The buckets of events that decide a day and are others than those it notes. One that is gone is none."""
        first, last = json.loads(noted[REACH]).get(str(day), [str(day)] * 2)
        marks: Mapping[str, Mapping[str, int]] = json.loads(noted[MARKS])
        numbers = range(number_of(dt.date.fromisoformat(first)), number_of(dt.date.fromisoformat(last)) + 1)
        return [
            (name, each)
            for name, now in self._marks.items()
            for each in map(date_of, numbers)
            if each in now and now[each] != marks.get(name, {}).get(str(each))
        ]

    def written_at(self, buckets: Iterable[tuple[str, dt.date]]) -> dt.datetime | None:
        """When the newest of some buckets of events was written."""
        at = {name: written_at(table) for name, table in self.tables.items()}
        return max((at[name][day] for name, day in buckets), default=None)


@dataclass(frozen=True)
class ViewMoved:
    """Why a day of a view is to be built again, and since when; ``is_redefined`` where its definition is another."""

    why: str
    at: dt.datetime | None
    is_redefined: bool = False


def moved(runtime: Runtime, asset: str) -> dict[dt.date, ViewMoved]:
    """The built days of ``sessions/<name>`` or ``objects/<name>`` that the events there are now would make others.

    A day whose own events are gone stands. Cost: Delta logs, and the footer of one file per built day, once.
    """
    plan = ViewPlan.of(runtime.loaded, asset)
    table = tables.view(runtime, plan)
    if not table.exists():
        return {}
    events, found = ViewEvents.open(runtime, plan), dict[dt.date, ViewMoved]()
    options = tuple(table.home.storage_options.items())
    for text, path in table.files().group_by(DAY).agg(pl.col("path").first()).sort(DAY).select(DAY, "path").iter_rows():
        day, noted = dt.date.fromisoformat(text), known_notes(f"{table.uri}/{path}", options)
        if events.missing(day):
            continue
        if noted.get(MEANING) != plan.meaning:
            found[day] = ViewMoved("another definition made it", None, is_redefined=True)
        elif others := events.moved(day, noted):
            few = ", ".join(f"events/{name} {each}" for name, each in others[:3]) + (", ..." if others[3:] else "")
            found[day] = ViewMoved(f"built since: {few}", events.written_at(others))
    return found
