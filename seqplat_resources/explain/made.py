"""What the engine makes of a user's raw rows, and what became of each copy of one event there.

The engine is run, not imitated: once as it is, and once as if no filter were stated and only identities declared, which
tells of the rows that it leaves out whose they are.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import polars as pl

from seqplat_resources.batch.inputs import moved, standing
from seqplat_resources.engine.contract import NoLookup
from seqplat_resources.engine.deduplicate import KEPT, deduplicate
from seqplat_resources.engine.outcome import json_text
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.engine.run import identified, run
from seqplat_resources.lakehouse.layout import DAY
from sequence_defs.compiler.sql import expression
from sequence_defs.schema import EventType, Source

Position = tuple[str, int]
Fate = Literal["stands", "filtered", "rejected", "repeated", "conflicting", "outranked", "moved", "dropped"]

_AT = ("source_partition", "offset")


class _KeepAll:
    """An executor without its filter."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def keep(self, event_type: EventType, source: Source) -> pl.Expr:
        return pl.lit(True)

    def normalize(self, raw: pl.LazyFrame, event_type: EventType, source: Source) -> pl.LazyFrame:
        found: pl.LazyFrame = self._inner.normalize(raw, event_type, source)
        return found


@dataclass(frozen=True)
class Copy:
    """One raw row that says the event, and what became of it.

    ``by`` is the position of the copy that won over it, ``key`` what decided between them: the two values are ``mine``
    and ``theirs``. ``reason`` is that of a reject, ``day_to`` where a revision ``rev_to`` moved it.
    """

    at: Position
    event_time: dt.datetime
    ingest_time: dt.datetime
    rev: int
    op: str
    fate: Fate
    by: Position | None = None
    key: str = ""
    mine: str = ""
    theirs: str = ""
    reason: str = ""
    rev_to: int = 0
    day_to: dt.date | None = None

    @property
    def day(self) -> dt.date:
        return self.event_time.date()


