"""A lake of two event types whose rows a test says, and what a label should see of it, in plain Python."""

import datetime as dt
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from seqplat_resources.batch.inputs import tables
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.lake.files import FilePart
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.rules.known import SUPERSEDED_TIME
from sequence_defs.schema import Column, Definition, EventType, Sequence, Source, Tenant, Time
from tests.building import ManualClock, runtime_for, utc

OURS: dict[str, Any] = {"tenant": "shop", "owner": "team:shop"}
NOON = utc(2024, 5, 1, 12)
NOW = utc(2024, 6, 1)
Event = dict[str, Any]


def _source(name: str) -> Source:
    columns = (
        Column(name="id", dtype="string", nullable=False),
        Column(name="member", dtype="string", nullable=False),
        Column(name="at", dtype="timestamp", nullable=False),
        Column(name="price", dtype="int64"),
    )
    return Source(
        name=name,
        columns=columns,
        location=f"{name}/{{day}}.csv",
        format="csv",
        event_time=Time(sql="at"),
        user_id="member",
        start=dt.date(2024, 5, 1),
        **OURS,
    )


def definitions(**of_sequence: Any) -> tuple[Definition, ...]:
    """``recent`` takes views and orders; orders alone have a price."""
    return (
        Tenant(name="shop", tenant="shop"),
        _source("views"),
        _source("orders"),
        EventType(name="view", source="views", id_field="id", columns=(Column(name="id", dtype="string"),), **OURS),
        EventType(
            name="order",
            source="orders",
            id_field="id",
            columns=(Column(name="id", dtype="string"), Column(name="price", dtype="int64")),
            **OURS,
        ),
        Sequence(
            name="recent",
            columns=("price",),
            **{"length": 3, "event_types": ("view", "order")} | of_sequence,
            **OURS,
        ),
    )


def home(folder: Path, events: Iterable[Event], superseded: Iterable[Event] = (), **of_sequence: Any) -> Runtime:
    """A runtime whose lake has these rows; every day of them is built for both types."""
    runtime = runtime_for(folder / "home", definitions(**of_sequence), folder, clock=ManualClock(NOW))
    put(runtime, events, superseded)
    return runtime


def put(runtime: Runtime, events: Iterable[Event], superseded: Iterable[Event] = ()) -> None:
    """Make these the rows of their days, whatever was there."""
    for name in ("view", "order"):
        plan = EventPlan.of(runtime.loaded, name)
        for table, rows in ((tables.events(runtime, plan), events), (tables.superseded(runtime, plan), superseded)):
            of_type = [stored(row) for row in rows if row["event_type"] == name]
            for day in sorted({row["event_time"].date() for row in of_type}):
                of_day = [row for row in of_type if row["event_time"].date() == day]
                found = pl.DataFrame(of_day, schema=table.schema, orient="row").sort("user_id", "event_time")
                table.replace({"day": day}, [FilePart(found)])


def stored(row: Event) -> Event:
    said = {
        "tenant": "shop",
        "ingest_time": row["available_time"],
        "rev": 0,
        "op": "upsert",
        "source_partition": "p",
        "offset": 0,
        "release": "r",
        "shard": 0,
        "id": row["event_id"],
        "price": None,
        SUPERSEDED_TIME: None,
    }
    return said | row


def seen(
    rows: Iterable[Event],
    user: str | None,
    time: dt.datetime,
    *,
    length: int | None,
    window_days: int | None,
    newest: dt.date,
) -> list[str]:
    """The ids of what a label sees of rows that say ``until`` when they counted, newest first."""
    first = None if window_days is None else min(newest, time.date()) - dt.timedelta(days=window_days - 1)
    found = [
        row
        for row in map(stored, rows)
        if row["user_id"] == user
        and row["event_time"] < time
        and row["op"] == "upsert"
        and row["available_time"] <= time
        and (row["until"] is None or time < row["until"])
        and (first is None or row["event_time"].date() >= first)
    ]
    found.sort(key=lambda row: (row["event_time"], row["offset"], row["event_type"], row["event_id"]), reverse=True)
    return [f"{row['event_id']}@{row['rev']}" for row in found[:length]]
