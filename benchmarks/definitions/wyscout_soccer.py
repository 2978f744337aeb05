"""A season of five football leagues: what players did on the ball, the player as user.

`matches.parquet` here is the data set's with `wyId` renamed to `matchId`, because a join names the same column on both
sides; `benchmarks/real_data.py` prepares it.
"""

import datetime as dt

from sequence_defs import Column, Enrich, EventType, Join, Sequence, Snapshot, Source, Tenant, Time

OWNER = "team:bench"
START, END = dt.date(2017, 8, 4), dt.date(2018, 5, 21)

# The clock restarts with each half, and a first half never passed 55 minutes: the second begins at minute 60.
PLAYED_AT_US = (
    "CAST(dateutc AS BIGINT)"
    " + CASE WHEN matchPeriod = '2H' THEN 3600000000 ELSE 0 END"
    " + CAST(eventSec * 1000000 AS BIGINT)"
)

football = Tenant(name="football", tenant="football", owner=OWNER, description="Match events of five leagues.")

event_id = Column(name="id", dtype="int64", nullable=False)
tags = Column(name="tags", dtype="list[int16]")

match_events = Source(
    name="match_events",
    tenant="football",
    owner=OWNER,
    description="One row per event of a match; positions are kept undeclared.",
    location="events_*.parquet",
    joins=(Join(location="matches.parquet", on=("matchId",), columns=("dateutc", "gameweek")),),
    columns=(
        event_id,
        Column(name="matchId", dtype="int32", nullable=False),
        Column(name="row_in_file", dtype="int32"),
        Column(name="matchPeriod", dtype="string", nullable=False),
        Column(name="eventSec", dtype="float64", nullable=False, unit="seconds"),
        Column(name="eventId", dtype="int16"),
        Column(name="eventName", dtype="string", nullable=False),
        Column(name="subEventId", dtype="int16"),
        Column(name="subEventName", dtype="string"),
        Column(name="playerId", dtype="int32", nullable=False, description="0 is nobody"),
        Column(name="teamId", dtype="int32", nullable=False),
        tags,
        Column(name="competition", dtype="string"),
        Column(name="dateutc", dtype="timestamp", nullable=False, description="kick-off"),
        Column(name="gameweek", dtype="int64"),
    ),
    event_time=Time(sql=PLAYED_AT_US),
    ingest_time=Time(sql=PLAYED_AT_US),
    user_id="playerId",
    start=START,
    end=END,
    retention_days=1095,
)

players = Source(
    name="players",
    tenant="football",
    owner=OWNER,
    description="Players; one state, never dated.",
    location="players.parquet",
    columns=(
        Column(name="wyId", dtype="int32", nullable=False),
        Column(name="role_name", dtype="string"),
        Column(name="foot", dtype="string"),
        Column(name="height", dtype="int64", unit="cm"),
    ),
)

teams = Source(
    name="teams",
    tenant="football",
    owner=OWNER,
    description="Teams; one state, never dated.",
    location="teams.parquet",
    columns=(
        Column(name="wyId", dtype="int32", nullable=False),
        Column(name="name", dtype="string"),
        Column(name="city", dtype="string"),
    ),
)

player_profile = Snapshot(
    name="player_profile",
    tenant="football",
    owner=OWNER,
    description="Role and build of a player.",
    source="players",
    key=("wyId",),
    columns=(
        Column(name="role_name", dtype="string"),
        Column(name="foot", dtype="string"),
        Column(name="height", dtype="int64", unit="cm"),
    ),
)

team_profile = Snapshot(
    name="team_profile",
    tenant="football",
    owner=OWNER,
    description="Name and city of a team.",
    source="teams",
    key=("wyId",),
    columns=(Column(name="name", dtype="string"), Column(name="city", dtype="string")),
)


def _event_type(name: str, event_name: str) -> EventType:
    return EventType(
        name=name,
        tenant="football",
        owner=OWNER,
        description=f"Wyscout's {event_name!r}, by a known player.",
        source="match_events",
        filter=f"eventName = '{event_name}' AND playerId <> 0",
        id_field="id",
        columns=(
            event_id,
            Column(name="match_id", dtype="int32", sql="matchId"),
            Column(name="player_id", dtype="int32", sql="playerId"),
            Column(name="team_id", dtype="int32", sql="teamId"),
            Column(name="gameweek", dtype="int64"),
            Column(name="period", dtype="string", sql="matchPeriod"),
            Column(name="second", dtype="float64", unit="seconds", sql="eventSec"),
            Column(name="kind", dtype="string", sql="subEventName"),
            tags,
        ),
        enrichments=(
            Enrich(enrichment="player_profile", on={"wyId": "player_id"}),
            Enrich(
                enrichment="team_profile", on={"wyId": "team_id"}, columns={"team_name": "name", "team_city": "city"}
            ),
        ),
        retention_days=1095,
    )


touch_pass = _event_type("pass", "Pass")
duel = _event_type("duel", "Duel")
free_kick = _event_type("free_kick", "Free Kick")
shot = _event_type("shot", "Shot")

player_actions = Sequence(
    name="player_actions",
    tenant="football",
    owner=OWNER,
    description="What a player did, newest first.",
    event_types=("pass", "duel", "free_kick", "shot"),
    columns=("match_id", "gameweek", "period", "second", "kind", "role_name", "team_name"),
    length=1000,
    window_days=365,
    retention_days=1095,
)
