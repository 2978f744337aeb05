"""A query resolved against a plan: what to read, what to decode first, which rows to keep. Pure."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from seqplat_resources.read.merge.calendar import EVENT_TIME, times_among
from seqplat_resources.read.merge.published import KEYS
from seqplat_resources.read.merge.similarity import Similarity
from seqplat_resources.read.merge.where import Where, compiled
from seqplat_resources.release.collapse_plan import CollapsePlan
from seqplat_resources.release.query import SIMILARITY, Query, QueryError, TopK
from seqplat_resources.release.sequence_plan import SequencePlan
from seqplat_resources.times import microseconds
from sequence_defs.schema import parse_dtype

# Most requests to a sequence ask for the same: a few columns and a limit.
_SELECTIONS_KEPT = 256
_INT64 = np.iinfo(np.int64)


@dataclass(frozen=True)
class RowSelection:
    """What is wanted of a sequence.

    ``kinds`` are the event types read, by name. ``needed`` are the columns that decide which rows are kept: they are
    decoded of all rows, the others that are ``asked`` only of those kept. ``candidates`` is how many rows of a user
    count at most (None: all), ``most`` how many of those are shown. Times are microseconds since 1970-01-01 UTC.
    With ``collapse`` these are rows that stand for several events; what they say of them is ``asked``, and is not
    ``fetched`` of events.
    """

    asked: tuple[str, ...]
    fetched: tuple[str, ...]
    needed: tuple[str, ...]
    kinds: tuple[str, ...]
    since_us: int
    until_us: int
    as_of_us: int | None
    where: Where | None
    similar: Similarity | None
    candidates: int | None
    most: int | None
    # Columns of stored events that may be decoded: what is asked and needed, and what comparing needs.
    stored: tuple[str, ...]
    times: tuple[str, ...]  # of what is asked, dates and timestamps beside the time of the event
    is_recorded: bool  # whether the answer says which stored revisions it shows
    collapse: CollapsePlan | None

    @classmethod
    def of(cls, plan: SequencePlan, query: Query) -> "RowSelection":
        """
        Raises:
            UnknownSequenceColumn: a column is asked for that the plan does not have.
            QueryError: another field of the query cannot be answered from this plan.
        """
        known = plan.latest.setdefault("selections", {})
        if not isinstance(known, dict):
            raise TypeError("a plan keeps something else where its selections are")
        found = known.get(query)
        if found is None:
            found = cls._resolved(plan, query)
            if len(known) >= _SELECTIONS_KEPT:
                known.clear()
            known[query] = found
        return found

    @classmethod
    def _resolved(cls, plan: SequencePlan, query: Query) -> "RowSelection":
        asked = plan.asked(query.columns)
        of_events = {name: dtype for name, dtype in plan.answer_types.items() if not plan.is_made(name)}
        fetched = tuple(name for name in asked if name in of_events)
        where = compiled(query.where, tuple(of_events.items())) if query.where is not None else None
        similar = _similar(plan, query.top_k) if query.top_k else None
        deciding = [*(where.columns if where else ()), *([similar.column] if similar else ())]
        deciding += plan.collapse.names if plan.collapse else ()
        length, kinds = plan.definition.length, _kinds(plan, query)
        picked = [c.name for kind in kinds for c in plan.picked(kind, [*fetched, *deciding]).values()]
        return cls(
            tuple(asked),
            fetched,
            tuple(dict.fromkeys(deciding)) if deciding else fetched,
            kinds,
            microseconds(query.since) if query.since else int(_INT64.min),
            microseconds(query.until) if query.until else int(_INT64.max),
            microseconds(query.as_of) if query.as_of else None,
            where,
            similar,
            length if similar else _least(length, query.limit),
            _least(similar.k if similar else length, query.limit),
            tuple(dict.fromkeys([*KEYS, *(["available_time"] if query.as_of else []), *picked])),
            times_among((name, plan.answer_types[name]) for name in asked if name != EVENT_TIME),
            plan.definition.answers_recorded > 0,
            plan.collapse,
        )

    @property
    def is_bounded(self) -> bool:
        """Whether there is an upper bound of the time."""
        return self.until_us < _INT64.max

    def empty(self, plan: SequencePlan) -> pl.DataFrame:
        """An answer without rows."""
        found = plan.empty[list(self.asked)]
        return found.with_columns(pl.Series(SIMILARITY, [], pl.Float32)) if self.similar else found


def _least(*numbers: int | None) -> int | None:
    return min((number for number in numbers if number is not None), default=None)


def _kinds(plan: SequencePlan, query: Query) -> tuple[str, ...]:
    known = plan.definition.event_types
    if query.event_types is None:
        return tuple(sorted(known))
    if unknown := [name for name in query.event_types if name not in known]:
        what = f"sequence {plan.definition.name!r} has no event type {unknown[0]!r}"
        raise QueryError("event_types", what, fix=f"use {', '.join(known)}")
    if not query.event_types:
        raise QueryError("event_types", "none is given", fix=f"use {', '.join(known)}, or leave it out for all")
    return tuple(sorted(set(query.event_types)))


def _similar(plan: SequencePlan, top_k: TopK) -> Similarity:
    vectors = {name: parsed for name, c in plan.columns.items() if (parsed := parse_dtype(c.dtype)).kind == "vector"}
    fix = f"use {' or '.join(vectors)}" if vectors else "leave top_k out: this sequence has no vectors"
    if top_k.column not in plan.columns:
        raise QueryError("top_k", f"sequence {plan.definition.name!r} has no column {top_k.column!r}", fix=fix)
    if top_k.column not in vectors:
        dtype = plan.columns[top_k.column].dtype
        raise QueryError("top_k", f"column {top_k.column!r} is {dtype}, not a vector", fix=fix)
    dim = vectors[top_k.column].dim
    if len(top_k.vector) != dim:
        what = f"it has {len(top_k.vector)} numbers, but the vectors of {top_k.column!r} have {dim}"
        raise QueryError("vector", what, fix=f"give {dim} numbers")
    return Similarity.of(top_k)
