"""Every error as ``application/problem+json``: what is wrong, with which field, and what to do about it."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, TypeAlias

import msgspec
from litestar import Request, Response
from litestar.connection import ASGIConnection
from litestar.exceptions import HTTPException, ValidationException
from litestar.handlers import BaseRouteHandler
from litestar.types import Scope, Send
from msgspec.structs import replace

from seqplat_resources.errors import Retryable
from seqplat_resources.online_store.errors import InvalidKeyError
from seqplat_resources.online_store.keys import MAX_USER_BYTES
from seqplat_resources.sequence_plan import UnknownColumn, UnknownSequence
from sequence_defs.analysis.wording import instead
from serving.follower import NotReady
from serving.refusals import Refused
from serving.request_id import request_id
from serving.request_notes import note_problem
from serving.schemas import Problem

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 5

Connection: TypeAlias = ASGIConnection[Any, Any, Any, Any]

_log = logging.getLogger(__name__)

# What to send instead, by parameter: the framework's own messages say only what is wrong.
_PARAMETER_FIX = {"limit": "send a whole number of 1 or more, or leave it out"}


class UnknownParameter(ValueError):
    """A query parameter that the route does not have: ignoring it would answer another question than was asked."""

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        self.name, self.known = name, known
        super().__init__(f"there is no query parameter {name!r}")


def only_parameters(*known: str) -> Callable[[Connection, BaseRouteHandler], Awaitable[None]]:
    """A guard that refuses other query parameters."""

    # A coroutine without awaits, because the framework runs plain guards in a thread: 0.3 ms a request.
    async def guard(connection: Connection, _handler: BaseRouteHandler) -> None:
        for name in connection.query_params:
            if name not in known:
                raise UnknownParameter(name, known)

    return guard


def problem_of(error: Exception) -> Problem:  # noqa: PLR0911 - one per kind of error
    """What a caller is told about ``error``. Anything unforeseen says nothing of the inside."""
    match error:
        case UnknownSequence():
            fix = instead(error.sequence, error.known, "GET /v1/sequences lists them")
            return _problem("unknown-sequence", 404, f"there is no sequence {error.sequence!r}", "name", fix)
        case UnknownColumn():
            fix = instead(error.column, error.known, f"GET /v1/sequences/{error.sequence}/schema lists them")
            what = f"sequence {error.sequence!r} has no column {error.column!r}"
            return _problem("unknown-column", 400, what, "columns", fix)
        case UnknownParameter():
            fix = instead(error.name, error.known, "see /docs")
            return _problem("unknown-parameter", 400, str(error), error.name, fix)
        case ValidationException():
            field, what = _first_finding(error)
            return _problem("bad-parameter", 400, what, field, _PARAMETER_FIX.get(field or ""))
        case InvalidKeyError():
            fix = f"send the id that events carry, 1 to {MAX_USER_BYTES} bytes of UTF-8"
            return _problem("bad-user-id", 400, error.what, "user_id", fix)
        case Refused():
            return error.problem
        case NotReady():
            return _problem("not-ready", 503, error.what, None, error.fix)
        case Retryable():
            return _problem("try-again", 503, str(error), None, f"send the request again in {RETRY_AFTER_S} s")
        case HTTPException() if error.status_code < 500:
            return _plain(HTTPStatus(error.status_code))
    what = "something went wrong that is not the request's fault"
    return _problem("internal", 500, what, None, "report the request id; the server's log says more")


def answer_problem(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The exception handler of the whole application."""
    problem = replace(problem_of(error), instance=request.url.path)
    note_problem(request.scope, _kind(problem))
    if problem.status >= 500:
        problem = replace(problem, request_id=request_id(request.scope))
    if problem.status == 500:
        _log.error("request %s to %s failed", problem.request_id, problem.instance, exc_info=error)
    headers = {"Retry-After": str(RETRY_AFTER_S)} if problem.status == 503 else {}
    if isinstance(error, HTTPException | Refused) and error.headers:
        headers |= error.headers  # such as Allow
    return Response(msgspec.json.encode(problem), status_code=problem.status, media_type=MEDIA_TYPE, headers=headers)


async def send_problem(scope: Scope, send: Send, problem: Problem, headers: Mapping[str, str] = {}) -> None:
    """Answer a problem as plain ASGI, for layers in front of the application."""
    note_problem(scope, _kind(problem))
    problem = replace(problem, instance=scope["path"])
    if problem.status >= 500:
        problem = replace(problem, request_id=request_id(scope))
    if problem.status == 503:
        headers = {"Retry-After": str(RETRY_AFTER_S), **headers}
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


def _plain(status: HTTPStatus) -> Problem:
    """A problem that HTTP itself has a word for."""
    return Problem(
        "about:blank", status.phrase, status, status.description or status.phrase, fix="/docs lists all routes"
    )


def _first_finding(error: ValidationException) -> tuple[str | None, str]:
    findings = error.extra if isinstance(error.extra, list) else []
    for finding in findings:
        if isinstance(finding, dict) and "key" in finding:
            return str(finding["key"]), f"{finding['key']}: {finding['message']}"
    return None, error.detail
