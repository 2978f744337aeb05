"""Examples of the OpenAPI document. Problems are made by the code that answers them, so they cannot differ.

The framework leaves nulls out of objects, so no field of an example is null.

>>> sorted(problems_of(QueryError("limit", "-1 is below 0", fix="ask for more"), path="/v1/sequences/basket/users/ann"))
[400]
"""

import datetime as dt
from collections.abc import Sequence

import msgspec
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from msgspec.structs import replace

from seqplat_resources.online_store.errors import InvalidKeyError
from seqplat_resources.release.query import QueryError
from seqplat_resources.release.sequence_plan import UnknownSequence, UnknownSequenceColumn
from serving.admission.bodies import BrokenBody, SlowBody
from serving.admission.limits import TooMuch
from serving.answers.negotiation import NotAcceptable
from serving.api import parameters, problems
from serving.api.parameters import BadParameter, UnknownParameter
from serving.api.schemas import (
    AnswerMeta,
    ArrowField,
    ArrowSchema,
    BatchAnswer,
    Catalogue,
    ColumnEntry,
    CutoverStatus,
    EventTypeStatus,
    FreshnessEntry,
    Problem,
    Promise,
    ReleaseError,
    ReleaseStatus,
    SequenceAnswer,
    SequenceEntry,
    SequenceSchema,
    Status,
    StoreError,
    StreamError,
    UserAnswer,
)
from serving.follow.errors import NotReady

_ID = "8f0e6f0b4c1d"
_RELEASE = "bda3b33e269b24b73c5b9e502ccd0c25927f279b2e3e7a30b57e7d4a9193fc02"
_EPOCH: dict[str, int | None] = {"purchase": 2, "campaign_received": 1}


def _utc(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=dt.UTC)  # type: ignore[misc, arg-type]


ANSWER = SequenceAnswer(
    sequence="household_history",
    user_id="1995",
    length=2,
    columns={
        "event_time": [_utc(2017, 12, 3, 20, 55, 26), _utc(2017, 11, 27, 5)],
        "event_type": ["purchase", "campaign_received"],
        "sales_value": [1.99, None],
    },
    meta=AnswerMeta(
        epoch=_EPOCH,
        release=_RELEASE,
        sealed_through=_utc(2017, 12, 4),
        newest_event_time=_utc(2017, 12, 3, 20, 55, 26),
        completeness=1.0,
        degraded=[],
        stream_lag_ms=850,
    ),
)
BATCH = BatchAnswer(
    sequence=ANSWER.sequence,
    users=[
        UserAnswer("1995", ANSWER.length, _utc(2017, 12, 3, 20, 55, 26), partial=False, columns=ANSWER.columns),
        UserAnswer(
            "1146",
            1,
            _utc(2017, 12, 1, 9),
            partial=False,
            columns={name: values[:1] for name, values in ANSWER.columns.items()},
        ),
    ],
    meta=ANSWER.meta,
)
CATALOGUE = Catalogue(
    release=_RELEASE,
    sequences=[
        SequenceEntry(
            name="household_history",
            tenant="grocery",
            owner="team:grocery",
            description="Everything a household did, newest first.",
            lifecycle="live",
            event_types=["purchase", "campaign_received"],
            columns=[
                ColumnEntry("event_time", "timestamp", "", "when it happened", nullable=False),
                ColumnEntry("event_type", "string", "", "what happened", nullable=False),
                ColumnEntry("sales_value", "float64", "USD", "paid for the line", nullable=True),
            ],
            length=500,
            window_days=365,
            promise={"purchase": Promise(since=dt.date(2017, 10, 23), until=dt.date(2017, 12, 4))},
            freshness=FreshnessEntry(sealed_through=_utc(2017, 12, 4), completeness=1.0, epoch=_EPOCH, definitions={}),
        )
    ],
)
SCHEMA = SequenceSchema(
    sequence="household_history",
    version="0e2ef5a2a7ad",
    json_schema={"type": "object", "properties": {"sequence": {"const": "household_history"}}},
    arrow_schema=ArrowSchema([ArrowField("event_time", "timestamp[us, tz=UTC]", nullable=False)], "/////3gAAAA="),
)
STATUS = Status(
    version="0.1.0",
    channel="prod",
    ready=True,
    release=ReleaseStatus(
        id=_RELEASE,
        move=3,
        moved_at=_utc(2026, 1, 15, 9, 30),
        moved_by="ada",
        note="raise length to 500",
        loaded_at=_utc(2026, 1, 15, 9, 30, 1),
    ),
    release_error=ReleaseError(_utc(2026, 1, 16, 8), "release 41d0c2a97b5e is not in s3://features/prod"),
    store_error=StoreError(_utc(2026, 1, 16, 8), "Connection refused, at redis://cache:6379/0; is the server running?"),
    stream_errors={
        "clicks": StreamError(_utc(2026, 1, 16, 8), 3, _utc(2026, 1, 16, 8, 1), "topic 'clicks' is not in kafka:9092")
    },
    event_types={"purchase": EventTypeStatus(epoch=2, release=_RELEASE, days=42, rows=43818)},
    enrichments={"product_vector": EventTypeStatus(epoch=2, release=_RELEASE, days=4, rows=2119)},
    cutover={"visit": CutoverStatus("ab_10", 1_000, _utc(2026, 1, 14, 9), is_held=False, error="record 4 is damaged")},
)


