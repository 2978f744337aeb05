"""How much two lists of ids have in common, row by row: at their beginnings, as sets, and in the same order.

>>> found = aligned(pl.Series([["4", "3", "1"]]), pl.Series([["4", "1", "3"]]))
>>> found.beginning.tolist(), found.common.tolist(), found.in_order.tolist()
([1], [3], [2])
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from seqplat_resources.comparison.alignment.subsequence import longest_increasing
from seqplat_resources.comparison.contract import USER, Matching
from seqplat_resources.comparison.pairing.pairs import DUPLICATE, NULL_KEY, paired

Ints = npt.NDArray[np.int64]
_ID = "id"


@dataclass(frozen=True)
class Alignment:
    """By row: both lengths, how many ids are equal from the beginning on, how many are in both lists (an id that is
    there twice in both counts twice), and how many of these can be kept in one order, the longest common subsequence.

    Of ids that are in a list several times the n-th is taken for the n-th of the other list, so ``in_order`` may then
    be too low. ``unsound``: rows where a list has an id twice, or a null, which is no other list's null.
    """

    ours: Ints
    legacy: Ints
    beginning: Ints
    common: Ints
    in_order: Ints
    unsound: Ints

    @property
    def edits(self) -> Ints:
        """Insertions and deletions that make one list the other."""
        return self.ours + self.legacy - 2 * self.in_order


def aligned(ours: pl.Series, legacy: pl.Series) -> Alignment:
    """Align lists of ids.

    Shapes:
        In: lists, not null, as many on both sides.
    Cost:
        One pass over lists that are equal. Of others what is equal at the beginning and at the end is cut off, and what
        is left is paired like events.
    """
    lengths = [_lengths(each) for each in (ours, legacy)]
    beginning = _equal_from_start(ours, legacy, lengths)
    apart = np.flatnonzero((beginning < lengths[0]) | (beginning < lengths[1]))
    common, in_order = beginning.copy(), beginning.copy()
    rest = [each.gather(apart) for each in (ours, legacy)]
    left = [length[apart] - beginning[apart] for length in lengths]
    rest = [_cut(each, beginning[apart], n) for each, n in zip(rest, left, strict=True)]
    end = _equal_from_start(rest[0].list.reverse(), rest[1].list.reverse(), left)
    middles = [_cut(each, np.zeros_like(end), n - end) for each, n in zip(rest, left, strict=True)]
    found = _shared(middles[0], middles[1])
    for total, more in zip((common, in_order), found[:2], strict=True):
        total[apart] += end + more
    return Alignment(lengths[0], lengths[1], beginning, common, in_order, unsound=apart[found[2]])


def _lengths(lists: pl.Series) -> Ints:
    return np.asarray(lists.list.len().cast(pl.Int64).to_numpy())


def _cut(lists: pl.Series, offset: Ints, length: Ints) -> pl.Series:
    frame = pl.DataFrame({"lists": lists, "offset": offset, "length": length})
    return frame.select(pl.col("lists").list.slice("offset", "length")).to_series()


def _equal_from_start(ours: pl.Series, legacy: pl.Series, lengths: list[Ints]) -> Ints:
    """By row, how many ids are equal before the first that are not; a null equals nothing."""
    both = np.minimum(*lengths)
    cut = (_cut(each, np.zeros_like(both), both) for each in (ours, legacy))
    one, other = (each.explode(empty_as_null=False) for each in cut)
    wrong = np.append(np.flatnonzero(~(one == other).fill_null(False).to_numpy()), both.sum())
    start = np.cumsum(both) - both
    return np.asarray(np.minimum(wrong[np.searchsorted(wrong, start)] - start, both))


def _shared(ours: pl.Series, legacy: pl.Series) -> tuple[Ints, Ints, Ints]:
    """By row how many ids both lists have, and how many of them in one order; and unsound rows."""
    rows = len(ours)
    sides = [
        pl.DataFrame({USER: pl.int_range(rows, eager=True), _ID: each}).explode(_ID, empty_as_null=False)
        for each in (ours, legacy)
    ]
    pairs = paired(sides[0], sides[1], Matching((_ID,)))
    row = sides[0][USER].gather(pairs.ours).to_numpy()
    common = np.bincount(row, minlength=rows)
    in_order = longest_increasing(pairs.legacy.cast(pl.Int64).to_numpy(), row, rows)
    unsound = [
        side[USER].gather(pairs.problems.filter(pl.col("problem").is_in([NULL_KEY, DUPLICATE]), side=name)["row"])
        for name, side in zip(("ours", "legacy"), sides, strict=True)
    ]
    return common, in_order, np.unique(pl.concat(unsound).to_numpy())
