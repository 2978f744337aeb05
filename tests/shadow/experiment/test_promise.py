"""What a readout promises, kept in seeded worlds: looks of 30 days, arms alike or not."""

import numpy as np
import pytest

from seqplat_resources.shadow.experiment.arms import Arm
from seqplat_resources.shadow.experiment.decide import judged
from seqplat_resources.shadow.experiment.sample_ratio import sample_ratio
from sequence_defs.schema import UserMetric

WORLDS, LOOKS, PER_DAY = 500, 30, 250


def worlds(kind: str, seed: int, shape: tuple[int, ...], lift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Numerators and denominators of users, all worlds at once; ``lift`` is what the truth is more."""
    rng, more = np.random.default_rng(seed), 1 + lift
    if kind == "converted":
        return (rng.random(shape) < 0.08 * more).astype(float), np.ones(shape)
    if kind in ("sum", "heavy"):  # most buy nothing, few buy much
        return (rng.random(shape) < 0.2) * rng.lognormal(2, 2 if kind == "heavy" else 1, shape) * more, np.ones(shape)
    events = rng.geometric(0.3, shape).astype(float)
    return events * rng.gamma(4, 0.25 * more, shape), events


def looks(y: np.ndarray, x: np.ndarray, ours: np.ndarray) -> list[list[tuple[Arm, Arm]]]:
    """By world the arms at each look: sums over users so far."""
    ends = np.arange(1, LOOKS + 1) * PER_DAY - 1
    found = []
    for is_of in (ours, ~ours):
        users, sy, sx = (np.where(is_of, each, 0).cumsum(1)[:, ends] for each in (np.ones_like(y), y, x))
        squares = [np.where(is_of, each, 0).cumsum(1)[:, ends] for each in (y * y, x * y, x * x)]
        active = np.where(is_of, y != 0, 0).cumsum(1)[:, ends]
        my, mx = sy / users, sx / users
        yy, xy, xx = squares[0] - users * my**2, squares[1] - users * mx * my, squares[2] - users * mx**2
        most = np.maximum.accumulate(np.where(is_of, np.abs(y), 0), 1)[:, ends]
        capped = np.zeros_like(users)
        columns = [each.tolist() for each in (users.astype(int), my, mx, yy, xy, xx, active, capped, most)]
        found.append([[Arm(*row) for row in zip(*world, strict=True)] for world in zip(*columns, strict=True)])
    return [list(zip(a, b, strict=True)) for a, b in zip(*found, strict=True)]


def share_of_worlds(
    metric: UserMetric, kind: str, seed: int, share: float, wanted: set[str], lift: float = 0.0
) -> float:
    """The share of worlds in which any look says something that is ``wanted``."""
    shape = (WORLDS, LOOKS * PER_DAY)
    ours = np.random.default_rng(seed + 1000).random(shape) < share
    y, x = worlds(kind, seed, shape)
    if lift:
        for mine, other in zip((y, x), worlds(kind, seed, shape, lift), strict=True):
            mine[ours] = other[ours]
    hits = [
        any(
            {found.direction, found.guardrail} & wanted
            for mine, legacy in world
            for found in [judged(metric, legacy, mine)]
        )
        for world in looks(y, x, ours)
    ]
    return float(np.mean(hits))


@pytest.mark.parametrize(("kind", "share"), [("converted", 0.1), ("sum", 0.1), ("heavy", 0.1), ("ratio", 0.5)])
def test_of_arms_alike_at_most_one_in_twenty_is_ever_said_to_differ(kind: str, share: float) -> None:
    metric = UserMetric(name="m", event_type="e", kind="converted")
    assert share_of_worlds(metric, kind, 1, share, {"better", "worse"}) <= 0.05


def test_a_guardrail_at_its_margin_is_rarely_said_to_hold_or_to_break() -> None:
    """The hardest place: the truth is at the margin."""
    metric = UserMetric(name="m", event_type="e", kind="converted", guardrail=0.2)
    assert share_of_worlds(metric, "converted", 2, 0.5, {"PASS", "FAIL"}, lift=-0.2) <= 0.05


def test_what_is_planted_is_found() -> None:
    metric = UserMetric(name="m", event_type="e", kind="converted", guardrail=0.1)
    assert share_of_worlds(metric, "ratio", 3, 0.5, {"better"}, lift=0.15) >= 0.95
    assert share_of_worlds(metric, "converted", 4, 0.5, {"FAIL"}, lift=-0.5) >= 0.95


def test_arms_as_declared_are_rarely_red() -> None:
    """One look is wrong once in a thousand; looks of a month hang together, and are wrong together in less than 1 %."""
    rng = np.random.default_rng(5)
    for declared in (100, 1000, 5000):
        users = PER_DAY * np.arange(1, LOOKS + 1)
        ours = rng.binomial(PER_DAY, declared / 10_000, (2 * WORLDS, LOOKS)).cumsum(1)
        red = [
            [sample_ratio(int(k), int(n - k), declared).is_red for k, n in zip(row, users, strict=True)] for row in ours
        ]
        assert np.mean([row[-1] for row in red]) <= 0.005
        assert np.mean([any(row) for row in red]) <= 0.015


def test_a_leak_of_a_tenth_of_an_arm_is_red() -> None:
    rng = np.random.default_rng(6)
    lost = rng.binomial(20_000, 0.45, 200)
    assert np.mean([sample_ratio(int(k), 10_000, 5000).is_red for k in lost]) >= 0.99
