"""Spans of bounded length over sorted times: each begins at the first time that the one before does not reach.

>>> first = np.array([True, False, False, False])
>>> span_starts(np.array([0, 6, 11, 16]), first, most=10).tolist()
[True, False, True, False]
"""

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def span_starts(time: Ints, first: Flags, most: int) -> Flags:
    """Which rows begin a span: the ``first`` of each run, and every row more than ``most`` after its span's beginning.

    Shapes:
        Times of runs end to end, ascending within each; the very first row is a ``first`` one.
    Cost:
        Linear where no run is longer than a span; else a few passes for each doubling of the spans of a run, however
        they lie.
    """
    starts, size = np.append(first, True), time.size
    at = np.flatnonzero(starts)
    begin, end = at[:-1], at[1:]
    is_long = time[end - 1] - time[begin] > most
    if not is_long.any():
        return first.copy()
    run = np.cumsum(first) - 1
    some = np.flatnonzero(is_long[run])
    following = np.append(end[run], size)
    following[some] = first_beyond(time, some + 1, end[run[some]], time[some] + most)
    # Beginnings up to 2, 4, 8... spans behind the first of a run: each pass jumps twice as far as the one before.
    while not starts[found := following[np.flatnonzero(starts)]].all():
        starts[found] = True
        following = following[following]
    return starts[:-1]


def first_beyond(time: Ints, low: Ints, high: Ints, bound: Ints) -> Ints:
    """Of each range of ascending times, the first place whose time is beyond its bound; ``high`` where none is."""
    low, high = low.copy(), high.copy()
    for _ in range(int((high - low).max(initial=0)).bit_length()):
        middle = (low + high) >> 1
        is_open = low < high
        is_beyond = time[np.where(is_open, middle, 0)] > bound
        high = np.where(is_open & is_beyond, middle, high)
        low = np.where(is_open & ~is_beyond, middle + 1, low)
    return low
