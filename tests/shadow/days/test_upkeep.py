"""What is compared with, and what was counted, is looked after as every other table."""

import datetime as dt
from dataclasses import replace
from pathlib import Path

from seqplat_resources.batch.upkeep.expiry import expiries
from seqplat_resources.batch.upkeep.layouts import layouts
from seqplat_resources.shadow.days.build import compare
from seqplat_resources.shadow.days.kept import ComparedDays
from tests.building import ManualClock
from tests.shadow.world import DAYS, World, visit


def test_examples_are_kept_no_longer_than_events(tmp_path: Path) -> None:
    runtime = World(tmp_path / "world", visit().model_copy(update={"retention_days": 30})).build()
    list(compare(runtime, "visit", DAYS))
    assert {"raw/old_visits", "rejects/old_visits", "shadow/visit"} <= layouts(runtime).keys()
    clock = ManualClock()
    clock.time = dt.datetime.combine(DAYS[3] + dt.timedelta(days=30), dt.time(), dt.UTC)
    later = replace(runtime, clock=clock)
    assert not [report.left for report in expiries(later, dry_run=False) if report.left]
    assert ComparedDays.of(later, "visit").days() == DAYS[3:]
