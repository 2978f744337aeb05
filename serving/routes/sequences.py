"""One user's sequence, and the form it has."""

from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.exceptions import ValidationException
from litestar.openapi.spec import Example
from litestar.params import PathParameter, QueryParameter

from seqplat_resources.assemble import answer
from seqplat_resources.query import Query
from seqplat_resources.sequence_plan import UnknownColumn, UnknownSequence
from serving.answer_form import arrow_schema, json_schema
from serving.examples import ANSWER, errors, success
from serving.follower import Follower, NotReady
from serving.problems import UnknownParameter, only_parameters
from serving.schemas import AnswerMeta, SequenceAnswer, SequenceSchema
from serving.tenants import Caller

_PATH = "/v1/sequences/{name:str}"
_UNKNOWN = UnknownSequence("household_histroy", ["household_history", "purchase_vectors"])
_NOT_READY = NotReady("no release is loaded yet", fix="publish a release with `seqplat publish`")

Name = Annotated[
    str,
    PathParameter(
        description="a sequence of the catalogue", examples=[Example(summary="of the demo", value="household_history")]
    ),
]


@get(
    f"{_PATH}/users/{{user_id:str}}",
    summary="One user's events, newest first",
    operation_id="user_sequence",
    tags=["sequences"],
    guards=[only_parameters("columns", "limit")],
    # In a thread: as many answers per second as without, but with 16 clients at full load a liveness probe takes 1-5 ms
    # instead of 60, and a read that waits for the disk holds up nobody else.
    sync_to_thread=True,
    responses={
        200: success(SequenceAnswer, "The sequence; an unknown user has no events", ANSWER),
        **errors(
            _UNKNOWN,
            UnknownColumn("household_history", "sale_value", ["event_time", "product_id", "sales_value"]),
            ValidationException(extra=[{"key": "limit", "message": "Expected `int` >= 1"}]),
            UnknownParameter("limt", ("columns", "limit")),
            _NOT_READY,
            path="/v1/sequences/household_history/users/1995",
        ),
    },
)
def user_sequence(
    follower: NamedDependency[Follower],
    caller: NamedDependency[Caller],
    name: Name,
    user_id: Annotated[
        str, PathParameter(description="the user as text", examples=[Example(summary="of the demo", value="1995")])
    ],
    columns: Annotated[
        str | None, QueryParameter(description="comma-separated names, in the order wanted; all columns if left out")
    ] = None,
    limit: Annotated[
        int | None,
        QueryParameter(ge=1, description="at most so many events, and never more than the sequence has"),
    ] = None,
) -> SequenceAnswer:
    """Reads one consistent view of the online store. `meta` says how fresh and how complete that view is."""
    asked = [column.strip() for column in columns.split(",")] if columns is not None else None
    plan, store = caller.plan(follower.serving, name), follower.store
    found = answer(plan, store, user_id, Query(columns=asked, limit=limit), clock=follower.clock)
    fresh, events = found.freshness, found.events
    caller.charge(events.height, columns=events.columns, users=[user_id])
    return SequenceAnswer(
        name,
        user_id,
        events.height,
        {series.name: series.to_list() for series in events},
        AnswerMeta(
            dict(fresh.epoch),
            fresh.release,
            fresh.sealed_through,
            fresh.newest_event_time,
            fresh.completeness,
            list(fresh.degraded),
            fresh.stream_lag_ms,
        ),
    )


@get(
    f"{_PATH}/schema",
    summary="The form of a sequence's answers",
    operation_id="sequence_schema",
    tags=["catalogue"],
    guards=[only_parameters()],
    sync_to_thread=False,
    responses={
        200: success(SequenceSchema, "JSON Schema and Arrow schema"),
        **errors(_UNKNOWN, UnknownParameter("user", ()), _NOT_READY, path="/v1/sequences/household_history/schema"),
    },
)
def sequence_schema(follower: NamedDependency[Follower], caller: NamedDependency[Caller], name: Name) -> SequenceSchema:
    """The same for every user. Generate types from it, or compare `version` to see whether it changed."""
    serving = follower.serving
    plan = caller.plan(serving, name)
    version = serving.release.hashes[f"sequences/{name}"].schema_
    return SequenceSchema(name, version, json_schema(plan), arrow_schema(plan))
