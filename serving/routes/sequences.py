"""Users' sequences, one user's or many's at once, and the form they have."""

from typing import Any

from litestar import Request, get, post
from litestar.concurrency import sync_to_thread
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.types import Scope

from seqplat_resources.clock import Deadline
from seqplat_resources.online_store.lmdb import LmdbStore
from seqplat_resources.release.query import Query
from serving.access.authentication import caller_of
from serving.access.caller import Caller
from serving.admission.lanes import is_short
from serving.admission.limits import within_limits
from serving.answers.answer import AnswerCaches, Ready, SequenceRequest, answer_many, answer_one
from serving.answers.form import arrow_schema, json_schema
from serving.answers.negotiation import coding_of, form_of
from serving.api.parameters import DEADLINE_HEADER, deadline_ms, of_body, of_query_string, only, query_of
from serving.api.paths import name_of, user_of
from serving.api.problems import only_parameters
from serving.api.schemas import BatchAnswer, SelectionRequest, SequenceAnswer, SequenceSchema
from serving.follow.release import Follower
from serving.openapi import examples
from serving.settings import Settings

_PATH = "/v1/sequences/{name:str}"
_DEADLINE = DEADLINE_HEADER.lower().encode()


async def one_user(scope: Scope) -> Ready:
    """What ``user_sequence`` answers; ``direct`` calls it past the framework."""
    headers = _headers(scope)
    asking = _asking(scope, headers, *of_query_string(scope["query_string"]))
    user, known = user_of(scope), headers.get(b"if-none-match")
    kept: AnswerCaches = scope["litestar_app"].state["kept"]
    if _needs_no_thread(asking):
        return answer_one(asking, user, known, kept)
    return await sync_to_thread(answer_one, asking, user, known, kept)


def _needs_no_thread(asking: SequenceRequest) -> bool:
    """Whether reading takes a millisecond or two of the processor and waits for nobody: a thread would add to that,
    and wait for the lock of this one. Everything longer has to leave the event loop.
    """
    return is_short(asking.plan, asking.query) and isinstance(asking.follower.store, LmdbStore)


# The two handlers below take the request as it came. What they accept is in ``parameters``, and in the OpenAPI document
# by ``openapi``.
@get(
    f"{_PATH}/users/{{user_id:str}}",
    summary="One user's events, newest first",
    operation_id="user_sequence",
    tags=["sequences"],
    responses={
        200: examples.success(SequenceAnswer, "The sequence; an unknown user has no events", examples.ANSWER),
        **examples.ONE_USERS_ERRORS,
    },
)
async def user_sequence(scope: Scope) -> Ready:
    """Reads one consistent view of the online store. `meta` says how fresh and how complete that view is, and so do the
    headers. A user id may be any text of up to 256 bytes, percent-encoded, slashes included.
    """
    return await one_user(scope)


@post(
    f"{_PATH}/batch",
    status_code=200,
    summary="Many users' events",
    operation_id="batch",
    tags=["sequences"],
    responses={
        200: examples.success(BatchAnswer, "The users in the order asked, each as often as asked", examples.BATCH),
        **examples.BATCH_ERRORS,
    },
)
async def batch(request: Request[Any, Any, Any]) -> Ready:
    """Reads one consistent view of the online store for all users, and costs less than asking for one after the other.
    The fields of the body are the parameters of a query for one user, and `users`.
    """
    scope = request.scope
    only((), scope["query_string"])
    headers = _headers(scope)
    asked = of_body(await request.body(), headers.get(b"content-type"))
    asking = _asking(scope, headers, asked, query_of(asked))
    within_limits(asking.plan, asked, scope["litestar_app"].state["settings"])
    return await sync_to_thread(answer_many, asking, asked)


def _asking(scope: Scope, headers: dict[bytes, bytes], asked: SelectionRequest, query: Query) -> SequenceRequest:
    state = scope["litestar_app"].state
    settings: Settings = state["settings"]
    follower: Follower = state["follower"]
    caller = caller_of(scope)
    return SequenceRequest(
        scope,
        follower,
        caller,
        caller.plan(follower.serving, name_of(scope)),
        asked,
        query,
        form_of(_text(headers.get(b"accept"))),
        coding_of(_text(headers.get(b"accept-encoding"))),
        Deadline.after(deadline_ms(headers.get(_DEADLINE), settings.deadline_ms) / 1000),
    )


def _headers(scope: Scope) -> dict[bytes, bytes]:
    """By name; those that are there twice as one list, as HTTP means it."""
    given = list(scope["headers"])
    headers = dict(given)
    if len(headers) != len(given):
        for name in headers:
            headers[name] = b", ".join(value for each, value in given if each == name)
    return headers


def _text(header: bytes | None) -> str | None:
    return None if header is None else header.decode("latin-1")


@get(
    f"{_PATH}/schema",
    summary="The form of a sequence's answers",
    operation_id="sequence_schema",
    tags=["catalogue"],
    guards=[only_parameters()],
    sync_to_thread=False,
    responses={
        200: examples.success(SequenceSchema, "JSON Schema and Arrow schema", examples.SCHEMA),
        **examples.SCHEMA_ERRORS,
    },
)
def sequence_schema(
    follower: NamedDependency[Follower], caller: NamedDependency[Caller], name: FromPath[str]
) -> SequenceSchema:
    """The same for every user. Generate types from it, or compare `version` to see whether it changed."""
    serving = follower.serving
    plan = caller.plan(serving, name)
    version = serving.release.hashes[f"sequences/{name}"].schema_
    return SequenceSchema(name, version, json_schema(plan), arrow_schema(plan))
