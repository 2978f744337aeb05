"""Metrics of sequences: of what their comparison counted by user, and of how far users are apart."""

from collections.abc import Mapping

import polars as pl

from seqplat_resources.comparison.contract import Sums
from seqplat_resources.shadow.verdict.bands import BANDS
from seqplat_resources.shadow.verdict.metrics import Metric

# The comparison counts measures in bins of a thousandth, by their lower end.
_PER = 1_000
_NEAR_SETS, _SHORT, _LONG = 950, 980, 1_020
_BY_USER = {"not_identical": "other_order", "top_10": "other_top"}


def sequence_metrics(sums: Mapping[str, Sums], histogram: pl.DataFrame, *, days: int = 1) -> tuple[Metric, ...]:
    """All metrics of sequences; those of nobody have nothing compared.

    ``days`` is how many days were added up: sequences of one user are nearly the same the next day, so they count once.
    Shapes:
        In: ``sums`` has ``other_order`` and ``other_top`` with one trial per user. ``histogram`` has ``measure``,
        ``bin`` (lower end in thousandths), ``users`` and their exact ``total``; measures are ``jaccard`` (1 is alike),
        ``edits`` (by length; from 1 on nothing is alike) and ``length`` (ours by legacy's).
    """
    again = float(max(1, days))
    counted = {name: sums.get(of, Sums()) for name, of in _BY_USER.items()}
    found = [_share(name, each.differing, each.compared, again) for name, each in counted.items()]
    users, low, at = pl.col("users"), pl.col("bin"), pl.col("bin") / _PER
    jaccard, edits, length = (histogram.filter(measure=name) for name in ("jaccard", "edits", "length"))
    found += [
        _mean("jaccard", jaccard, users - pl.col("total"), 1 - at, again),
        _outside("jaccard_p1", jaccard, low < _NEAR_SETS, again),
        _mean("edit_distance", edits, pl.when(low < _PER).then("total").otherwise("users"), at + 1 / _PER, again),
        _outside("shorter", length, low < _SHORT, again),
        _outside("longer", length, low > _LONG, again),
    ]
    return tuple(found)


def _share(name: str, differing: float, users: int, again: float) -> Metric:
    band = BANDS[name]
    return Metric(name, band.level, band.limit, differing, users, _once(users, again), again)


def _outside(name: str, bins: pl.DataFrame, where: pl.Expr, again: float) -> Metric:
    """Of all users, those in bins beyond a quantile's value."""
    return _share(name, int(bins.filter(where)["users"].sum()), int(bins["users"].sum()), again)


def _mean(name: str, bins: pl.DataFrame, distance: pl.Expr, largest: pl.Expr, again: float) -> Metric:
    """The mean of distances, which in each bin sum up to ``distance`` and are at most ``largest``."""
    band, users = BANDS[name], int(bins["users"].sum())
    each = bins.select(total=distance.clip(0, pl.col("users")), largest=largest.clip(0, 1))
    total = float(each["total"].sum())
    squares = min(total, float((each["total"] * each["largest"]).sum()))
    return Metric(name, band.level, band.limit, total, users, _once(users, again), again, squares)


def _once(users: int, again: float) -> int:
    return -int(-users // again)
