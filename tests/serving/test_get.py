"""``seqplat get``: what is printed below the table."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from seqplat_resources.batch.publish import block_schema
from seqplat_resources.clock import SystemClock
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.online_store import Advance
from seqplat_resources.online_store.opening import open_online_store
from sequence_defs.schema import Sequence
from serving.cli.get import get
from tests.building import runtime_for
from tests.properties.clicks import click, clicks, shop

RECENT = Sequence(name="recent", tenant="shop", event_types=("click",), columns=("item",))


@pytest.mark.parametrize("topic", ["", "clicks"])
def test_stream_lag_is_printed_where_it_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, topic: str) -> None:
    monkeypatch.setenv("SEQPLAT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SEQPLAT_ONLINE", raising=False)
    runtime = runtime_for(tmp_path / "home", [shop, clicks(topic=topic), click(), RECENT])
    store = open_online_store(runtime.home)
    store.register_schema(block_schema(EventPlan.of(runtime.loaded, "click")))
    at_ms = int(SystemClock().now().timestamp() * 1000)
    store.advance([], {"clicks:0": Advance(0, 0, 1, 90_000, at_ms)})
    store.close()
    result = CliRunner().invoke(get, ["recent", "ann"], catch_exceptions=False)
    assert result.exit_code == 0
    assert ("streams showed everything received until 9" in result.output) == bool(topic)
