"""The project behind ``release_v1.json``. Do not edit: a new format gets a project and a golden of its own."""

import datetime as dt

from sequence_defs import (
    Column,
    Derived,
    Enrich,
    EventType,
    Join,
    Pick,
    Sequence,
    Service,
    Snapshot,
    Source,
    Tenant,
    Time,
    Versioned,
)

tenant = Tenant(name="radio", tenant="radio", description="Music streaming.")

plays = Source(
    name="plays",
    tenant="radio",
    owner="team:radio",
    description="One row per track that was started.",
    location="plays/{day}.ndjson",
    format="ndjson",
    topic="plays",
    joins=(Join(location="devices.parquet", on=("device",), columns=("device_class",)),),
    columns=(
        Column(name="at", dtype="int64", description="epoch milliseconds, client clock"),
        Column(name="seen", dtype="timestamp"),
        Column(name="listener", dtype="string", nullable=False, pii=True),
        Column(name="play", dtype="string", nullable=False),
        Column(name="track", dtype="int64"),
        Column(name="heard_ms", dtype="int32", unit="ms"),
        Column(name="device", dtype="int16"),
        Column(name="device_class", dtype="string"),
        Column(name="fix", dtype="int32"),
        Column(name="action", dtype="string"),
    ),
    event_time=Time(sql="at", epoch_unit="ms"),
    ingest_time=Time(sql="seen"),
    user_id="listener",
    rev="fix",
    op="action",
    start=dt.date(2024, 1, 1),
    end=dt.date(2026, 1, 1),
    shards=4,
    retention_days=400,
)

tracks = Source(
    name="tracks",
    tenant="radio",
    owner="team:radio",
    description="One row per track and day of the catalogue.",
    location="tracks.parquet",
    columns=(
        Column(name="track", dtype="int64"),
        Column(name="released", dtype="date"),
        Column(name="genres", dtype="list[string]"),
        Column(name="audio", dtype="vector[int8,8]", model="audio-2"),
    ),
)

track = Versioned(
    name="track",
    tenant="radio",
    owner="team:radio",
    description="What the catalogue says of a track.",
    source="tracks",
    key=("track",),
    filter="genres IS NOT NULL",
    valid_from=Time(sql="released", timezone="America/New_York"),
    refresh="full",
    max_age_days=30.5,
    columns=(
        Column(name="genres", dtype="list[string]"),
        Column(name="audio", dtype="vector[int8,8]", model="audio-2"),
    ),
)

charts = Snapshot(
    name="charts",
    tenant="radio",
    owner="team:radio",
    description="Whether a track is in the charts of the day.",
    source="tracks",
    key=("track",),
    day=Time(sql="released"),
    missing={"charted": False},
    columns=(Column(name="charted", dtype="bool", sql="released IS NOT NULL"),),
)

session = Derived(
    name="session",
    tenant="radio",
    owner="team:radio",
    description="How much was heard so far on the day.",
    columns=(
        Column(name="heard_s", dtype="float64", unit="s", sql="heard / 1000"),
        Column(
            name="heard_total_s",
            dtype="float64",
            unit="s",
            sql="SUM(heard_s) OVER (PARTITION BY user_id ORDER BY event_time)",
        ),
    ),
)

mood = Service(
    name="mood",
    tenant="radio",
    owner="team:radio",
    description="Mood of a track.",
    lifecycle="shadow",
    url="https://mood.example/v1",
    key=("track",),
    columns=(Column(name="mood", dtype="string"),),
    deadline_ms=50,
)

play = EventType(
    name="play",
    tenant="radio",
    owner="radio@example.com",
    description="A track was heard for at least a second.",
    tags={"tier": "1"},
    source="plays",
    filter="heard_ms >= 1000",
    id_field="play",
    columns=(
        Column(name="play", dtype="string", nullable=False),
        Column(name="track", dtype="int64"),
        Column(name="heard", dtype="int64", unit="ms", sql="heard_ms"),
        Column(name="device_class", dtype="string"),
    ),
    enrichments=(
        Enrich(enrichment="track"),
        Enrich(enrichment="charts", on={"track": "track"}, columns={"in_charts": "charted"}),
        Enrich(enrichment="session"),
        Enrich(enrichment="mood"),
    ),
    start=dt.date(2024, 2, 1),
    retention_days=365,
)

skip = EventType(
    name="skip",
    tenant="radio",
    owner="team:radio",
    description="A track was skipped within a second.",
    source="plays",
    filter="heard_ms < 1000 AND device IN (1, 2)",
    natural_key=("track_id", "started"),
    columns=(
        Column(name="track_id", dtype="int64", nullable=False, sql="track"),
        Column(name="started", dtype="int64", nullable=False, sql="at"),
    ),
    retention_days=90,
)

listening = Sequence(
    name="listening",
    tenant="radio",
    owner="team:radio",
    description="What a listener heard and skipped, newest first.",
    event_types=("play", "skip"),
    columns=("audio", "in_charts", "heard_total_s", Pick(name="track", columns={"play": "track", "skip": "track_id"})),
    length=2048,
    window_days=90,
    retention_days=90,
)
