"""Ours beside legacy's in Dagster: a day is compared and judged, days together make a verdict, which moves users."""

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from seqplat_assets.describe.keys import key_of
from seqplat_assets.run import materialize_range
from seqplat_resources.shadow.days.kept import ComparedDays
from seqplat_resources.shadow.ladder.moves import Grounds, Ladder
from seqplat_resources.shadow.verdict.record import VerdictLog
from tests.shadow.world import DAYS, World, visit

PASS = Grounds("PASS", "1")


@pytest.fixture
def instance(new_instance: Callable[[], dg.DagsterInstance]) -> dg.DagsterInstance:
    return new_instance()


def verdicts(instance: dg.DagsterInstance, name: str) -> list[dg.AssetCheckEvaluation]:
    """Of one check, newest first."""
    key = dg.AssetCheckKey(key_of("shadow/visit"), name)
    records = instance.event_log_storage.get_asset_check_execution_history(key, limit=100)
    events = [record.event.dagster_event for record in records if record.event is not None]
    wanted = dg.DagsterEventType.ASSET_CHECK_EVALUATION
    return [each.asset_check_evaluation_data for each in events if each is not None and each.event_type is wanted]


def test_a_flaw_of_a_day_is_named_on_that_day_and_takes_users_back(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    world = World(tmp_path / "world", visit())
    day = pl.col("at").dt.date() == DAYS[2]
    world.old = world.old.filter(~day | (pl.col("nr") % 2 == 0))
    (world.folder / "old").mkdir(parents=True)
    runtime = world.write()
    (world.folder / "old" / f"{DAYS[5]}.parquet").unlink()
    ladder = Ladder(runtime.home, runtime.release.event_types["visit"])
    ladder.advance(by="ann", grounds=PASS)
    ladder.advance(by="ann", grounds=PASS)

    done = materialize_range(DAYS[0], DAYS[-1], runtime=runtime, instance=instance)

    assert f"{DAYS[5]}" in done.failures["shadow__visit"], "a day that legacy lacks is not judged"
    assert [each for each in DAYS if each not in ComparedDays.of(runtime, "visit").days()] == [DAYS[5]]
    of_days = {each.partition: each for each in verdicts(instance, "events_match_legacy")}
    assert {name for name, each in of_days.items() if not each.passed} >= {str(DAYS[2])}
    assert of_days[str(DAYS[1])].passed
    assert "only_ours is 50 %" in (of_days[str(DAYS[2])].description or "")
    [judged, *_] = verdicts(instance, "verdict")
    assert not judged.passed
    assert judged.severity is dg.AssetCheckSeverity.ERROR
    assert "taken back from ab_10 to ab_1" in (judged.description or "")
    standing = ladder.standing()
    assert (standing.step.name, standing.is_held) == ("ab_1", True)
    assert ladder.history()[0].grounds.state == "FAIL"
    assert VerdictLog(runtime.home, "visit").latest() is not None
