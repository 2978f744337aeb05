"""What checks say in real runs is kept in our own table: of days and ranges, of days that are not built, of streams."""

import datetime as dt
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from seqplat_assets.describe.keys import key_of
from seqplat_assets.factory import definitions_of
from seqplat_assets.run import materialize_range
from seqplat_assets.streams.checks import Watch
from seqplat_resources.clock import Clock
from seqplat_resources.health.board import health, look
from seqplat_resources.health.checks import IS_READ
from seqplat_resources.health.results import Results
from seqplat_resources.health.view import Cell, CheckRow, Health
from seqplat_resources.release.runtime import Runtime
from tests.building import ManualClock, utc
from tests.seqplat_assets.conftest import Built
from tests.seqplat_assets.shop_days import DAYS, RANGE, lock, shop, spoil, write

CLICK, RAW = "events/click", "raw/clicks"


@pytest.fixture
def instance(new_instance: Callable[[], dg.DagsterInstance]) -> dg.DagsterInstance:
    return new_instance()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(utc(2024, 5, 6, 12))


def view(runtime: Runtime) -> Health:
    return health(runtime, look(runtime, days=5), days=5)


def row(seen: Health, asset: str, check: str) -> CheckRow:
    return next(each for each in seen.rows if (each.asset, each.check) == (asset, check))


def cells(seen: Health, asset: str, check: str) -> str:
    return "".join(each.status[0] if each.is_due else " " for each in row(seen, asset, check).cells)


def test_a_range_with_bad_days_is_two_incidents_and_mended_it_is_well(
    tmp_path: Path, instance: dg.DagsterInstance, clock: ManualClock
) -> None:
    runtime = shop(tmp_path, clock=clock)
    spoil(tmp_path, DAYS[1])
    (tmp_path / f"{DAYS[3]}.csv").unlink()
    done = materialize_range(DAYS[0], DAYS[-1], runtime=runtime, instance=instance)
    assert not done.success
    seen = view(runtime)
    assert cells(seen, RAW, "rejects") == "pfpup"
    assert {cells(seen, CLICK, check) for check in ("schema", "identity_unique", "rejects")} == {"pupup"}
    held, absent = seen.incidents
    assert (held.asset, held.days, held.title) == (RAW, (DAYS[1],), "raw/clicks: rejects does not pass")
    assert (absent.asset, absent.days, absent.title) == (RAW, (DAYS[3],), "raw/clicks could not be built")
    cell = row(seen, RAW, "rejects").cells[1]
    assert (cell.value, cell.limit) == (1.0, 0.01)
    assert cell.run in {run.run_id for run in instance.get_runs()}
    write(tmp_path, DAYS[1])
    write(tmp_path, DAYS[3])
    assert materialize_range(DAYS[0], DAYS[-1], runtime=runtime, instance=instance, missing=True).success
    assert (view(runtime).healthy, view(runtime).incidents) == (4, ())


def test_one_day_built_anew_without_its_checks_is_stale_until_they_run_alone(
    tmp_path: Path, instance: dg.DagsterInstance, clock: ManualClock
) -> None:
    runtime = shop(tmp_path, clock=clock)
    assert materialize_range(DAYS[0], DAYS[-1], runtime=runtime, instance=instance).success
    write(tmp_path, DAYS[2], rows=7)
    tags, day = dict.fromkeys(RANGE, str(DAYS[2])), str(DAYS[2])
    job = definitions_of(runtime).resolve_implicit_global_asset_job_def()
    keys = [key_of(RAW), key_of(CLICK)]
    without = job.get_subset(asset_selection=set(keys), asset_check_selection=set())
    assert without.execute_in_process(instance=instance, tags=tags).success
    assert cells(view(runtime), CLICK, "schema") == "ppspp"
    assert [each.status for each in view(runtime).incidents] == ["stale", "stale"]
    only = {key for key in job.asset_layer.asset_graph.asset_check_keys if key.asset_key in keys}
    alone = job.get_subset(asset_selection=set(), asset_check_selection=only)
    assert alone.execute_in_process(instance=instance, partition_key=day).success
    assert (view(runtime).incidents, cells(view(runtime), CLICK, "schema")) == ((), "ppppp")


def test_a_day_that_raises_is_not_judged_and_says_why(
    tmp_path: Path, instance: dg.DagsterInstance, clock: ManualClock
) -> None:
    runtime = shop(tmp_path, clock=clock)
    lock(tmp_path, DAYS[0])
    materialize_range(DAYS[0], DAYS[0], runtime=runtime, instance=instance)
    seen = view(runtime)
    cell: Cell = row(seen, CLICK, "schema").cells[0]
    assert (cell.status, "waits for raw/clicks" in cell.because) == ("unjudged", True)
    refused = next(each for each in seen.incidents if each.title == "raw/clicks could not be built")
    assert f"{DAYS[0]}.csv" in refused.because


def test_results_that_cannot_be_kept_fail_no_build_and_are_told(
    tmp_path: Path, instance: dg.DagsterInstance, clock: ManualClock
) -> None:
    runtime = shop(tmp_path, clock=clock)
    assert materialize_range(DAYS[0], DAYS[-1], runtime=runtime, instance=instance).success
    log = Path(runtime.home.root) / "lake" / "checks" / "_delta_log"
    kept = shutil.move(log, tmp_path / "kept")
    log.write_text("no folder")
    done = materialize_range(DAYS[1], DAYS[1], runtime=runtime, instance=instance)
    assert done.success, done.failures
    logged = [entry.user_message for run in instance.get_runs() for entry in instance.all_logs(run.run_id)]
    assert any("what checks said could not be kept" in each for each in logged)
    log.unlink()
    shutil.move(kept, log)
    seen = view(runtime)
    assert cells(seen, CLICK, "schema") == "psppp"
    assert {each.split(":")[0] for each in seen.errors} == {RAW, CLICK, "sequences/recent", "online/click"}
    assert materialize_range(DAYS[1], DAYS[1], runtime=runtime, instance=instance).success
    assert (view(runtime).errors, view(runtime).healthy) == ((), 4)


def test_every_promised_check_of_the_demo_has_a_verdict(built: Built) -> None:
    """One range run of a release with enrichments, a log and several tenants."""
    found = Results(built.runtime.home).newest(dt.date(2017, 11, 1))
    clock: Clock = ManualClock(utc(2017, 11, 29, 12))
    seen = health(replace(built.runtime, clock=clock), replace(look(built.runtime), found=found))
    assert {asset.split("/")[0] for asset, _ in seen.never_ran} <= {"stream"}
    judged = [cell for each in seen.rows if each.layer == "events" for cell in each.cells if cell.at is not None]
    assert {cell.status for cell in judged} <= {"pass", "warn"}
    assert all(cell.limit is not None and cell.value is not None for cell in judged if cell.day is not None)


def test_a_stream_keeps_what_is_news_and_what_is_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = shop(tmp_path)
    watch = Watch(runtime, "clicks", IS_READ)
    said = [dg.AssetCheckEvaluation(key_of("stream/clicks"), "is_read", passed, {}) for passed in (True, True, False)]
    assert [len(watch.to_keep(each)) for each in said] == [1, 0, 1]
    monkeypatch.setattr("seqplat_assets.streams.checks.KEEP_EVERY_S", 0.0)
    assert [each.status for each in watch.to_keep(said[2])] == ["fail"]
