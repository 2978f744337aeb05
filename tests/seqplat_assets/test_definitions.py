"""The graph a release gives, as people see it before anything ran."""

import datetime as dt
import importlib
import itertools
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.asset_daemon_cursor import AssetDaemonCursor
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph
from dagster._core.definitions.freshness import CronFreshnessPolicy

from seqplat_assets.describe.keys import key_of, name_of
from seqplat_assets.factory import all_assets, definitions_of
from seqplat_assets.runs.preview import quiet
from seqplat_resources.batch.days.schedule import AutomationInvalid
from seqplat_resources.home import Home
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.release.store import ReleaseNotFound, ReleaseStore
from sequence_defs.compiler.discover import discover
from sequence_defs.schema import Definition
from tests.building import runtime_for
from tests.conftest import DEMO_DATA
from tests.seqplat_assets.conftest import demo_runtime

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> AssetGraph:
    runtime = demo_runtime(tmp_path_factory.mktemp("graph") / "home")
    return definitions_of(runtime).resolve_asset_graph()


def changed(tmp_path: Path, **changes: Definition) -> dg.Definitions:
    """The demo with some definitions replaced, by name."""
    demo = discover("sequence_defs.definitions.demo").definitions
    return definitions_of(runtime_for(tmp_path / "home", [changes.get(d.name, d) for d in demo], DEMO_DATA))


def definition(name: str, kind: str = "EventType") -> Definition:
    demo = discover("sequence_defs.definitions.demo").definitions
    return next(d for d in demo if (d.name, type(d).__name__) == (name, kind))


def test_every_layer_has_its_assets(graph: AssetGraph) -> None:
    by_layer: dict[str, set[str]] = {}
    for layer, name in (name_of(key).split("/") for key in graph.get_all_asset_keys()):
        by_layer.setdefault(layer, set()).add(name)
    types = {"purchase", "discount", "coupon_redemption", "campaign_received"}
    logs = {"transactions", "coupon_redemptions", "campaigns"}
    assert by_layer == {
        "sources": {*logs, "products", "promotions", "product_embeddings", "demographics"},
        "stream": {"transactions"},
        "raw": logs,
        "enrichments": {"product", "promotion", "product_embedding", "demographics"},
        "events": types,
        "sequences": {"household_history", "purchase_vectors"},
        "online": types,
        "release": {"dev"},
    }
    assert {k.path[0] for k in graph.external_asset_keys} == {"sources", "stream", "release"}


def test_no_two_nodes_of_a_graph_read_alike(graph: AssetGraph) -> None:
    """The UI shows the last part of a key; an asset's name and its key tell each other."""
    keys = graph.get_all_asset_keys()
    assert len({key.path[-1] for key in keys}) == len(keys)
    assert {key_of(name_of(key)) for key in keys} == keys


def test_lineage_follows_the_definitions(graph: AssetGraph) -> None:
    def parents(asset: str) -> set[str]:
        return {name_of(parent) for parent in graph.get(key_of(asset)).parent_keys}

    assert parents("events/purchase") == {
        "raw/transactions",
        "stream/transactions",
        "enrichments/product",
        "enrichments/promotion",
        "enrichments/product_embedding",
        "enrichments/demographics",
    }
    assert parents("raw/transactions") == {"sources/transactions"}
    assert parents("enrichments/product") == {"sources/products"}
    assert parents("sequences/purchase_vectors") == {"events/purchase", "events/discount"}
    assert parents("online/discount") == {"events/discount"}


def test_an_asset_says_whose_it_is_and_what_it_is_made_of(graph: AssetGraph) -> None:
    asset = graph.get(key_of("events/purchase"))
    assert (asset.group_name, asset.owners) == ("grocery", ["team:grocery"])
    assert asset.kinds == {"polars", "deltalake"}
    shown = {name: value for name, value in asset.tags.items() if not name.startswith("dagster/")}
    assert shown == {"layer": "events", "tenant": "grocery", "lifecycle": "live"}
    text = asset.description or ""
    assert text.startswith("A product bought; returns and zero lines are left out.")
    assert "executor `priced_line`, where `quantity > 0`" in text
    assert "derived `basket`: `basket_value`, `basket_lines`, `on_promotion`" in text
    assert graph.get(key_of("online/purchase")).kinds == {"lmdb"}
    assert graph.get(key_of("sources/products")).kinds == {"parquet"}


