"""What a metric says, and whether its guardrail holds; no choice is made here but by what the definition states."""

import datetime as dt
import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

from seqplat_resources.shadow.experiment.arms import Arm
from seqplat_resources.shadow.experiment.intervals import Difference, difference
from sequence_defs.schema import UserMetric

Direction: TypeAlias = Literal["better", "worse", "undecided", "too few", "few decide", "too large"]
Guardrail: TypeAlias = Literal["PASS", "HOLD", "FAIL"]

# Intervals take sums over users for a bell curve. They are none where an arm has fewer users, or where fewer of the
# smaller arm would have done anything if arms are alike, or where a user like the largest there is would be more than
# this share of the smaller arm's variance. Without the last, simulated arms that are alike were said to differ in up to
# 80 of 100 months, where few users had most of everything (``tests/shadow/experiment/test_promise.py``).
LEAST_USERS, LEAST_ACTIVE, LARGEST_USER = 100, 20, 0.5


@dataclass(frozen=True)
class MetricReadout:
    """One metric. ``waiting`` users were exposed so late that their window is not over; they are in neither arm.

    ``difference`` is null where there are too few users for one, and ``direction`` says by ``better`` of the definition
    whether it is proven which way it goes. ``through`` is until when there are all events, null where there are none.
    """

    metric: UserMetric
    legacy: Arm
    ours: Arm
    waiting: int
    through: dt.datetime | None
    difference: Difference | None
    direction: Direction
    guardrail: Guardrail | None
    because: str

    @property
    def guardrail_says(self) -> str:
        """In words why the guardrail does not pass; empty where it does, or there is none."""
        if self.guardrail is None or self.guardrail == "PASS":
            return ""
        name, margin = self.metric.name, f"{100 * (self.metric.guardrail or 0):g} %"
        if self.guardrail == "FAIL":
            return f"guardrail {name}: worse than legacy by more than {margin}"
        return f"guardrail {name}: {self.because or f'not proven to be at most {margin} worse than legacy'}"


def judged(
    metric: UserMetric, legacy: Arm, ours: Arm, *, waiting: int = 0, through: dt.datetime | None = None
) -> MetricReadout:
    """Compare two arms."""
    found, direction, because = _compared(metric, legacy, ours)
    guardrail = None if metric.guardrail is None else _guardrail(metric, metric.guardrail, found)
    return MetricReadout(metric, legacy, ours, waiting, through, found, direction, guardrail, because)


def _compared(metric: UserMetric, legacy: Arm, ours: Arm) -> tuple[Difference | None, Direction, str]:
    fewest, users = min(legacy.users, ours.users), legacy.users + ours.users
    if fewest < LEAST_USERS:
        return None, "too few", f"an arm has {fewest:,} users whose window is over, of {LEAST_USERS} needed"
    if (active := (legacy.active + ours.active) * fewest / users) < LEAST_ACTIVE:
        return None, "too few", f"of the smaller arm {active:,.0f} users would do anything, of {LEAST_ACTIVE} needed"
    if (largest := _largest(legacy, ours)) > LARGEST_USER:
        says = f"one user like the largest is {_percent(largest)} of an arm's variance, so few decide; a cap helps"
        return None, "few decide", says
    left, right = legacy.estimate, ours.estimate
    try:
        found = difference(right, left) if left and right else None
    except OverflowError:
        found = None
    if found is None or not math.isfinite(found.detectable):
        return None, "too large", "values are too large to be squared, or there is nothing to divide by; a cap helps"
    return found, _direction(metric, found), ""


def _direction(metric: UserMetric, found: Difference) -> Direction:
    lower, upper = found.every_look.lower, found.every_look.upper
    assert lower is not None
    assert upper is not None
    if lower <= 0 <= upper:
        return "undecided"
    return "better" if (lower > 0) == (metric.better == "higher") else "worse"


def _guardrail(metric: UserMetric, margin: float, found: Difference | None) -> Guardrail:
    """PASS where every relative difference that may be true is within the margin, FAIL where none is."""
    if found is None or found.relative.lower is None or found.relative.upper is None:
        return "HOLD"
    worst, best = found.relative.lower, found.relative.upper
    if metric.better == "lower":
        worst, best = -best, -worst
    if worst > -margin:
        return "PASS"
    return "FAIL" if best < -margin else "HOLD"


def _largest(legacy: Arm, ours: Arm) -> float:
    """What a user like the largest of either arm is of the variance of the smaller arm, if the two vary alike."""
    users = legacy.users + ours.users
    mean = (legacy.mean_y * legacy.users + ours.mean_y * ours.users) / users
    off = max(legacy.most, ours.most) - abs(mean)
    spread = min(legacy.users, ours.users) * (legacy.yy + ours.yy) / users
    return off * off / spread if spread and math.isfinite(spread) else 0.0


def _percent(share: float) -> str:
    return f"{100 * min(share, 1.0):.3g} %"
