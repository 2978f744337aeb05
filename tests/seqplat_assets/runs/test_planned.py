"""A run builds what was shown when it was launched, or says in one sentence why not."""

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run

from seqplat_assets.describe.keys import key_of, name_of
from seqplat_assets.factory import definitions_of
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.release.store import ReleaseStore
from sequence_defs.schema import Definition
from tests.building import runtime_for
from tests.seqplat_assets.shop_days import CLICK, CLICKS, DAYS, RANGE, RECENT, SHOP, shop

EVENTS = key_of("events/click")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def again(runtime: Runtime, *definitions: Definition) -> Runtime:
    """Published after it."""
    return runtime_for(runtime.home, definitions, runtime.sources_root)


def planned_then_run(
    instance: dg.DagsterInstance, before: dg.Definitions, after: dg.Definitions
) -> list[tuple[str, str]]:
    """A run is planned with one location and executed by a worker that has the next; its failures."""
    keys = [key_of("raw/clicks"), EVENTS]
    planned = before.resolve_implicit_global_asset_job_def().get_subset(asset_selection=frozenset(keys))
    run = instance.create_run_for_job(
        planned, asset_selection=frozenset(keys), tags={RANGE[0]: str(DAYS[0]), RANGE[1]: str(DAYS[0])}
    )
    job = after.resolve_implicit_global_asset_job_def().get_subset(asset_selection=frozenset(keys))
    done = execute_run(InMemoryJob(job), run, instance)
    failed = [event for event in done.all_events if event.is_step_failure]
    return [(e.step_key or "", (e.step_failure_data.user_failure_data.description or "")) for e in failed]  # type: ignore[union-attr]


def test_a_run_of_another_definition_refuses(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    first = shop(tmp_path)
    second = again(first, SHOP, CLICKS, CLICK.model_copy(update={"filter": "id <> 'x'"}), RECENT)
    ((step, why),) = planned_then_run(instance, definitions_of(first), definitions_of(second))
    assert step == "events__click"
    assert why == (
        f"events/click was changed after this run was planned with release {first.loaded.id[:12]}; nothing was built. "
        "Reload the code location and launch what it shows"
    )


def test_a_run_goes_on_where_only_something_else_changed(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    first = shop(tmp_path)
    second = again(first, SHOP, CLICKS, CLICK, RECENT.model_copy(update={"length": 3}))
    assert planned_then_run(instance, definitions_of(first), definitions_of(second)) == []


def test_a_run_of_what_was_removed_refuses(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    first = shop(tmp_path)
    second = again(first, SHOP, CLICKS)
    ((step, why),) = planned_then_run(instance, definitions_of(first), definitions_of(second, earlier=[first]))
    assert step == "events__click"
    assert why.startswith(f"events/click was removed after this run was planned with release {first.loaded.id[:12]}")
    shown = {name_of(key) for key in definitions_of(second).resolve_asset_graph().get_all_asset_keys()}
    assert "events/click" not in shown


def test_a_process_that_the_location_starts_has_its_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = shop(tmp_path)
    monkeypatch.setenv("SEQPLAT_HOME", first.home.root)
    monkeypatch.setenv("SEQPLAT_SOURCES", str(tmp_path))
    monkeypatch.setenv("SEQPLAT_LOCATION_RELEASE", "")
    monkeypatch.delitem(sys.modules, "seqplat_assets.definitions", raising=False)
    importlib.import_module("seqplat_assets.definitions")
    assert os.environ["SEQPLAT_LOCATION_RELEASE"] == first.loaded.id
    second = again(first, SHOP, CLICKS)
    assert ReleaseStore(first.home).load("dev").id == second.loaded.id
    shows = (
        "from seqplat_assets.definitions import defs; import seqplat_assets.definitions as d;"
        "keys = defs.resolve_asset_graph().get_all_asset_keys();"
        "print(d._runtime.loaded.id, sorted(k.to_user_string() for k in keys))"
    )
    for environment, release in ((os.environ, first), ({**os.environ, "SEQPLAT_LOCATION_RELEASE": ""}, second)):
        said = subprocess.run(
            [sys.executable, "-c", shows], env=environment, capture_output=True, text=True, check=True
        ).stdout
        assert said.startswith(release.loaded.id)
        assert ("events/click" in said) == (release is first)
