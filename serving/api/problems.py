"""Every error as ``application/problem+json``: what is wrong, with which field, and what to do about it.

>>> from seqplat_resources.release.query import Query
>>> try:
...     Query(limit=-1)
... except QueryError as error:
...     problem = problem_of(error)
...
>>> problem.status, problem.title, problem.detail, problem.fix
(400, 'Bad query', 'limit: -1 is below 0', 'ask for 0 or more events')
"""

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, TypeAlias

import msgspec
from litestar import Request, Response
from litestar.connection import ASGIConnection
from litestar.exceptions import HTTPException, ValidationException
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from litestar.handlers import BaseRouteHandler
from litestar.types import Scope, Send
from msgspec.structs import replace

from seqplat_resources.errors import Retryable
from seqplat_resources.foreign_errors import Unreadable, in_our_words
from seqplat_resources.lake.damage import LogDamaged
from seqplat_resources.online_store.errors import InvalidKeyError, StoreDamagedError, StoreUnusableError
from seqplat_resources.online_store.keys import MAX_USER_BYTES
from seqplat_resources.release.query import QueryError
from seqplat_resources.release.sequence_plan import UnknownSequence, UnknownSequenceColumn
from seqplat_resources.release.view_plan import UnknownView
from sequence_defs.analysis.wording import instead
from serving.api.notes import note_problem
from serving.api.parameters import fix_of, only, plain
from serving.api.refusals import Refusal
from serving.api.request_id import request_id
from serving.api.schemas import Problem
from serving.follow.errors import NotReady

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 5
_MOST_CHARS = 500

Connection: TypeAlias = ASGIConnection[Any, Any, Any, Any]

_log = logging.getLogger(__name__)

# How the framework tells of a parameter that has to be there, with the whole URL behind it.
_MISSING = re.compile(r"Missing required \w+ parameter '(?P<name>\w+)'")


def only_parameters(*known: str) -> Callable[[Connection, BaseRouteHandler], Awaitable[None]]:
    """A guard that refuses other query parameters, and those that are there twice or not in UTF-8."""

    # A coroutine without awaits, because the framework runs plain guards in a thread: 0.3 ms a request.
    async def guard(connection: Connection, _handler: BaseRouteHandler) -> None:
        only(known, connection.scope["query_string"])

    return guard


def problem_of(error: Exception) -> Problem:  # noqa: PLR0911, PLR0912 - one per kind of error
    """What a caller is told about ``error``. Anything unforeseen says nothing of the inside."""
    error = in_our_words(error) or error
    match error:
        case UnknownSequence():
            fix = instead(error.sequence, error.known, "GET /v1/sequences lists them")
            return _problem("unknown-sequence", 404, f"there is no sequence {error.sequence!r}", "name", fix)
        case UnknownView():
            fix = instead(error.view, error.known, "ask whoever gave you the key which there are")
            return _problem("unknown-view", 404, f"there is no view {error.view!r}", "name", fix)
        case UnknownSequenceColumn():
            fix = instead(error.column, error.known, f"GET /v1/sequences/{error.sequence}/schema lists them")
            what = f"sequence {error.sequence!r} has no column {error.column!r}"
            return _problem("unknown-column", 400, what, "columns", fix)
        case QueryError():
            # Of the parts of a similarity only the column cannot be judged by itself.
            part = "similar_to" if error.field == "top_k" else error.field
            return _problem("bad-query", 400, f"{part}: {error.what}", part, error.fix)
        case ValidationException():
            field, what = _first_finding(error)
            return _problem("bad-parameter", 400, what, field, fix_of(field))
        case RequestEntityTooLarge():
            fix = "shorten what is longest in it: fewer users at once, a shorter where; /docs has the limits"
            return _problem("too-much", 413, "the body is larger than any request needs", None, fix)
        case InvalidKeyError():
            fix = f"send the id that events carry, 1 to {MAX_USER_BYTES} bytes of UTF-8"
            return _problem("bad-user-id", 400, error.what, "user_id", fix)
        case Refusal():
            return error.problem
        case NotReady():
            return _problem("not-ready", 503, error.what, None, error.fix)
        case StoreDamagedError():
            fix = "report the request id; the server's log says what to repair"
            return _problem("store-damaged", 503, "what the online store keeps of its data is damaged", None, fix)
        case LogDamaged() | Unreadable():
            fix = "report the request id; the server's log says what to repair"
            return _problem("store-damaged", 503, "what the lake keeps of its data is damaged", None, fix)
        # What it says is for the log: where the store is, and what its operators should do.
        case Retryable() | StoreUnusableError():
            what = "what this is answered from is away at the moment"
            return _problem("try-again", 503, what, None, f"send the request again in {RETRY_AFTER_S} s")
        case HTTPException() if error.status_code < 500:
            return _plain(HTTPStatus(error.status_code), error.headers or {})
    what = "something went wrong that is not the request's fault"
    return _problem("internal", 500, what, None, "report the request id; the server's log says more")


