"""Bounds that hold at every look: how large the true share, or the true mean, can be after what was seen so far.

A fixed-size interval is true once. Somebody who looks each day and stops when it pleases him needs one that is true at
all looks together. Both kinds here are mixtures of betting strategies in closed form: the *evidence* against a value
is the logarithm of what somebody would have won who bet against it, and by Ville's inequality it exceeds
``log(1 / alpha)`` at any look, ever, with a probability of at most ``alpha`` if the value is true.

Sources: Howard, Ramdas, McAuliffe, Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences" (2021),
its beta-binomial mixture for shares and its gamma-exponential mixture with an empirical variance for means; Fan, Grama,
Liu (2015) for the inequality below the latter.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import scipy  # which imports its packages when they are used: they take longer than all of Polars

# Numbers, or arrays of them, which are judged at once.
Numbers: TypeAlias = Any

# How the mixture of a mean spreads its bets: with 1 it is tightest where the variances sum up to some ten.
_SPREAD = 1.0
_NO_EVIDENCE = -math.inf


@dataclass(frozen=True)
class Interval:
    """What the truth may be. Both ends hold at every look, each with the error it was asked for."""

    lower: float
    upper: float


def share_evidence(differing: Numbers, compared: Numbers, limit: Numbers, *, at: Numbers | None = None) -> Numbers:
    """Evidence that the true share is not ``at`` (left out: the limit), by the beta-binomial mixture.

    The prior is Beta(1, 1 / limit): its bets are near the limit, so little is lost there. Nothing differing proves a
    share of at most 0.1 % from 4,741 trials on, and of 0.01 % from 47,436 (fixed size: 2,995 and 29,956).

    Units:
        ``differing`` and ``compared`` count independent trials, and need not be whole: a trial may differ in part, and
        counts of trials that hang together are divided by their design effect.
    """
    at = limit if at is None else at
    alike, prior = np.subtract(compared, differing), np.divide(1.0, limit)
    seen = scipy.special.betaln(np.add(1.0, differing), prior + alike) - scipy.special.betaln(1.0, prior)
    return seen - scipy.special.xlogy(differing, at) - scipy.special.xlog1py(alike, np.negative(at))


def share_bounds(differing: float, compared: float, limit: float, alpha: float) -> Interval:
    """All shares that the evidence does not speak against. Nothing compared: 0 to 1.

    The true share is outside at any look, ever, with probability ``alpha``; below and above together.
    """
    if not compared:
        return Interval(0.0, 1.0)
    seen, wanted = differing / compared, -math.log(alpha)

    def lacking(at: float) -> float:
        # No bound is at 0 or 1 unless nothing, or everything, differs; there the evidence is infinite.
        return min(float(share_evidence(differing, compared, limit, at=at)) - wanted, 1e300)

    tiny, almost = min(1e-300, seen), 1.0 - 2**-53
    lower = _root(lacking, tiny, seen) if seen > 0 else 0.0
    upper = _root(lacking, seen, almost) if seen < almost else 1.0
    return Interval(lower, upper)


def mean_evidence(total: Numbers, squares: Numbers, compared: Numbers, at: Numbers, *, below: bool) -> Numbers:
    """Evidence that the true mean of values in 0..1 is ``below`` a value (else: above it), by their own variance.

    Units:
        ``total`` and ``squares`` are the sums of the values and of their squares. That takes 0 for what is expected of
        a value, which for distances is true and need not be.
    """
    ahead = np.subtract(np.multiply(compared, at), total) * (1.0 if below else -1.0)
    return np.where(ahead > 0, _winnings(np.maximum(ahead, 0.0), squares), _NO_EVIDENCE)


def mean_bounds(total: float, squares: float, compared: float, alpha: float) -> Interval:
    """Where the mean of values in 0..1 is; each end is wrong at any look, ever, with probability ``alpha``."""
    if not compared:
        return Interval(0.0, 1.0)
    wanted = -math.log(alpha)

    def lacking(ahead: float) -> float:
        return float(_winnings(ahead, squares)) - wanted

    far = 1.0
    while lacking(far) < 0:
        far *= 2
    ahead = _zero(lacking, 0.0, far, xtol=1e-9, rtol=1e-12)
    return Interval(max(0.0, (total - ahead) / compared), min(1.0, (total + ahead) / compared))


def _winnings(ahead: Numbers, squares: Numbers) -> Numbers:
    """Logarithm of the mixture over all bets 1 - t of ``t**squares * exp((1 - t) * (ahead + squares))``.

    The bets have a gamma density cut to 0..1, which leaves two incomplete gamma functions.
    """
    shape, rate = np.add(squares, _SPREAD), np.add(ahead, squares) + _SPREAD
    return np.add(ahead, squares) + _log_gamma_below(shape, rate) - _log_gamma_below(_SPREAD, _SPREAD)


def _log_gamma_below(shape: Numbers, rate: Numbers) -> Numbers:
    """Logarithm of the integral of ``t**(shape - 1) * exp(-rate * t)`` over 0..1."""
    return scipy.special.gammaln(shape) + np.log(scipy.special.gammainc(shape, rate)) - scipy.special.xlogy(shape, rate)


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a function crosses 0 between two places; the place nearer to no crossing if it does not."""
    at_low, at_high = function(low), function(high)
    if at_low * at_high > 0:
        return high if abs(at_high) < abs(at_low) else low
    return _zero(function, low, high, xtol=1e-300, rtol=1e-12, maxiter=500)


def _zero(function: Callable[[float], float], low: float, high: float, **exactly: Any) -> float:
    return float(scipy.optimize.brentq(function, low, high, **exactly))
