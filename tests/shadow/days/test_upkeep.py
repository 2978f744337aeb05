"""What is compared with, and what was counted, is looked after as every other table."""

import datetime as dt
from dataclasses import replace
from pathlib import Path

from seqplat_resources.batch.upkeep.expiry import expiries
from seqplat_resources.batch.upkeep.layouts import layouts
from seqplat_resources.lake.layout import SHADOW_SEQUENCES
from seqplat_resources.shadow.days.build import compare
from seqplat_resources.shadow.days.kept import ComparedDays
from seqplat_resources.shadow.sequences.build import compare_days
from tests.building import ManualClock
from tests.shadow.world import DAYS, World, history, visit


def test_examples_are_kept_no_longer_than_events(tmp_path: Path) -> None:
    world = World(tmp_path / "world", visit().model_copy(update={"retention_days": 30}), history)
    runtime = world.build()
    list(compare(runtime, "visit", DAYS))
    for day in DAYS[2:4]:
        world.lay(day, world.blobs(day))
    list(compare_days(runtime, "history", DAYS[2:4]))
    compared = {"shadow/visit", "shadow_sequences/history"}
    assert {"raw/old_visits", "rejects/old_visits", *compared} <= layouts(runtime).keys()
    clock = ManualClock()
    clock.time = dt.datetime.combine(DAYS[3] + dt.timedelta(days=30), dt.time(), dt.UTC)
    later = replace(runtime, clock=clock)
    assert not [report.left for report in expiries(later, dry_run=False) if report.left]
    assert ComparedDays.of(later, "visit").days() == DAYS[3:]
    assert ComparedDays.of(later, "history", SHADOW_SEQUENCES).days() == DAYS[3:4]