def success(struct: type[msgspec.Struct], description: str, value: msgspec.Struct | None = None) -> ResponseSpec:
    """The documented 200 answer."""
    examples = [Example(summary=description, value=msgspec.to_builtins(value))] if value else None
    return ResponseSpec(struct, generate_examples=False, description=description, examples=examples)


def errors(*raised: Exception, path: str) -> dict[int, ResponseSpec]:
    """Documented error answers by status, one example for each error of a request to ``path``; 500 is always one."""
    return {status: _error_spec(same) for status, same in problems_of(*raised, RuntimeError(), path=path).items()}


def problems_of(*raised: Exception, path: str) -> dict[int, list[Problem]]:
    """What a request to ``path`` is answered with where one of these is raised, by status."""
    found: dict[int, list[Problem]] = {}
    for error in raised:
        problem = replace(problems.problem_of(error), instance=path)
        found.setdefault(problem.status, []).append(
            replace(problem, request_id=_ID) if problem.status >= 500 else problem
        )
    return found


def _error_spec(same: Sequence[Problem]) -> ResponseSpec:
    examples = [Example(summary=problem.title, value=msgspec.to_builtins(problem)) for problem in same]
    titles = ", or ".join(problem.title.lower() for problem in same)
    return ResponseSpec(
        Problem,
        generate_examples=False,
        description=titles.capitalize(),
        media_type=problems.MEDIA_TYPE,
        examples=examples,
    )


UNKNOWN = UnknownSequence("household_histroy", ["household_history", "purchase_vectors"])
_COLUMN = UnknownSequenceColumn("household_history", "sale_value", ["event_time", "product_id", "sales_value"])
NO_USER = InvalidKeyError("user id of 300 bytes", where="a key", fix="")
NOT_READY = NotReady("no release is loaded yet", fix="publish a release with `seqplat publish`")
_SELECTION = (
    _COLUMN,
    BadParameter("limit", "limit: Expected `int` >= 1"),
    QueryError("where", "there is no column 'sale_value'", fix="did you mean 'sales_value'?"),
    NotAcceptable("text/csv"),
)
ONE_USERS_ERRORS = errors(
    *_SELECTION,
    UnknownParameter("limt", parameters.NAMES),
    parameters.QueryTooLong(61_000),
    path="/v1/sequences/household_history/users/1995",
)
BATCH_ERRORS = errors(
    *_SELECTION,
    TooMuch("users", "there are 1200 users in one request", fix="send at most 1000 at once"),
    parameters.NotJson("text/plain"),
    BrokenBody(),
    SlowBody(10),
    path="/v1/sequences/household_history/batch",
)
SCHEMA_ERRORS = errors(UnknownParameter("user", ()), path="/v1/sequences/household_history/schema")
