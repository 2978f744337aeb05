"""Which days of an event type should be built by now, and how many of them are.

One rule for answers, metrics and the command line. Reads no clock: what day it is comes in.
"""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from seqplat_resources.online_store.codec.layout import Ints
from seqplat_resources.times import FIRST_DAY, day_text, number_of

# The first day and the one after the last, None where open.
Promised: TypeAlias = tuple[dt.date | None, dt.date | None]


@dataclass(frozen=True)
class Due:
    """``days`` are the built days, ascending; those from ``start`` up to and excluding ``stop`` should be there.

    All are numbers since 1970. Without a ``start`` nothing is known of what should be there.
    """

    days: Ints
    start: int | None
    stop: int

    @classmethod
    def of(cls, days: Ints, promised: Promised, today: int, *, expired_before: int = FIRST_DAY) -> "Due":
        """Days are due from the promised first one, else from the first that was built, up to yesterday, or to the
        promised end if that is earlier: today is not over. None before ``expired_before`` is.
        """
        first, end = promised
        start = number_of(first) if first else int(days[0]) if days.size else None
        if expired_before > FIRST_DAY:
            start = max(start, expired_before) if start is not None else expired_before
        return cls(days, start, min(number_of(end), today) if end else today)

    @property
    def total(self) -> int:
        return max(0, self.stop - self.start) if self.start is not None else 0

    def built(self, after_day: int | None = None) -> int:
        """How many of the due days are built, of those ``after_day`` if given."""
        if self.start is None:
            return 0
        first = self.start if after_day is None else max(after_day + 1, self.start)
        return max(0, int(np.searchsorted(self.days, self.stop) - np.searchsorted(self.days, first)))

    def problem(self) -> str | None:
        """What is missing, in words; None if nothing is."""
        if not self.days.size:
            return "nothing published"
        if not (missing := self.total - self.built()):
            return None
        return f"{missing} of {self.total} days not built, newest built {day_text(int(self.days[-1]))}"


def completeness(due: Collection[Due], after_day: int | None = None) -> float:
    """The built share of the days due of several event types, of those ``after_day`` if given.

    1 where nothing is due yet, 0 where that cannot be told: nothing is built, and no first day promised.
    """
    total = sum(each.total for each in due)
    if not total:
        return 0.0 if any(each.start is None for each in due) else 1.0
    return sum(each.built(after_day) for each in due) / total
