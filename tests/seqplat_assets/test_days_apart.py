"""One bad day of a range: it fails alone, it is named, and what mends it builds nothing else again."""

import datetime as dt
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import dagster as dg
import pytest
from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository

from seqplat_assets.describe.keys import key_of
from seqplat_assets.factory import definitions_of
from seqplat_assets.run import materialize_range
from seqplat_resources.batch.days.troubles import DayTroubles
from seqplat_resources.batch.inputs import tables
from seqplat_resources.release.runtime import Runtime
from tests.building import ManualClock, utc
from tests.seqplat_assets.shop_days import DAYS, LAYERS, RANGE, built, lock, materialized, served, shop, spoil, write

EVERY = list(range(len(DAYS)))


@pytest.fixture
def instance(new_instance: Callable[[], dg.DagsterInstance]) -> dg.DagsterInstance:
    return new_instance()


def without(*bad: int) -> list[int]:
    return [n for n in EVERY if n not in bad]


def test_a_day_that_cannot_be_read_fails_alone(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    runtime = shop(tmp_path)
    lock(tmp_path, DAYS[2])
    done = materialize_range(DAYS[0], DAYS[-1], runtime=runtime, instance=instance)
    assert not done.success
    assert built(runtime) == dict.fromkeys(LAYERS, without(2))
    assert all(materialized(instance, name) == without(2) for name in LAYERS)
    assert list(done.failures) == ["raw__clicks", "events__click", "online__click", "sequences__recent"]
    raw, events = done.failures["raw__clicks"], done.failures["events__click"]
    assert raw.startswith(f"raw/clicks: 1 of 5 days did not go well: {DAYS[2]}: source 'clicks': {DAYS[2]}.csv is not")
    assert events.startswith(f"events/click: 1 of 5 days did not go well: {DAYS[2]} for lack of raw/clicks. Next: ")
    assert raw.endswith(f"Next: seqplat materialize {DAYS[2]} {DAYS[2]} --missing")


def test_a_check_that_blocks_one_day_stops_what_is_made_of_that_day(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    runtime = shop(tmp_path)
    spoil(tmp_path, DAYS[1])
    done = materialize_range(DAYS[0], DAYS[-1], runtime=runtime, instance=instance)
    assert not done.success
    assert built(runtime) == {**dict.fromkeys(LAYERS, without(1)), "raw/clicks": EVERY}
    why = done.failures["check_raw__clicks"]
    assert why.startswith(f"raw/clicks: 1 of 5 days did not go well: {DAYS[1]}: rejects: column at: 2; the day got no")
    passed, detail = verdict(instance, "raw/clicks")
    assert not passed
    assert f"{DAYS[1]}: check rejects: column at: 2" in detail, "the page of the asset is not green"


def test_a_warning_of_one_day_is_not_covered_by_the_good_day_after_it(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    """Dagster shows the verdict on the newest day of a range."""
    runtime = shop(tmp_path)
    (tmp_path / f"{DAYS[1]}.csv").write_text(f"user,id,at\nu,1,{DAYS[1]}T10:00:00Z\nu,2,noon")
    assert materialize_range(DAYS[0], DAYS[-1], runtime=runtime, instance=instance).success
    key = dg.AssetCheckKey(key_of("raw/clicks"), "rejects")
    newest, *_ = instance.event_log_storage.get_asset_check_execution_history(key, limit=9)
    assert newest.evaluation is not None
    assert (newest.evaluation.partition, newest.evaluation.passed) == (None, False)
    assert (newest.evaluation.description or "").startswith(f"1 of 5 days did not pass: {DAYS[1]}: column at: 1")


@pytest.mark.parametrize("days", [(1, 1), (0, 4)])
@pytest.mark.parametrize("bad", [lock, spoil])
def test_no_check_of_a_day_that_is_not_built_is_left_without_a_word(
    tmp_path: Path, instance: dg.DagsterInstance, bad: Callable[[Path, dt.date], None], days: tuple[int, int]
) -> None:
    """A planned check that nobody makes reads as "execution failed": red, beside the one that is."""
    runtime = shop(tmp_path)
    bad(tmp_path, DAYS[1])
    assert not materialize_range(DAYS[days[0]], DAYS[days[1]], runtime=runtime, instance=instance).success
    job = definitions_of(runtime).resolve_implicit_global_asset_job_def()
    told: dict[str, set[str]] = {"red": set(), "yellow": set()}
    for key in job.asset_layer.asset_graph.asset_check_keys:
        made = instance.event_log_storage.get_asset_check_execution_history(key, limit=20)
        assert all(record.evaluation for record in made if key.name != "days_built"), key
        newest = made[0].evaluation
        assert newest is not None, key
        if not newest.passed:
            assert str(DAYS[1]) in f"{newest.partition} {newest.description}", key
            red = newest.severity is dg.AssetCheckSeverity.ERROR
            told["red" if red else "yellow"].add(key.name)
    assert told["red"] == ({"days_built"} if bad is lock else {"days_built", "rejects"})
    assert "schema" in told["yellow"]


def verdict(instance: dg.DagsterInstance, asset: str) -> tuple[bool, str]:
    key = dg.AssetCheckKey(key_of(asset), "days_built")
    newest, *_ = instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
    assert newest.evaluation is not None
    return newest.evaluation.passed, newest.evaluation.description or ""


def test_the_asset_says_that_a_day_is_missing_until_it_is_there(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    clock = ManualClock(utc(2024, 5, 6, 6))
    runtime = shop(tmp_path, clock=clock)
    lock(tmp_path, DAYS[2])
    spoil(tmp_path, DAYS[3])
    materialize_range(DAYS[0], DAYS[-1], runtime=runtime, instance=instance)
    for name in LAYERS:
        passed, detail = verdict(instance, name)
        assert not passed
        assert str(DAYS[2]) in detail
        assert str(DAYS[3]) in detail
    shutil.rmtree(tmp_path / f"{DAYS[2]}.csv")
    write(tmp_path, DAYS[2])
    write(tmp_path, DAYS[3])
    assert materialize_range(DAYS[2], DAYS[3], runtime=runtime, instance=instance).success
    assert built(runtime) == dict.fromkeys(LAYERS, EVERY)
    assert not any(DayTroubles(runtime.home).of(name) for name in LAYERS)
    assert [verdict(instance, name) for name in LAYERS] == [(True, "")] * len(LAYERS)
    clock.time += dt.timedelta(days=1)
    materialize_range(DAYS[0], DAYS[0], runtime=runtime, instance=instance)
    yesterday = DAYS[-1] + dt.timedelta(days=1)
    assert verdict(instance, "online/click") == (False, f"1 day(s) not built: {yesterday} to {yesterday}")


def test_days_that_were_good_stay_as_they_were(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    """A rebuild that fails leaves the bucket there was, and holds what would be made of it."""
    runtime = shop(tmp_path)
    assert materialize_range(DAYS[0], DAYS[-1], runtime=runtime, instance=instance).success
    lock(tmp_path, DAYS[2])
    write(tmp_path, DAYS[3], 2)
    assert not materialize_range(DAYS[2], DAYS[3], runtime=runtime, instance=instance).success
    assert served(runtime) == {0: 4, 1: 4, 2: 4, 3: 2, 4: 4}
    assert not materialize_range(DAYS[2], DAYS[2], ["events"], runtime=runtime, instance=instance).success


def location() -> dg.RepositoryDefinition:
    """What a worker loads."""
    return definitions_of(Runtime.from_environment()).get_repository_def()


def everything() -> tuple[ReconstructableJob, list[dg.AssetKey]]:
    job = ReconstructableRepository.for_module(__name__, "location").get_reconstructable_job("__ASSET_JOB")
    return job, [key_of(name) for name in LAYERS]


def test_a_reexecution_from_failure_builds_what_is_missing_and_nothing_else(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = shop(tmp_path)
    monkeypatch.setenv("SEQPLAT_HOME", runtime.home.root)
    monkeypatch.setenv("SEQPLAT_SOURCES", str(tmp_path))
    lock(tmp_path, DAYS[2])
    spoil(tmp_path, DAYS[3])
    job, keys = everything()
    tags = {RANGE[0]: str(DAYS[0]), RANGE[1]: str(DAYS[-1])}
    with dg.execute_job(job, instance=instance, asset_selection=keys, tags=tags) as first:
        assert not first.success
    files = {name: set(table(runtime, name).files()["path"]) for name in LAYERS[:3]}
    shutil.rmtree(tmp_path / f"{DAYS[2]}.csv")
    write(tmp_path, DAYS[2])
    write(tmp_path, DAYS[3], 3)
    again = dg.ReexecutionOptions.from_failure(first.run_id, instance)
    tags["dagster/is_resume_retry"] = "true"  # as UI and daemon do
    with dg.execute_job(job, instance=instance, reexecution_options=again, tags=tags) as second:
        assert second.success
        told = {(e.asset_key.path[0], e.partition) for e in map(of, second.all_events) if e}
    bad = {str(DAYS[2]), str(DAYS[3])}
    assert told == {(name.split("/")[0], day) for name in LAYERS for day in bad}
    assert served(runtime) == {0: 4, 1: 4, 2: 4, 3: 3, 4: 4}
    for name, before in files.items():
        gone = before - set(table(runtime, name).files()["path"])
        assert all(str(DAYS[3]) in path for path in gone), "only the day that a check held was written again"


def of(event: dg.DagsterEvent) -> dg.AssetMaterialization | None:
    return event.materialization if event.is_step_materialization else None


def table(runtime: Runtime, name: str) -> tables.LakeTable:
    layer, _, short = name.partition("/")
    if layer == "raw":
        return tables.raw(runtime, runtime.release.sources[short])
    if layer == "sequences":
        return tables.sequence(runtime, short)
    return tables.events(runtime, tables.EventPlan.of(runtime.loaded, short))


@pytest.mark.parametrize("first", [DAYS[2], DAYS[1]], ids=["alone", "with a good one"])
def test_nothing_is_made_of_a_bad_day_however_it_is_asked_for(
    tmp_path: Path, instance: dg.DagsterInstance, first: dt.date
) -> None:
    runtime = shop(tmp_path)
    spoil(tmp_path, DAYS[2])
    done = materialize_range(first, DAYS[2], runtime=runtime, instance=instance)
    assert not done.success
    assert built(runtime)["online/click"] == [n for n in (1,) if first == DAYS[1]]


def test_a_build_that_was_killed_before_its_days_were_judged_is_not_gone_on_with(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a file that holds nothing the bucket is there, and empty; only the check knows that it should not be."""
    runtime = shop(tmp_path)
    spoil(tmp_path, DAYS[1])
    with monkeypatch.context() as killed:
        killed.setattr("seqplat_assets.layers.checks.newest_materializations", ends)
        with pytest.raises(KeyboardInterrupt):
            materialize_range(DAYS[0], DAYS[2], runtime=runtime, instance=instance)
    assert built(runtime) == {**{name: [] for name in LAYERS}, "raw/clicks": [0, 1, 2]}
    assert not DayTroubles(runtime.home).of("raw/clicks"), "its process is there"
    for note in Path(runtime.home.root, "ledger/raw/clicks").glob("*.begun"):
        note.write_text(note.read_text().replace('"started": "', '"started": "1'))
    assert list(DayTroubles(runtime.home).of("raw/clicks")) == DAYS[:3]
    assert not materialize_range(DAYS[0], DAYS[2], ["events+"], runtime=runtime, instance=instance).success
    assert built(runtime)["events/click"] == []
    assert not materialize_range(DAYS[0], DAYS[2], runtime=runtime, instance=instance, missing=True).success
    assert built(runtime) == {**{name: [0, 2] for name in LAYERS}, "raw/clicks": [0, 1, 2]}
    assert list(DayTroubles(runtime.home).of("raw/clicks")) == [DAYS[1]]


@pytest.mark.parametrize("bad", [False, True])
def test_a_reexecution_of_a_run_that_was_killed_judges_what_that_had_built(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, bad: bool
) -> None:
    """Only its checks are executed again: to them the day is there."""
    runtime = shop(tmp_path)
    monkeypatch.setenv("SEQPLAT_HOME", runtime.home.root)
    monkeypatch.setenv("SEQPLAT_SOURCES", str(tmp_path))
    if bad:
        spoil(tmp_path, DAYS[1])
    job, keys = everything()
    tags = {RANGE[0]: str(DAYS[1]), RANGE[1]: str(DAYS[1])}
    with monkeypatch.context() as killed:
        killed.setattr("seqplat_assets.layers.checks.newest_materializations", ends)
        with dg.execute_job(job, instance=instance, asset_selection=keys, tags=tags) as first:
            assert not first.success
    (note,) = Path(runtime.home.root, "ledger/raw/clicks").glob("*.begun")
    note.write_text(note.read_text().replace('"started": "', '"started": "1'))
    again = dg.ReexecutionOptions.from_failure(first.run_id, instance)
    tags["dagster/is_resume_retry"] = "true"
    with dg.execute_job(job, instance=instance, reexecution_options=again, tags=tags) as second:
        assert second.success is not bad
        assert "raw__clicks" not in {event.step_key for event in second.all_events}
    assert built(runtime) == {**dict.fromkeys(LAYERS, [] if bad else [1]), "raw/clicks": [1]}
    left = [trouble.kind for trouble in DayTroubles(runtime.home).of("raw/clicks").values()]
    assert left == (["held"] if bad else [])
    assert not note.exists()


def ends(*_: object) -> NoReturn:
    raise KeyboardInterrupt
