"""Which days a sequence's window has. Days are numbers since 1970-01-01, and days of event times in UTC.

>>> first_day(7, newest_published=19_843, today=19_844)
19837
"""

import numpy as np
import numpy.typing as npt

from seqplat_resources.times import DAY_US


def first_day(window_days: int, newest_published: int | None, today: int, as_of_us: int | None = None) -> int:
    """The first day of a window; there is no last one.

    It is counted back from the newest day that is published of any event type of the sequence, which says how far the
    platform came, or from ``today``, our clock's, if that is older or nothing is published; from the day of ``as_of``,
    if that is older still. No event has a say in it, so none can move another user's window.
    """
    newest = today if newest_published is None else min(newest_published, today)
    return min(newest, newest if as_of_us is None else as_of_us // DAY_US) - window_days + 1


def first_days(
    window_days: int, newest_published: int | None, today: int, as_of_us: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """As ``first_day``, of many times of asking."""
    return np.minimum(first_day(window_days, newest_published, today), as_of_us // DAY_US - window_days + 1)
