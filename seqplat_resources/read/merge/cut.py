"""The total order of rows of many users, the cut to each user's newest, and which of them are one row of a sequence
that collapses. Pure but for the ties it asks about.

>>> users, stands = np.array([0, 0, 0, 1]), np.array([True, False, True, True])
>>> places, lengths = first_of_each(users, stands, most=2)
>>> places.tolist(), lengths.tolist()
([0, 2, 3], [2, 1])
"""

from collections.abc import Callable

import numpy as np
import polars as pl

from seqplat_resources.online_store.codec.layout import Flags, Ints
from seqplat_resources.read.merge.rows import Rows
from seqplat_resources.release.collapse_plan import CollapsePlan
from seqplat_resources.rules.collapse import heads, together
from seqplat_resources.rules.order import among_equals


def newest_first(rows: Rows, ties: Callable[[Ints], pl.DataFrame]) -> Rows:
    """By user, each one's newest first.

    ``ties`` gives the columns ``TIES`` of rows (by their ``at``). It is asked only for rows of one user and time that
    do not stand in their order already, as published rows of one event type do: they are of one block.
    """
    if rows.size < 2:
        return rows
    same_user = rows.user[1:] == rows.user[:-1]
    if not (np.where(same_user, rows.time[1:] <= rows.time[:-1], rows.user[1:] > rows.user[:-1])).all():
        one_user = same_user.all()  # as a rule, and three times as fast
        latest = -rows.time
        rows = rows.take(np.argsort(latest, kind="stable") if one_user else np.lexsort((latest, rows.user)))
        same_user = rows.user[1:] == rows.user[:-1]
    alike = same_user & (rows.time[1:] == rows.time[:-1])
    tied = alike & ((rows.kind[1:] != rows.kind[:-1]) | ~(rows.from_batch[1:] & rows.from_batch[:-1]))
    if not tied.any():
        return rows
    # All rows of a time, also where only some of them are of another event type or streamed.
    run = np.concatenate([[0], np.cumsum(~alike)])
    among = np.flatnonzero(np.isin(run, run[1:][tied]))
    some = rows.take(among)
    order = np.arange(rows.size)
    order[among] = among[among_equals(ties(some.at), some.kind, run[among])]
    return rows.take(order)


def first_of_each(users: Ints, wanted: Flags, most: int | None) -> tuple[Ints, Ints]:
    """Of rows sorted by user, the places of the first ``most`` wanted ones of each; and how many, by user number."""
    if users.size and users[0] == users[-1] and wanted.all():
        size = users.size if most is None else min(most, users.size)
        return np.arange(size), np.bincount(users[:1]) * size
    places = np.flatnonzero(wanted)
    counts = np.bincount(users[places]) if places.size else np.zeros(0, np.int64)
    if most is None:
        return places, counts
    starts = np.cumsum(counts) - counts
    nth = np.arange(places.size) - starts[users[places]] if places.size else places
    return places[nth < most], np.minimum(counts, most)


def collapsed(rows: Rows, events: pl.DataFrame, plan: CollapsePlan, most: int | None) -> tuple[Rows, pl.DataFrame]:
    """The first ``most`` rows that the events of each user are together, and by their ``row`` what these say.

    ``rows`` are all events in order; ``events`` has the plan's ``names`` of them.
    """
    items, bits = plan.items(events), plan.bits(events)
    places, said = together(rows.user, items, rows.time, bits, plan.within_us, most)
    return rows.take(places)._replace(row=np.arange(places.size)), said


def whole_rows(rows: Rows, events: pl.DataFrame, plan: CollapsePlan, since_us: Ints) -> Ints:
    """By user number how many rows the events are of which nothing is missing, where those from ``since_us`` (by user)
    on are all there. Arguments else as of ``collapsed``.
    """
    head = heads(rows.user, plan.items(events), rows.time, plan.within_us)
    is_whole = (head == np.arange(rows.size)) & (rows.time - plan.within_us >= since_us[rows.user])
    return np.bincount(rows.user[is_whole], minlength=since_us.size)
