"""Revisions of a sequence's events from the lake: of some users, in order, with since when and until when each counted.

>>> plan = SequencePlan.of(shop.loaded, "basket")
>>> rows = RevisionReader.open(shop, plan, Query(), "as_known").read(pl.Series(["ann"]), days[0], days[1])
>>> rows.select("_user", "product", "amount").rows()
[('ann', 'bread', 2), ('ann', 'tea', 3)]
"""

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import polars as pl
import polars.selectors as cs

from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.inputs.availability import SERVING_DELAY
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.lake.columns.whole import WholeTable
from seqplat_resources.lake.layout import DAY
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.read.merge.selection import RowSelection
from seqplat_resources.release.query import Query
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.release.sequence_plan import SequencePlan
from seqplat_resources.rules.identity import IDENTITY
from seqplat_resources.rules.known import KNOWN_FROM, KNOWN_UNTIL, SUPERSEDED_TIME, known
from seqplat_resources.rules.order import ORDER, SOURCE_ORDER, newest_first
from seqplat_resources.rules.precedence import PRECEDENCE
from seqplat_resources.times import day_of, instant, number_of
from seqplat_resources.training.point_in_time import Span
from seqplat_resources.training.question import Mode
from sequence_defs.compiler.sql import storage_dtype

USER, TIME, FROM, UNTIL = "_user", "_event_time", f"_{KNOWN_FROM}", f"_{KNOWN_UNTIL}"
# Of a sequence that collapses, the number of an event's item and the bit of its action.
ITEM, BIT = "_item", "_bit"
_SAMPLE = 4096
# Before the name of a column in an answer, which may be called like one of the event.
OUT = "out:"


@dataclass(frozen=True)
class EventRows:
    """One event type of the sequence, as its tables were when they were opened."""

    name: str
    plan: EventPlan
    events: WholeTable
    superseded: LakeTable | None

    def tables(self, mode: Mode) -> list[LakeTable]:
        """Those that a mode reads: what was superseded says nothing of what counts today."""
        return [self.events, *([self.superseded] if mode != "as_corrected" and self.superseded is not None else [])]

    def of_days(self, table: LakeTable, first: dt.date, last: dt.date) -> pl.LazyFrame:
        return table.scan().filter(pl.col(DAY).is_between(first, last))


