"""What goes over the wire, as msgspec Structs. Field descriptions are those of the OpenAPI document.

>>> msgspec.json.decode(b'{"users": ["ann"], "limit": 3}', type=BatchRequest).limit
3
>>> msgspec.json.decode(b'{"user": "ann"}', type=BatchRequest)
Traceback (most recent call last):
    ...
msgspec.ValidationError: Object contains unknown field `user`
"""

import datetime as dt
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta as Said

from seqplat_resources.online_store.keys import MAX_USER_BYTES
from seqplat_resources.release.query import MAX_K, MAX_WHERE_CHARS, Metric

# A list as long as it may be still fits into a URL.
_Name = Annotated[str, Said(min_length=1, max_length=128)]
_Time = Annotated[str, Said(extra_json_schema={"format": "date-time"})]


_Names = Annotated[list[_Name], Said(min_length=1, max_length=256)]


class SelectionRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which of a user's events, and what of them: the parameters of a query, or the fields of a body."""

    columns: Annotated[
        _Names | None,
        Said(
            description="columns in the order wanted; all of the sequence if left out",
            examples=[["event_time", "event_type", "amount"]],
        ),
    ] = None
    limit: Annotated[
        Annotated[int, Said(ge=1, le=1_000_000)] | None,
        Said(description="at most so many events per user, and never more than the sequence has", examples=[100]),
    ] = None
    since: Annotated[
        _Time | None,
        Said(description="first event time wanted, RFC 3339 with `Z` or an offset", examples=["2017-11-01T00:00:00Z"]),
    ] = None
    until: Annotated[
        _Time | None,
        Said(description="event time from which on nothing is wanted", examples=["2017-12-01T00:00:00Z"]),
    ] = None
    event_types: Annotated[_Names | None, Said(description="only events of these types", examples=[["purchase"]])] = (
        None
    )
    as_of: Annotated[
        _Time | None,
        Said(
            description="answer what would have been answered at this time, by `available_time`",
            examples=["2026-01-15T09:30:00Z"],
        ),
    ] = None
    where: Annotated[
        Annotated[str, Said(min_length=1, max_length=MAX_WHERE_CHARS)] | None,
        Said(
            description="only events for which this is true: an SQL expression over the sequence's columns, in the "
            "language of the definitions",
            examples=["amount > 5"],
        ),
    ] = None
    top_k: Annotated[
        Annotated[int, Said(ge=1, le=MAX_K)] | None,
        Said(
            description="only so many events, those most similar to `vector` by their column `similar_to`, most "
            "similar first; adds the column `similarity`",
            examples=[10],
        ),
    ] = None
    similar_to: Annotated[
        _Name | None, Said(description="the vector column that `top_k` compares", examples=["product_vector"])
    ] = None
    vector: Annotated[
        Annotated[list[float], Said(min_length=1, max_length=4_096)] | None,
        Said(
            description="what `top_k` compares with: as many numbers as the column's vectors have",
            examples=[[0.12, -0.4, 0.03, 0.25, 0.0, 0.51, -0.07, 0.3]],
        ),
    ] = None
    metric: Annotated[
        Metric | None,
        Said(
            description="how `top_k` compares, `dot` if left out; of `l2` the similarity is minus the distance",
            examples=["cosine"],
        ),
    ] = None


