"""Which events of a user are one row, because they are of one item and near in time; and what that row says.

Events are taken newest first. One joins the row of its item that was begun last, as long as it is no more than
``within_us`` older than the newest event of that row; else it begins another one. So no row stands for a longer time,
and whether an event begins a row hangs on newer ones alone.

>>> at = np.array([100, 90, 80, 30])  # newest first, in microseconds
>>> heads(np.zeros(4, np.int64), items(pl.DataFrame({"item": ["tea", "jam", "tea", "tea"]})), at, within_us=50).tolist()
[0, 1, 0, 3]
"""

import numpy as np
import polars as pl

from seqplat_resources.rules.objects import OF_ONE_OBJECT
from seqplat_resources.rules.spans import Ints, span_starts

# The most events that one user's answer is put together from where an answer has fewer rows than events.
MOST_EVENTS = 65_536


def items(columns: pl.DataFrame) -> Ints:
    """A number for each row, the same for rows that are equal in all columns; with a null in one, of its own."""
    found = np.zeros(columns.height, np.int64)
    for column in columns:
        ranks = np.asarray(column.rank("dense").fill_null(0).to_numpy(), np.int64)
        found = np.unique(found * (ranks.max(initial=0) + 1) + ranks, return_inverse=True)[1]
    is_null = columns.select(pl.any_horizontal(pl.all().is_null())).to_series().to_numpy()
    return np.where(is_null, -1 - np.arange(found.size), found)


def heads(owner: Ints, item: Ints, time_us: Ints, within_us: int) -> Ints:
    """By row the place of the newest row that it is one with; its own where it is that.

    Shapes:
        Rows by owner, each one's in the order of ``rules.order``, newest first. Items of two owners are two.
    Ties:
        Of rows of one time the first one in order is the newest.
    """
    order = np.lexsort((item, owner))
    owner, item, time_us = owner[order], item[order], time_us[order]
    first = np.append(True, (owner[1:] != owner[:-1]) | (item[1:] != item[:-1]))[: order.size]
    starts = span_starts(-time_us, first, within_us)
    found = np.empty(order.size, np.int64)
    found[order] = order[np.maximum.accumulate(np.where(starts, np.arange(order.size), 0))]
    return found


def together(
    owner: Ints, item: Ints, time_us: Ints, bit: pl.Series, within_us: int, most: int | None
) -> tuple[Ints, pl.DataFrame]:
    """The newest ``most`` rows of each owner, as of ``heads``: the places of their newest events, ascending, and what
    they say of all of them: ``actions``, ``events`` and ``first_time``.

    ``bit`` is that of the action of each event (``rules.objects``).
    """
    head = heads(owner, item, time_us, within_us)
    places = np.flatnonzero(head == np.arange(head.size))
    if most is not None:
        of = owner[places]
        places = places[np.arange(places.size) - np.searchsorted(of, of) < most]
    is_shown = np.zeros(head.size, np.bool_)
    is_shown[places] = True
    of_shown = is_shown[head]
    time = pl.Series(time_us[of_shown]).cast(pl.Datetime("us", "UTC"))
    events = pl.DataFrame({"head": head[of_shown], "event_time": time, ":bit": bit.filter(pl.Series(of_shown))})
    return places, events.group_by("head").agg(*OF_ONE_OBJECT).sort("head").select("actions", "events", "first_time")
