"""Ours beside legacy's in Dagster: a day is compared and judged, days together make a verdict, which moves users."""

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from seqplat_assets.describe.keys import key_of
from seqplat_assets.run import materialize_range
from seqplat_resources.batch.days.troubles import DayTroubles
from seqplat_resources.health.answered import ANSWERED, with_answered
from seqplat_resources.health.board import health, look
from seqplat_resources.health.checks import EVENTS_MATCH, SEQUENCES_MATCH
from seqplat_resources.lake.layout import DAY
from seqplat_resources.quality.frame import DETAIL, JUDGED, PASSED
from seqplat_resources.shadow.days.kept import ComparedDays
from seqplat_resources.shadow.ladder.moves import Grounds, Ladder
from seqplat_resources.shadow.verdict.record import VerdictLog
from tests.shadow.world import DAYS, World, history, visit

HISTORY = "shadow_sequences/history"
PASS = Grounds("PASS", "1")


@pytest.fixture
def instance(new_instance: Callable[[], dg.DagsterInstance]) -> dg.DagsterInstance:
    return new_instance()


def verdicts(instance: dg.DagsterInstance, name: str, asset: str = "shadow/visit") -> list[dg.AssetCheckEvaluation]:
    """Of one check, newest first."""
    key = dg.AssetCheckKey(key_of(asset), name)
    records = instance.event_log_storage.get_asset_check_execution_history(key, limit=100)
    events = [record.event.dagster_event for record in records if record.event is not None]
    wanted = dg.DagsterEventType.ASSET_CHECK_EVALUATION
    return [each.asset_check_evaluation_data for each in events if each is not None and each.event_type is wanted]


def errors_of(found: dict[str | None, dg.AssetCheckEvaluation]) -> set[str | None]:
    """The days that are errors and no news."""
    return {day for day, each in found.items() if day and each.severity is dg.AssetCheckSeverity.ERROR}


def test_a_flaw_of_a_day_is_named_on_that_day_and_takes_users_back(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    world = World(tmp_path / "world", visit(), history)
    day = pl.col("at").dt.date() == DAYS[2]
    world.old = world.old.filter(~day | (pl.col("nr") % 2 == 0))
    (world.folder / "old").mkdir(parents=True)
    runtime = world.write()
    (world.folder / "old" / f"{DAYS[5]}.parquet").unlink()
    for day in DAYS[:-1]:
        world.lay(day, world.blobs(day))
    ladder = Ladder(runtime.home, runtime.release.event_types["visit"])
    ladder.advance(by="ann", grounds=PASS)
    ladder.advance(by="ann", grounds=PASS)

    told = list[str]()

    done = materialize_range(
        DAYS[0], DAYS[-1], runtime=runtime, instance=instance, report=lambda step: told.append(str(step))
    )

    assert done.not_passed["shadow/visit", "verdict"], "users who were taken back are no success"
    assert [line for line in told if "verdict" in line and "taken back from ab_10 to ab_1; it is held" in line]
    assert not [line for line in told if " 0 day(s)" in line]
    assert f"{DAYS[5]}" in done.failures["shadow__visit"], "a day that legacy lacks is not judged"
    assert [each for each in DAYS if each not in ComparedDays.of(runtime, "visit").days()] == [DAYS[5]]
    assert f"{DAYS[-1]}" in done.failures["shadow_sequences__history"]
    likeness = {each.partition: each for each in verdicts(instance, "sequences_match_legacy", HISTORY)}
    assert [day for day in DAYS[:-1] if likeness[str(day)].passed] == [*DAYS[:2], DAYS[6]], "a window has four days"
    assert "not_identical is 100 %" in (likeness[str(DAYS[2])].description or "")
    [of_sequence, *_] = verdicts(instance, "verdict", HISTORY)
    assert (of_sequence.passed, of_sequence.severity) == (False, dg.AssetCheckSeverity.WARN)
    of_days = {each.partition: each for each in verdicts(instance, "events_match_legacy")}
    assert {name for name, each in of_days.items() if not each.passed} >= {str(DAYS[2])}
    assert of_days[str(DAYS[1])].passed
    assert "only_ours is 50 %" in (of_days[str(DAYS[2])].description or "")
    assert errors_of(of_days) == {str(DAYS[2])}, "users of ab_10 have our events; a day that was not judged is no error"
    assert errors_of(likeness) == {str(day) for day in DAYS[2:6]}, "a window has four days"
    troubles = DayTroubles(runtime.home).of("shadow/visit")
    assert {day: each.kind for day, each in troubles.items()} == {DAYS[2]: "held", DAYS[5]: "waits"}
    assert not {"events__visit", "online__visit", "sequences__history"} & done.failures.keys(), "nothing waits for it"
    kept = health(runtime, look(runtime))
    shown = {(each.asset, each.check): each for each in kept.rows}
    by_day = {cell.day: cell.status for cell in shown["shadow/visit", "events_match_legacy"].cells if cell.is_due}
    assert (by_day[DAYS[1]], by_day[DAYS[2]], by_day[DAYS[5]]) == ("pass", "fail", "unjudged")
    [of_days_together] = shown["shadow/visit", "verdict"].cells
    assert (of_days_together.status, "taken back" in of_days_together.because) == ("fail", True)
    assert of_days_together.value is not None
    [judged, *_] = verdicts(instance, "verdict")
    assert not judged.passed
    assert judged.severity is dg.AssetCheckSeverity.ERROR
    assert "taken back from ab_10 to ab_1" in (judged.description or "")
    standing = ladder.standing()
    assert (standing.step.name, standing.is_held) == ("ab_1", True)
    assert ladder.history()[0].grounds.state == "FAIL"
    assert VerdictLog(runtime.home, "visit").latest() is not None


def test_a_day_that_differs_is_an_error_while_users_have_ours_and_legacy_is_there(tmp_path: Path) -> None:
    runtime = World(tmp_path / "world", visit(), history).write()
    ladder = Ladder(runtime.home, runtime.release.event_types["visit"])
    frame = pl.DataFrame({DAY: DAYS[:2], PASSED: [False, False], DETAIL: ["", ""], JUDGED: [True, False]})
    severities = dict[str, list[bool]]()
    for move in (*[ladder.advance] * 4, None):
        for check in (EVENTS_MATCH, SEQUENCES_MATCH):
            name = "visit" if check is EVENTS_MATCH else "history"
            measure = with_answered(lambda *_: frame, lambda *_: ("visit",))
            rows = measure(runtime, name, DAYS[:2]).rows(named=True)
            told = [check.is_severe(row) for row in rows]
            assert severities.setdefault(ladder.standing().step.name, told) == told
        if move:
            move(by="ann", grounds=PASS)
    ladder.retire(by="ann", reason="switched off")
    assert not any(with_answered(lambda *_: frame, lambda *_: ("visit",))(runtime, "visit", DAYS[:2])[ANSWERED])
    is_error = [True, False]  # of a day that was judged
    assert severities == {"shadow": [False] * 2, **dict.fromkeys(("ab_1", "ab_10", "ab_50", "live"), is_error)}
