"""A Kafka for every test that asks for one. Other folders import the fixture; the broker is the same."""

import gc
from collections.abc import Iterator

import pytest

from tests.kafka_broker import BrokerError, shared_bootstrap


@pytest.fixture(scope="session")
def kafka_bootstrap() -> str:
    """Address of a real broker; skipped where there is none and none can be started."""
    try:
        return shared_bootstrap()
    except BrokerError as error:
        pytest.skip(str(error))


@pytest.fixture
def forgotten_sockets() -> Iterator[None]:
    """kafka-python forgets to close the socket of a connection that was refused: collect it before others get blamed.

    Goes with `pytest.mark.filterwarnings(FORGOTTEN)`.
    """
    yield
    gc.collect()


FORGOTTEN = "ignore:unclosed .*socket:ResourceWarning"
