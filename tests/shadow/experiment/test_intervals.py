"""Sums, differences and their intervals are what scipy, and plain arithmetic over users, say they are."""

import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import optimize, stats

from seqplat_resources.shadow.experiment.arms import Arm, arm_of, sums_by, together
from seqplat_resources.shadow.experiment.intervals import (
    ALPHA,
    POWER,
    TUNED_FOR,
    Difference,
    difference,
    every_look_factor,
    ratio_bounds,
)
from seqplat_resources.shadow.experiment.sample_ratio import sample_ratio

RANDOM = [(seed, users) for seed in range(4) for users in (3, 150, 4_000)]


def arm(y: Any, x: Any = None) -> Arm:
    """Of values by user."""
    x = np.ones(len(y)) if x is None else x
    frame = pl.DataFrame({"y": np.asarray(y, float), "x": np.asarray(x, float), "capped": False, "unusable": 0})
    return arm_of(sums_by(frame.with_columns(arm=1), "arm").row(0, named=True))


def compared(ours: Arm, legacy: Arm) -> Difference:
    assert ours.estimate is not None
    assert legacy.estimate is not None
    return difference(ours.estimate, legacy.estimate)


@pytest.mark.parametrize(("seed", "users"), RANDOM)
def test_a_difference_of_means_is_welchs(seed: int, users: int) -> None:
    rng = np.random.default_rng(seed)
    ours, legacy = rng.lognormal(1, 1, users), rng.gamma(2, 3, users + 7)
    found = compared(arm(ours), arm(legacy))
    wanted = stats.ttest_ind(ours, legacy, equal_var=False)
    interval = wanted.confidence_interval(1 - ALPHA)
    assert found.value == pytest.approx(ours.mean() - legacy.mean())
    assert (found.one_look.lower, found.one_look.upper) == pytest.approx((interval.low, interval.high))
    factor, error = every_look_factor(2 * users + 7), (ours.mean() - legacy.mean()) / wanted.statistic
    assert found.every_look.lower == pytest.approx(found.value - factor * error)
    assert found.every_look.upper == pytest.approx(found.value + factor * error)
    assert found.detectable == pytest.approx((factor + stats.norm.ppf(POWER)) * error)


