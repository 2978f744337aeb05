"""A small published home, an API over it, and copies of it for tests that change something."""

import datetime as dt
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from seqplat_resources.batch.builds import enrichments, events, raw
from seqplat_resources.batch.publish.events import publish
from seqplat_resources.home import Home
from seqplat_resources.online_store.opening import open_online_store
from sequence_defs.compiler.discover import discover
from serving.http.app import create_app
from serving.settings import Settings
from tests.building import days, runtime_for
from tests.conftest import DEMO_DATA
from tests.serving.keys import new_headers
from tests.shared_servers import built_once

Start = Callable[[Path], TestClient[Litestar]]

# Three days on which households bought, redeemed coupons and were sent a campaign.
FIRST, DAYS = dt.date(2017, 11, 13), 3
POLL_S = 0.05


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three days of the demo, published. Read it, never write to it; its store is not open in this process."""
    built = built_once("published", _published)
    return Path(shutil.copytree(built, tmp_path_factory.mktemp("serving") / "home"))


def _published(folder: Path) -> str:
    definitions = discover("sequence_defs.definitions.demo").definitions
    runtime = runtime_for(folder / "home", definitions, DEMO_DATA)
    release, window = runtime.release, days(FIRST, DAYS)
    for source in sorted({event_type.source for event_type in release.event_types.values()}):
        list(raw.ingest(runtime, source, window))
    for name, enrichment in release.enrichments.items():
        if enrichment.kind != "derived":
            list(enrichments.build(runtime, name, window))
    store = open_online_store(runtime.home)
    for name in release.event_types:
        list(events.build(runtime, name, window))
        list(publish(runtime, store, name, window))
    store.close()
    return runtime.home.root


@pytest.fixture
def home(published: Path, tmp_path: Path) -> Path:
    """A copy of the published home that a test may change; without keys, and the lake, which serving does not read."""
    return Path(shutil.copytree(published, tmp_path / "home", ignore=shutil.ignore_patterns("lake", "keys", "usage")))


@pytest.fixture(scope="session")
def client(published: Path) -> Iterator[TestClient[Litestar]]:
    """The API over the published home, for tests that only read; requests send a key."""
    sent = new_headers(published)
    with TestClient(create_app(settings_for(published)), raise_server_exceptions=False) as running:
        running.headers.update(sent)
        yield running


@pytest.fixture
def start() -> Iterator[Start]:
    """Start the API over a home, whose requests send a key; it ends with the test."""
    running: list[TestClient[Litestar]] = []

    def started(root: Path) -> TestClient[Litestar]:
        sent = new_headers(root)
        running.append(TestClient(create_app(settings_for(root)), raise_server_exceptions=False))
        running[-1].headers.update(sent)
        return running[-1].__enter__()

    yield started
    for each in running:
        each.__exit__(None, None, None)


def settings_for(root: Path) -> Settings:
    return Settings(Home(str(root), {}), poll_s=POLL_S)
