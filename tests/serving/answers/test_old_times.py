"""What older releases stored and nobody refuses in hindsight: times beyond every calendar are null, and named."""

import io
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from arro3.io import read_ipc_stream
from click.testing import CliRunner

from seqplat_resources.batch.publish.events import block_schema
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.home import Home
from seqplat_resources.online_store import Advance, BucketVersion, BucketWrite, NowWrite, encode_bucket
from seqplat_resources.online_store.opening import open_online_store
from seqplat_resources.read.merge.calendar import readable
from seqplat_resources.times import FIRST_DAY, FIRST_US, LAST_DAY, LAST_US, microseconds
from sequence_defs.schema import Column, Sequence
from serving.cli.ask.get import get
from tests.building import runtime_for, utc
from tests.properties.clicks import click, clicks, shop
from tests.serving.conftest import Start
from tests.serving.keys import new_headers

TIMES = (
    Column(name="born", dtype="date"),
    Column(name="seen", dtype="timestamp"),
    Column(name="visits", dtype="list[timestamp]"),
    Column(name="holidays", dtype="list[date]"),
)
SOURCE = clicks(topic="clicks", columns=(*clicks().columns, *TIMES))
CLICK = click(columns=(*click().columns, *TIMES))
RECENT = Sequence(
    name="recent", tenant="shop", event_types=("click",), columns=("item", *(column.name for column in TIMES))
)
NOON_US = microseconds(utc(2024, 5, 1, 12))
# Year 57443 is what 20261122 gives as days; the others are the edges, and what no 64 bits go beyond.
DATES = [20_261_122, 2**31 - 1, -(2**31), LAST_DAY + 1, FIRST_DAY - 1, LAST_DAY, FIRST_DAY, 0]
STAMPS = [2**63 - 1, -(2**63) + 1, LAST_US + 1, FIRST_US - 1, 8_210_298_412_800_000_000, LAST_US, FIRST_US, 0]
LOST = 5
DEGRADED = {
    "column born: 5 times outside of the years 1 to 9999 given as null",
    "column seen: 5 times outside of the years 1 to 9999 given as null",
    "column visits: 5 times outside of the years 1 to 9999 given as null",
    "column holidays: 5 times outside of the years 1 to 9999 given as null",
}


