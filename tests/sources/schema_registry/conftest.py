"""A registry and what opens messages by it."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from seqplat_resources.sources.schema_registry import Framing, open_framing
from tests.sources.schema_registry.registry_server import RegistryServer, running


@pytest.fixture
def registry() -> Iterator[RegistryServer]:
    with running() as server:
        yield server


@pytest.fixture
def framing(registry: RegistryServer) -> Iterator[Framing]:
    with closing(open_framing({"SEQPLAT_SCHEMA_REGISTRY": registry.url})) as opened:
        yield opened
