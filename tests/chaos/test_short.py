"""The campaign, short: see `python -m tests.chaos` and docs/chaos.md for the long one."""

import random
from pathlib import Path

import pytest

from tests.chaos.campaign import Campaign
from tests.chaos.report import FAULTS
from tests.chaos.ways import Ways
from tests.chaos.world import Site

DISTURBANCES = 18


@pytest.mark.slow
def test_processes_killed_and_paused_at_random_lose_double_and_half_show_nothing(tmp_path: Path) -> None:
    site = Site(tmp_path, seed=3, total=3000, rate=250)
    facts = Campaign(Ways(random.Random(12), site), disturbances=DISTURBANCES, limit_s=60, pause_s=(0.1, 0.9)).run()
    assert facts["violations"] == []
    assert facts["failures"] == []
    assert {name: facts["verdict"][name] for name in FAULTS} == dict.fromkeys(FAULTS, 0)
    assert sum(facts["disturbances"].values()) >= DISTURBANCES
    assert facts["verdict"]["visits expected"] > 1000
    assert facts["checks"] > 100
