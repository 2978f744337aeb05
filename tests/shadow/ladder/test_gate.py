"""What a verdict is worth when users are to be moved: only of what is built, defined and accepted now, and once."""

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from seqplat_resources.lake.layout import SHADOW_SEQUENCES
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.days.build import compare
from seqplat_resources.shadow.days.sides import Sides
from seqplat_resources.shadow.days.window import EVENT_BANDS, Judgement, bands_of, judged
from seqplat_resources.shadow.ladder.gate import grounds_of, step_back_if_broken
from seqplat_resources.shadow.ladder.moves import Grounds, Ladder
from seqplat_resources.shadow.sequences.build import compare_days
from seqplat_resources.shadow.sequences.window import judged_sequence
from seqplat_resources.shadow.verdict.accepted import AcceptedDifference, AcceptedDifferences
from seqplat_resources.shadow.verdict.bands import BANDS
from sequence_defs.schema import Compared, EventType
from tests.building import runtime_for
from tests.shadow.world import DAYS, World, history, old_visits, shop, visit, visits

NEVER = dt.date(2999, 1, 1)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("gate") / "world", visit())


@pytest.fixture(scope="module")
def passing(world: World) -> Runtime:
    """Both sides alike, and levels that so few users can prove."""
    runtime = world.build()
    list(compare(runtime, "visit", DAYS))
    log = AcceptedDifferences(runtime.home, "visit", runtime.clock)
    for metric in bands_of(Sides.open(runtime, "visit").legacy):
        log.accept(AcceptedDifference(metric, 0.2, NEVER, "ann", "few users"), by="ann")
    return runtime


def _ladder(runtime: Runtime) -> Ladder:
    return Ladder(runtime.home, runtime.release.event_types["visit"], runtime.clock)


def _wrong(runtime: Runtime) -> list[str]:
    ladder = _ladder(runtime)
    grounds, said = grounds_of(ladder, ladder.standing(), Sides.open(runtime, "visit"))
    assert (grounds.state == "PASS") is not bool(said)
    return said


def _verdict(runtime: Runtime, **changes: int) -> Judgement:
    found = judged(runtime, "visit", until=DAYS[-1] - dt.timedelta(days=changes.get("less", 0)), who="ann")
    assert found.record.decision.state == "PASS", found.record.decision.because
    return found


def _otherwise(definition: EventType) -> EventType:
    assert definition.legacy is not None
    columns = {**definition.legacy.columns, "score": Compared(field="points", relative=0.5)}
    return definition.model_copy(update={"legacy": definition.legacy.model_copy(update={"columns": columns})})


OTHER_DEFINITIONS: dict[str, Callable[[EventType], EventType]] = {
    "tolerance": _otherwise,
    "filter": lambda definition: definition.model_copy(update={"filter": "bot IS NULL OR NOT bot"}),
}


@pytest.mark.parametrize("change", OTHER_DEFINITIONS.values(), ids=OTHER_DEFINITIONS)
def test_days_and_verdicts_of_another_definition_say_nothing(
    world: World, passing: Runtime, change: Callable[[EventType], EventType]
) -> None:
    _verdict(passing)
    assert _wrong(passing) == []
    other = runtime_for(Path(passing.home.root), [shop, visits, old_visits, change(visit())], world.folder)
    assert any("defined otherwise" in said for said in _wrong(other))
    assert judged(other, "visit", until=DAYS[-1], who="ann", keep=False).record.case.window.judged == ()


def test_words_and_owners_are_no_other_definition(world: World, passing: Runtime) -> None:
    _verdict(passing)
    told = visit(serve=True).model_copy(update={"description": "Somebody looked.", "owner": "team:other"})
    other = runtime_for(Path(passing.home.root), [shop, visits, old_visits, told], world.folder)
    assert _wrong(other) == []


def test_a_window_that_leaves_out_the_newest_days_is_no_ground(passing: Runtime) -> None:
    _verdict(passing, less=1)
    assert any(str(DAYS[-1]) in said for said in _wrong(passing))


