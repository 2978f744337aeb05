"""Examples of checks, incidents and event types on their way, for the OpenAPI document. No field of one is null."""

import datetime as dt

from serving.api.checks import (
    CellEntry,
    ChecksAnswer,
    IncidentEntry,
    MigrationAnswer,
    MigrationEntry,
    NoteEntry,
    RowEntry,
)

_RELEASE = "bda3b33e269b24b73c5b9e502ccd0c25927f279b2e3e7a30b57e7d4a9193fc02"
_AT = dt.datetime(2026, 1, 15, 1, 12, 4, tzinfo=dt.UTC)
_RUN = "5d6f0b0e-6a3c-4f0e-9a53-0c7b6a1d2e3f"
_DAYS = [dt.date(2026, 1, 13), dt.date(2026, 1, 14)]
_WHY = "product_vector: 3.1 % PENDING"

INCIDENT = IncidentEntry(
    id="1e2bd4a2793f",
    title="events/purchase: enrichment_coverage does not pass",
    status="warn",
    asset="events/purchase",
    needs_you=False,
    touches=[("events/purchase", "enrichment_coverage", 1)],
    because=_WHY,
    next="seqplat materialize 2026-01-14 2026-01-14 events/purchase+",
    days=_DAYS[1:],
    since=_AT,
    run=_RUN,
    acknowledged=NoteEntry("ada", _AT + dt.timedelta(hours=7), "the vectors of new products come at noon"),
    muted_until=dt.date(2026, 1, 16),
)
CHECKS = ChecksAnswer(
    release=_RELEASE,
    channel="prod",
    days=_DAYS,
    data_up_to=_DAYS[-1],
    assets=3,
    healthy=2,
    need_you=0,
    as_of=_AT,
    errors=[],
    incidents=[INCIDENT],
    rows=[
        RowEntry(
            asset="events/purchase",
            layer="events",
            name="purchase",
            owner="team:grocery",
            check="enrichment_coverage",
            description="No cell of an enrichment waits for its value (PENDING) or failed (ERROR).",
            blocking=False,
            worst="warn",
            cells=[
                CellEntry("pass", _DAYS[0], value=0.0, limit=0.0, at=_AT - dt.timedelta(days=1), run=_RUN),
                CellEntry(
                    "warn", _DAYS[1], value=0.031, limit=0.0, because=_WHY, at=_AT, run=_RUN, incident=INCIDENT.id
                ),
            ],
            tenant="grocery",
        )
    ],
    never_ran=[],
)
MIGRATION = MigrationAnswer(
    release=_RELEASE,
    rows=[
        MigrationEntry(
            event_type="visit",
            owner="team:web",
            step="ab_10",
            share=0.1,
            held=False,
            stale=False,
            because="HOLD visit, 2026-01-01 to 2026-01-14: needs about 2,100 more users, 3 more day(s) at this pace",
            next="seqplat shadow verdict visit",
            state="HOLD",
            tenant="web",
            since=_AT,
            verdict=14,
            judged_at=_AT,
            needs_users=2_100,
            about_days=3.0,
            blocking="page",
            value=0.0004,
            limit=0.001,
        )
    ],
    errors=[],
)
