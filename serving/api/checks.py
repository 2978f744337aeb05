"""Checks, incidents and event types on their way, as they go over the wire; made of ``seqplat_resources.health.view``.

What is as always is left out of a cell, for there are thousands of them.
"""

import datetime as dt
from typing import Annotated, Literal

import msgspec
from msgspec import Meta as Said

from seqplat_resources.health.attention import MOST_CHARS
from seqplat_resources.health.view import Health, Incident, MigrationRow, Status


class CellEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One check of one day."""

    status: Status
    day: Annotated[dt.date | None, Said(description="absent: all days together")] = None
    was: Annotated[Status | None, Said(description="what a stale verdict said")] = None
    value: Annotated[float | None, Said(description="the number that decides")] = None
    limit: Annotated[float | None, Said(description="its limit")] = None
    because: Annotated[str, Said(description="absent where it passed, or where nothing was to be looked at")] = ""
    at: Annotated[dt.datetime | None, Said(description="when it was judged")] = None
    run: Annotated[str | None, Said(description="Dagster's id of the run")] = None
    incident: Annotated[str | None, Said(description="the incident that it is part of")] = None


class RowEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One check of one asset."""

    asset: str
    layer: str
    name: str
    owner: str
    check: str
    description: str
    blocking: Annotated[bool, Said(description="a day that fails keeps what is made of it from being built")]
    worst: Status
    cells: Annotated[list[CellEntry], Said(description="one for each of `days`, or one for all together")]
    tenant: str | None = None
    muted_until: dt.date | None = None


class NoteEntry(msgspec.Struct, frozen=True):
    """What a person said."""

    who: str
    at: dt.datetime
    says: str


class IncidentEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """Everything that one cause broke."""

    id: Annotated[str, Said(description="stays while the cause is the same")]
    title: str
    status: Status
    asset: Annotated[str, Said(description="the asset with the cause")]
    needs_you: Annotated[bool, Said(description="nobody has said that they know")]
    touches: Annotated[list[tuple[str, str, int]], Said(description="asset, check, and how many days of it")]
    because: str
    next: Annotated[str, Said(description="a command, for whoever operates the installation")]
    days: list[dt.date] = []
    since: dt.datetime | None = None
    run: str | None = None
    acknowledged: NoteEntry | None = None
    muted_until: dt.date | None = None


class ChecksAnswer(msgspec.Struct, frozen=True):
    """All checks that the caller may see, over a window of days."""

    release: str
    channel: str
    days: Annotated[list[dt.date], Said(description="the window, oldest first")]
    data_up_to: Annotated[dt.date | None, Said(description="null: no day is built")]
    assets: int
    healthy: Annotated[int, Said(description="of the assets, those of which every check is well")]
    need_you: Annotated[int, Said(description="incidents that nobody has acknowledged or muted")]
    as_of: Annotated[dt.datetime | None, Said(description="when the newest verdict was told; null: there is none")]
    errors: Annotated[list[str], Said(description="what could not be read, so that some of this may be older")]
    incidents: Annotated[list[IncidentEntry], Said(description="worst first")]
    rows: Annotated[list[RowEntry], Said(description="worst first")]
    never_ran: Annotated[list[tuple[str, str]], Said(description="asset and check that are promised, and never ran")]


class MigrationEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One event type on its way from a legacy pipeline."""

    event_type: str
    owner: str
    step: Annotated[str, Said(description="legacy, shadow, ab_1, ab_10, ab_50, live or retired; or unknown")]
    share: Annotated[float, Said(description="of users who have our events, 0 to 1")]
    held: Annotated[bool, Said(description="it stays there until somebody resumes")]
    stale: Annotated[bool, Said(description="the verdict is about something else than there is now")]
    because: Annotated[str, Said(description="what keeps it from a step up; blank where nothing does")]
    next: Annotated[str, Said(description="a command, for whoever operates the installation")]
    state: Annotated[Literal["PASS", "HOLD", "FAIL"] | None, Said(description="absent: there is no verdict")] = None
    tenant: str | None = None
    since: Annotated[dt.datetime | None, Said(description="absent: nobody moved it")] = None
    verdict: Annotated[int | None, Said(description="its number")] = None
    judged_at: dt.datetime | None = None
    needs_users: Annotated[int | None, Said(description="how many more users a HOLD waits for")] = None
    about_days: Annotated[float | None, Said(description="and how many days they take")] = None
    blocking: Annotated[str | None, Said(description="the metric that is nearest its band, or furthest beyond")] = None
    value: float | None = None
    limit: float | None = None


class MigrationAnswer(msgspec.Struct, frozen=True):
    """Event types with legacy that the caller may see, those that need somebody first."""

    release: str
    rows: list[MigrationEntry]
    errors: list[str]


class AcknowledgeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody knows."""

    because: Annotated[str, Said(min_length=1, max_length=MOST_CHARS, description="for whoever looks next")]


class MuteRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nobody wants to hear of it for a while."""

    because: Annotated[str, Said(min_length=1, max_length=MOST_CHARS, description="for whoever looks next")]
    until: Annotated[dt.date, Said(description="the last day without it")]


def checks_answer(health: Health) -> ChecksAnswer:
    """A view as it goes out."""
    return msgspec.convert(health, ChecksAnswer, from_attributes=True)


def incident_answer(incident: Incident) -> IncidentEntry:
    """One incident as it goes out."""
    return msgspec.convert(incident, IncidentEntry, from_attributes=True)


def migration_answer(release: str, rows: tuple[MigrationRow, ...], errors: tuple[str, ...]) -> MigrationAnswer:
    """A table as it goes out."""
    entries = [msgspec.convert(row, MigrationEntry, from_attributes=True) for row in rows]
    return MigrationAnswer(release, entries, list(errors))