def test_what_was_accepted_when_it_was_made_has_to_be_accepted_now(passing: Runtime) -> None:
    _verdict(passing)
    log = AcceptedDifferences(passing.home, "visit", passing.clock)
    log.withdraw("differs_page", by="bob", reason="no")
    assert any("accepted" in said for said in _wrong(passing))
    log.accept(AcceptedDifference("differs_page", 0.2, NEVER, "ann", "few users"), by="ann")
    assert _wrong(passing) == []


def test_sequences_that_contain_it_have_a_verdict_that_passes_now(world: World, passing: Runtime) -> None:
    _verdict(passing)
    definitions = [shop, visits, old_visits, visit(), history]
    other = runtime_for(Path(passing.home.root), definitions, world.folder)
    [said] = _wrong(other)
    assert said.startswith("sequence 'history': there is no verdict; `seqplat shadow verdict history`")
    turned, log = pl.col("events").list.reverse(), AcceptedDifferences(other.home, "history", layer=SHADOW_SEQUENCES)
    for change, days in ((turned, DAYS[-2:]), (pl.col("events"), DAYS)):
        for day in days:
            world.lay(day, world.blobs(day).with_columns(change))
        list(compare_days(other, "history", days))
        judged_sequence(other, "history", until=DAYS[-1], days=len(days), who="ann")
        [said] = _wrong(other)
        state = "FAIL" if change is turned else "HOLD"
        assert said.startswith(f"sequence 'history': {state} history"), "too few users are no PASS"
    for metric in BANDS.keys() - set(EVENT_BANDS):
        log.accept(AcceptedDifference(metric, 0.2, NEVER, "ann", "few users"), by="ann")
    assert any("other differences are accepted" in said for said in _wrong(other))
    judged_sequence(other, "history", until=DAYS[-1], who="ann")
    assert _wrong(other) == []
    world.lay(DAYS[3], world.blobs(DAYS[3]).with_columns(turned))  # legacy's file is another one since
    assert any(f"legacy of history {DAYS[3]} is version" in said for said in _wrong(other))
    list(compare_days(other, "history", DAYS[3:4]))
    log.withdraw("top_10", by="bob", reason="no")
    judged_sequence(other, "history", until=DAYS[-2], who="ann")
    assert any(f"about days up to {DAYS[-2]}" in said for said in _wrong(other))


def test_a_verdict_of_a_sequence_from_before_the_step_is_none(world: World, passing: Runtime) -> None:
    _verdict(passing)
    other = runtime_for(Path(passing.home.root), [shop, visits, old_visits, visit(), history], world.folder)
    judged_sequence(other, "history", until=DAYS[-1], who="ann")
    ladder = _ladder(other)
    moved = replace(ladder.standing(), since=other.clock.now() + dt.timedelta(seconds=1))
    _, wrong = grounds_of(ladder, moved, Sides.open(other, "visit"))
    assert any(said.startswith("sequence 'history': the newest verdict was made on") for said in wrong)


def test_one_verdict_is_one_step_whatever_the_clocks_say(passing: Runtime) -> None:
    found = _verdict(passing)
    ladder = _ladder(passing)
    standing = ladder.standing()
    behind = replace(standing, since=found.record.at - dt.timedelta(hours=1), rests_on=found.number)
    grounds, said = grounds_of(ladder, behind, Sides.open(passing, "visit"))
    assert grounds.state == "HOLD"
    assert any(f"rests on verdict {found.number}" in each for each in said)


def test_two_looks_at_the_same_days_take_users_one_step_back(passing: Runtime) -> None:
    ladder = _ladder(passing)
    for _ in range(3):
        ladder.advance(by="ann", grounds=Grounds("PASS", "1"))
    at, found = ladder.standing(), _verdict(passing)
    assert at.rests_on == 1
    failed = replace(found, record=replace(found.record, decision=replace(found.record.decision, state="FAIL")))
    assert step_back_if_broken(ladder, failed, at) is not None
    assert step_back_if_broken(ladder, failed, at) is None
    assert ladder.standing().step.name == "ab_10"
