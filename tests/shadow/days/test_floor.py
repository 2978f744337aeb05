"""Legacy beside its own replay: noise widens a band, so far and so long; a replay is no way to pass anything."""

import datetime as dt
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from seqplat_resources.batch.builds import raw
from seqplat_resources.home import Home
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.days.build import compare
from seqplat_resources.shadow.days.replay import measure_floor
from seqplat_resources.shadow.days.sides import Sides
from seqplat_resources.shadow.days.window import Judgement, judged
from seqplat_resources.shadow.ladder.gate import grounds_of
from seqplat_resources.shadow.ladder.moves import Ladder
from seqplat_resources.shadow.verdict.account import markdown
from seqplat_resources.shadow.verdict.floors import CannotMeasure, FloorDamaged, FloorLog
from seqplat_resources.shadow.verdict.record import VerdictLog, recheck
from sequence_defs.schema import Compared
from tests.building import ManualClock, runtime_for
from tests.shadow.world import DAYS, World, old_visits, shop, visit, visits

again = old_visits.model_copy(update={"name": "again", "location": "again/{day}.parquet"})
N = pl.col("nr")
BAND = 0.02


def _visit(**changes: object) -> object:
    found = visit(replay="again")
    assert found.legacy is not None
    columns = {**found.legacy.columns, "page": Compared(limit=BAND), **changes}
    return found.model_copy(update={"legacy": found.legacy.model_copy(update={"columns": columns})})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Ours has 3 % of the pages otherwise than legacy. A replay has 2 % otherwise, and half of the scores."""
    found = World(tmp_path_factory.mktemp("floor") / "world", visit())
    pages = found.old
    found.ours = found.ours.with_columns(page=pl.when(pl.col("visit") % 100 < 3).then(pl.lit("x")).otherwise("page"))
    found.build()
    (found.folder / "again").mkdir()
    for day in DAYS:
        noisy = pages.filter(pl.col("at").dt.date() == day).with_columns(
            page=pl.when(N % 100 >= 98).then(pl.lit("y")).otherwise("page"),
            points=pl.when(N % 2 == 0).then(pl.col("points") + 1).otherwise("points"),
        )
        noisy.filter(N % 500 != 0).write_parquet(found.folder / "again" / f"{day}.parquet")
    runtime = _runtime(found)
    list(raw.ingest(runtime, "again", DAYS))
    list(compare(runtime, "visit", DAYS))
    return found


def _runtime(world: World, **changes: object) -> Runtime:
    return runtime_for(world.folder / "home", [shop, visits, old_visits, again, _visit(**changes)], world.folder)


def _judged(runtime: Runtime) -> Judgement:
    return judged(runtime, "visit", until=DAYS[-1], who="ann")


def _limits(found: Judgement) -> dict[str, float]:
    return {each.metric.name: each.limit for each in found.record.decision.judged}


def test_a_band_is_twice_the_noise_for_a_month_and_of_one_definition(world: World) -> None:
    runtime = _runtime(world)
    plain = _judged(runtime)
    assert plain.record.case.floors == {}
    floor = measure_floor(runtime, "visit", who="ann")
    assert (floor.number, floor.days, floor.first, floor.last, floor.replay) == (1, 7, DAYS[1], DAYS[-1], "again")
    events = 7 * 400 * 3
    assert {name: each.differing for name, each in floor.metrics.items() if each.differing} == {
        "only_legacy": pytest.approx(events / 500, abs=2),
        "unexplained": pytest.approx(events / 500, abs=2),
        "differs_page": pytest.approx(events * 0.02, abs=3),
        "differs_score": pytest.approx(events * (0.5 - 0.002), abs=3),
    }
    found = _judged(runtime)
    limits = _limits(found)
    assert limits["differs_page"] == pytest.approx(2 * floor.metrics["differs_page"].share)
    assert limits["only_legacy"] == pytest.approx(2 * floor.metrics["only_legacy"].share)
    assert limits["differs_score"] == _limits(plain)["differs_score"], "half of all is no noise"
    [score] = [each for each in found.record.decision.judged if each.metric.name == "differs_score"]
    assert "too much to be noise" in score.because
    said = markdown(found.record)
    assert f"legacy beside its replay 'again', {DAYS[1]} to {DAYS[-1]}" in said
    assert "no noise: too wide" in said
    document = VerdictLog(runtime.home, "visit").read(found.number)
    assert recheck(document, dict(found.record.tables)).holds

    clock = ManualClock()
    clock.time = dt.datetime.combine(floor.until, dt.time(23), dt.UTC)
    assert Sides.open(replace(runtime, clock=clock), "visit").floor == floor
    clock.time += dt.timedelta(hours=2)
    assert _limits(_judged(replace(runtime, clock=clock))) == _limits(plain)
    assert Sides.open(_runtime(world, page=Compared(limit=0.03)), "visit").floor is None, "of another tolerance"


def test_a_step_rests_on_no_verdict_whose_floor_has_ended(world: World) -> None:
    runtime, clock = _runtime(world), ManualClock()
    ladder = Ladder(runtime.home, runtime.release.event_types["visit"])
    floor = measure_floor(runtime, "visit", who="ann")
    _judged(runtime)
    for days, says in ((0, 0), (1, 1)):
        clock.time = dt.datetime.combine(floor.until + dt.timedelta(days=days), dt.time(), dt.UTC)
        _, wrong = grounds_of(ladder, ladder.standing(), Sides.open(replace(runtime, clock=clock), "visit"))
        assert len([each for each in wrong if "noise floor" in each]) == says


def test_too_few_days_no_replay_and_nothing_built_say_so_and_keep_nothing(world: World, tmp_path: Path) -> None:
    runtime = _runtime(world)
    kept = FloorLog(runtime.home, "visit").latest()
    with pytest.raises(CannotMeasure, match=r"7 days .* there are 6; build them with .*raw/old_visits raw/again"):
        measure_floor(runtime, "visit", until=DAYS[5], who="ann")
    other = runtime_for(world.folder / "home", [shop, visits, old_visits, visit()], world.folder)
    with pytest.raises(CannotMeasure, match=r"names no replay; .*Legacy\(replay="):
        measure_floor(other, "visit", who="ann")
    assert Sides.open(other, "visit").floor is None
    assert FloorLog(runtime.home, "visit").latest() == kept


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff", b'{"number": "one"}'])
def test_a_damaged_floor_is_named(tmp_path: Path, data: bytes) -> None:
    home = Home(str(tmp_path), {})
    home.objects.put("shadow/visit/floors/000000000001.json", data)
    with pytest.raises(FloorDamaged, match=r"000000000001\.json is damaged.*delete the file"):
        FloorLog(home, "visit").latest()
