"""How generated examples are run: the same ones at every run, unless `HYPOTHESIS_PROFILE=explore` asks for new ones."""

import os

from hypothesis import HealthCheck, settings

SLOW_IS_FINE = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]

settings.register_profile(
    "repeat", derandomize=True, max_examples=50, deadline=None, suppress_health_check=SLOW_IS_FINE
)
settings.register_profile("explore", max_examples=1000, deadline=None, suppress_health_check=SLOW_IS_FINE)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeat"))
