"""Rows of two sides whose keys are equal, one to one.

A row is written as one integer: the first bits of a hash of its key, and behind them its number. Sorting these, several
times as fast as joining keys, puts rows with equal keys side by side. Where just one row of each side meets, their keys
are looked at; the few that meet more often, as their keys repeat or their hashes collide, are joined by the keys.
"""

from collections.abc import Sequence
from functools import reduce
from operator import and_, xor

import numpy as np
import numpy.typing as npt
import polars as pl

Ints = npt.NDArray[np.int64]
_COPY, _AT = "_copy", "_place"


def equal_keys(
    ours: pl.DataFrame, legacy: pl.DataFrame, columns: Sequence[str]
) -> tuple[pl.DataFrame, tuple[pl.Series, pl.Series]]:
    """Pairs of rows: the first of a key with the first of it, the second with the second; and by side what repeats.

    Shapes:
        In: ``columns`` of the same types, without nulls. Out: ``ours`` (ascending) and ``legacy``, row numbers, and
        ``further``: not the first pair of its key; then, of each side, the rows that are not the first of their key.
    """
    one, other, crowd = _met(ours, legacy, columns)
    if len(one):
        equal = reduce(and_, (ours[name].gather(one) == legacy[name].gather(other) for name in columns)).to_numpy()
        one, other = one[equal], other[equal]
    crowds = [crowd[crowd < ours.height], crowd[crowd >= ours.height] - ours.height]
    few = [_numbered(side, at, columns) for side, at in zip((ours, legacy), crowds, strict=True)]
    joined = few[0].join(few[1], on=[*columns, _COPY], suffix="_other")
    partner, further = np.full(ours.height, -1, np.int64), np.zeros(ours.height, np.bool_)
    partner[one], partner[joined[_AT]] = other, joined[f"{_AT}_other"]
    further[joined[_AT]] = joined[_COPY] > 0
    at = np.flatnonzero(partner >= 0)
    rows = {"ours": pl.Series(at).cast(pl.UInt32), "legacy": pl.Series(partner[at]).cast(pl.UInt32)}
    pairs = pl.DataFrame({**rows, "further": further[at]})
    copies = (each.filter(pl.col(_COPY) > 0)[_AT].sort() for each in few)
    return pairs, (next(copies), next(copies))


def _met(ours: pl.DataFrame, legacy: pl.DataFrame, columns: Sequence[str]) -> tuple[Ints, Ints, Ints]:
    """Rows of ours and of legacy that meet one to one by their hashes; and rows, those of legacy numbered on after
    ours, that share a hash in another way.
    """
    hashes = np.concatenate([_hashes(side, columns) for side in (ours, legacy)])
    bits = np.uint64(len(hashes).bit_length())
    rows = np.arange(len(hashes), dtype=np.uint64)
    sorted_rows = np.sort((hashes >> bits << bits) | rows)
    at = (sorted_rows & ((np.uint64(1) << bits) - np.uint64(1))).astype(np.int64)
    begins = np.flatnonzero(_begins(sorted_rows >> bits))
    size = np.diff(np.append(begins, len(at)))
    two = begins[size == 2]
    meet = (at[two] < ours.height) & (at[two + 1] >= ours.height)
    crowded = size > 2
    crowded[size == 2] = ~meet
    return at[two][meet], at[two + 1][meet] - ours.height, at[np.repeat(crowded, size)]


def _begins(sorted_values: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    """Where a value is another than the one before."""
    begins = np.ones(len(sorted_values), np.bool_)
    np.not_equal(sorted_values[1:], sorted_values[:-1], out=begins[1:])
    return begins


def _hashes(side: pl.DataFrame, columns: Sequence[str]) -> npt.NDArray[np.uint64]:
    hashed = reduce(xor, (pl.col(name).hash(seed=number) for number, name in enumerate(columns)))
    return np.asarray(side.select(hashed).to_series().to_numpy())


def _numbered(side: pl.DataFrame, at: Ints, columns: Sequence[str]) -> pl.DataFrame:
    """Some rows with their numbers, and how many rows of the same key are before them."""
    rows = side.select(columns)[np.sort(at)].with_columns(pl.Series(_AT, np.sort(at)))
    return rows.with_columns(pl.int_range(pl.len()).over(columns).alias(_COPY))