def test_columns_carry_type_unit_privacy_and_origin(graph: AssetGraph) -> None:
    metadata = graph.get(key_of("events/purchase")).metadata
    columns = {column.name: column for column in metadata["dagster/column_schema"].columns}
    assert columns["sales_value"].type == "float64"
    assert columns["sales_value"].constraints.other == ["unit: USD"]
    assert columns["basket_id"].constraints.nullable is False
    assert columns["age"].tags == {"pii": ""}
    assert columns["department"].description == "from enrichments/product.department"
    lineage = metadata["dagster/column_lineage"].deps_by_column
    assert lineage["product_vector"] == [dg.TableColumnDep(key_of("enrichments/product_embedding"), "embedding")]
    assert {dep.column_name for dep in lineage["on_promotion"]} == {"display_location", "mailer_location"}
    assert "base_price" not in lineage, "made by the executor's code, so nothing is claimed"


def streamed_only(tmp_path: Path) -> dg.Definitions:
    """The demo, its purchases from a log and no files."""
    return changed(tmp_path, transactions=definition("transactions", "Source").model_copy(update={"location": ""}))


def test_a_log_is_an_external_asset_with_the_columns_of_its_archive(graph: AssetGraph) -> None:
    asset = graph.get(key_of("stream/transactions"))
    assert asset.is_external
    assert asset.partitions_def is None
    assert asset.kinds == {"kafka", "deltalake"}
    assert (asset.group_name, asset.owners) == ("grocery", ["team:grocery"])
    assert "messages of topic `transactions`" in (asset.description or "")
    columns = [column.name for column in asset.metadata["dagster/column_schema"].columns]
    assert {"household_id", "_event_time", "_ingest_time", "_partition", "_offset"} <= set(columns)
    assert asset.metadata["dagster/table_name"] == "archive/transactions"


def test_events_of_files_and_a_log_come_from_both(graph: AssetGraph) -> None:
    asset = graph.get(key_of("events/purchase"))
    assert "made from `raw/transactions` and `stream/transactions` by" in (asset.description or "")
    origin = asset.metadata["dagster/column_lineage"].deps_by_column["quantity"]
    assert {dep.asset_key for dep in origin} == {key_of("raw/transactions"), key_of("stream/transactions")}


def test_a_source_without_files_has_neither_files_nor_raw_rows(tmp_path: Path) -> None:
    graph = streamed_only(tmp_path).resolve_asset_graph()
    names = {name_of(k) for k in graph.get_all_asset_keys()}
    assert "stream/transactions" in names
    assert not {"raw/transactions", "sources/transactions"} & names
    asset = graph.get(key_of("events/purchase"))
    assert key_of("stream/transactions") in asset.parent_keys
    assert "made from `stream/transactions` by" in (asset.description or "")
    origin = asset.metadata["dagster/column_lineage"].deps_by_column["quantity"]
    assert origin == [dg.TableColumnDep(key_of("stream/transactions"), "quantity")]


def test_the_code_version_moves_with_what_the_values_depend_on(tmp_path: Path) -> None:
    before = changed(tmp_path / "a").resolve_asset_graph()
    filtered = definition("purchase").model_copy(update={"filter": "quantity > 1"})
    described = definition("discount").model_copy(update={"description": "Money off."})
    after = changed(tmp_path / "b", purchase=filtered, discount=described).resolve_asset_graph()
    moved = {name_of(k) for k in before.get_all_asset_keys() if before.get(k).code_version != after.get(k).code_version}
    assert moved == {"events/purchase", "online/purchase", "sequences/household_history", "sequences/purchase_vectors"}


