"""How far apart two arms are: an interval that holds at every look, and how small a difference it would show.

People look every day and stop when they like what they see. So an interval is one of an *asymptotic confidence
sequence*: with at least so many users it has the true difference at all looks together, up to what normal
approximations err. It is the usual interval with a larger factor, in closed form. Nothing here reads anything.

Source: Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, "Time-uniform central limit theory and asymptotic confidence
sequences" (Annals of Statistics, 2024), with their Gaussian mixture. Users come to arms by known shares, so the
difference of two means is a mean over all users (inverse-probability weighted, augmented by the arms' means), with the
variance ``v_ours / n_ours + v_legacy / n_legacy``; ratios are such means up to a smaller term (the delta method).
"""

import math
from dataclasses import dataclass
from typing import Final

import scipy  # which imports its packages when they are used: they take longer than all of Polars

from seqplat_resources.shadow.experiment.arms import Estimate

ALPHA: Final = 0.05
POWER: Final = 0.8
# The mixture is tightest for so many users, and little worse for a hundred times as many. Chosen once: by data it
# would be wrong.
TUNED_FOR: Final = 10_000


@dataclass(frozen=True)
class Range:
    """What the truth may be; an end is null where nothing bounds it."""

    lower: float | None
    upper: float | None


@dataclass(frozen=True)
class Difference:
    """Ours less legacy's. ``every_look`` holds at all looks together, ``one_look`` at one that was fixed beforehand.

    ``relative`` is the difference by the size of legacy's value, at every look. ``detectable`` is the true difference
    from which on ``every_look`` would exclude 0 with a probability of 80 %, at this number of users.
    """

    value: float
    every_look: Range
    one_look: Range
    relative_value: float | None
    relative: Range
    detectable: float


def difference(ours: Estimate, legacy: Estimate, *, alpha: float = ALPHA) -> Difference:
    """
    Raises:
        OverflowError: numbers are so large that their squares are none.
    """
    value = ours.value - legacy.value
    error = math.sqrt(ours.variance + legacy.variance)
    factor = every_look_factor(ours.users + legacy.users, alpha)
    once = _welch_factor(ours, legacy, alpha) * error
    bounds = ratio_bounds(ours, legacy, factor)
    sign = math.copysign(1.0, legacy.value)
    ends = [None if end is None else sign * (end - 1) for end in (bounds.lower, bounds.upper)]
    return Difference(
        value,
        Range(value - factor * error, value + factor * error),
        Range(value - once, value + once),
        value / abs(legacy.value) if legacy.value else None,
        Range(*(ends if sign > 0 else ends[::-1])),
        (factor + float(scipy.special.ndtri(POWER))) * error,
    )


def every_look_factor(users: int, alpha: float = ALPHA) -> float:
    """By what the standard error is multiplied, instead of 1.96."""
    spread = users * _mixture_variance(alpha)
    return math.sqrt(2 * (1 + 1 / spread) * math.log(math.sqrt(1 + spread) / alpha))


def ratio_bounds(ours: Estimate, legacy: Estimate, factor: float) -> Range:
    """Where ours by legacy's may be (Fieller): all ratios from which the two are no further apart than they may err.

    Both ends are null where legacy's value may be 0, so that any ratio may be.
    """
    # (ours - ratio * legacy)^2 <= factor^2 * (v_ours + ratio^2 * v_legacy), a quadratic in the ratio.
    square = legacy.value**2 - factor**2 * legacy.variance
    if not square > 0:
        return Range(None, None)
    middle = ours.value * legacy.value
    rest = ours.value**2 - factor**2 * ours.variance
    root = math.sqrt(max(middle**2 - square * rest, 0.0))
    return Range((middle - root) / square, (middle + root) / square)


def _mixture_variance(alpha: float) -> float:
    """The variance of the mixture whose factor is least after ``TUNED_FOR`` users; the paper's closed approximation."""
    wanted = -2 * math.log(alpha)
    return (wanted + math.log(wanted + 1)) / TUNED_FOR


def _welch_factor(ours: Estimate, legacy: Estimate, alpha: float) -> float:
    """Student's, with Welch's and Satterthwaite's degrees of freedom; 0 where nothing varies."""
    by_freedom = sum(arm.variance**2 / (arm.users - 1) for arm in (ours, legacy))
    if not by_freedom:
        return 0.0
    return float(scipy.special.stdtrit((ours.variance + legacy.variance) ** 2 / by_freedom, 1 - alpha / 2))
