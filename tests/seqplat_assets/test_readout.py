"""A readout in Dagster: days one by one and in a range, with checks that say how sure they are."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from seqplat_assets.describe.keys import key_of
from seqplat_assets.run import materialize_range
from tests.building import ManualClock, utc
from tests.shadow.experiment.divided import EVERYBODY, OURS, START, build, climb, divided, expose, without
from tests.shadow.world import DAYS

ASSET = "readout/visit"


@pytest.fixture
def instance(new_instance: Callable[[], dg.DagsterInstance]) -> dg.DagsterInstance:
    return new_instance()


def verdicts(instance: dg.DagsterInstance, name: str) -> dict[str | None, dg.AssetCheckEvaluation]:
    """Of one check, by day."""
    records = instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(key_of(ASSET), name), limit=100
    )
    events = [record.event.dagster_event for record in reversed(records) if record.event is not None]
    wanted = dg.DagsterEventType.ASSET_CHECK_EVALUATION
    found = [each.asset_check_evaluation_data for each in events if each is not None and each.event_type is wanted]
    return {each.partition: each for each in found}


def metadata(instance: dg.DagsterInstance, day: str) -> dict[str, Any]:
    records = instance.fetch_materializations(
        dg.AssetRecordsFilter(key_of(ASSET), asset_partitions=[day]), limit=1
    ).records
    materialization = records[0].asset_materialization
    assert materialization is not None
    return {name: each.value for name, each in materialization.metadata.items()}


def test_days_are_read_out_and_judged_one_by_one_and_in_a_range(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    clock = ManualClock(utc(2024, 6, 1))
    world = divided(tmp_path / "world")
    without(world, OURS, 0.7)
    runtime = build(world, clock)
    move = climb(runtime, clock, "ab_50", START)
    expose(runtime, EVERYBODY, START, move, 5000)

    done = materialize_range(DAYS[0], DAYS[-1], [ASSET], runtime=runtime, instance=instance)

    assert not done.failures, done.failures
    ratio, guardrails = verdicts(instance, "sample_ratio"), verdicts(instance, "guardrails")
    assert [str(day) for day in DAYS if ratio[str(day)].passed] == [str(day) for day in DAYS[1:]]
    assert "at no step with users of both arms" in (ratio[str(DAYS[0])].description or "")
    assert not any(each.passed for each in guardrails.values())
    early, last = guardrails[str(DAYS[1])], guardrails[str(DAYS[-1])]
    assert (early.severity, last.severity) == (dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR)
    assert "guardrail came_back: worse than legacy by more than 10 %" in (last.description or "")
    plotted = metadata(instance, str(DAYS[-1]))
    assert plotted["users_ours"] == len(OURS)
    assert plotted["visits_change"] == pytest.approx(-0.7, abs=0.05)
    assert plotted["visits_least"] < plotted["visits_change"] < plotted["visits_most"]
    assert "| came\\_back |" in plotted["account"]

    expose(runtime, OURS, START, move, 10_000)  # of one arm again: nothing new
    again = materialize_range(DAYS[3], DAYS[3], [ASSET], runtime=runtime, instance=instance)
    assert not again.failures
    assert metadata(instance, str(DAYS[3]))["users_ours"] == len(OURS)
