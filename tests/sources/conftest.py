"""An empty folder of orders for each test."""

from pathlib import Path

import pytest

from tests.sources.orders import Orders


@pytest.fixture
def folder(tmp_path: Path) -> Orders:
    return Orders(tmp_path)
