"""How many examples Hypothesis makes. HYPOTHESIS_PROFILE is ``usual``; ``thorough`` for ten times as many; or
``explore`` for thirty times as many, new ones at every run.
"""

import os

from hypothesis import HealthCheck, settings

USUAL, TIMES = 30, {"usual": 1, "thorough": 10, "explore": 30}
SLOW_IS_FINE = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]
CHOSEN = os.environ.get("HYPOTHESIS_PROFILE", "usual")


def examples(usual: int) -> int:
    """For a test that wants more or fewer than others: so many in the usual profile, in others as many times more."""
    return usual * TIMES[CHOSEN]


def load_profile() -> None:
    """Before modules of tests are imported, whose decorators take it over."""
    settings.register_profile(
        CHOSEN,
        derandomize=CHOSEN != "explore",
        max_examples=examples(USUAL),
        deadline=None,
        suppress_health_check=SLOW_IS_FINE,
    )
    settings.load_profile(CHOSEN)
