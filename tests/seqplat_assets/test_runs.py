"""Runs over days: what is built, what is recorded of each day, what a failure leaves."""

import datetime as dt
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from seqplat_assets.describe.keys import key_of
from seqplat_assets.factory import all_assets, definitions_of
from seqplat_assets.layers import build as building
from seqplat_assets.layers.assets import built as assets_of
from seqplat_assets.layers.daybook import Daybook
from seqplat_assets.progress import Progress
from seqplat_assets.run import AssetUnknown, DagsterHomeUnset, NoSuchDays, _groups, chosen, materialize_range, recorder
from seqplat_resources.batch.days.result import BucketResult
from seqplat_resources.batch.days.troubles import DayTroubles
from seqplat_resources.batch.inputs import tables
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.errors import Final, Retryable
from seqplat_resources.lake.files import FilePart
from seqplat_resources.release.runtime import Runtime
from sequence_defs.compiler.discover import discover
from tests.building import runtime_for
from tests.conftest import DEMO_DATA
from tests.seqplat_assets.conftest import DAYS, Built, demo_runtime
from tests.test_adding_an_event_type import DEFINITION

RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
PURCHASE = key_of("events/purchase")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """An instance in memory, where the storage itself is not the question."""
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def materializations(instance: dg.DagsterInstance, key: dg.AssetKey) -> dict[str, dict[str, Any]]:
    """Metadata of each partition's newest materialization."""
    found: dict[str, dict[str, Any]] = {}
    for record in instance.fetch_materializations(key, limit=1000).records:
        event = record.asset_materialization
        assert event is not None
        assert event.partition is not None
        found.setdefault(event.partition, {name: value.value for name, value in event.metadata.items()})
    return found


def evaluations(instance: dg.DagsterInstance, key: dg.AssetKey, name: str) -> list[dg.AssetCheckEvaluation]:
    """All evaluations of a check, oldest first."""
    history = instance.event_log_storage.get_asset_check_execution_history(dg.AssetCheckKey(key, name), limit=1000)
    found = [record.evaluation for record in reversed(history)]
    assert all(found)
    return found  # type: ignore[return-value]


def test_a_range_run_materializes_every_day_of_every_asset(built: Built) -> None:
    assert len(built.result.runs) == 1
    for asset in assets_of(built.runtime):
        found = materializations(built.instance, asset.spec.key)
        assert sorted(found) == [str(day) for day in DAYS], asset.spec.key


def test_each_day_has_its_own_numbers(built: Built) -> None:
    plan = EventPlan.of(built.runtime.loaded, "purchase")
    rows = tables.events(built.runtime, plan).scan().group_by("day").len().collect()
    found = materializations(built.instance, PURCHASE)
    assert {day: numbers["dagster/row_count"] for day, numbers in found.items()} == {
        str(day): count for day, count in rows.iter_rows()
    }
    versions = [found[str(day)]["delta_version"] for day in DAYS]
    assert len(set(versions)) == 1  # days this small share a commit
    first = found[str(DAYS[0])]
    assert first["read"] == first["filtered"] + first["dagster/row_count"] + first["duplicates"]
    assert first["dagster/size_bytes"] > 0
    assert {"seconds_total", "seconds_read", "seconds_engine"} <= set(first)
    assert first["release"] == built.runtime.loaded.id[:12]


def test_each_day_has_its_own_verdict_of_every_check(built: Built) -> None:
    for name in ("schema", "identity_unique", "complete_against_raw", "enrichment_coverage"):
        found = evaluations(built.instance, PURCHASE, name)
        assert [e.partition for e in found] == [str(day) for day in DAYS], "one per day, none for the range"
        assert all(e.passed for e in found)
    for asset, name in (("raw/transactions", "rejects"), ("enrichments/promotion", "available")):
        assert len(evaluations(built.instance, key_of(asset), name)) == 3


def test_every_verdict_is_about_the_newest_materialization_of_its_day(built: Built) -> None:
    """Else the Partitions tab of a check shows its days as missing."""
    keys = [dg.AssetCheckKey(PURCHASE, "schema"), dg.AssetCheckKey(key_of("raw/transactions"), "rejects")]
    found = built.instance.event_log_storage.get_asset_check_partition_info(keys)
    assert len(found) == 2 * len(DAYS)
    assert all(info.is_current and info.latest_target_materialization_storage_id for info in found)


