"""What goes over the wire, as msgspec Structs. Field descriptions are those of the OpenAPI document."""

import datetime as dt
from typing import Annotated, Any

import msgspec
from msgspec import Meta as Said


class AnswerMeta(msgspec.Struct, frozen=True):
    """What an answer is made of, and how fresh that is."""

    epoch: Annotated[dict[str, int | None], Said(description="published view by event type; null: nothing published")]
    release: Annotated[str, Said(description="id of the release the answer follows")]
    sealed_through: Annotated[
        dt.datetime | None, Said(description="every event type is published up to here; null if one has nothing")
    ]
    newest_event_time: Annotated[dt.datetime | None, Said(description="of this user; null: no events")]
    completeness: Annotated[float, Said(description="published share of the promised days, 0 to 1")]
    degraded: Annotated[list[str], Said(description="what is missing from the answer, in words; empty is good")]
    stream_lag_ms: Annotated[int | None, Said(description="how far streaming is behind; null: nothing streams")]


class SequenceAnswer(msgspec.Struct, frozen=True):
    """One user's events, newest first: one list per column, all of the same length."""

    sequence: str
    user_id: str
    length: Annotated[int, Said(description="number of events; 0 for an unknown user")]
    columns: Annotated[
        dict[str, list[Any]],
        Said(description="times in ISO 8601, UTC; binary in base64; a float that is not finite is null"),
    ]
    meta: AnswerMeta


class ColumnEntry(msgspec.Struct, frozen=True):
    """One column of a sequence."""

    name: str
    dtype: Annotated[str, Said(description="portable type: a scalar, `list[...]` or `vector[item,dimension]`")]
    unit: str
    description: str
    nullable: bool


class FreshnessEntry(msgspec.Struct, frozen=True):
    """How fresh every user's answer is."""

    sealed_through: dt.datetime | None
    completeness: float
    epoch: dict[str, int | None]


class SequenceEntry(msgspec.Struct, frozen=True):
    """One sequence of the catalogue."""

    name: str
    tenant: str
    owner: str
    description: str
    lifecycle: str
    event_types: list[str]
    columns: list[ColumnEntry]
    length: Annotated[int | None, Said(description="most events an answer has; null: no bound")]
    window_days: Annotated[int | None, Said(description="days an answer reaches back; null: no bound")]
    freshness: FreshnessEntry


class Catalogue(msgspec.Struct, frozen=True):
    """All sequences of the release."""

    release: str
    sequences: list[SequenceEntry]


class ArrowField(msgspec.Struct, frozen=True):
    """One field of the Arrow schema; ``type`` as Arrow's libraries print it."""

    name: str
    type: str
    nullable: bool


class ArrowSchema(msgspec.Struct, frozen=True):
    """The Arrow schema of an answer with all columns."""

    fields: list[ArrowField]
    ipc: Annotated[str, Said(description="the same as an Arrow IPC stream without rows, in base64")]


class SequenceSchema(msgspec.Struct, frozen=True):
    """The form of an answer."""

    sequence: str
    version: Annotated[str, Said(description="moves exactly when a name, type, unit, model or nullability moves")]
    json_schema: Annotated[dict[str, Any], Said(description="JSON Schema of the JSON answer")]
    arrow_schema: ArrowSchema


class Health(msgspec.Struct, frozen=True):
    """``ok``; anything else is an error answer."""

    status: str


class ReleaseStatus(msgspec.Struct, frozen=True):
    """The release being served, and how the channel came to point at it."""

    id: str
    move: int
    moved_at: dt.datetime
    moved_by: str
    note: str
    loaded_at: dt.datetime


class ReleaseError(msgspec.Struct, frozen=True):
    """Why the channel's newest release is not the one being served."""

    since: dt.datetime
    message: str


class EventTypeStatus(msgspec.Struct, frozen=True):
    """What is published of one event type."""

    epoch: int
    release: Annotated[str, Said(description="release of the latest publication")]
    days: int
    rows: int


class Status(msgspec.Struct, frozen=True):
    """What this process serves."""

    version: str
    channel: str
    ready: bool
    release: ReleaseStatus | None
    release_error: ReleaseError | None
    event_types: dict[str, EventTypeStatus]


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error, as of RFC 9457. ``field`` names the parameter at fault, ``fix`` says what to do."""

    type: str
    title: str
    status: int
    detail: str
    instance: Annotated[str, Said(description="path of the request")] = ""
    field: str | None = None
    fix: str | None = None
    request_id: Annotated[str | None, Said(description="names the request in the server's log")] = None
