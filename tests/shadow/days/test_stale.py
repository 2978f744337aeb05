"""Comparisons that are about something else than there is are dirty, after the usual rest, and compared again."""

import copy
import datetime as dt
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from seqplat_assets.layers.assets import built as assets_of
from seqplat_assets.repair.sensors import plan
from seqplat_resources.batch.builds import events
from seqplat_resources.batch.days.troubles import DayTroubles
from seqplat_resources.clock import SystemClock
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.days.build import compare
from seqplat_resources.shadow.sequences.build import compare_days
from seqplat_resources.shadow.sequences.stale import every_need
from sequence_defs.schema import Compared, Definition, Sequence
from serving.cli.main import root
from tests.building import ManualClock, runtime_for
from tests.shadow.world import DAYS, WINDOW, World, history, old_visits, shop, visit, visits

OF_EVENTS, OF_SEQUENCES = "shadow/visit", "shadow_sequences/history"


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> World:
    found = World(tmp_path_factory.mktemp("stale") / "world", visit(), history)
    runtime = found.build()
    list(compare(runtime, "visit", DAYS))
    for day in DAYS:
        found.lay(day, found.blobs(day))
    list(compare_days(runtime, "history", DAYS))
    return found


@pytest.fixture
def world(compared: World, tmp_path: Path) -> World:
    """The same, in a folder that a test may change."""
    found = copy.copy(compared)
    found.folder = shutil.copytree(compared.folder, tmp_path / "world")
    return found


def _runtime(world: World, *definitions: Definition) -> Runtime:
    """A quarter of an hour later."""
    clock = ManualClock()
    clock.time = SystemClock().now() + dt.timedelta(minutes=15)
    given = definitions or (visit(), history)
    return replace(runtime_for(world.folder / "home", [shop, visits, old_visits, *given], world.folder), clock=clock)


def _stale(runtime: Runtime) -> dict[str, list[dt.date]]:
    return {asset: list(days) for asset, days in every_need(runtime).items()}


def test_another_tolerance_makes_days_dirty_and_they_are_compared_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _stale(_runtime(world)) == {}
    definition = visit()
    assert definition.legacy is not None
    columns = {**definition.legacy.columns, "score": Compared(field="points", relative=0.5)}
    other = definition.model_copy(update={"legacy": definition.legacy.model_copy(update={"columns": columns})})
    runtime = _runtime(world, other, history)
    found = every_need(runtime)
    assert {asset: list(days) for asset, days in found.items()} == {OF_EVENTS: DAYS}, "of the sequence nothing changed"
    assert {(need.kind, need.why) for need in found[OF_EVENTS].values()} == {
        ("stale", "it was compared by another definition than that of now")
    }
    [asked] = plan(runtime, list(assets_of(runtime)), found, lambda _: (), now=runtime.clock.now())
    assert (asked.name, asked.first, asked.last, asked.others) == (OF_EVENTS, DAYS[0], DAYS[-1], ())
    early = runtime.clock.now() - dt.timedelta(minutes=10)
    assert plan(runtime, list(assets_of(runtime)), found, lambda _: (), now=early) == []
    monkeypatch.setenv("SEQPLAT_HOME", runtime.home.root)
    monkeypatch.setenv("SEQPLAT_SOURCES", runtime.sources_root)
    said = CliRunner().invoke(root, ["dirty"]).output
    assert "8 day(s) not well" in said
    assert "stale" in said
    list(compare(runtime, "visit", DAYS))
    assert _stale(runtime) == {}


def test_a_bucket_built_anew_makes_its_day_and_windows_dirty(world: World) -> None:
    runtime = _runtime(world)
    list(events.build(runtime, "visit", DAYS[2:3]))
    assert _stale(runtime) == {OF_EVENTS: [DAYS[2]], OF_SEQUENCES: DAYS[2 : 2 + WINDOW]}
    [why] = {need.why for need in every_need(runtime)[OF_SEQUENCES].values()}
    assert why == "events/visit is another since it was compared"
    DayTroubles(runtime.home, runtime.clock).note(OF_EVENTS, {DAYS[2]: "no room"}, "failed")
    assert every_need(runtime)[OF_EVENTS][DAYS[2]].kind == "failed", "what is known of a day goes first"
    world.lay(DAYS[0], world.blobs(DAYS[1]))
    assert _stale(runtime)[OF_SEQUENCES] == [DAYS[0], *DAYS[2 : 2 + WINDOW]]


def test_files_of_now_say_nothing_of_then(world: World) -> None:
    assert history.legacy is not None
    at = history.legacy.at.model_copy(update={"location": f"blobs/{DAYS[-1]}.parquet"})
    undated: Sequence = history.model_copy(update={"legacy": history.legacy.model_copy(update={"at": at})})
    assert _stale(_runtime(world, visit(), undated)) == {OF_SEQUENCES: [DAYS[-1]]}
