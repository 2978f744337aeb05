"""Other people's data as legacy: a table whose partition is no event day, and what football players did."""

import datetime as dt
from pathlib import Path

import msgspec
import polars as pl
import pytest

from seqplat_resources.batch.builds import raw
from seqplat_resources.shadow.legacy.blobs import BlobSequences
from seqplat_resources.shadow.legacy.events import LegacyEvents
from sequence_defs.schema import Blobs, Column, Compared, EventType, Legacy, LegacySequence, Sequence, Source, Time
from tests.sources.orders import Orders

DATA = Path(__file__).parents[4] / "shared" / "data"
DAY = dt.date(2023, 11, 20)


def real(name: str) -> Path:
    if not (found := DATA / name).exists():
        pytest.skip(f"real data: not beside this repository, in ../shared/data/{name}")
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Orders:
    return Orders(tmp_path)


def test_a_table_whose_partition_is_no_event_day_is_read_whole(folder: Orders) -> None:
    written = pl.read_csv(real("peers_chronon_quickstart/purchases.csv"))
    written.write_delta(folder.files / "purchases", delta_write_options={"partition_by": ["ds"]})
    columns = [
        Column(name="ts", dtype="int64"),
        Column(name="user_id", dtype="int64", nullable=False),
        Column(name="purchase_id", dtype="string", nullable=False),
        Column(name="purchase_price", dtype="float64"),
    ]
    time = Time(sql="ts", epoch_unit="ms")
    common = {"tenant": "shop", "event_time": time, "user_id": "user_id", "start": dt.date(2023, 11, 1)}
    ours = Source(name="ours", location="none/{day}.csv", format="csv", columns=tuple(columns), **common)
    old = Source(name="old", location="purchases", format="delta", columns=tuple(columns), **common)
    purchase = EventType(
        name="purchase",
        tenant="shop",
        source="ours",
        id_field="purchase_id",
        columns=(columns[2], Column(name="price", dtype="int64", sql="CAST(purchase_price AS BIGINT)")),
        legacy=Legacy(source="old", event_id="purchase_id", columns={"price": Compared(field="purchase_price")}),
    )
    runtime = folder.runtime(ours, old, purchase)
    list(raw.ingest(runtime, "old", [DAY]))
    day = LegacyEvents.open(runtime, "purchase").day(DAY)
    found = pl.concat([day.shard(shard, 4).rows for shard in range(4)])
    of_day = written.filter(pl.from_epoch("ts", time_unit="ms").dt.date() == DAY)
    assert of_day.height > 0
    assert (of_day["ds"] != str(DAY)).any()
    expected = of_day.select("user_id", "purchase_id", "purchase_price").sort("purchase_id").rows()
    assert found.select("user_id", "event_id", "price").sort("event_id").rows() == expected


def test_players_events_are_sequences_whatever_they_are_packed_in(folder: Orders) -> None:
    match = pl.scan_parquet(real("wyscout_soccer/events_Italy.parquet")).head(1700).collect()
    match = match.with_columns(at=(pl.col("eventSec") * 1000).cast(pl.Int64) + 1_500_000_000_000)
    events = pl.struct("id", "at", "eventName", "tags", "positions")
    by_player = match.group_by("playerId", maintain_order=True).agg(events.alias("events"))
    packed = [msgspec.msgpack.encode(each) for each in by_player["events"].to_list()]
    folder.write("packed.parquet", by_player.with_columns(pl.Series("events", packed)))
    folder.write("lists.parquet", by_player)
    fields = (
        Column(name="id", dtype="int64"),
        Column(name="at", dtype="int64"),
        Column(name="kind", dtype="string", field="eventName"),
        Column(name="tags", dtype="list[int32]"),
        Column(name="x", dtype="int16", field="positions[0].x"),
    )
    time = Time(sql="at", epoch_unit="ms")
    user = Column(name="playerId", dtype="int64", nullable=False)
    source = Source(
        name="log", tenant="shop", location="none.parquet", columns=(user, *fields), event_time=time, user_id="playerId"
    )
    touch = EventType(name="touch", tenant="shop", source="log", id_field="id", columns=fields[2:])
    for encoding in ("msgpack", "list"):
        at = Blobs(
            location="packed.parquet" if encoding == "msgpack" else "lists.parquet",
            user_id="playerId",
            events="events",
            encoding=encoding,  # type: ignore[arg-type]
        )
        legacy = LegacySequence(at=at, fields=fields, event_id="id", event_time=time)
        columns = ("kind", "tags", "x")
        sequence = Sequence(name="play", tenant="shop", event_types=("touch",), columns=columns, legacy=legacy)
        side = BlobSequences.open(folder.runtime(source, touch, sequence), "play", DAY)
        chunks = list(side.chunks())
        assert pl.concat([chunk.problems for chunk in chunks]).rows() == []
        for row, (player, played) in zip(
            pl.concat([chunk.rows for chunk in chunks]).iter_rows(named=True), by_player.iter_rows(), strict=True
        ):
            assert row["user_id"] == player
            assert row["event_ids"] == [str(each["id"]) for each in played]
            assert row["kind"] == [each["eventName"] for each in played]
            assert row["tags"] == [each["tags"] for each in played]
            assert row["x"] == [each["positions"][0]["x"] if each["positions"] else None for each in played]
