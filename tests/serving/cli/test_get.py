"""``seqplat get``: values of any kind, and what is printed below the table."""

import datetime as dt
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from seqplat_resources.batch.publish.events import block_schema
from seqplat_resources.clock import SystemClock
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.online_store import Advance
from seqplat_resources.online_store.opening import open_online_store
from sequence_defs.schema import Column, EventType, Sequence, Source, Time
from serving.cli.ask.get import get
from serving.cli.main import root
from tests.building import runtime_for
from tests.properties.clicks import click, clicks, shop
from tests.seqplat_assets.streams.streaming import read_all

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


TAGS = Sequence(name="tagged", tenant="shop", event_types=("visit",), columns=("id", "tags", "seen"), length=9)
VISITS = Source(
    name="visits",
    tenant="shop",
    topic="visits",
    columns=(
        Column(name="member", dtype="string", nullable=False),
        Column(name="id", dtype="string", nullable=False),
        Column(name="at", dtype="timestamp", nullable=False),
        Column(name="tags", dtype="list[string]"),
        Column(name="seen", dtype="list[timestamp]"),
    ),
    event_time=Time(sql="at"),
    user_id="member",
    start=dt.date(2024, 5, 1),
)
VISIT = EventType(
    name="visit", tenant="shop", source="visits", id_field="id", columns=VISITS.columns[1:2] + VISITS.columns[3:]
)


def test_lists_and_texts_of_any_kind_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQPLAT_HOME", str(tmp_path / "home"))
    runtime = runtime_for(tmp_path / "home", [shop, VISITS, VISIT, TAGS])
    at = dt.datetime(2024, 5, 1, 10)
    rows = [
        {"id": "a", "tags": ["x", "y"], "seen": [at, None]},
        {"id": "b[red]", "tags": [], "seen": []},
        {"id": "\x1b[31mc", "tags": [None, "[/dim]"], "seen": None},
    ]
    messages = [json.dumps({"member": "ann", "at": "2024-05-01T10:00:00Z", **r}, default=str) for r in rows]
    (tmp_path / "messages").write_text("\n".join(messages))
    sent = CliRunner().invoke(root, ["send", "visits", str(tmp_path / "messages")], catch_exceptions=False)
    assert sent.exit_code == 0
    read_all(runtime, "visits")
    assert runtime.release.sequences["tagged"]
    shown = CliRunner().invoke(root, ["get", "tagged", "ann"], catch_exceptions=False)
    assert shown.exit_code == 0
    for cells in (
        ["a", '["x", "y"]', "[2024-05-01 10:00:00, -]"],
        ["b[red]", "[]", "[]"],
        ["\\x1b[31mc", '[-, "[/dim]"]', "-"],
    ):
        assert any(all(cell in line for cell in cells) for line in shown.output.splitlines()), shown.output
    assert "\x1b" not in shown.output
