"""The session that a user is in, worked out when somebody asks: of what batch published and what streams saw since.

By the rules by which batch builds ``sessions/<name>``, so the day's table will say the same of the same events; and no
stream keeps a state for it.

>>> plan = ViewPlan.of(shop.loaded, "sessions/visit")
>>> found = current_sessions(plan, plan.events_plan(shop.loaded), store, "ann")
>>> found.sessions.select("start_time", "events", "bought", "state").rows()
[(datetime.datetime(2024, 5, 3, 7, 0, tzinfo=...), 1, 1, 'FINAL')]
"""

from dataclasses import dataclass

import polars as pl

from seqplat_resources.clock import Clock, Deadline, SystemClock
from seqplat_resources.online_store import OnlineStore
from seqplat_resources.read.answer import Answer, answer
from seqplat_resources.read.freshness import Freshness
from seqplat_resources.release.query import Query
from seqplat_resources.release.sequence_plan import SequencePlan
from seqplat_resources.release.view_plan import ViewPlan
from seqplat_resources.rules.collapse import MOST_EVENTS
from seqplat_resources.rules.sessions import OPEN, folded, numbered, state
from seqplat_resources.times import microseconds

# Events that are read first, which are enough for nearly everybody.
FIRST_LOOK = 256


@dataclass(frozen=True)
class CurrentSessions:
    """``sessions``: those of ``user`` that are open, newest first; where none is, the last one there was.

    Columns are those of the table ``sessions/<name>`` up to ``state``, without personal data. ``is_whole`` is False
    where a session has more events than are read at most, so that it began earlier than is said.
    """

    user: str
    sessions: pl.DataFrame
    is_whole: bool
    freshness: Freshness


def current_sessions(
    plan: ViewPlan,
    events: SequencePlan,
    store: OnlineStore,
    user: str,
    *,
    clock: Clock = SystemClock(),
    deadline: Deadline | None = None,
) -> CurrentSessions:
    """
    Shapes:
        One row per scope at most; none of a user without events. A scope whose last event is further back than the
        current session of the newest event reaches may be left out, unless it is still open.
    Raises:
        InvalidKeyError: no store can hold such a user id.
    Cost:
        As an answer of ``FIRST_LOOK`` events; twice as many, and so on, while no pause is among them.
    """
    limit, columns = FIRST_LOOK, tuple(events.columns)
    while True:
        found = answer(events, store, user, Query(columns, limit), clock=clock, deadline=deadline)
        rows = _rooted(plan, found, user, is_all=found.events.height < limit)
        if rows is not None or limit >= MOST_EVENTS or found.freshness.partial:
            break
        limit *= 2
    is_whole = rows is not None
    numbered_rows = rows if rows is not None else _numbered(plan, found, user)
    sealed = found.freshness.sealed_through
    sealed_us = pl.lit(microseconds(sealed) if sealed else None, pl.Int64)
    now = clock.now()
    sessions = folded(numbered_rows, plan.cut, plan.aggregates, plan.namer).with_columns(
        state(now, sealed_us).alias("state")
    )
    lasting = sessions.filter(~pl.col("is_followed")).sort("end_time", "session_id", descending=True)
    opened = lasting.filter(pl.col("state") == OPEN)
    shown = (opened if opened.height else lasting.head(1)).select(_shown(plan))
    return CurrentSessions(user, shown, is_whole, found.freshness)


def _numbered(plan: ViewPlan, found: Answer, user: str) -> pl.DataFrame:
    # An answer is in the order of ``rules.order`` already, by keys that it does not show: its places stand for them.
    rows = found.events.with_columns(
        pl.lit(user).alias("user_id"), (pl.len() - pl.int_range(pl.len())).cast(pl.Int64).alias("offset")
    )
    return numbered(plan.prepared(rows), plan.cut)


def _rooted(plan: ViewPlan, found: Answer, user: str, *, is_all: bool) -> pl.DataFrame | None:
    """The events of chains that are known from their beginning; None where the newest one is not among them."""
    rows = _numbered(plan, found, user)
    if is_all or not rows.height:
        return rows
    time_us = pl.col("event_time").dt.epoch("us")
    begins, oldest = time_us.first().over("chain"), time_us.min()
    is_known = (begins - oldest >= plan.cut.gap_us) | pl.col("is_boundary").fill_null(False).first().over("chain")
    known = rows.filter(is_known)
    newest = found.events["event_time"][0]
    return known if known.height and known["event_time"].max() == newest else None


def _shown(plan: ViewPlan) -> list[str]:
    owned = [column.name for column in plan.owned_by if not column.pii]
    values = [column.name for column in plan.values if not column.pii]
    return ["session_id", "user_id", *owned, "start_time", "end_time", "events", *values, "state"]