@dataclass(frozen=True)
class RevisionReader:
    """``selection`` is what of the sequence is wanted, as serving resolves it."""

    plan: SequencePlan
    selection: RowSelection
    mode: Mode
    types: tuple[EventRows, ...]

    @classmethod
    def open(
        cls,
        runtime: Runtime,
        plan: SequencePlan,
        query: Query,
        mode: Mode,
        versions: Mapping[str, int] = MappingProxyType({}),
    ) -> "RevisionReader":
        """The tables as they are now, or at the versions that are said.

        Raises:
            UnknownSequenceColumn, QueryError: the query cannot be answered from the plan.
            VersionGone: a version that is said is not there any more.
        """
        selection, types = RowSelection.of(plan, query), list[EventRows]()
        for name in selection.kinds:
            event_plan = EventPlan.of(runtime.loaded, plan.stored_as.get(name, name))
            events, superseded = tables.events(runtime, event_plan), tables.superseded(runtime, event_plan)
            beside = versions.get(tables.columns(runtime, event_plan).name)
            # What is superseded is written first, so it is looked at last: a row may be in both, and in none never.
            events = events.pinned(versions.get(events.name), beside)
            superseded = superseded.pinned(versions.get(superseded.name, -1 if versions else None))
            for table in (events, events.beside, superseded) if versions else ():
                if table is not None and table.exists():
                    table.require_files()
            types.append(EventRows(name, event_plan, events, superseded if superseded.exists() else None))
        return cls(plan, selection, mode, tuple(types))

    @property
    def user(self) -> pl.DataType:
        """The type of users' ids."""
        return self.types[0].events.schema["user_id"]

    @property
    def versions(self) -> dict[str, int]:
        """The version of each table that is read."""
        opened: list[LakeTable] = []
        for each in self.types:
            opened += [each.events, *filter(None, (each.events.beside, each.superseded))]
        return {table.name: table.version() for table in opened}

    def span(self, query: Query, now: dt.datetime, *, embargo_us: int = 0, inclusive: bool = False) -> Span:
        """What of a user's rows a label sees."""
        definition, newest, today = self.plan.definition, self.newest_day, day_of(now)
        return Span(
            length=min((each for each in (definition.length, query.limit) if each is not None), default=None),
            embargo_us=embargo_us,
            inclusive=inclusive,
            window_days=definition.window_days,
            newest_day=today if newest is None else min(number_of(newest), today),
        )

    @property
    def newest_day(self) -> dt.date | None:
        """The newest day that any event type has."""
        found = [day for each in self.types for day in self._days_of(each)]
        return max(found, default=None)

    def _days_of(self, each: EventRows) -> list[dt.date]:
        days: list[dt.date] = each.events.files()[DAY].str.to_date().unique().to_list()
        return days

    def days_built(self) -> dict[str, list[dt.date]]:
        """By event type the days that there are."""
        return {each.name: self._days_of(each) for each in self.types}

    def not_built(self, first: dt.date, last: dt.date) -> dict[str, list[dt.date]]:
        """By event type the days between that are not there, of which no label has an event; of those before the first
        that was built none is missed, as a backfill is somebody's decision.
        """
        found = {}
        for each in self.types:
            if each.name not in self.plan.promised:  # it is retired, and nothing more is built of it
                continue
            there, (start, end) = set(self._days_of(each)), self.plan.promised[each.name]
            since = max(first, start or first, min(there, default=last))
            until = last if end is None else min(last, end - dt.timedelta(days=1))
            days = (since + dt.timedelta(days=n) for n in range((until - since).days + 1))
            if missing := [day for day in days if day not in there]:
                found[each.name] = missing
        return found

    def serving_delays(self) -> dict[str, dict[str, str | float]]:
        """By event type, how long after their receipt rows that no stream recorded are taken to be known, and how that
        is known, as its newest day notes it."""
        found = {}
        for each in self.types:
            notes = each.events.notes({DAY: max(self._days_of(each))}) if each.events.files().height else {}
            if SERVING_DELAY in notes:
                found[each.name] = json.loads(notes[SERVING_DELAY])
        return found

    def everybody(self) -> pl.Series:
        """All users that have a row, ascending."""
        found = [table.scan().select("user_id") for each in self.types for table in each.tables(self.mode)]
        return pl.concat(found).unique().collect(engine="streaming").to_series().sort()

    def users(self, labelled: pl.Series, first: dt.date, last: dt.date) -> pl.DataFrame:
        """Of the labelled users those with rows in some days: ``_user``, ascending, and how many ``rows``."""
        wanted = pl.LazyFrame({USER: labelled.unique()})
        found = [
            each.of_days(table, first, last).select(pl.col("user_id").alias(USER)).join(wanted, on=USER, how="semi")
            for each in self.types
            for table in each.tables(self.mode)
        ]
        counted = pl.concat(found).group_by(USER).agg(pl.len().cast(pl.Int64).alias("rows"))
        return counted.collect(engine="streaming").sort(USER)

    def row_bytes(self) -> int:
        """About how many bytes of memory a row takes while it is read."""
        sizes = [1]
        for each in self.types:
            sample = self.picked(each, each.events.scan().head(_SAMPLE)).collect()
            sizes.append(int(sample.estimated_size()) // max(sample.height, 1))
        return max(sizes)

    def read(self, users: pl.Series, first: dt.date, last: dt.date) -> pl.DataFrame:
        """Rows of users (ascending) in the days from ``first`` to ``last``, both included.

        Shapes:
            Out: ``_user``, ascending, each user's rows newest first; ``_event_time``, ``_known_from`` and
            ``_known_until`` (null: nothing outranks it to this day); the asked columns of events as the sequence calls
            them; ``_item`` and ``_bit`` where it collapses.
            Retractions are in it only as the end of what they retract; so are rows that a condition leaves out.
            ``as_corrected``: rows that count today.
        """
        rows, inside = self.named(users, first, last), list[str]()
        if (collapse := self.selection.collapse) is not None:
            rows = rows.with_columns(pl.Series(ITEM, collapse.items(rows)), collapse.bits(rows).alias(BIT))
            inside = [ITEM, BIT]
        return rows.select(USER, TIME, FROM, UNTIL, *inside, *self.selection.fetched)

    def named(self, users: pl.Series, first: dt.date, last: dt.date) -> pl.DataFrame:
        """As ``read``, with what orders and names each row besides (``_event_type``, ``_event_id``, ``_rev``)."""
        parts = [self._rows(each, users, first, last) for each in self.types]
        rows = newest_first(pl.concat(parts), USER, prefix="_")
        if (where := self.selection.where) is not None:
            rows = rows.filter(pl.Series(where.matches(rows, rows.height)))
        return rows

    def _rows(self, each: EventRows, users: pl.Series, first: dt.date, last: dt.date) -> pl.DataFrame:
        # Files are sorted by user, so that the range passes over most of what is of other passes.
        is_between = pl.col("user_id").is_between(pl.lit(users.min(), self.user), pl.lit(users.max(), self.user))
        wanted, scans = pl.LazyFrame({"user_id": users}), list[pl.LazyFrame]()
        for table in each.tables(self.mode):
            of_users = each.of_days(table, first, last).filter(is_between).join(wanted, on="user_id", how="semi")
            scans.append(self.picked(each, of_users, *([SUPERSEDED_TIME] if table is each.superseded else [])))
        rows = known(pl.concat(scans, how="diagonal").collect(), self.plan.horizons[each.name])
        if SUPERSEDED_TIME in rows.columns:  # what a filter withdrew gave way to no row
            rows = rows.with_columns(pl.min_horizontal(KNOWN_UNTIL, SUPERSEDED_TIME).alias(KNOWN_UNTIL))
        counts = pl.col(KNOWN_UNTIL).is_null() if self.mode == "as_corrected" else pl.lit(True)
        since, until = self.selection.since_us, self.selection.until_us
        if since > -(1 << 62):
            counts &= pl.col("event_time") >= instant(since)
        if self.selection.is_bounded:
            counts &= pl.col("event_time") < instant(until)
        rows = rows.filter(counts & (pl.col("op") == "upsert"))
        order = [
            pl.col(key) if key in rows.columns else pl.lit(None, pl.String()).alias(key)
            for key in ORDER
            if key != SOURCE_ORDER or self.plan.is_ordered
        ]
        return rows.select(
            pl.col("user_id").alias(USER),
            *(key.name.prefix("_") for key in order),
            pl.col(KNOWN_FROM, KNOWN_UNTIL, "rev").name.prefix("_"),
            cs.starts_with(OUT).name.replace(f"^{OUT}", ""),
        )

    def picked(self, each: EventRows, rows: pl.LazyFrame, *more: str) -> pl.LazyFrame:
        """What telling revisions apart and in order needs, and the asked columns behind a prefix of theirs."""
        asked = dict.fromkeys([*self.selection.fetched, *self.selection.needed])
        columns = self.plan.picked(each.name, list(asked))
        keys = dict.fromkeys([*IDENTITY, "event_time", "available_time", "op", *PRECEDENCE, *ORDER])
        outs = []
        for out in asked:
            dtype = storage_dtype(self.plan.read_columns[out].dtype)
            value = pl.col(columns[out].name) if out in columns else pl.lit(None, dtype)
            # Legacy's events are stored under another name than answers have.
            outs.append((pl.lit(each.name) if out == "event_type" else value).alias(f"{OUT}{out}"))
        return rows.select(*(key for key in keys if key in each.events.schema), *more, *outs)