def test_authored_tags_and_owners_that_dagster_would_refuse_are_made_to_fit(tmp_path: Path) -> None:
    odd = definition("discount").model_copy(
        update={"owner": "somebody", "tags": {"cost centre": "4711 / b", "layer": "mine", "!": "x", "why": "x" * 80}}
    )
    asset = changed(tmp_path, discount=odd).resolve_asset_graph().get(key_of("events/discount"))
    assert asset.owners == []
    shown = {name: value for name, value in asset.tags.items() if not name.startswith("dagster/")}
    assert shown == {
        "cost-centre": "4711-b",
        "why": "x" * 63,
        "layer": "events",
        "tenant": "grocery",
        "lifecycle": "live",
    }


def test_a_retired_event_type_leaves_the_graph(tmp_path: Path) -> None:
    retired = definition("discount").model_copy(update={"lifecycle": "retired"})
    graph = changed(tmp_path, discount=retired).resolve_asset_graph()
    assert not {"events/discount", "online/discount"} & {name_of(k) for k in graph.get_all_asset_keys()}
    parents = graph.get(key_of("sequences/purchase_vectors")).parent_keys
    assert parents == {key_of("events/purchase")}


def test_each_asset_has_the_days_of_its_definition(tmp_path: Path) -> None:
    late = definition("discount").model_copy(update={"start": dt.date(2017, 11, 6), "end": dt.date(2017, 11, 20)})
    graph = changed(tmp_path, discount=late).resolve_asset_graph()

    def days(asset: str) -> tuple[str | None, str | None, int]:
        partitions = graph.get(key_of(asset)).partitions_def
        return (
            partitions.get_first_partition_key(),
            partitions.get_last_partition_key(),
            partitions.get_num_partitions(),
        )

    assert days("events/discount") == days("online/discount") == ("2017-11-06", "2017-11-19", 14)
    assert days("events/purchase") == days("sequences/purchase_vectors") == ("2017-10-23", "2017-12-03", 42)


def test_closed_ranges_are_not_automated(graph: AssetGraph) -> None:
    assert all(graph.get(k).automation_condition is None for k in graph.get_all_asset_keys())


def test_an_open_range_is_built_daily_once_its_inputs_are(tmp_path: Path) -> None:
    """Also the last days that were over while no daemon ran, but none twice."""
    growing = definition("campaigns", "Source").model_copy(update={"end": None, "ready_at": "04:10"})
    definitions = changed(tmp_path, campaigns=growing)
    made = [
        key_of(f"{layer}/{name}")
        for layer, name in (("raw", "campaigns"), ("events", "campaign_received"), ("online", "campaign_received"))
    ] + [key_of("sequences/household_history")]

    with dg.DagsterInstance.ephemeral() as instance, quiet():

        def asked(day: int, hour: int, minute: int, cursor: AssetDaemonCursor | None = None) -> tuple[list[str], Any]:
            at = dt.datetime(2026, 3, day, hour, minute, tzinfo=dt.UTC)
            found = dg.evaluate_automation_conditions(definitions, instance, cursor=cursor, evaluation_time=at)
            [days] = {frozenset(found.get_requested_partitions(key)) for key in made}
            assert found.get_requested_partitions(key_of("events/purchase")) == set()
            return sorted(days), found.cursor

        days, cursor = asked(6, 4, 5)
        assert days == []
        days, cursor = asked(6, 4, 15, cursor)
        assert days == [f"2026-03-0{n}" for n in (2, 3, 4, 5)]
        for key, day in itertools.product(made, days):
            instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=day))
        days, cursor = asked(6, 23, 59, cursor)
        assert days == []
        days, cursor = asked(9, 7, 0, cursor)
        assert days == ["2026-03-06", "2026-03-07", "2026-03-08"], "it was off for three nights"
        assert asked(9, 7, 1, cursor)[0] == []


