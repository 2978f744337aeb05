"""``seqplat shadow`` and ``cutover``: the whole way of an event type, with exit codes, grounds and refusals."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

from seqplat_resources.batch.builds import events, raw
from seqplat_resources.home import Home
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.days.build import compare
from seqplat_resources.shadow.sequences.build import compare_days
from serving.cli.main import root
from tests.building import runtime_for
from tests.shadow.world import DAYS, World, history, old_visits, shop, visit, visits

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    """Both sides alike, compared."""
    world = World(tmp_path_factory.mktemp("same") / "world", visit(), history)
    runtime = world.build()
    list(compare(runtime, "visit", DAYS))
    for day in DAYS:
        world.lay(day, world.blobs(day))
    return runtime


@pytest.fixture
def same(built: Runtime, tmp_path: Path) -> Runtime:
    """The same, in a home that a test may change."""
    root = shutil.copytree(built.home.root, tmp_path / "same")
    return replace(built, home=Home(str(root), {}))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[[Runtime], Run]:
    """Commands over the home of a runtime."""

    def of(runtime: Runtime) -> Run:
        monkeypatch.setenv("SEQPLAT_HOME", runtime.home.root)
        monkeypatch.setenv("SEQPLAT_SOURCES", runtime.sources_root)
        return lambda *arguments: CliRunner().invoke(root, [str(each) for each in arguments])

    return of


def test_from_shadow_to_live_and_back(same: Runtime, run: Callable[[Runtime], Run]) -> None:
    seqplat = run(same)
    refused = seqplat("cutover", "advance", "visit")
    assert refused.exit_code
    assert "seqplat shadow verdict visit" in str(refused.exception)
    assert "sequence 'history': there is no verdict" in refused.output
    made = seqplat("shadow", "verdict", "visit")
    assert made.exit_code == 2, "9,600 events of 400 users prove 0.1 %, and not yet 0.01 %"
    assert "HOLD visit" in made.output
    assert "more users" in made.output
    assert "differs_page" in made.output
    assert seqplat("shadow", "check", "visit").exit_code == 2
    overridden = seqplat("cutover", "advance", "visit", "--override", "few users, all alike")
    assert "visit: shadow -> ab_1 (move 1)" in overridden.output
    status = seqplat("cutover", "status", "visit").output
    assert "OVERRIDE: few users, all alike" in status
    assert "1 % of users have our events" in status
    assert "visit: ab_1 -> ab_1, held (move 2)" in seqplat("cutover", "hold", "visit", "holiday").output
    assert seqplat("cutover", "advance", "visit", "--override", "now").exit_code
    assert "visit: ab_1 -> shadow, held" in seqplat("cutover", "rollback", "visit", "alarm").output
    assert "visit" in seqplat("cutover", "status").output
    retired = seqplat("cutover", "retire", "visit", "done")
    assert retired.exit_code == 1
    assert "not retired" in retired.output


def test_a_record_is_checked_against_what_there_is(same: Runtime, run: Callable[[Runtime], Run]) -> None:
    seqplat = run(same)
    seqplat("shadow", "verdict", "visit")
    record = json.loads(seqplat("shadow", "check", "visit", "--json").output)
    assert record["verdict"]["event_type"] == "visit"
    assert len(record["verdict"]["tables"]) == 2 * len(DAYS)
    assert seqplat("shadow", "check", "visit", 99).exit_code == 1
    list(events.build(same, "visit", DAYS[:1]))
    found = seqplat("shadow", "check", "visit")
    assert f"events/visit {DAYS[0]} is version" in found.output
    list(compare(same, "visit", DAYS[:1]))


def test_a_sequence_is_judged_by_its_name(same: Runtime, run: Callable[[Runtime], Run]) -> None:
    seqplat = run(same)
    assert "+shadow_sequences/history" in str(seqplat("shadow", "verdict", "history").exception)
    list(compare_days(same, "history", DAYS))
    made = seqplat("shadow", "verdict", "sequences/history")
    assert made.exit_code == 2, "400 users prove no half percent"
    assert "HOLD history" in made.output
    assert "users by activity" in made.output
    checked = seqplat("shadow", "check", "history")
    assert checked.exit_code == 2
    assert "it holds, and is about what there is" in checked.output
    assert seqplat("shadow", "self-test", "history").exit_code == 2
    given = ("--until", "2999-01-01", "--owner", "ann", "--reason", "ties")
    assert "ties" in seqplat("shadow", "accept", "history", "top_10", 0.01, *given).output
    assert "ties" not in seqplat("shadow", "accepted", "visit").output


def test_what_is_accepted_is_shown_with_its_owner_and_can_be_withdrawn(
    same: Runtime, run: Callable[[Runtime], Run]
) -> None:
    seqplat = run(same)
    given = ("--until", "2999-01-01", "--owner", "ann", "--reason", "the old one rounds")
    assert "the old one rounds" in seqplat("shadow", "accept", "visit", "differs_score", 0.01, *given).output
    assert "a level only goes down" in str(
        seqplat("shadow", "accept", "visit", "differs_score", 0.02, *given).exception
    )
    unknown = seqplat("shadow", "accept", "visit", "differs_scor", 0.01, *given)
    assert "did you mean 'differs_score'?" in str(unknown.exception)
    assert "ann" in seqplat("shadow", "accepted", "visit").output
    assert "ann" not in seqplat("shadow", "withdraw", "visit", "differs_score", "--reason", "mended").output


def test_the_noise_of_a_replay_is_measured_shown_and_no_way_to_pass(
    same: Runtime, run: Callable[[Runtime], Run]
) -> None:
    assert "names no replay" in str(run(same)("shadow", "floor", "visit").exception)
    again = old_visits.model_copy(update={"name": "again", "location": "again/{day}.parquet"})
    other = runtime_for(
        Path(same.home.root), [shop, visits, old_visits, again, visit(replay="again")], same.sources_root
    )
    seqplat, folder = run(other), Path(same.sources_root)
    assert seqplat("shadow", "floor", "visit", "--show").exit_code == 1
    shutil.copytree(folder / "old", folder / "again")
    list(raw.ingest(other, "again", DAYS))
    made = seqplat("shadow", "floor", "visit")
    assert (made.exit_code, "floor 1: legacy beside its replay 'again'" in made.output) == (0, True)
    for day in DAYS:
        noisy = pl.read_parquet(folder / "old" / f"{day}.parquet").with_columns(points=pl.col("points") + 1)
        noisy.write_parquet(folder / "again" / f"{day}.parquet")
    list(raw.ingest(other, "again", DAYS))
    wide = seqplat("shadow", "floor", "visit", "--days", 8)
    assert (wide.exit_code, "differs_score: too far apart to be noise" in wide.output) == (1, True)
    assert "floor 2" in seqplat("shadow", "floor", "visit", "--show").output


def test_a_gate_that_decides_nothing_says_so_of_its_defects(same: Runtime, run: Callable[[Runtime], Run]) -> None:
    found = run(same)("shadow", "self-test", "visit")
    assert found.exit_code == 2
    assert "without any the gate says HOLD" in found.output
    assert "untold" in found.output


def test_mistakes_are_named(tmp_path: Path, same: Runtime, run: Callable[[Runtime], Run]) -> None:
    seqplat = run(same)
    assert "did you mean 'visit'?" in str(seqplat("shadow", "verdict", "visits").exception)
    world = World(tmp_path / "world", visit())
    world.old = world.old.filter(pl.lit(False))
    seqplat = run(world.build())
    assert "seqplat materialize" in str(seqplat("shadow", "verdict", "visit").exception)
