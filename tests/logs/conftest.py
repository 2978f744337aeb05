"""A Kafka for every test that asks for one. Other folders import the fixture; the broker is the same."""

import pytest

from tests.kafka_broker import BrokerError, shared_bootstrap


@pytest.fixture(scope="session")
def kafka_bootstrap() -> str:
    """Address of a real broker; skipped where there is none and none can be started."""
    try:
        return shared_bootstrap()
    except BrokerError as error:
        pytest.skip(str(error))