@pytest.mark.parametrize(("seed", "users"), RANDOM)
def test_the_variance_of_a_ratio_is_the_jackknifes_but_for_smaller_terms(seed: int, users: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.poisson(4, users) + 1.0
    y = x * rng.lognormal(2, 0.4, users)
    found = arm(y, x)
    assert found.estimate is not None
    assert found.value == pytest.approx(y.sum() / x.sum())
    left_out = (y.sum() - y) / (x.sum() - x)
    jackknife = (users - 1) / users * ((left_out - left_out.mean()) ** 2).sum()
    assert found.estimate.variance == pytest.approx(jackknife, rel=3 / users)


@pytest.mark.parametrize("seed", range(6))
def test_parts_put_together_are_the_whole(seed: int) -> None:
    """Also where values are large and alike, of which sums of squares would keep no digit."""
    rng = np.random.default_rng(seed)
    y = 1e9 + rng.normal(0, 1, 2_000)
    x = 1.0 + rng.poisson(2, 2_000)
    rows = pl.DataFrame({"y": y, "x": x, "capped": y > 1e9, "unusable": 1, "arm": 1, "part": rng.integers(0, 9, 2_000)})
    whole = arm_of(sums_by(rows, "arm").row(0, named=True))
    parts = pl.concat([sums_by(part, "arm", "part") for part in rows.partition_by("part")])
    found = arm_of(together(parts, "arm").row(0, named=True))
    assert found.unusable == found.users == 2_000
    assert {name: getattr(found, name) for name in Arm.__annotations__} == pytest.approx(
        {name: getattr(whole, name) for name in Arm.__annotations__}, rel=1e-6
    )
    assert whole.yy / 1_999 == pytest.approx(np.var(y - 1e9, ddof=1), rel=1e-6)


@pytest.mark.parametrize(("ours", "legacy", "declared"), [(510, 490, 5000), (130, 9_870, 100), (0, 5_000, 1000)])
def test_the_sample_ratio_is_scipys_chi_square(ours: int, legacy: int, declared: int) -> None:
    users, share = ours + legacy, declared / 10_000
    wanted = stats.chisquare([ours, legacy], [users * share, users * (1 - share)])
    assert sample_ratio(ours, legacy, declared).p == pytest.approx(wanted.pvalue)


@pytest.mark.parametrize(
    ("ours", "legacy", "declared", "is_red", "is_enough"),
    [
        (0, 0, 5000, False, False),
        (1, 0, 5000, False, False),
        (0, 11, 5000, True, True),
        (0, 1_000, 100, False, False),  # 10 were due; nobody can tell yet
        (0, 1_100, 100, True, True),
        (8, 192, 100, False, False),  # chi-square alone would say one in fifty thousand; it is no bell curve here
        (5_010_000, 4_990_000, 5000, True, True),
        (5_009_000, 4_991_000, 5000, False, True),  # certain, and less than 0.1 points
    ],
)
def test_arms_are_red_where_the_deviation_is_sure_and_matters(
    ours: int, legacy: int, declared: int, is_red: bool, is_enough: bool
) -> None:
    found = sample_ratio(ours, legacy, declared)
    assert (found.is_red, found.is_enough) == (is_red, is_enough)
    assert bool(found.says) is (is_red or not is_enough)


def test_the_factor_is_the_gaussian_mixtures_and_near_its_least_where_it_was_tuned() -> None:
    """The mixture of bets is worth 1/alpha exactly where the interval ends."""
    users, factor = 5_000, every_look_factor(5_000)
    wanted = -2 * math.log(ALPHA)
    variance = (wanted + math.log(wanted + 1)) / TUNED_FOR
    total = factor * math.sqrt(users)

    def won(bet: float) -> float:
        return math.exp(bet * total - bet * bet * users / 2) * stats.norm.pdf(bet, scale=math.sqrt(variance))

    edge = 12 / math.sqrt(users)
    grid = np.linspace(total / users - edge, total / users + edge, 20_001)
    assert np.trapezoid([won(bet) for bet in grid], grid) == pytest.approx(1 / ALPHA, rel=1e-3)

    def at_tuned(spread: float) -> float:
        return 2 * (1 + 1 / spread) * math.log(math.sqrt(1 + spread) / ALPHA)

    best = optimize.minimize_scalar(at_tuned, bounds=(1, 100), method="bounded").fun
    assert every_look_factor(TUNED_FOR) ** 2 == pytest.approx(best, rel=0.01)


@pytest.mark.parametrize(("value", "sign"), [(10.0, 1), (-10.0, 1), (10.0, -1)])
def test_relative_bounds_exclude_a_ratio_where_the_difference_from_it_excludes_0(value: float, sign: int) -> None:
    rng = np.random.default_rng(7)
    legacy, ours = arm(rng.normal(value, 3, 900)).estimate, arm(rng.normal(1.1 * sign * value, 4, 800)).estimate
    assert legacy is not None
    assert ours is not None
    factor = every_look_factor(1_700)
    bounds = ratio_bounds(ours, legacy, factor)
    for end in (bounds.lower, bounds.upper):
        assert end is not None
        apart = abs(ours.value - end * legacy.value)
        assert apart == pytest.approx(factor * math.sqrt(ours.variance + end**2 * legacy.variance))
    relative = difference(ours, legacy).relative
    assert relative.lower is not None
    assert relative.upper is not None
    assert relative.lower < (ours.value - legacy.value) / abs(legacy.value) < relative.upper


def test_nothing_is_relative_to_what_may_be_0() -> None:
    found = compared(arm([1.0, 0.0, 0.0, 1.0]), arm([0.0, 0.0, 0.0, 1.0]))
    assert (found.relative.lower, found.relative.upper) == (None, None)


@pytest.mark.parametrize("y", [[], [1.0], [math.inf, 1.0, 2.0], [1e200, 0.0, 1.0]])
def test_what_has_no_variance_has_no_estimate(y: list[float]) -> None:
    assert (arm(y) if y else Arm()).estimate is None
