"""Which row of one side is which of the other. No row is dropped: it is in a pair, or on its side alone.

>>> ours = pl.DataFrame({"user_id": ["ann", "ann"], "event_id": ["1", "2"]})
>>> legacy = pl.DataFrame({"user_id": ["ann", "bob"], "event_id": ["2", "1"]})
>>> pairs = paired(ours, legacy, Matching())
>>> pairs.ours.to_list(), pairs.legacy.to_list()
([1], [0])
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from seqplat_resources.comparison.contract import EVENT_TIME, Matching
from seqplat_resources.comparison.pairing.equal import equal_keys
from seqplat_resources.comparison.pairing.nearest import nearest

# Why a row cannot be paired, or not be told from another one.
NULL_KEY, NULL_TIME, DUPLICATE, MANY_TO_MANY = "null_key", "null_time", "duplicate_key", "many_to_many"
SIDES = OURS_SIDE, LEGACY_SIDE = "ours", "legacy"


@dataclass(frozen=True)
class Pairs:
    """Row numbers of pairs side by side, by rows of ours; and rows with a problem, which may be in a pair as well.

    ``problems`` has ``side``, ``problem`` and ``row``. A problem is ``null_key`` or ``null_time`` (never in a pair),
    ``duplicate_key`` (not the first row of the same key, and time, of its side), ``many_to_many`` (in a pair that could
    as well be another one: both sides have several such rows).
    """

    ours: pl.Series
    legacy: pl.Series
    problems: pl.DataFrame


def paired(ours: pl.DataFrame, legacy: pl.DataFrame, matching: Matching) -> Pairs:
    """Pair the rows of two sides, as ``matching`` says.

    Shapes:
        In: both with its columns, of the same types; with ``within_s`` also ``event_time``.
    Ties:
        Rows of one key are taken in the order they are given: the first with the first, the second with the second.
    Cost:
        One sort of an integer per row. By time: one more sort, of what has no partner at the very same time.
    """
    by_time = matching.within_us is not None
    columns = [*matching.columns, EVENT_TIME] if by_time else matching.columns
    sides = [_Side.of(side, columns, matching.columns) for side in (ours, legacy)]
    pairs, copies = equal_keys(sides[0].keyed, sides[1].keyed, columns)
    if matching.within_us:
        left = [_without(side.keyed, pairs[name]) for name, side in zip(SIDES, sides, strict=True)]
        one, other, further = nearest(left[0], left[1], matching.columns, EVENT_TIME, matching.within_us)
        near = {name: side["_at"].gather(at) for name, side, at in zip(SIDES, left, (one, other), strict=True)}
        near["further"] = pl.Series(further, dtype=pl.Boolean())
        pairs = pl.concat([pairs, pl.DataFrame(near)]).sort(OURS_SIDE)
    rows = [side.rows.gather(pairs[name]) for name, side in zip(SIDES, sides, strict=True)]
    found = []
    for name, side, paired_rows, copy in zip(SIDES, sides, rows, copies, strict=True):
        problems = {
            NULL_KEY: side.null_key,
            NULL_TIME: side.null_time,
            DUPLICATE: side.rows.gather(copy),
            MANY_TO_MANY: paired_rows.filter(pairs["further"]),
        }
        found += [_problem(name, problem, problem_rows) for problem, problem_rows in problems.items()]
    return Pairs(ours=rows[0], legacy=rows[1], problems=pl.concat(found))


@dataclass(frozen=True)
class _Side:
    """``keyed`` has what rows are paired by, ``rows`` their numbers; others are in ``null_key`` and ``null_time``."""

    keyed: pl.DataFrame
    rows: pl.Series
    null_key: pl.Series
    null_time: pl.Series

    @classmethod
    def of(cls, side: pl.DataFrame, columns: Sequence[str], key: Sequence[str]) -> "_Side":
        keyed = side.select(columns).rechunk()
        rows = pl.int_range(side.height, dtype=pl.UInt32(), eager=True)
        no_key = keyed.select(pl.any_horizontal(pl.col(key).is_null())).to_series()
        no_time = keyed.select(pl.any_horizontal(pl.col(columns).is_null())).to_series() & ~no_key
        whole = ~(no_key | no_time)
        if whole.all():
            return cls(keyed, rows, rows.clear(), rows.clear())
        return cls(keyed.filter(whole), rows.filter(whole), rows.filter(no_key), rows.filter(no_time))


def _without(keyed: pl.DataFrame, taken: pl.Series) -> pl.DataFrame:
    left = np.ones(keyed.height, np.bool_)
    left[taken.to_numpy()] = False
    return keyed.with_row_index("_at").filter(pl.Series(left))


def _problem(side: str, problem: str, rows: pl.Series) -> pl.DataFrame:
    return rows.to_frame("row").select(pl.lit(side).alias("side"), pl.lit(problem).alias("problem"), "row")
