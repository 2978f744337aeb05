"""A server of the demo for all tests of the client."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.client import Client, Unavailable, Unreachable
from tests.ports import free_port
from tests.serving.http.test_server import _seqplat  # the way a server is started there
from tests.serving.keys import new_key


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a test says no deadline it is not about deadlines: a machine that is busy with others does not keep 2 s."""
    assert Client.__init__.__kwdefaults__["deadline_s"] == 2.0  # docs/client.md
    monkeypatch.setitem(Client.__init__.__kwdefaults__, "deadline_s", 60.0)  # also that of AsyncClient


@pytest.fixture(scope="package")
def api(published: Path) -> Iterator[tuple[str, str]]:
    """Address and key of a running server."""
    port = free_port()
    key, url = new_key(published), f"http://127.0.0.1:{port}"
    with _seqplat("serve", "--port", str(port), home=published), Client(url, key, deadline_s=60, attempts=1) as client:
        began = time.monotonic()
        while True:
            try:
                client.status()
                break
            except (Unreachable, Unavailable):
                assert time.monotonic() - began < 60
                time.sleep(0.05)
        yield url, key