def test_numbers_of_checks_are_floats_so_that_the_ui_plots_them(built: Built) -> None:
    (first, *_) = evaluations(built.instance, PURCHASE, "complete_against_raw")
    assert first.metadata
    assert all(isinstance(value, dg.FloatMetadataValue) for value in first.metadata.values())
    assert first.metadata["missing_share"].value == 0.0
    assert first.metadata["expected"].value == first.metadata["present"].value


def test_progress_is_told_step_by_step(built: Built) -> None:
    told = {(p.asset, bool(p.checks)): p for p in built.report}
    purchase = told["events/purchase", False]
    found = materializations(built.instance, PURCHASE)
    assert (purchase.days, purchase.rows) == (3, sum(day["dagster/row_count"] for day in found.values()))
    assert told["events/purchase", True].checks == 6
    assert str(told["events/purchase", True]).endswith("6 check(s), ok")
    assert built.report.index(told["raw/transactions", False]) < built.report.index(purchase)


def test_a_single_day_runs_on_its_own(spoilable: Runtime, instance: dg.DagsterInstance) -> None:
    job = definitions_of(spoilable).resolve_job_def(all_assets.name)
    keys = [asset.spec.key for asset in assets_of(spoilable)]
    done = job.execute_in_process(instance=instance, tags={"dagster/partition": str(DAYS[1])}, asset_selection=keys)
    assert done.success
    assert list(materializations(instance, PURCHASE)) == [str(DAYS[1])]
    (only,) = evaluations(instance, PURCHASE, "complete_against_raw")
    assert (only.partition, only.passed) == (str(DAYS[1]), True)


OVER_ALL_DAYS = {RANGE[0]: str(DAYS[0]), RANGE[1]: str(DAYS[-1])}


def checked_again(
    runtime: Runtime, instance: dg.DagsterInstance, *names: str, tags: Mapping[str, str] = OVER_ALL_DAYS
) -> dg.ExecuteInProcessResult:
    """Run checks of purchases alone."""
    selection = dg.AssetSelection.checks(*(dg.AssetCheckKey(PURCHASE, name) for name in names))
    definitions = definitions_of(runtime)
    job = dg.define_asset_job("only_checks", selection=selection)
    merged = dg.Definitions.merge(definitions, dg.Definitions(jobs=[job]))
    return merged.resolve_job_def("only_checks").execute_in_process(instance=instance, tags=tags, raise_on_error=False)


def test_a_check_can_run_alone_and_shows_what_was_tampered_with(
    spoilable: Runtime, instance: dg.DagsterInstance
) -> None:
    table = tables.events(spoilable, EventPlan.of(spoilable.loaded, "purchase"))
    rows = table.scan().filter(pl.col("day") == DAYS[1]).drop("day").collect()
    table.replace({"day": DAYS[1]}, [FilePart(pl.concat([rows[1:], rows[-1:]]))])
    done = checked_again(spoilable, instance, "identity_unique", "complete_against_raw")
    assert not done.success, "both are blocking"
    verdicts = {
        name: [e.passed for e in evaluations(instance, PURCHASE, name) if e.partition]
        for name in ("identity_unique", "complete_against_raw", "schema")
    }
    assert verdicts == {
        "identity_unique": [True, False, True],
        "complete_against_raw": [True, False, True],
        "schema": [],
    }
    failed = evaluations(instance, PURCHASE, "complete_against_raw")[1]
    assert failed.severity is dg.AssetCheckSeverity.ERROR
    assert failed.description == "1 event(s) missing, 0 surplus, 0 reject(s) lost"


def test_checks_executed_without_days_judge_every_day_that_was_built(
    spoilable: Runtime, instance: dg.DagsterInstance
) -> None:
    """The "Execute" buttons of the UI start a run that names no partition."""
    build = materialize_range(DAYS[0], DAYS[1], ["events/purchase"], runtime=spoilable, instance=instance)
    assert build.success
    tables.events(spoilable, EventPlan.of(spoilable.loaded, "purchase")).replace({"day": DAYS[1]}, [])
    done = checked_again(spoilable, instance, "complete_against_raw", "schema", tags={})
    assert not done.success
    found = evaluations(instance, PURCHASE, "complete_against_raw")
    assert {e.partition: e.passed for e in found} == {str(DAYS[0]): True, str(DAYS[1]): False, None: False}
    (over_all,) = [e for e in found if e.partition is None]
    (why,) = [e.description for e in found if e.partition and not e.passed]
    assert over_all.description == (f"1 of 2 days did not pass: {DAYS[1]}: {why}")