def old_events(plan: EventPlan, user: str, *, event_times_us: list[int]) -> pl.DataFrame:
    """Events as an older release encoded them: nothing looks at their values."""
    count = len(event_times_us)
    dates, stamps = (pl.Series(given[:count]) for given in (DATES, STAMPS))
    times = pl.Series(event_times_us).cast(pl.Datetime("us", "UTC"))
    known = {
        "user_id": pl.Series([user] * count),
        "event_id": pl.Series([f"{user}{n}" for n in range(count)]),
        "event_time": times,
        "ingest_time": times,
        "available_time": times,
        "event_type": pl.Series(["click"] * count),
        "op": pl.Series(["upsert"] * count),
        "rev": pl.Series([0] * count),
        "source_partition": pl.Series(["clicks:0"] * count),
        "offset": pl.Series(range(count)),
        "item": pl.Series(range(count)),
        "born": dates.cast(pl.Int32).cast(pl.Date),
        "seen": stamps.cast(pl.Datetime("us", "UTC")),
        "visits": pl.Series([[0, stamp] for stamp in stamps]).cast(pl.List(pl.Datetime("us", "UTC"))),
        "holidays": pl.Series([[day, None] for day in dates], dtype=pl.List(pl.Int32)).cast(pl.List(pl.Date)),
    }
    schema = {**plan.schema, "user_id": pl.String()}
    frame = pl.DataFrame({name: known.get(name, pl.Series([None] * count)) for name in schema})
    return frame.with_columns(pl.col(name).cast(dtype) for name, dtype in schema.items() if name not in known)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Ann's values are beyond the calendar, in history; bob's events themselves, streamed."""
    runtime = runtime_for(tmp_path / "home", [shop, SOURCE, CLICK, RECENT])
    plan = EventPlan.of(runtime.loaded, "click")
    schema, store = block_schema(plan), open_online_store(Home(str(tmp_path / "home"), {}))
    store.register_schema(schema)
    ann = old_events(plan, "ann", event_times_us=[NOON_US - n for n in range(len(DATES))])
    block = BucketWrite("2024-05-01", encode_bucket(ann, schema), BucketVersion(0, ann.height, 1, {}))
    store.publish_many("click", [block], release="r", expected_epoch=-1)
    bob = old_events(plan, "bob", event_times_us=[2**62, LAST_US + 1, NOON_US])
    write = NowWrite("click", encode_bucket(bob, schema), {"9999-12-31": {"clicks:0": 3}})
    store.advance([write], {"clicks:0": Advance(0, 3, 1, 0, 0)})
    store.close()
    return tmp_path / "home"


def _check(columns: dict[str, list[Any]], degraded: list[str]) -> None:
    assert columns["born"][:LOST] == [None] * LOST
    assert columns["seen"][:LOST] == [None] * LOST
    assert columns["visits"][:LOST] == columns["holidays"][:LOST] == [None] * LOST
    assert columns["born"][LOST:] == ["9999-12-31", "0001-01-01", "1970-01-01"]
    assert columns["seen"][LOST:] == ["9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z"]
    assert columns["holidays"][LOST] == ["9999-12-31", None]
    assert columns["item"] == list(range(len(DATES)))
    assert set(degraded) >= DEGRADED


def test_every_form_of_the_api_answers(old: Path, start: Start) -> None:
    key = new_headers(old, "shop")
    client = start(old)
    client.headers.update(key)
    path = "/v1/sequences/recent"
    for _ in range(2):  # read, and kept
        answer = client.get(f"{path}/users/ann")
        assert answer.status_code == 200, answer.text
        _check(answer.json()["columns"], answer.json()["meta"]["degraded"])
    stream = {"Accept": "application/vnd.apache.arrow.stream"}
    arrow = client.get(f"{path}/users/ann", headers=stream)
    assert arrow.status_code == 200
    events = pl.read_ipc_stream(io.BytesIO(arrow.content))
    assert events["born"].null_count() == events["visits"].null_count() == LOST
    assert b"given as null" in read_ipc_stream(io.BytesIO(arrow.content)).schema.metadata[b"seqplat.meta"]
    batch = client.post(f"{path}/batch", json={"users": ["ann", "bob", "nobody"], "limit": 9})
    assert batch.status_code == 200, batch.text
    ann, bob, _ = batch.json()["users"]
    assert ann["columns"]["born"][:LOST] == [None] * LOST
    assert bob["columns"]["event_time"] == [None, None, "2024-05-01T12:00:00Z"]
    assert bob["newest_event_time"] is None
    assert "column event_time: 2 times outside of the years 1 to 9999 given as null" in batch.json()["meta"]["degraded"]
    assert client.post(f"{path}/batch", json={"users": ["ann", "bob"], "limit": 9}, headers=stream).status_code == 200
    only = client.get(f"{path}/users/bob", params={"columns": "item,event_time", "where": "item >= 0"})
    assert only.status_code == 200, only.text
    assert only.json()["columns"]["event_time"] == [None, None, "2024-05-01T12:00:00Z"]
    item = client.get(f"{path}/users/ann", params={"columns": "item"}).json()["meta"]["degraded"]
    assert not any("null" in text for text in item), "what is not asked for is not looked at"
    for user, event_id in (("ann", "ann0"), ("bob", "bob0"), ("bob", "bob2")):
        explained = client.get(f"{path}/users/{user}/explain", params={"event_id": event_id})
        assert explained.status_code == 200, explained.text


def test_the_command_answers(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQPLAT_HOME", str(old))
    monkeypatch.delenv("SEQPLAT_ONLINE", raising=False)
    result = CliRunner().invoke(get, ["recent", "bob", "--columns", "event_time,born,seen"], catch_exceptions=False)
    assert result.exit_code == 0
    assert "column event_time: 2 times outside of the years 1 to 9999 given as null" in " ".join(result.output.split())


def test_nothing_is_touched_where_all_is_readable() -> None:
    events = pl.DataFrame({"at": [0, LAST_US, None]}).cast(pl.Datetime("us", "UTC"))
    same, lost = readable(events, ["at"])
    assert same is events
    assert lost == {}
    assert readable(events.clear(), ["at"])[1] == {}
