"""What a metric says of two arms where there is little, nothing, or too much to go by."""

from dataclasses import replace

import pytest

from seqplat_resources.shadow.experiment.arms import Arm
from seqplat_resources.shadow.experiment.decide import judged
from sequence_defs.schema import UserMetric


def share(users: int, active: int) -> Arm:
    """Of users who did something, or did not."""
    mean = active / users if users else 0.0
    return Arm(users, mean, 1.0, users * mean * (1 - mean), active=active, most=1.0 if active else 0.0)


@pytest.mark.parametrize(
    ("legacy", "ours", "direction", "guardrail"),
    [
        (share(0, 0), share(0, 0), "too few", "HOLD"),
        (share(1, 1), share(1, 0), "too few", "HOLD"),
        (share(5_000, 0), share(5_000, 0), "too few", "HOLD"),
        (share(5_000, 400), share(5_000, 0), "worse", "FAIL"),  # everything broke: nothing varies any more
        (share(5_000, 400), share(50, 0), "too few", "HOLD"),
        (share(9_900, 990), share(100, 0), "too few", "HOLD"),  # ten were due
        (share(500, 500), share(500, 500), "undecided", "PASS"),  # all of them, in either arm
        (share(500, 0), share(500, 500), "better", "HOLD"),  # nothing is relative to nothing
        (share(5_000, 400), share(5_000, 800), "better", "PASS"),
        (replace(share(5_000, 400), yy=float("inf")), share(5_000, 400), "too large", "HOLD"),
        (replace(share(5_000, 400), yy=float("nan"), mean_y=float("inf")), share(5_000, 400), "too large", "HOLD"),
        (Arm(500, 1e200, 1.0, 1e305, active=500, most=1e200), Arm(500, 1e200, 1.0, 1e305, active=500, most=1e200),
         "too large", "HOLD"),
        (Arm(500, 0.0, 0.0, 0.0, active=500), Arm(500, 0.0, 0.0, 0.0, active=500), "too large", "HOLD"),
        (replace(share(5_000, 400), most=1e6), share(5_000, 400), "few decide", "HOLD"),
    ],
)  # fmt: skip
def test_what_little_and_much_says(legacy: Arm, ours: Arm, direction: str, guardrail: str) -> None:
    found = judged(UserMetric(name="m", event_type="e", guardrail=0.1), legacy, ours)
    assert (found.direction, found.guardrail) == (direction, guardrail), found.because
    assert (found.difference is None) is bool(found.because)
    assert bool(found.guardrail_says) is (guardrail != "PASS")


def test_less_is_better_where_the_definition_says_so() -> None:
    metric = UserMetric(name="m", event_type="e", guardrail=0.1, better="lower")
    assert judged(metric, share(5_000, 400), share(5_000, 800)).guardrail == "FAIL"
    found = judged(metric, share(5_000, 800), share(5_000, 400))
    assert (found.direction, found.guardrail) == ("better", "PASS")
