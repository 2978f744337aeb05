"""All that can be found of one user: raw rows, what the engine makes of them, buckets, blocks. Each is read once.

A piece that is missing where this runs is a reason in words, never an error: explanations are asked for when something
is wrong.

>>> evidence = Evidence(shop, store, SequencePlan.of(shop.loaded, "basket"), "ann")
>>> evidence.read(days)
>>> evidence.rows["orders"].rows["product"].to_list()
['tea', 'bread', 'tea']
"""

import datetime as dt
import logging
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property

import polars as pl
from deltalake.exceptions import DeltaError

from seqplat_resources.clock import Deadline
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.errors import Retryable, SeqplatError
from seqplat_resources.explain.trace.engine import EngineTrace
from seqplat_resources.explain.trace.lake import LakeBuckets
from seqplat_resources.explain.trace.online import OnlineView
from seqplat_resources.explain.trace.raw import UserRows
from seqplat_resources.explain.trace.rejects import RejectedRow, refused
from seqplat_resources.explain.trace.visibility import Sight
from seqplat_resources.online_store import OnlineStore
from seqplat_resources.online_store.errors import InvalidKeyError
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.release.sequence_plan import SequencePlan

_log = logging.getLogger(__name__)

# What a lake that cannot be read raises: storage that is away, files that are damaged or gone, also in ways that make
# Polars panic.
UNREADABLE = (SeqplatError, DeltaError, OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException)


class OutOfTime(Retryable):
    """The deadline was over before all was read; ``done`` says how far it came."""

    def __init__(self, done: str = "") -> None:
        super().__init__(f"time ran out {done or 'before it was read'}")


