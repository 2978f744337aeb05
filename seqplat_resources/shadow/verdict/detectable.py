"""The smallest defect that a window would have caught: what a green verdict is worth."""

import math

import scipy  # which imports its packages when they are used: they take longer than all of Polars

from seqplat_resources.shadow.verdict.bounds import mean_evidence, share_evidence
from seqplat_resources.shadow.verdict.metrics import Metric

POWER = 0.95


def smallest_caught(metric: Metric, limit: float, *, alpha: float, power: float = POWER) -> float | None:
    """The share (or mean) from which on a metric of this size would have failed with a probability of ``power``.

    Null where no defect would: too little was compared. A mean is taken to vary as much as one in 0..1 can, so less
    is caught in truth.
    Units:
        ``alpha`` is what one metric may err with when it fails.
    """
    trials = metric.trials
    if limit >= 1 or not trials:
        return None
    least = _fewest_failing(trials, limit, -math.log(alpha), is_mean=metric.squares is not None)
    if least is None:
        return None
    # P(X >= k) of a binomial X is a beta function of its share, so the share is found by turning that around.
    return float(scipy.special.betaincinv(least, trials - least + 1, power))


def _fewest_failing(trials: float, limit: float, wanted: float, *, is_mean: bool) -> float | None:
    """How many independent differences fail a window."""
    if limit == 0:
        return 1.0 if trials >= 1 else None

    def fails(hits: float) -> bool:
        if is_mean:
            return bool(mean_evidence(hits, hits, trials, limit, below=False) >= wanted)
        return bool(share_evidence(hits, trials, limit) >= wanted)

    low, high = math.floor(limit * trials), math.floor(trials)
    if not fails(high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if fails(middle) else (middle, high)
    return float(high)
