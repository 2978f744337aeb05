"""What the API is asked for: one kind of event with twelve columns, short and long sequences of it."""

import datetime as dt

from sequence_defs import Column, EventType, Sequence, Source, Tenant, Time

OWNER = "team:bench"
START = dt.date(2026, 1, 15)
RETENTION_DAYS = 3650  # no benchmark run is ever too late for the generated days

bench = Tenant(name="bench", tenant="bench", owner=OWNER, description="Owner of what is only measured.")

columns = (
    Column(name="event_no", dtype="int64", nullable=False),
    Column(name="item_id", dtype="int64", nullable=False),
    Column(name="action", dtype="string", nullable=False),
    Column(name="category", dtype="string"),
    Column(name="price", dtype="float64", unit="USD"),
    Column(name="quantity", dtype="int32"),
    Column(name="dwell_s", dtype="float32", unit="seconds"),
    Column(name="page", dtype="string"),
    Column(name="device", dtype="string"),
    Column(name="session_id", dtype="int64"),
    Column(name="score", dtype="float32"),
    Column(name="embedding", dtype="vector[int8,32]", model="synthetic"),
)

actions = Source(
    name="actions",
    tenant="bench",
    owner=OWNER,
    description="What users do in a shop: one file a day, and what is not in a file yet from the log.",
    location="actions/{day}.parquet",
    topic="bench-actions",
    columns=(
        Column(name="user_id", dtype="int64", nullable=False),
        Column(name="ts", dtype="timestamp", nullable=False),
        *columns,
    ),
    event_time=Time(sql="ts"),
    user_id="user_id",
    start=START,
    retention_days=RETENTION_DAYS,
)

action = EventType(
    name="action",
    tenant="bench",
    owner=OWNER,
    description="An action with the item it is about.",
    source="actions",
    natural_key=("event_no",),
    columns=columns,
    retention_days=RETENTION_DAYS,
)


def _sequence(name: str, description: str, length: int) -> Sequence:
    return Sequence(
        name=name,
        tenant="bench",
        owner=OWNER,
        description=description,
        event_types=("action",),
        columns=tuple(column.name for column in columns),
        length=length,
        retention_days=RETENTION_DAYS,
    )


recent = _sequence("recent_actions", "The last 500 actions, for ranking.", 500)
long = _sequence("all_actions", "Up to 16 K actions, for models of long histories.", 16_384)
