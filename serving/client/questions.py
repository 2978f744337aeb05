"""What is asked, as the query string of one user's route or as the body of the batch route."""

import datetime as dt
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict
from urllib.parse import quote

import httpx
import numpy as np
import numpy.typing as npt

from serving.client.attempts import Attempts
from serving.client.errors import BadRequest

ARROW = "application/vnd.apache.arrow.stream"

Metric = Literal["dot", "cosine", "l2"]
# A day is its beginning.
Instant = dt.datetime | dt.date | np.datetime64


@dataclass(frozen=True)
class Similar:
    """Of a user's events the ``k`` whose ``column`` is most similar to ``vector``, most similar first."""

    column: str
    vector: Sequence[float] | npt.NDArray[Any]
    k: int | np.integer[Any]
    metric: Metric = "dot"


class Selection(TypedDict, total=False):
    """Which events, and which of their columns; what is left out the sequence decides. Times without a zone are UTC."""

    columns: Sequence[str]
    limit: int | np.integer[Any]
    since: Instant
    until: Instant
    event_types: Sequence[str]
    as_of: Instant
    where: str
    top_k: Similar


@dataclass(frozen=True)
class Question:
    """A request, but for its deadline and key."""

    method: str
    path: str
    accept: str = "application/json"
    parameters: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None

    def request(self, client: httpx.Client | httpx.AsyncClient, key: str | None, attempts: Attempts) -> httpx.Request:
        said = headers(key, self.accept, {"X-Deadline-Ms": str(attempts.server_ms())})
        try:
            return client.build_request(self.method, self.path, params=self.parameters, json=self.body, headers=said)
        except httpx.InvalidURL as error:  # from 64 KiB on; below that the server says the same
            problem = {"type": "query-too-long", "detail": str(error), "fix": "ask with batch, which sends a body"}
            raise BadRequest(414, problem) from error
        except UnicodeEncodeError as error:
            raise _half(error) from error


def one(sequence: str, user: str, selection: Selection) -> Question:
    return Question("GET", user_path(sequence, user), ARROW, as_parameters(selection))


def many(sequence: str, users: Sequence[str], selection: Selection) -> Question:
    body = {"users": list(users), **as_body(selection)}
    return Question("POST", f"{sequence_path(sequence)}/batch", ARROW, body=body)


def session(view: str, user: str) -> Question:
    return Question("GET", f"/v1/sessions/{_quoted(view)}{_of_user(user)}")


def explained(sequence: str, user: str, event_id: str, event_type: str | None, day: dt.date | str | None) -> Question:
    given = {"event_id": event_id, "event_type": event_type, "day": None if day is None else _day(day)}
    parameters = {name: text for name, text in given.items() if text is not None}
    return Question("GET", user_path(sequence, user, "/explain"), parameters=parameters)


CATALOGUE, STATUS = Question("GET", "/v1/sequences"), Question("GET", "/v1/status")


def schema(sequence: str) -> Question:
    return Question("GET", f"{sequence_path(sequence)}/schema")


def as_body(selection: Selection) -> dict[str, Any]:
    """As JSON values, under the names of the API. What fits no name is sent as it is, for the server to say so.

    Raises:
        BadRequest: a vector that JSON has no numbers for.
    """
    said: dict[str, Any] = {}
    for name, value in selection.items():
        if isinstance(value, Similar):
            vector = [float(number) for number in value.vector]
            if not all(map(math.isfinite, vector)):
                raise _bad("vector", "vector: a number of it is not finite", "send numbers that are")
            said |= {"top_k": _whole(value.k), "similar_to": value.column, "vector": vector, "metric": value.metric}
        elif value is not None:
            said[name] = _FORMS.get(name, _as_it_is)(value)
    return said


def _as_it_is(value: Any) -> Any:
    return value if isinstance(value, int | float | str) else str(value)


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, np.integer) else _as_it_is(value)


def _names(value: Any) -> list[str]:
    return value.split(",") if isinstance(value, str) else [str(name) for name in value]


def _instant(value: Any) -> str:
    """RFC 3339 in UTC; a day is its beginning."""
    time = _of_numpy(value)
    if isinstance(time, dt.date) and not isinstance(time, dt.datetime):
        time = dt.datetime.combine(time, dt.time())
    if not isinstance(time, dt.datetime):
        return str(value)
    aware = time if time.tzinfo else time.replace(tzinfo=dt.UTC)
    return aware.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


def _day(value: Any) -> str:
    time = _of_numpy(value)
    if isinstance(time, dt.datetime):
        return (time.astimezone(dt.UTC) if time.tzinfo else time).date().isoformat()
    return time.isoformat() if isinstance(time, dt.date) else str(value)


def _of_numpy(value: Any) -> Any:
    return value.astype("datetime64[us]").item() if isinstance(value, np.datetime64) else value


_FORMS = {
    "columns": _names,
    "event_types": _names,
    "limit": _whole,
    "since": _instant,
    "until": _instant,
    "as_of": _instant,
}


def as_parameters(selection: Selection) -> dict[str, str]:
    """As text, lists separated by commas."""
    return {
        name: ",".join(map(str, value)) if isinstance(value, list) else str(value)
        for name, value in as_body(selection).items()
    }


def distinct(users: Iterable[str]) -> list[str]:
    """
    Raises:
        TypeError: it is one text, whose characters would be taken for users, or one of them is not text.
    """
    if isinstance(users, str):
        raise TypeError(f"users is the text {users!r}; give a list, as [{users!r}]")
    return list(dict.fromkeys(map(_user, users)))


def _user(user: str) -> str:
    if not isinstance(user, str):
        raise TypeError(f"a user is text; {user!r} is {type(user).__name__}")
    return user


def user_path(sequence: str, user: str, what: str = "") -> str:
    return f"{sequence_path(sequence)}{_of_user(user)}{what}"


def _of_user(user: str) -> str:
    segment = _quoted(_user(user))
    if segment in (".", ".."):  # which would be resolved on the way
        segment = segment.replace(".", "%2E")
    return f"/users/{segment}"


def sequence_path(sequence: str) -> str:
    return f"/v1/sequences/{_quoted(sequence)}"


def _quoted(text: str) -> str:
    try:
        return quote(text, safe="")
    except UnicodeEncodeError as error:
        raise _half(error) from error


def _half(error: UnicodeEncodeError) -> BadRequest:
    what = f"{error.object[error.start]!r} is half of a character"
    return _bad(None, what, "decode the text it came from as UTF-8")


def _bad(field: str | None, what: str, fix: str) -> BadRequest:
    """What the server would say, of what cannot even be sent."""
    return BadRequest(400, {"type": "bad-parameter", "field": field, "detail": what, "fix": fix})


def headers(key: str | None, accept: str, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    said = {"Accept": accept, **(extra or {})}
    return {**said, "Authorization": f"Bearer {key}"} if key else said
