"""Rows of two sides with equal keys paired by time: one to one, nearest first.

That is what a greedy person does with all possible pairs sorted by distance. Here it is done for all keys at once:
rows of one side, key and time are a *cluster*; wherever two clusters are each other's nearest, no other pair can come
before theirs, so they are paired at once. A row in the middle of a long chain of ever smaller gaps has to wait for the
rest of the chain; what is left after a bounded number of rounds is paired one after the other.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

# Rounds look at as many clusters as there are, times this, before the rest is done one by one.
_BUDGET = 16
_NEVER = np.iinfo(np.int64).max


def nearest(
    ours: pl.DataFrame, legacy: pl.DataFrame, key: list[str], time: str, within_us: int
) -> tuple[Ints, Ints, Bools]:
    """Row numbers of both sides that are one pair each, and whether it is a further one of the same keys and times.

    Shapes:
        In: ``key`` and ``time`` (timestamp of microseconds), without nulls.
    Ties:
        As in ``contract.Matching``. A further pair, of several rows with several others, could as well be another.
    Cost:
        One sort; then time in proportion to rows, times log(rows) for chains. In Python only for chains.
    """
    rows, clusters = _clusters(ours, legacy, key, time)
    found = list(_rounds(clusters, within_us))
    if not found:
        none = np.empty(0, np.int64)
        return none, none, np.empty(0, np.bool_)
    one, other, count = (np.concatenate(each) for each in zip(*found, strict=True))
    within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    at_ours, at_legacy = (rows[np.repeat(first, count) + within] for first in (one, other))
    return at_ours, at_legacy, within > 0


@dataclass
class _Clusters:
    """Rows of one key, time and side, in this order. ``start`` is where the first that is free stands among all."""

    key: Ints
    time: Ints
    is_legacy: Bools
    count: Ints
    start: Ints

    def take(self, where: Bools) -> "_Clusters":
        return _Clusters(*(getattr(self, name)[where] for name in ("key", "time", "is_legacy", "count", "start")))


def _clusters(ours: pl.DataFrame, legacy: pl.DataFrame, key: list[str], time: str) -> tuple[Ints, _Clusters]:
    """Row numbers of their sides in the order of clusters, and the clusters; keys of one side alone are left out."""
    sides = [
        side.select(*key, pl.col(time).to_physical().alias("_time"), pl.lit(is_legacy).alias("_side")).with_row_index(
            "_row"
        )
        for side, is_legacy in ((ours, False), (legacy, True))
    ]
    both = pl.concat(sides).with_row_index("_key")
    both = both.filter(pl.col("_side").any().over(key) & ~pl.col("_side").all().over(key))
    both = both.select(pl.col("_key").min().over(key), "_time", "_side", "_row").sort("_key", "_time", "_side", "_row")
    begins = both.select(pl.struct("_key", "_time", "_side").ne_missing(pl.struct("_key", "_time", "_side").shift()))
    start = np.flatnonzero(begins.to_series().to_numpy())
    first = both[start]
    count = np.diff(np.append(start, both.height))
    keys, times = (first[name].cast(pl.Int64).to_numpy() for name in ("_key", "_time"))
    rows = both["_row"].cast(pl.Int64).to_numpy()
    return rows, _Clusters(keys, times, first["_side"].to_numpy(), count, start)


def _rounds(clusters: _Clusters, within_us: int) -> Iterator[tuple[Ints, Ints, Ints]]:
    """Where pairs begin among ours, where among legacy, and how many follow one another."""
    budget = _BUDGET * len(clusters.key)
    while budget > 0 and len(clusters.key):
        budget -= len(clusters.key)
        best, has_any = _best(clusters, within_us)
        one = np.flatnonzero(has_any & ~clusters.is_legacy & (best[best] == np.arange(len(best))))
        other = best[one]
        count = np.minimum(clusters.count[one], clusters.count[other])
        yield clusters.start[one], clusters.start[other], count
        for at in (one, other):
            clusters.count[at] -= count
            clusters.start[at] += count
        clusters = clusters.take(has_any & (clusters.count > 0))
    if len(clusters.key):
        found = np.array(list(_one_by_one(clusters, within_us)), np.int64).reshape(-1, 3)
        yield found[:, 0], found[:, 1], found[:, 2]


def _best(clusters: _Clusters, within_us: int) -> tuple[Ints, Bools]:
    """The nearest cluster of the other side, the earlier of two; and whether there is any within reach."""
    size, at = len(clusters.key), np.arange(len(clusters.key))
    before = [np.maximum.accumulate(np.where(side, at, -1)) for side in (clusters.is_legacy, ~clusters.is_legacy)]
    after = [
        np.minimum.accumulate(np.where(side, at, size)[::-1])[::-1]
        for side in (clusters.is_legacy, ~clusters.is_legacy)
    ]
    earlier, later = (np.where(clusters.is_legacy, each[1], each[0]) for each in (before, after))
    gaps = []
    for place in (earlier, later):
        there = np.clip(place, 0, size - 1)
        gap = np.abs(clusters.time - clusters.time[there])
        gaps.append(
            np.where((place == there) & (clusters.key == clusters.key[there]) & (gap <= within_us), gap, _NEVER)
        )
    best = np.where(gaps[0] <= gaps[1], earlier, later)
    has_any = np.minimum(*gaps) < _NEVER
    return np.where(has_any, best, at), has_any


def _one_by_one(clusters: _Clusters, within_us: int) -> Iterator[tuple[int, int, int]]:
    """The same by a queue of neighbours: the nearest pair of all is always one of neighbours of other sides."""
    key, time, side = clusters.key.tolist(), clusters.time.tolist(), clusters.is_legacy.tolist()
    count, start = clusters.count.tolist(), clusters.start.tolist()
    before, after = list(range(-1, len(key) - 1)), [*range(1, len(key)), -1]
    queue: list[tuple[int, int, int, int, int]] = []

    def meet(left: int, right: int) -> None:
        if left < 0 or right < 0 or side[left] == side[right] or key[left] != key[right]:
            return
        if (gap := time[right] - time[left]) <= within_us:
            one, other = (right, left) if side[left] else (left, right)
            heapq.heappush(queue, (gap, time[other], time[one], one, other))

    for left, right in enumerate(after):
        meet(left, right)
    while queue:
        *_, one, other = heapq.heappop(queue)
        if not (taken := min(count[one], count[other])):
            continue
        yield start[one], start[other], taken
        for at in (one, other):
            count[at], start[at] = count[at] - taken, start[at] + taken
            if not count[at]:
                left, right = before[at], after[at]
                if left >= 0:
                    after[left] = right
                if right >= 0:
                    before[right] = left
                meet(left, right)
