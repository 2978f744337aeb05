"""A source file that is changed in place: what it says now was not known before it did, unless the source says so."""

import datetime as dt
import os
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from seqplat_resources.batch.builds import events, raw
from seqplat_resources.training.build import build
from seqplat_resources.training.question import TrainingQuestion
from sequence_defs.schema import Column, EventType, Sequence, Source, Time
from tests.building import ManualClock, runtime_for, utc
from tests.training.world import OURS

DAY, NOON = dt.date(2024, 5, 1), utc(2024, 5, 1, 12)
COLUMNS = (Column(name="id", dtype="string", nullable=False), Column(name="amount", dtype="int64"))


def definitions(**of_source: Any) -> Any:
    columns = (
        *COLUMNS,
        Column(name="member", dtype="string", nullable=False),
        *(Column(name=name, dtype="timestamp", nullable=False) for name in ("at", "received")),
    )
    source = Source(
        name="orders",
        location="orders-{day}.csv",
        format="csv",
        columns=columns,
        event_time=Time(sql="at"),
        user_id="member",
        start=DAY,
        **OURS | of_source,
    )
    order = EventType(name="order", source="orders", id_field="id", columns=COLUMNS, serving_delay_s=0, **OURS)
    return source, order, Sequence(name="recent", event_types=("order",), columns=("amount",), length=9, **OURS)


@pytest.mark.parametrize(
    ("said", "seen"),
    [
        # Receipt is when the file was written; what it said before went with the rows of then.
        ({}, [[], [], [2, 1]]),
        # A source that says when it received a row is believed, also where the row says something else since.
        ({"ingest_time": Time(sql="received")}, [[1], [2, 1], [2, 1]]),
    ],
    ids=["modified", "declared"],
)
def test_what_a_file_says_anew(said: dict[str, Any], seen: list[list[int]], tmp_path: Path) -> None:
    runtime = runtime_for(tmp_path / "home", definitions(**said), tmp_path, clock=ManualClock(utc(2024, 6, 1)))
    path, at = tmp_path / f"orders-{DAY}.csv", NOON.isoformat()
    for day, amount in ((2, 7), (5, 2)):
        path.write_text(f"id,amount,member,at,received\na,1,ann,{at},{at}\nb,{amount},ann,{at},2024-05-03T00:00:00Z\n")
        os.utime(path, (written := utc(2024, 5, day).timestamp(), written))
        list(raw.ingest(runtime, "orders", [DAY]))
        list(events.build(runtime, "order", [DAY]))
    times = [utc(2024, 5, day, 1) for day in (2, 4, 6)]
    labels = pl.DataFrame({"user": ["ann"] * 3, "time": pl.Series(times, dtype=pl.Datetime("us", "UTC"))})
    found = pl.read_parquet(build(runtime, TrainingQuestion("recent"), labels, tmp_path / "set").out / "*.parquet")
    assert [sorted(amounts, reverse=True) for amounts in found["amount"]] == seen
