"""What the engine makes of a user's raw rows, and what became of each copy of one event there.

The engine is run, not imitated: once as it is, and once as if no filter were stated and only identities declared, which
tells of the rows that it leaves out whose they are.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import polars as pl

from seqplat_resources.batch.inputs.rivals import RANKED
from seqplat_resources.engine.contract import NoLookup
from seqplat_resources.engine.deduplicate import deduplicate
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.engine.run import identified, run
from seqplat_resources.engine.superseded import OtherRows
from seqplat_resources.rules.identity import IDENTITY
from seqplat_resources.rules.precedence import OTHER, decided_by, outranked, winners
from sequence_defs.compiler.arithmetic import checked
from sequence_defs.compiler.sql import schema_of
from sequence_defs.schema import EventType, Source

Position = tuple[str, int]
Fate = Literal["stands", "filtered", "withdrew", "rejected", "repeated", "conflicting", "outranked", "moved", "dropped"]

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
    and ``theirs``, and ``at_time`` is when the winner says that it happened. ``reason`` is that of a reject, ``day_to``
    where a revision ``rev_to`` moved it.
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
    at_time: dt.datetime | None = None
    reason: str = ""
    rev_to: int = 0
    day_to: dt.date | None = None

    @property
    def day(self) -> dt.date:
        return self.event_time.date()


@dataclass(frozen=True)
class EngineTrace:
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
    def of(cls, plan: EventPlan, raw: pl.DataFrame, near: pl.DataFrame, corrections: pl.DataFrame) -> "EngineTrace":
        """Run the engine on ``raw``, and on what ``near``, of other days, has of the same events.

        Raises: ExecutorFailed.
        """
        plan = bare(plan)
        if near.height:
            ids = identified(lenient(plan), raw)[0]["event_id"].unique()
            copies = identified(lenient(plan), near)[0].filter(pl.col("event_id").is_in(ids.implode()))
            at = copies.select(_partition="source_partition", _offset="offset")
            raw = pl.concat([raw, near.join(at, on=at.columns, how="semi")])
        typed, rejects = identified(plan, raw)
        events = run(plan, raw, NoLookup(), beside=OtherRows(corrections)).events
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
        copies = self.typed.filter(pl.col("event_id") == event_id)
        for near in (pl.col("event_time").dt.date() == here.day, pl.col("rev") == here.rev):
            best = self._best(copies.filter(near), at)
            if (best["source_partition"][0], best["offset"][0]) != at:
                return self._beaten(here, typed, best)
        gone = outranked(typed.select(RANKED), self.corrections, IDENTITY, self.plan.horizon)
        gone = gone.sort(f"rev{OTHER}", descending=True)
        if gone.height:
            day_to = gone[f"event_time{OTHER}"][0].date()
            return replace(here, fate="moved", rev_to=gone[f"rev{OTHER}"][0], day_to=day_to)
        return replace(here, fate="withdrew" if here.rev > 0 and not self._keeps(at) else "stands")

    def _best(self, copies: pl.DataFrame, at: Position) -> pl.DataFrame:
        """The one that counts of those that say the same as the one at a position."""
        mine = (copies["source_partition"] == at[0]) & (copies["offset"] == at[1])
        return copies[[winners(copies, IDENTITY, self.plan.horizon).filter(mine)[0]]]

    def _beaten(self, copy: Copy, mine: pl.DataFrame, best: pl.DataFrame) -> Copy:
        """A copy that another one won over: by which key, and whether they say different things."""
        loser, winner = (frame.row(0, named=True) for frame in (mine, best))
        key = decided_by(loser, winner)
        both = pl.concat([mine[:1], best])
        conflicts = deduplicate(both, self.plan.identity, self.plan.payload, self.plan.horizon).conflicts.total()
        fate: Fate = "outranked" if key == "rev" else "conflicting" if conflicts else "repeated"
        by = (winner["source_partition"], winner["offset"])
        return replace(
            copy, fate=fate, by=by, key=key, mine=str(loser[key]), theirs=str(winner[key]), at_time=winner["event_time"]
        )


def spot(at: Position) -> str:
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
    is_stated = stated is not None and keep.meta.eq(checked(stated, schema_of(plan.source.columns)))
    said = stated if stated and is_stated else f"what executor {plan.event_type.executor!r} keeps: {keep}"
    return said, raw.select(names).row(0, named=True)