def answer_problem(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The exception handler of the whole application."""
    problem, headers = _of_request(request.scope, error)
    return Response(msgspec.json.encode(problem), status_code=problem.status, media_type=MEDIA_TYPE, headers=headers)


async def send_error(scope: Scope, send: Send, error: Exception) -> None:
    """The same for what goes past the framework."""
    problem, headers = _of_request(scope, error)
    await _send(send, problem, headers)


async def send_problem(scope: Scope, send: Send, problem: Problem, headers: Mapping[str, str] = {}) -> None:
    """Answer a problem as plain ASGI, for layers in front of the application."""
    if problem.status == 503:
        headers = {"Retry-After": str(RETRY_AFTER_S), **headers}
    await _send(send, _noted(scope, problem), headers)


def _of_request(scope: Scope, error: Exception) -> tuple[Problem, dict[str, str]]:
    problem = _noted(scope, problem_of(error))
    told = in_our_words(error) or error
    if problem.status == 500 or isinstance(told, StoreDamagedError | StoreUnusableError | LogDamaged | Unreadable):
        _log.error("request %s to %s failed", problem.request_id, problem.instance, exc_info=error)
    elif isinstance(told, Retryable) and not isinstance(told, NotReady):
        _log.warning("a request is answered with 503: %s", told)
    headers = {"Retry-After": str(RETRY_AFTER_S)} if problem.status == 503 else {}
    if isinstance(error, HTTPException | Refusal) and error.headers:
        headers |= error.headers  # such as Allow
    return problem, headers


def _noted(scope: Scope, problem: Problem) -> Problem:
    """With what it has from its request."""
    note_problem(scope, _kind(problem))
    problem = replace(
        problem,
        detail=_cut(problem.detail),
        instance=_cut(scope["path"]),
        field=problem.field and _cut(problem.field),
        fix=problem.fix and _cut(problem.fix),
    )
    return replace(problem, request_id=request_id(scope)) if problem.status >= 500 else problem


def _cut(text: str) -> str:
    """What a caller sent comes back, but not all of it."""
    return text if len(text) <= _MOST_CHARS else f"{text[:_MOST_CHARS]}..."


async def _send(send: Send, problem: Problem, headers: Mapping[str, str]) -> None:
    body = msgspec.json.encode(problem)
    lines = {"content-type": MEDIA_TYPE, "content-length": str(len(body)), **headers}
    await send(
        {
            "type": "http.response.start",
            "status": problem.status,
            "headers": [(name.lower().encode(), value.encode()) for name, value in lines.items()],
        }
    )
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _problem(kind: str, status: int, detail: str, field: str | None, fix: str | None) -> Problem:
    title = kind.replace("-", " ").capitalize()
    return Problem(f"urn:seqplat:problem:{kind}", title, status, detail, field=field, fix=fix)


def _kind(problem: Problem) -> str:
    """What problems are counted by."""
    return f"http-{problem.status}" if problem.type == "about:blank" else problem.type.rpartition(":")[2]


def _plain(status: HTTPStatus, headers: Mapping[str, str]) -> Problem:
    """A problem that HTTP itself has a word for."""
    what, fix = status.description or status.phrase, "/docs lists all routes"
    if allowed := headers.get("allow"):
        methods = [method for method in allowed.split(", ") if method != "OPTIONS"]
        what, fix = "this path has no such method", f"use {' or '.join(methods)}; {fix}"
    return Problem("about:blank", status.phrase, status, what, fix=fix)


def _first_finding(error: ValidationException) -> tuple[str | None, str]:
    findings = error.extra if isinstance(error.extra, list) else []
    for finding in findings:
        if isinstance(finding, dict) and "key" in finding:
            return str(finding["key"]), f"{finding['key']}: {plain(str(finding['message']))}"
    if missing := _MISSING.match(error.detail):
        return missing["name"], f"{missing['name']} is missing"
    return None, error.detail
