"""A home of two tenants without data, and browsers in front of it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from serving.http.app import create_app
from tests.serving.access.conftest import published_for_two
from tests.serving.conftest import settings_for

Browser = TestClient[Litestar]
Open = Callable[[Path], Browser]
# What a browser sends with a form of a page of this server.
OWN = {"Origin": "http://testserver.local"}


@pytest.fixture(scope="package")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Published to, and nothing built."""
    return published_for_two(tmp_path_factory.mktemp("console") / "home")


@pytest.fixture
def browse() -> Iterator[Open]:
    """Open a browser before an installation, signed in nowhere; redirects are for tests to follow."""
    running: list[Browser] = []

    def opened(home: Path) -> Browser:
        app = create_app(settings_for(home))
        running.append(TestClient(app, raise_server_exceptions=False).__enter__())
        running[-1].follow_redirects = False
        return running[-1]

    yield opened
    for each in running:
        each.__exit__(None, None, None)