def test_what_builds_by_itself_is_on_but_where_the_switch_says_off(tmp_path: Path) -> None:
    def first(**environment: str) -> dict[str, str]:
        home = Home(str(tmp_path / "home"), environment)
        growing = definition("transactions", "Source").model_copy(update={"end": None, "topic": "t"})
        changed(tmp_path, transactions=growing)
        runtime = Runtime(home, ReleaseStore(home).load("dev"), "")
        return {sensor.name: sensor.default_status.value for sensor in definitions_of(runtime).sensors or []}

    builds = ("build_new_days", "mend_days", "reseal_dirty_buckets")
    assert first() == dict.fromkeys([*builds, "keep_streams_running"], "RUNNING")
    assert first(SEQPLAT_AUTOMATION="OFF") == {**dict.fromkeys(builds, "STOPPED"), "keep_streams_running": "RUNNING"}
    with pytest.raises(AutomationInvalid, match="SEQPLAT_AUTOMATION is 'no', in the environment; use on or off"):
        first(SEQPLAT_AUTOMATION="no")


def test_a_published_day_is_late_when_its_definition_says(tmp_path: Path) -> None:
    def policy(within: int | None, ready_at: str) -> tuple[str, dt.timedelta]:
        source = definition("campaigns", "Source").model_copy(update={"end": None, "ready_at": ready_at})
        event_type = definition("campaign_received").model_copy(update={"fresh_within_h": within})
        graph = changed(tmp_path, campaigns=source, campaign_received=event_type).resolve_asset_graph()
        assert graph.get(key_of("events/campaign_received")).freshness_policy is None
        found = graph.get(key_of("online/campaign_received")).freshness_policy
        assert isinstance(found, CronFreshnessPolicy)
        return found.deadline_cron, found.serializable_lower_bound_delta.to_timedelta()

    assert policy(None, "00:30") == ("0 3 * * *", dt.timedelta(hours=2, minutes=30))
    assert policy(6, "04:15") == ("0 6 * * *", dt.timedelta(hours=1, minutes=45))
    assert policy(30, "04:00") == ("0 6 * * *", dt.timedelta(hours=2))  # of the day after the next
    assert policy(1, "04:00") == ("0 4 * * *", dt.timedelta(minutes=1)), "never before its rows are there"


def test_one_job_holds_everything_where_all_days_are_the_same(tmp_path: Path) -> None:
    assert [job.name for job in changed(tmp_path / "same").jobs or []] == [all_assets.name, "stream_transactions"]
    late = definition("discount").model_copy(update={"start": dt.date(2017, 11, 6)})
    assert [job.name for job in changed(tmp_path / "other", discount=late).jobs or []] == ["stream_transactions"]


def test_the_job_holds_every_asset_and_check(tmp_path: Path) -> None:
    job = changed(tmp_path).resolve_job_def(all_assets.name)
    assert len(job.asset_layer.executable_asset_keys) == 17
    names = {check.name for check in job.asset_layer.asset_graph.asset_check_keys}
    assert names == {
        "schema",
        "identity_unique",
        "complete_against_raw",
        "enrichment_coverage",
        "served_equals_batch",
        "rejects",
        "available",
        "days_built",
    }


def test_loading_the_code_location_without_a_release_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEQPLAT_HOME", str(tmp_path))
    monkeypatch.delitem(sys.modules, "seqplat_assets.definitions", raising=False)
    with pytest.raises(ReleaseNotFound, match="run `seqplat publish`"):
        importlib.import_module("seqplat_assets.definitions")


def test_the_workspace_validates(tmp_path: Path) -> None:
    demo_runtime(tmp_path / "home")
    command = [sys.executable, "-m", "dagster", "definitions", "validate", "-w", "workspace.yaml"]
    environment = {**os.environ, "SEQPLAT_HOME": str(tmp_path / "home"), "SEQPLAT_SOURCES": str(DEMO_DATA)}
    environment["DAGSTER_HOME"] = str(tmp_path)
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Validation successful for code location seqplat" in done.stderr + done.stdout