class BatchRequest(SelectionRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same selection of many users' events. Users come back in the order asked, each as often as asked."""

    users: Annotated[
        Annotated[list[Annotated[str, Said(min_length=1, max_length=MAX_USER_BYTES)]], Said(min_length=1)],
        Said(description="user ids as text", examples=[["1995", "1146"]]),
    ]


class EarlierDefinition(msgspec.Struct, frozen=True):
    """Rows of an event type that another definition made than the one being served; they are given as stored."""

    since: Annotated[str | None, Said(description="first day; null: rows that are streamed and not built yet")]
    through: Annotated[str | None, Said(description="last day, inclusive; null as `since`")]
    rows: Annotated[bool, Said(description="there would be other rows, or rows of other users or times")]
    columns: Annotated[list[str], Said(description="would have other values, or values of another unit or model")]
    missing: Annotated[list[str], Said(description="were not made for these rows, and are null")]


class AnswerMeta(msgspec.Struct, frozen=True):
    """What an answer is made of, and how fresh that is."""

    epoch: Annotated[dict[str, int | None], Said(description="published view by event type; null: nothing published")]
    release: Annotated[str, Said(description="id of the release the answer follows")]
    sealed_through: Annotated[
        dt.datetime | None, Said(description="every event type is published up to here; null if one has nothing")
    ]
    newest_event_time: Annotated[dt.datetime | None, Said(description="of the answer; null: no events")]
    completeness: Annotated[
        float,
        Said(
            description="published share of the days due by now, 0 to 1; days that the deadline left unread do not "
            "count, and of a batch the user of whom least was read"
        ),
    ]
    degraded: Annotated[list[str], Said(description="what is missing from the answer, in words; empty is good")]
    stream_lag_ms: Annotated[int | None, Said(description="how far streaming is behind; null: nothing streams")]
    arms: Annotated[
        dict[str, Literal["ours", "legacy"]],
        Said(
            description="whose events these are, by event type on its way from the old pipeline to ours; not there if "
            "none is. Of a batch, each user says its own"
        ),
    ] = msgspec.field(default_factory=dict)
    definitions: Annotated[
        dict[str, list[EarlierDefinition]],
        Said(
            description="by event type, what an earlier definition made and nobody has built again; not there if all "
            "is of the definition that is served"
        ),
    ] = msgspec.field(default_factory=dict)


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


class SessionAnswer(msgspec.Struct, frozen=True):
    """The sessions that a user is in, newest first; where none is open, the last one there was."""

    view: str
    user_id: str
    sessions: Annotated[
        list[dict[str, Any]],
        Said(description="the columns of the view's table, without personal data; empty for an unknown user"),
    ]
    whole: Annotated[
        bool, Said(description="false: not all events of a session were read, so it may have begun earlier")
    ]
    meta: AnswerMeta


class UserAnswer(msgspec.Struct, frozen=True):
    """One user of a batch."""

    user_id: str
    length: Annotated[int, Said(description="number of events; 0 for an unknown user")]
    newest_event_time: Annotated[dt.datetime | None, Said(description="null: no events")]
    partial: Annotated[bool, Said(description="the deadline left older events of this user unread")]
    columns: Annotated[dict[str, list[Any]], Said(description="as in the answer for one user")]
    arms: Annotated[dict[str, Literal["ours", "legacy"]], Said(description="as in `meta`")] = msgspec.field(
        default_factory=dict
    )


class BatchAnswer(msgspec.Struct, frozen=True):
    """Many users' events from one view of the store, in the order asked."""

    sequence: str
    users: list[UserAnswer]
    meta: Annotated[AnswerMeta, Said(description="of all users together")]


class ColumnEntry(msgspec.Struct, frozen=True):
    """One column of a sequence."""

    name: str
    dtype: Annotated[str, Said(description="portable type: a scalar, `list[...]` or `vector[item,dimension]`")]
    unit: str
    description: str
    nullable: bool
    deprecated: Annotated[bool, Said(description="leave it: it goes when nobody reads it any more")] = False


class Promise(msgspec.Struct, frozen=True):
    """The days an event type is to have, judged by `completeness`."""

    since: Annotated[dt.date | None, Said(description="first day; null: the first that is published")]
    until: Annotated[dt.date | None, Said(description="day after the last; null: open, the newest published counts")]


class FreshnessEntry(msgspec.Struct, frozen=True):
    """How fresh every user's answer is."""

    sealed_through: dt.datetime | None
    completeness: float
    epoch: dict[str, int | None]
    definitions: Annotated[dict[str, list[EarlierDefinition]], Said(description="as in `meta` of an answer")]


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
    promise: Annotated[dict[str, Promise], Said(description="by event type")]
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


class Liveness(msgspec.Struct, frozen=True):
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


class StoreError(msgspec.Struct, frozen=True):
    """Why the online store cannot be read."""

    since: dt.datetime
    message: str


class StreamError(msgspec.Struct, frozen=True):
    """Why a source is not streamed: its process tries again, or has ended over it."""

    since: dt.datetime
    attempts: Annotated[int, Said(description="failures in a row")]
    again_at: Annotated[dt.datetime | None, Said(description="null: nobody will try again by itself")]
    message: str


class CutoverStatus(msgspec.Struct, frozen=True):
    """How far an event type is on its way from the old pipeline to ours."""

    step: Annotated[str, Said(description="legacy, shadow, ab_1, ab_10, ab_50, live or retired")]
    share: Annotated[int, Said(description="how many of 10,000 users have our events")]
    since: Annotated[dt.datetime | None, Said(description="null: nobody moved it")]
    is_held: Annotated[bool, Said(description="it stays there until somebody resumes")]
    error: Annotated[str | None, Said(description="why it cannot be said anew; the rest is what was known last")]


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
    store_error: Annotated[StoreError | None, Said(description="null: it answered when it was last looked at")]
    stream_errors: Annotated[dict[str, StreamError], Said(description="by source; those that are read have none")]
    event_types: dict[str, EventTypeStatus]
    enrichments: Annotated[dict[str, EventTypeStatus], Said(description="tables that streams look up in, by name")]
    cutover: Annotated[
        dict[str, CutoverStatus], Said(description="event types whose users are answered from two sides")
    ]


class StepEntry(msgspec.Struct, frozen=True):
    """One station on an event's way."""

    name: Annotated[
        str,
        Said(
            description="raw, rejected, made, filtered, lateness, deduplicated, moved, enriched, lake, "
            "published, online, window or answer"
        ),
    ]
    outcome: Annotated[str, Said(description="what became of it there, in a word or two")]
    said: Annotated[str, Said(description="the same in a sentence")]
    facts: Annotated[dict[str, Any], Said(description="what the sentence is made from")]


class VerdictEntry(msgspec.Struct, frozen=True):
    """Why the event is, or is not, in the answer."""

    code: Annotated[str, Said(description="in_answer, or the reason why not")]
    text: str
    next: Annotated[list[str], Said(description="commands to go on with, for whoever operates the installation")]


class ExplainedEvent(msgspec.Struct, frozen=True):
    """Which event; type and day are null where nothing of it was found."""

    user_id: str
    event_id: str
    event_type: str | None
    day: dt.date | None


class ExplanationAnswer(msgspec.Struct, frozen=True):
    """The way of one event from the raw row to the answer."""

    sequence: str
    release: Annotated[str, Said(description="id of the release that the explanation follows")]
    event: ExplainedEvent
    verdict: VerdictEntry
    steps: list[StepEntry]
    also: Annotated[dict[str, VerdictEntry], Said(description="by event type, other events of the same id")]


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