def test_a_day_without_its_enrichment_is_built_with_a_warning(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    """Its cells wait, and nothing downstream is held up."""
    found = discover("sequence_defs.definitions.demo")
    data = tmp_path / "data"
    shutil.copytree(DEMO_DATA, data)
    (data / "products.parquet").rename(data / f"products-{DAYS[0]}.parquet")
    daily = [
        d.model_copy(update={"location": "products-{day}.parquet"}) if d.name == "products" else d
        for d in found.definitions
    ]
    runtime = runtime_for(tmp_path / "home", daily, data)
    report: list[Progress] = []
    result = materialize_range(
        DAYS[0], DAYS[1], ["+sequences/purchase_vectors"], runtime=runtime, instance=instance, report=report.append
    )
    assert result.success, result.failures
    key = key_of("enrichments/product")
    assert materializations(instance, key)[str(DAYS[1])]["absent"] == 1
    assert list(DayTroubles(runtime.home).of("enrichments/product")) == [DAYS[1]]
    assert [e.passed for e in evaluations(instance, key, "available")] == [True, False]
    present, absent = evaluations(instance, PURCHASE, "enrichment_coverage")
    assert present.passed
    assert (absent.passed, absent.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert absent.metadata["product_pending"].value == 1.0
    assert (absent.description or "").startswith("product: 100.0 % PENDING")
    assert next(p for p in report if p.not_passed).not_passed == {"available": [str(DAYS[1])]}


def test_an_event_type_from_one_new_file_is_an_asset_that_materializes(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    folder = tmp_path / "definitions"
    shutil.copytree(DEMO_DATA.parent, folder, ignore=shutil.ignore_patterns("data", "__pycache__"))
    (folder / "returns.py").write_text(DEFINITION)
    found = discover(str(folder))
    assert found.errors == ()
    runtime = runtime_for(tmp_path / "home", found.definitions, DEMO_DATA)
    result = materialize_range(DAYS[0], DAYS[0], ["+online/product_return"], runtime=runtime, instance=instance)
    assert result.success, result.failures
    for layer in ("events", "online"):
        (numbers,) = materializations(instance, key_of(f"{layer}/product_return")).values()
        assert numbers["dagster/row_count"] > 0
    assert all(e.passed for e in evaluations(instance, key_of("events/product_return"), "schema"))


def names(groups: list[Any]) -> list[tuple[str, str, list[str]]]:
    return [(str(first), str(last), [a.full_name for a in group]) for (first, last), group in groups]


def test_a_selection_names_assets_layers_and_what_they_are_made_from(built: Built) -> None:
    assets = list(assets_of(built.runtime))

    def names_of(*select: str) -> list[str]:
        return [asset.full_name for asset in chosen(assets, select)]

    assert names_of("raw/campaigns", "events/purchase") == ["raw/campaigns", "events/purchase"]
    assert names_of("sequences") == ["sequences/household_history", "sequences/purchase_vectors"]
    assert names_of("+events/coupon_redemption") == ["raw/coupon_redemptions", "events/coupon_redemption"]
    assert len(names_of()) == 17
    with pytest.raises(AssetUnknown, match="did you mean 'events/purchase'"):
        names_of("event/purchase")


def test_assets_with_other_days_run_apart_and_in_order(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    demo = discover("sequence_defs.definitions.demo").definitions
    late = [d.model_copy(update={"start": DAYS[1]}) if d.name == "discount" else d for d in demo]
    runtime = runtime_for(tmp_path / "home", late, DEMO_DATA)
    vectors = chosen(list(assets_of(runtime)), ["+sequences/purchase_vectors"])
    first, second, third = names(_groups(vectors, DAYS[0], DAYS[2], runtime.clock.now().date()))
    assert (first[:2], first[2][-1]) == ((str(DAYS[0]), str(DAYS[2])), "events/purchase")
    assert second == (str(DAYS[1]), str(DAYS[2]), ["events/discount"])
    assert third == (str(DAYS[0]), str(DAYS[2]), ["sequences/purchase_vectors"])
    done = materialize_range(DAYS[0], DAYS[2], ["+sequences/purchase_vectors"], runtime=runtime, instance=instance)
    assert done.success, done.failures
    assert len(done.runs) == 3
    assert sorted(materializations(instance, key_of("events/discount"))) == [str(day) for day in DAYS[1:]]
    assert len(materializations(instance, key_of("sequences/purchase_vectors"))) == 3


def test_a_range_outside_every_partition_is_refused(built: Built) -> None:
    day = dt.date(2018, 1, 1)
    with pytest.raises(NoSuchDays, match="none of events/purchase has a day between 2018-01-01 and 2018-01-01"):
        materialize_range(day, day, ["events/purchase"], runtime=built.runtime, instance=built.instance)


@pytest.mark.parametrize(
    ("home", "told"), [("", "is not set"), ("dagster", "no folder"), ("/nowhere/at/all", "no folder")]
)
def test_an_instance_without_a_place_is_refused(home: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", home)
    with pytest.raises(DagsterHomeUnset, match=told), recorder():
        pass


RAW = key_of("raw/transactions")


def one_asset(runtime: Runtime, run: Callable[[Sequence[dt.date]], Iterator[BucketResult]]) -> dg.AssetsDefinition:
    """An asset of the demo, built otherwise."""
    partitions = dg.DailyPartitionsDefinition(str(DAYS[0]), end_date=str(DAYS[-1] + dt.timedelta(days=1)))

    @dg.multi_asset(specs=[dg.AssetSpec(RAW, partitions_def=partitions)])
    def bucket(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any]]:
        return building.build(context, run, Daybook(runtime, "raw/transactions"))

    return bucket


def run_days(asset: dg.AssetsDefinition, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    tags = {RANGE[0]: str(DAYS[0]), RANGE[1]: str(DAYS[-1])}
    return dg.materialize([asset], instance=instance, tags=tags, raise_on_error=False)


def result(day: dt.date) -> BucketResult:
    return BucketResult("lake/bucket", day, 1, 10, 0)


def test_a_final_error_costs_its_day_at_once_and_no_other(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    calls: list[Sequence[dt.date]] = []

    def fails_on_the_second(days: Sequence[dt.date]) -> Iterator[BucketResult]:
        calls.append(days)
        for day in days:
            if day == DAYS[1]:
                raise Final("raw/x has no such day; ingest it first")
            yield result(day)

    done = run_days(one_asset(demo_runtime(tmp_path / "home"), fails_on_the_second), instance)
    assert not done.success
    assert [len(days) for days in calls] == [3, 1, 1], "what was built is not built again"
    (failure,) = [event for event in done.all_events if event.is_step_failure]
    assert failure.step_failure_data.user_failure_data is not None
    assert failure.step_failure_data.user_failure_data.description == (
        f"raw/transactions: 1 of 3 days did not go well: {DAYS[1]}: raw/x has no such day; ingest it first. "
        f"Next: seqplat materialize {DAYS[1]} {DAYS[1]} --missing"
    )
    assert sorted(materializations(instance, RAW)) == [str(DAYS[0]), str(DAYS[2])]


def test_what_concerns_all_days_is_not_tried_for_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, instance: dg.DagsterInstance
) -> None:
    monkeypatch.setattr(building, "RETRIES", 0)
    calls: list[int] = []

    def away(days: Sequence[dt.date]) -> Iterator[BucketResult]:
        calls.append(len(days))
        yield result(days[0])
        raise Retryable("the store does not answer")

    assert not run_days(one_asset(demo_runtime(tmp_path / "home"), away), instance).success
    assert calls == [3]


def test_a_retryable_error_is_tried_again_for_the_days_it_met(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, instance: dg.DagsterInstance
) -> None:
    monkeypatch.setattr(building, "FIRST_WAIT_S", 0)
    calls: list[list[dt.date]] = []

    def succeeds_later(days: Sequence[dt.date]) -> Iterator[BucketResult]:
        calls.append(list(days))
        for day in days:
            if len(calls) < 3 and day == DAYS[1]:
                raise Retryable("somebody holds the bucket")
            yield result(day)

    done = run_days(one_asset(demo_runtime(tmp_path / "home"), succeeds_later), instance)
    assert done.success
    assert calls == [list(DAYS), list(DAYS[1:]), list(DAYS[1:])]
    assert sorted(materializations(instance, RAW)) == [str(day) for day in DAYS]
    assert len(instance.fetch_materializations(RAW, limit=100).records) == 3, "no day twice"


def test_an_installation_without_the_executor_still_shows_its_graph(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    """A half-updated deployment fails in the step that needs the code, with the reason, not by an empty UI."""
    runtime = demo_runtime(tmp_path / "home")
    executors = {**runtime.release.executors, "priced_line": "f" * 16}
    loaded = replace(runtime.loaded, release=runtime.release.model_copy(update={"executors": executors}))
    changed = replace(runtime, loaded=loaded)
    outcome = materialize_range(DAYS[0], DAYS[0], ["+events/purchase"], runtime=changed, instance=instance)
    assert list(outcome.failures) == ["events__purchase"]
    assert "executor 'priced_line' has code" in outcome.failures["events__purchase"]