@dataclass
class Evidence:
    """Of one user.

    ``others`` are event types beside the sequence's that may be told of; ``only`` restricts to one.

    ``inside``: whoever asks may be told what went wrong inside, with paths and values; others are told only where.

    Nothing is begun to be read after ``deadline``; ``is_cut_short`` says that something was not, for that reason.
    """

    runtime: Runtime
    store: OnlineStore | None
    plan: SequencePlan
    user: str
    others: Collection[str] = ()
    only: str | None = None
    inside: bool = False
    deadline: Deadline | None = None
    is_cut_short: bool = False
    problems: dict[str, str] = field(default_factory=dict)
    _made: dict[tuple[str, frozenset[dt.date]], EngineTrace | None] = field(default_factory=dict)
    _refused: dict[tuple[str, frozenset[dt.date]], list[RejectedRow]] = field(default_factory=dict)
    _corrected: dict[str, pl.DataFrame] = field(default_factory=dict)
    _buckets: dict[str, LakeBuckets] = field(default_factory=dict)

    @property
    def event_types(self) -> list[str]:
        """Those of the sequence first."""
        release = self.runtime.release
        mine = self.plan.definition.event_types
        names = [*mine, *(name for name in release.event_types if name in self.others and name not in mine)]
        return [name for name in names if self.only in (None, name)]

    @cached_property
    def sight(self) -> Sight:
        """What whoever asks may see of it."""
        return Sight.of(self.plan, self.runtime.release, inside=self.inside)

    @cached_property
    def plans(self) -> dict[str, EventPlan]:
        """Those this installation has the executors of; why not is noted for the others."""
        found = {}
        for name in self.event_types:
            try:
                found[name] = EventPlan.of(self.runtime.loaded, name)
            except SeqplatError as error:
                self.unreadable(name, error)
        return found

    @cached_property
    def rows(self) -> dict[str, UserRows]:
        """By source the user's raw rows."""
        found: dict[str, UserRows] = {}
        for plan in self.plans.values():
            if plan.source.name not in found:
                try:
                    self.require_time()
                    found[plan.source.name] = UserRows.open(self.runtime, plan, self.user)
                except UNREADABLE as error:
                    self.unreadable(plan.source.name, error)
        return found

    @cached_property
    def online(self) -> OnlineView | None:
        """What the online store says; None where there is none, or it cannot be read.

        Raises:
            InvalidKeyError: no store can hold such a user id.
        """
        if self.store is None:
            self.problems.setdefault("online", "there is no online store here")
            return None
        try:
            self.require_time()
            return OnlineView.of(self.plan, self.store, self.user, self.plans, self.runtime.clock)
        except InvalidKeyError:
            raise
        except SeqplatError as error:
            self.unreadable("online", error)
            return None

    def buckets(self, event_type: str) -> LakeBuckets:
        """``events/<type>``.

        Raises:
            OutOfTime: as ``require_time``.
        """
        self.require_time()
        if event_type not in self._buckets:
            self._buckets[event_type] = LakeBuckets.open(self.runtime, self.plans[event_type], self.user)
        return self._buckets[event_type]

    def why_unknown(self, event_type: str) -> str | None:
        """Why nothing can be said of raw rows of an event type; None where something can."""
        if event_type not in self.plans:
            return self.problems[event_type]
        source = self.plans[event_type].source.name
        return self.problems.get(source) or self.problems.get(f"engine:{event_type}") or self._missing(source)

    def made(self, event_type: str) -> EngineTrace | None:
        """What the engine makes of all rows read so far; None where that is not known."""
        if event_type not in self.plans or self.plans[event_type].source.name not in self.rows:
            return None
        plan = self.plans[event_type]
        rows = self.rows[plan.source.name]
        key = (event_type, frozenset(rows.searched))
        if key not in self._made:
            try:
                self.require_time()
                corrections = self.corrections(event_type)
                self._made[key] = (
                    None if corrections is None else EngineTrace.of(plan, rows.rows, rows.near, corrections)
                )
            except UNREADABLE as error:
                self.unreadable(f"engine:{event_type}", error)
                self._made[key] = None
        return self._made[key]

    def read(self, days: Collection[dt.date]) -> None:
        """Raw rows of these days, of all sources."""
        for name, rows in list(self.rows.items()):
            try:
                self.require_time()
                rows.read(days)
            except UNREADABLE as error:
                self.unreadable(name, error)

    def refused(self, event_type: str) -> list[RejectedRow]:
        """Rows of the days read that never became raw rows, and are the user's, or may be."""
        plan = self.plans.get(event_type)
        if plan is None or plan.source.name not in self.rows:
            return []
        searched = self.rows[plan.source.name].searched
        key = (event_type, frozenset(searched))
        if key not in self._refused:
            try:
                self.require_time()
                self._refused[key] = refused(self.runtime, plan, self.user, searched)
            except UNREADABLE as error:
                self.unreadable(f"rejects:{plan.source.name}", error)
                self._refused[key] = []
        return self._refused[key]

    def _missing(self, source: str) -> str | None:
        return self.rows[source].missing

    def corrections(self, event_type: str) -> pl.DataFrame | None:
        """The user's corrections of an event type, of all days; None where they are not known."""
        if event_type not in self.plans or (rows := self.rows.get(self.plans[event_type].source.name)) is None:
            return None
        if event_type not in self._corrected:
            try:
                self.require_time()
                self._corrected[event_type] = rows.corrections(self.plans[event_type])
            except UNREADABLE as error:
                self.unreadable(rows.source.name, error)
                return None
        return self._corrected[event_type]

    def require_time(self, done: str = "") -> None:
        """To be called before anything is read.

        Raises:
            OutOfTime: the deadline is over.
        """
        if self.deadline is not None and self.deadline.is_over:
            raise OutOfTime(done)

    def unreadable(self, what: str, error: BaseException) -> None:
        """Note why nothing is known of something."""
        if isinstance(error, OutOfTime):
            self.is_cut_short, self.problems[what] = True, str(error)
            return
        said = str(error).strip().partition("\n")[0] or type(error).__name__
        _log.warning("explaining: %s cannot be read: %s", what, said)
        self.problems[what] = said if self.inside else f"{what.rpartition(':')[2]} cannot be read here just now"
