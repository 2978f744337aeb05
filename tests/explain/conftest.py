"""A shop whose events are asked about."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from seqplat_resources.online_store.lmdb import LmdbStore
from tests.explain.world import DEFINITIONS
from tests.stream.world import Shop


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path, LmdbStore(tmp_path / "online", sync=False), definitions=DEFINITIONS)
    with closing(made.store):
        yield made
