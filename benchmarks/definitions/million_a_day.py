"""One event type of a million rows a day; SEQPLAT_BENCH_MORE says how many columns it has more."""

import datetime as dt
import os

from sequence_defs import Column, EventType, Source, Tenant, Time

OWNER = {"tenant": "bench", "owner": "team:bench", "retention_days": 3650}
START = dt.date(2026, 1, 1)

bench = Tenant(name="bench", tenant="bench", owner="team:bench")
values = (
    Column(name="item_id", dtype="int64"),
    Column(name="session_id", dtype="int64"),
    Column(name="price", dtype="float64", unit="USD"),
    Column(name="quantity", dtype="int64"),
    Column(name="surface", dtype="string"),
)
clicks = Source(
    name="clicks",
    description="A click in a shop.",
    location="{day}.parquet",
    columns=(
        Column(name="user_id", dtype="int64", nullable=False),
        Column(name="id", dtype="int64", nullable=False),
        *values,
        Column(name="at", dtype="timestamp", nullable=False),
    ),
    event_time=Time(sql="at"),
    ingest_time=Time(sql="at"),
    user_id="user_id",
    start=START,
    **OWNER,
)
more = (
    Column(name="spent", dtype="float32", sql="CAST(price * quantity AS REAL)"),
    Column(name="large", dtype="int32", sql="CASE WHEN quantity > 3 THEN 1 ELSE 0 END"),
)
own = (Column(name="id", dtype="int64", nullable=False), *values)
click = EventType(
    name="click",
    description="A click, as it came.",
    source="clicks",
    id_field="id",
    columns=own + more[: int(os.environ.get("SEQPLAT_BENCH_MORE", "0"))],
    **OWNER,
)
