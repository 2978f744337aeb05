"""What can go wrong with a request, as one tree: catch ``ClientError`` for all of it, ``ApiError`` for refusals."""

import datetime as dt
import json
import math
from email.utils import parsedate_to_datetime
from typing import Any

import httpx


class ClientError(Exception):
    """No answer."""


class Unreachable(ClientError):
    """The server could not be reached, or the connection broke."""


class DeadlineExceeded(ClientError):
    """No answer came in time; ``last`` is what went wrong before, if anything did."""

    def __init__(self, what: str, last: Exception | None = None) -> None:
        self.last = last
        super().__init__(f"{what}{f'; before that: {last}' if last else ''}")
        self._what = what

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._what, self.last)  # errors of worker processes are pickled


class ClientClosed(ClientError):
    """The client cannot be used: it is closed, or was made in another process or used in another event loop."""


class AnswerUnreadable(ClientError):
    """What came back is no answer of a sequence API: probably the address is another server's, or a proxy's page."""


class ApiError(ClientError):
    """The server refused. ``kind`` is the last word of the problem's type, such as ``unknown-column``."""

    def __init__(self, status: int, problem: dict[str, Any], retry_after_s: float | None = None) -> None:
        self.status, self.problem = status, problem
        self.kind = str(problem.get("type", "")).rpartition(":")[2]
        self.detail: str = problem.get("detail") or problem.get("title") or f"status {status}"
        self.field: str | None = problem.get("field")
        self.fix: str | None = problem.get("fix")
        self.request_id: str | None = problem.get("request_id")
        self.retry_after_s = retry_after_s
        super().__init__("; ".join(text for text in (self.detail, self.fix) if text))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.status, self.problem, self.retry_after_s)


class BadRequest(ApiError):
    """The question is wrong: a column, a limit, a time, a ``where``."""


class Unauthorized(ApiError):
    """No key, or one that is not (or no longer) valid."""


class Forbidden(ApiError):
    """The key may not do this."""


class NotFound(ApiError):
    """No such sequence, for this key."""


class QuotaExceeded(ApiError):
    """The key's quota is used up; ``retry_after_s`` says for how long."""


class Unavailable(ApiError):
    """The server cannot answer now: starting, overloaded, draining, or its store is away."""


class ServerFailed(ApiError):
    """Something is wrong with the server; ``request_id`` names the request in its log."""


_BY_STATUS: dict[int, type[ApiError]] = {401: Unauthorized, 403: Forbidden, 404: NotFound, 429: QuotaExceeded}
_PASSING = {502, 503, 504}


def refusal(response: httpx.Response) -> ApiError:
    """The error that an answer with a status of 400 or above stands for."""
    status = response.status_code
    if status in _PASSING:
        kind: type[ApiError] = Unavailable
    else:
        kind = _BY_STATUS.get(status, ServerFailed if status >= 500 else BadRequest)
    return kind(status, _problem(response), _seconds(response.headers.get("retry-after")))


def _problem(response: httpx.Response) -> dict[str, Any]:
    try:
        problem = json.loads(response.content)
    except ValueError:
        problem = None
    if isinstance(problem, dict):
        return problem
    return {
        "detail": f"{response.request.url.host} answered with status {response.status_code} and no problem document"
    }


def _seconds(text: str | None) -> float | None:
    """Of a Retry-After, which proxies may write as a date; None where it is neither."""
    if text is None:
        return None
    try:
        told = float(text)
    except ValueError:
        try:
            told = max(0.0, (parsedate_to_datetime(text) - dt.datetime.now(dt.UTC)).total_seconds())
        except (ValueError, TypeError):
            return None
    return told if math.isfinite(told) and told >= 0 else None
