"""Rows that counted once and do not any more: corrected, retracted, moved to another day, or a copy that lost."""

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.rules.identity import IDENTITY
from seqplat_resources.rules.known import KNOWN_FROM, KNOWN_UNTIL, SUPERSEDED_TIME, known
from seqplat_resources.rules.precedence import PRECEDENCE, standing, winners

# Whether a row was visible by itself, at its available time. A stream does not show one that lost to another of the
# same micro-batch.
SHOWN = "_shown"


@dataclass(frozen=True)
class OtherRows:
    """What a build knows beside the rows it runs on.

    ``rivals`` are rows of other days of the same events, with what decides between them. ``stamped`` gives events, or
    rivals, their ``available_time`` and ``SHOWN``; without it nobody asks what counted once.
    """

    rivals: pl.DataFrame
    stamped: Callable[[pl.DataFrame], pl.DataFrame] | None = None

    def standing(self, events: pl.DataFrame, plan: EventPlan) -> pl.DataFrame:
        """The events that no rival outranks."""
        return standing(events, self.rivals, plan.horizon)

    def superseded(self, copies: pl.DataFrame, events: pl.DataFrame, plan: EventPlan) -> pl.DataFrame | None:
        """Of the ``copies`` of events that come more than once, and of the ``events`` that stay of all, those that
        counted for a time, with ``SUPERSEDED_TIME`` behind; None where there are none.

        Shapes:
            In: as ``stamped`` gives them. Out: without ``SHOWN``; in no order.
        Cost: nothing where no event comes more than once and there are no rivals.
        """
        rivals = self.rivals.join(events, on=list(IDENTITY), how="semi") if self.rivals.height else self.rivals
        if self.stamped is None or not (copies.height or rivals.height):
            return None
        touched = events.join(rivals, on=list(IDENTITY), how="semi").join(copies, on=list(IDENTITY), how="anti")
        mine = pl.concat([copies, touched]).with_row_index("_mine")
        keys = [*IDENTITY, "event_time", "available_time", SHOWN, *(key for key in PRECEDENCE if key in rivals.columns)]
        theirs = self.stamped(rivals).select(*keys, pl.lit(None, pl.UInt32).alias("_mine"))
        rows = pl.concat([mine.select(*keys, "_mine"), theirs])
        # One that was never visible and counts no more says nothing that the one it lost to does not say.
        counts = winners(rows, IDENTITY, plan.horizon) == pl.int_range(rows.height, eager=True)
        found = known(rows.filter(pl.col(SHOWN) | counts), plan.horizon)
        was = found.filter(pl.col("_mine").is_not_null() & (pl.col(KNOWN_FROM) < pl.col(KNOWN_UNTIL)))
        until = was.select("_mine", pl.col(KNOWN_UNTIL).alias(SUPERSEDED_TIME))
        return mine.join(until, on="_mine").drop("_mine", SHOWN) if until.height else None
