"""Sequences of two sides, user by user: the same ids in the same order, and if not, how far apart.

Users are counted into deciles of activity, because averages hide the few that act most.

>>> ours = pl.DataFrame({"user_id": ["ann", "bob"], "event_ids": [["3", "1"], ["2"]]})
>>> legacy = pl.DataFrame({"user_id": ["ann", "bob"], "event_ids": [["1", "3"], ["2"]]})
>>> dict(compare_sequences(ours, legacy).kinds)
{'identical': 1, 'one_begins_the_other': 0, 'other_order': 1, 'other_events': 0}
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from seqplat_resources.comparison.alignment.lists import Alignment, aligned
from seqplat_resources.comparison.contract import USER, Matching, Sums, merged
from seqplat_resources.comparison.pairing.pairs import SIDES, Pairs, paired

Ints = npt.NDArray[np.int64]
IDS = "event_ids"
TOP = 10
WORST = 20
# Shares are counted in thousandths, those of one length by the other up to ten times.
_PER, _MOST = 1_000, 10_000
# What two sequences of a user are to each other; every user is counted once.
IDENTICAL = "identical"
KINDS = (IDENTICAL, "one_begins_the_other", "other_order", "other_events")
HISTOGRAM = pl.Schema(
    {"decile": pl.Int64(), "measure": pl.String(), "bin": pl.Int64(), "users": pl.Int64(), "total": pl.Float64()}
)


@dataclass(frozen=True)
class SequenceComparison:
    """Counts over users, to be added over shards and days with ``+``.

    ``kinds`` has users per ``KINDS``, ``alone`` those that only one side has (their other sequence counts as empty),
    ``problems`` rows per problem: those of ``pairing.pairs`` by user, and ``unsound_ids``, a null or repeated id in a
    list. ``sums`` has per decile (1 to 10) and metric counts by user: ``other_order`` and ``other_top`` (the first ten)
    of users, ``jaccard`` (ids on one side only) of ids of either, ``edits`` (insertions and deletions) of the longer
    length. ``histogram`` has ``jaccard``, ``edits`` and ``length`` (ours by legacy's) of users in bins of thousandths,
    and their exact ``total``. ``worst`` are users with the most edits for their length, with their counts.
    """

    kinds: Mapping[str, int]
    alone: Mapping[str, int]
    problems: Mapping[str, int]
    sums: Mapping[int, Mapping[str, Sums]]
    histogram: pl.DataFrame
    worst: pl.DataFrame = field(repr=False)

    def __add__(self, other: "SequenceComparison") -> "SequenceComparison":
        keys = ["decile", "measure", "bin"]
        return SequenceComparison(
            kinds=_added(self.kinds, other.kinds),
            alone=_added(self.alone, other.alone),
            problems=_added(self.problems, other.problems),
            sums={at: merged([self.sums.get(at, {}), other.sums.get(at, {})]) for at in {**self.sums, **other.sums}},
            histogram=pl.concat([self.histogram, other.histogram]).group_by(keys).sum().sort(keys),
            worst=_worst(pl.concat([self.worst, other.worst])),
        )

    @property
    def metrics(self) -> dict[str, Sums]:
        """Sums over all deciles."""
        return merged(self.sums.values())

    def mean(self, measure: str, decile: int | None = None) -> float | None:
        """The mean over users; none without users."""
        bins = self._bins(measure, decile)
        return float(bins["total"].sum()) / float(bins["users"].sum()) if bins.height else None

    def quantile(self, measure: str, share: float, decile: int | None = None) -> float | None:
        """The lower end of the thousandth in which the user lies that has ``share`` of all users up to itself."""
        bins = self._bins(measure, decile).group_by("bin").agg(pl.col("users").sum()).sort("bin")
        if not bins.height:
            return None
        upto = bins["users"].cum_sum().to_numpy()
        at = min(int(np.searchsorted(upto, share * upto[-1] - 1e-9)), bins.height - 1)
        return float(bins["bin"][at] / _PER)

    def _bins(self, measure: str, decile: int | None) -> pl.DataFrame:
        return self.histogram.filter(pl.col("measure") == measure, decile is None or pl.col("decile") == decile)


def decile_edges(lengths: pl.Series) -> tuple[int, ...]:
    """The nine lengths up to which the first nine deciles of users go; deciles are empty where many are alike."""
    ordered = lengths.drop_nulls().sort()
    return tuple(int(ordered[max(len(ordered) * part // 10 - 1, 0)]) for part in range(1, 10)) if len(ordered) else ()


def compare_sequences(
    ours: pl.DataFrame, legacy: pl.DataFrame, edges: Sequence[int] | None = None
) -> SequenceComparison:
    """Compare the sequences of all users of two sides, at one time and cut alike.

    Shapes:
        In: ``user_id`` and ``event_ids`` (list of text, in the order given; null is empty). ``edges`` as of
        ``decile_edges``, the same for all that is to be added; left out, they are those of these users.
    Cost:
        See ``alignment.lists.aligned``. Memory grows with the ids of both sides: some million are a good shard.
    """
    pairs = paired(ours, legacy, Matching(key=()))
    users, lists = _side_by_side(ours, legacy, pairs)
    found = aligned(*lists)
    longer = np.maximum(found.ours, found.legacy)
    edges = decile_edges(pl.Series(longer)) if edges is None else edges
    decile = np.searchsorted(np.array(edges, np.int64), longer) + 1
    problems = dict(pairs.problems.group_by("problem").len().iter_rows())
    alone = {f"only_{name}": side.height - pairs.ours.len() for name, side in zip(SIDES, (ours, legacy), strict=True)}
    return SequenceComparison(
        kinds=_kinds(found),
        alone=alone,
        problems={**problems, "unsound_ids": len(found.unsound)} if len(found.unsound) else problems,
        sums={int(at): _sums(found, decile == at) for at in np.unique(decile)},
        histogram=_histogram(found, decile),
        worst=_worst(_with_counts(users, found)),
    )


def _side_by_side(ours: pl.DataFrame, legacy: pl.DataFrame, pairs: Pairs) -> tuple[pl.Series, list[pl.Series]]:
    """Users, and their lists on both sides: pairs first, then who is only on ours, then who is only on legacy's."""
    empty = pl.Series([[]], dtype=ours.schema[IDS])
    sides = [side.select(USER, pl.col(IDS).fill_null(pl.lit(empty).first())) for side in (ours, legacy)]
    alone = [
        side.with_row_index("_row").filter(~pl.col("_row").is_in(rows.implode())).drop("_row")
        for side, rows in zip(sides, (pairs.ours, pairs.legacy), strict=True)
    ]
    none = [empty.new_from_index(0, each.height) for each in alone]
    one, other = sides[0][pairs.ours], sides[1][pairs.legacy]
    users = pl.concat([one[USER], alone[0][USER], alone[1][USER]])
    return users, [pl.concat([one[IDS], alone[0][IDS], none[1]]), pl.concat([other[IDS], none[0], alone[1][IDS]])]


def _kinds(found: Alignment) -> dict[str, int]:
    shorter, longer = np.minimum(found.ours, found.legacy), np.maximum(found.ours, found.legacy)
    identical = found.beginning == longer
    begins = ~identical & (found.beginning == shorter) & (shorter > 0)
    same = ~identical & ~begins & (found.common == longer)
    return dict(
        zip(
            KINDS,
            map(int, (identical.sum(), begins.sum(), same.sum(), (~identical & ~begins & ~same).sum())),
            strict=True,
        )
    )


def _sums(found: Alignment, wanted: npt.NDArray[np.bool_]) -> dict[str, Sums]:
    longer, each = np.maximum(found.ours, found.legacy), np.ones(len(found.ours), np.int64)
    top = np.minimum(found.ours, TOP) == np.minimum(found.legacy, TOP)
    union = found.ours + found.legacy - found.common
    counted = {
        "other_order": (found.beginning < longer, each),
        "other_top": (~(top & (found.beginning >= np.minimum(longer, TOP))), each),
        "jaccard": (union - found.common, union),
        "edits": (found.edits, longer),
    }
    return {name: Sums.of(*(pl.Series(one[wanted]) for one in pair)) for name, pair in counted.items()}


def _histogram(found: Alignment, decile: Ints) -> pl.DataFrame:
    bins = [
        pl.DataFrame({"decile": decile, "bin": np.minimum(top * _PER // bottom, _MOST), "value": top / bottom})
        .group_by("decile", "bin")
        .agg(users=pl.len().cast(pl.Int64), total=pl.col("value").sum())
        .with_columns(measure=pl.lit(measure))
        for measure, top, bottom in _measures(found)
    ]
    return pl.concat(bins).select(HISTOGRAM.names()).cast(HISTOGRAM).sort("decile", "measure", "bin")


def _measures(found: Alignment) -> Iterator[tuple[str, Ints, Ints]]:
    """Numerators and denominators, neither 0 / 0: two empty sequences are alike."""
    union = found.ours + found.legacy - found.common
    nothing = union == 0
    yield "jaccard", found.common + nothing, union + nothing
    yield "edits", found.edits, np.maximum(found.ours, found.legacy) + nothing
    without = found.legacy == 0
    yield "length", np.where(without & ~nothing, _MOST, found.ours + nothing), found.legacy + without


def _with_counts(users: pl.Series, found: Alignment) -> pl.DataFrame:
    counts = {"ours": found.ours, "legacy": found.legacy, "common": found.common, "edits": found.edits}
    return pl.DataFrame({USER: users, **counts}).filter(pl.col("edits") > 0)


def _worst(users: pl.DataFrame) -> pl.DataFrame:
    share = pl.col("edits") / pl.max_horizontal("ours", "legacy")
    return users.sort([share, "edits", USER], descending=[True, True, False]).head(WORST)


def _added(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}}
