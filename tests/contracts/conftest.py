"""One fixture for every suite of a contract that several implementations keep."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from seqplat_resources.online_store import OnlineStore
from tests.online_stores import KINDS, empty_store


@pytest.fixture(params=KINDS)
def online_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OnlineStore]:
    """Empty, once of each kind."""
    with empty_store(request.param, tmp_path) as store:
        yield store