@dataclass(frozen=True)
class Made:
    """One event type's share of a user's raw rows of some days.

    ``identities`` has the id of every row that says one, whether or not it is kept; ``outcome`` the events a bucket
    of each day would hold, without enrichments.
    """

    plan: EventPlan
    raw: pl.DataFrame
    identities: pl.DataFrame
    typed: pl.DataFrame
    rejects: Mapping[Position, str]
    outcome: pl.DataFrame
    corrections: pl.DataFrame

    @classmethod
    def of(cls, plan: EventPlan, raw: pl.DataFrame, corrections: pl.DataFrame) -> "Made":
        """Run the engine. Raises: ExecutorFailed."""
        plan = bare(plan)
        typed, rejects = identified(plan, raw)
        events = run(plan, raw, NoLookup(), standing=partial(standing, corrections=corrections)).events
        return cls(
            plan,
            raw,
            identified(lenient(plan), raw)[0],
            typed,
            {(partition, offset): reason for partition, offset, reason in rejects.select(*_AT, "reason").iter_rows()},
            events,
            corrections,
        )

    @property
    def ids(self) -> list[str]:
        """All ids there are, newest event first."""
        found = self.identities.sort("event_time", descending=True, maintain_order=True)["event_id"]
        return found.unique(maintain_order=True).to_list()

    def copies(self, event_id: str) -> list[Copy]:
        """Every copy of an event, by time of receipt."""
        mine = self.identities.filter(pl.col("event_id") == event_id).sort("ingest_time", *_AT)
        found = dict.fromkeys((row["source_partition"], row["offset"]) for row in mine.iter_rows(named=True))
        rows = {(row["source_partition"], row["offset"]): row for row in mine.iter_rows(named=True)}
        return [self._copy(at, rows[at], event_id) for at in found]

    def ids_at(self, at: Position) -> list[str]:
        """The ids that one raw row says."""
        here = (pl.col("source_partition") == at[0]) & (pl.col("offset") == at[1])
        return self.identities.filter(here)["event_id"].unique(maintain_order=True).to_list()

    def event(self, event_id: str, day: dt.date) -> pl.DataFrame:
        """The event as the engine gives it for a day: one row, or none."""
        of_day = pl.col("event_time").dt.date() == day
        return self.outcome.filter((pl.col("event_id") == event_id) & of_day)

    def raw_at(self, at: Position) -> pl.DataFrame:
        """The raw row at a position."""
        return self.raw.filter((pl.col("_partition") == at[0]) & (pl.col("_offset") == at[1]))

    def _keeps(self, at: Position) -> bool:
        keep = self.plan.executor.keep(self.plan.event_type, self.plan.source)
        return bool(self.raw_at(at).filter(keep).height)

    def _copy(self, at: Position, row: Mapping[str, Any], event_id: str) -> Copy:
        typed = self.typed.filter(
            (pl.col("event_id") == event_id) & (pl.col("source_partition") == at[0]) & (pl.col("offset") == at[1])
        )
        here = Copy(at, row["event_time"], row["ingest_time"], row["rev"], row["op"], "dropped")
        if at in self.rejects:
            return replace(here, fate="rejected", reason=self.rejects[at])
        if not typed.height:
            return replace(here, fate="dropped" if self._keeps(at) else "filtered")
        here = replace(here, rev=typed["rev"][0], op=typed["op"][0])
        copies = self.typed.filter((pl.col("event_id") == event_id) & (pl.col("event_time").dt.date() == here.day))
        unique = deduplicate(copies, self.plan.identity, self.plan.payload).events
        best = (unique["source_partition"][0], unique["offset"][0])
        if best != at:
            return self._beaten(here, typed, unique)
        identity = typed.select("user_id", "event_id", "rev", pl.col("event_time").dt.date().alias(DAY))
        gone = moved(identity, self.corrections).sort("rev_to", descending=True)
        if gone.height:
            return replace(here, fate="moved", rev_to=gone["rev_to"][0], day_to=gone[f"{DAY}_to"][0])
        return replace(here, fate="stands")

    def _beaten(self, copy: Copy, mine: pl.DataFrame, best: pl.DataFrame) -> Copy:
        """A copy that another one won over: by which key, and whether they say different things."""
        pair = [frame.with_columns(_payload=json_text(self.plan.payload)) for frame in (mine[:1], best)]
        loser, winner = (frame.row(0, named=True) for frame in pair)
        key = next(name for name in KEPT if loser[name] != winner[name])
        both = pl.concat([mine[:1], best])
        conflicts = deduplicate(both, self.plan.identity, self.plan.payload).conflicts.total()
        fate: Fate = "outranked" if key == "rev" else "conflicting" if conflicts else "repeated"
        by = (winner["source_partition"], winner["offset"])
        return replace(copy, fate=fate, by=by, key=key, mine=str(loser[key]), theirs=str(winner[key]))


def shown(at: Position) -> str:
    """A position as people write it: ``partition@offset``."""
    return f"{at[0]}@{at[1]}"


def bare(plan: EventPlan) -> EventPlan:
    """The plan without enrichments: identity, filter and precedence do not know them."""
    return replace(plan, event_type=plan.event_type.model_copy(update={"enrichments": ()}), attachments=())


def lenient(plan: EventPlan) -> EventPlan:
    """The plan that gives an event of every raw row that says an identity, whatever else is wrong with it."""
    keys = tuple(column for column in plan.event_type.columns if column.name in plan.identity)
    return replace(
        bare(plan),
        event_type=plan.event_type.model_copy(update={"columns": keys, "enrichments": (), "filter": None}),
        source=plan.source.model_copy(update={"op": None}),
        executor=_KeepAll(plan.executor),
    )


def filter_of(plan: EventPlan, raw: pl.DataFrame) -> tuple[str, dict[str, Any]]:
    """The filter in words, and of one raw row the values it looked at."""
    keep = plan.executor.keep(plan.event_type, plan.source)
    names = [name for name in dict.fromkeys(keep.meta.root_names()) if name in raw.columns]
    stated = plan.event_type.filter
    is_stated = stated is not None and keep.meta.eq(expression(stated))
    said = stated if stated and is_stated else f"what executor {plan.event_type.executor!r} keeps: {keep}"
    return said, raw.select(names).row(0, named=True)
