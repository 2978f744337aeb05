"""What followed each of many moments: arrays in, arrays out, no loop over moments or events.

>>> events = pl.DataFrame({"user": ["ann", "ann", "bob"], "at": [10, 30, 20], "value": [1.0, 2.0, 4.0]})
>>> moments = pl.DataFrame({"user": ["ann", "ann", "bob"], "at": [10, 0, 20]})
>>> after(moments, events, "sum", within_us=30).to_list()
[2.0, 3.0, 0.0]
>>> after(moments, events, "time_to", within_us=30).to_list()
[2e-05, 1e-05, None]
"""

import numpy as np
import numpy.typing as npt
import polars as pl

from sequence_defs.schema.sequences import FollowedKind

_Ints = npt.NDArray[np.int64]


def after(moments: pl.DataFrame, events: pl.DataFrame, measure: FollowedKind, *, within_us: int) -> pl.Series:
    """Of each moment, in order, what its user's events in ``(at, at + within_us]`` say.

    Shapes:
        In: ``user`` (any type, the same in both, no nulls) and ``at`` (microseconds, int64); for ``sum`` events also
        have ``value``, a number or null. Events in any order.
        Out: bool of ``did``, int64 of ``count``, float64 of ``sum`` and of ``time_to`` (seconds, null: none).
    Ties:
        Sums add in the order of time and value, so that they are the same whatever order the rows came in.
    Cost:
        Two sorts of all rows; sums also the lengths of all windows.
    """
    users = pl.concat([moments["user"], events["user"]]).rank("dense").cast(pl.Int64).to_numpy()
    mine, theirs = users[: moments.height], users[moments.height :]
    at, times = moments["at"].to_numpy(), events["at"].to_numpy()
    first = _rows_until(theirs, times, mine, at)
    last = _rows_until(theirs, times, mine, at + within_us)
    if measure == "did":
        return pl.Series(last > first)
    if measure == "count":
        return pl.Series(last - first)
    if measure == "time_to":
        ordered = np.append(times[np.lexsort((times, theirs))], 0)
        seconds = (ordered[first] - at) / 1e6
        return pl.Series(seconds).set(pl.Series(last == first), None)
    values = events["value"].fill_null(0).cast(pl.Float64).to_numpy()
    ordered = np.append(values[np.lexsort((values, times, theirs))], 0.0)
    # Pairs of begin and end; what lies between two pairs is thrown away.
    edges = np.column_stack([first, last]).ravel()
    sums = np.add.reduceat(ordered, edges)[::2] if len(edges) else np.empty(0)
    return pl.Series(np.where(last > first, sums, 0.0))


def _rows_until(theirs: _Ints, times: _Ints, mine: _Ints, until: _Ints) -> _Ints:
    """How many events, in order of user and time, lie before or at each moment, those of lesser users included."""
    is_moment = np.repeat([0, 1], [len(times), len(until)])
    order = np.lexsort((is_moment, np.concatenate([times, until]), np.concatenate([theirs, mine])))
    counted = np.cumsum(1 - is_moment[order])
    found = np.empty(len(order), np.int64)
    found[order] = counted
    return found[len(times) :]
