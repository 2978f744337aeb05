"""One event type of a few rows a day over two years, and one sequence of it; SEQPLAT_BENCH_MORE adds a column."""

import datetime as dt
import os

from sequence_defs import Column, EventType, Sequence, Source, Tenant, Time

OWNER = {"tenant": "bench", "owner": "team:bench", "retention_days": 3650}
START, DAYS = dt.date(2024, 1, 1), 730

bench = Tenant(name="bench", tenant="bench", owner="team:bench")
values = (
    Column(name="id", dtype="int64", nullable=False),
    Column(name="item_id", dtype="int64"),
    Column(name="price", dtype="float64", unit="USD"),
)
visits = Source(
    name="visits",
    description="A visit of a small shop.",
    location="{day}.parquet",
    columns=(
        Column(name="user_id", dtype="int64", nullable=False),
        *values,
        Column(name="at", dtype="timestamp", nullable=False),
    ),
    event_time=Time(sql="at"),
    ingest_time=Time(sql="at"),
    user_id="user_id",
    start=START,
    end=START + dt.timedelta(days=DAYS),
    **OWNER,
)
more = (Column(name="doubled", dtype="float64", sql="price * 2"),)
visit = EventType(
    name="visit",
    description="A visit, as it came.",
    source="visits",
    id_field="id",
    columns=values + more[: int(os.environ.get("SEQPLAT_BENCH_MORE", "0"))],
    **OWNER,
)
recent_visits = Sequence(
    name="recent_visits",
    description="The last visits of a user.",
    event_types=("visit",),
    columns=("item_id", "price"),
    length=100,
    **OWNER,
)
