"""Three days of the demo, built by one range run on a real Dagster instance, shared by every test that only reads."""

import datetime as dt
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import dagster as dg
import pytest

import seqplat_assets
from seqplat_assets.progress import Progress
from seqplat_assets.run import RangeResult, materialize_range
from seqplat_resources.home import Home
from seqplat_resources.release.runtime import Runtime
from sequence_defs.compiler.discover import discover
from tests.building import days, runtime_for
from tests.conftest import DEMO_DATA
from tests.shared_servers import built_once

SETTINGS = Path(seqplat_assets.__file__).parent / "dagster.yaml"
# The middle one is a Monday: promotions change and a campaign starts.
DAYS = days(dt.date(2017, 11, 26), 3)


@dataclass(frozen=True)
class Built:
    """``report`` holds the progress in the order it was told."""

    runtime: Runtime
    instance: dg.DagsterInstance
    result: RangeResult
    report: list[Progress]


def demo_runtime(home: Path) -> Runtime:
    """The demo's definitions, published to an empty home."""
    found = discover("sequence_defs.definitions.demo")
    assert found.errors == ()
    return runtime_for(home, found.definitions, DEMO_DATA)


@pytest.fixture(scope="session")
def new_instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], dg.DagsterInstance]]:
    """Makes Dagster instances with the settings we ship, each in a folder of its own."""
    with pytest.MonkeyPatch.context() as patch:
        made: list[dg.DagsterInstance] = []
        empty = built_once("dagster", partial(_empty_instance, patch))

        def make() -> dg.DagsterInstance:
            folder = shutil.copytree(empty, tmp_path_factory.mktemp("dagster"), dirs_exist_ok=True)
            patch.setenv("DAGSTER_HOME", str(folder))
            made.append(dg.DagsterInstance.get())
            return made[-1]

        yield make
        for instance in made:
            instance.dispose()


def _empty_instance(patch: pytest.MonkeyPatch, folder: Path) -> str:
    """Of which nothing runs: to copy its databases takes a tenth of the time that Dagster takes to make them."""
    shutil.copy(SETTINGS, folder)
    patch.setenv("DAGSTER_HOME", str(folder))
    dg.DagsterInstance.get().dispose()
    return str(folder)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, new_instance: Callable[[], dg.DagsterInstance]) -> Built:
    runtime = demo_runtime(tmp_path_factory.mktemp("built") / "home")
    instance, report = new_instance(), list[Progress]()
    result = materialize_range(DAYS[0], DAYS[-1], runtime=runtime, instance=instance, report=report.append)
    assert result.success, result.failures
    return Built(runtime, instance, result, report)


@pytest.fixture
def spoilable(built: Built, tmp_path: Path) -> Runtime:
    """A copy of the built home, to break."""
    shutil.copytree(built.runtime.home.root, tmp_path / "home")
    return replace(built.runtime, home=Home(str(tmp_path / "home"), {}))
