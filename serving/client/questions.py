"""What is asked, as the query string of one user's route or as the body of the batch route."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict
from urllib.parse import quote

import httpx

from serving.client.attempts import Attempts
from serving.client.errors import BadRequest

ARROW = "application/vnd.apache.arrow.stream"

Metric = Literal["dot", "cosine", "l2"]


@dataclass(frozen=True)
class Similar:
    """Of a user's events the ``k`` whose ``column`` is most similar to ``vector``, most similar first."""

    column: str
    vector: Sequence[float]
    k: int
    metric: Metric = "dot"


class Selection(TypedDict, total=False):
    """Which events, and which of their columns; what is left out the sequence decides. Times without a zone are UTC."""

    columns: Sequence[str]
    limit: int
    since: dt.datetime
    until: dt.datetime
    event_types: Sequence[str]
    as_of: dt.datetime
    where: str
    top_k: Similar


@dataclass(frozen=True)
class Asked:
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


def one(sequence: str, user: str, selection: Selection) -> Asked:
    return Asked("GET", user_path(sequence, user), ARROW, as_parameters(selection))


def many(sequence: str, users: Sequence[str], selection: Selection) -> Asked:
    body = {"users": list(users), **as_body(selection)}
    return Asked("POST", f"{sequence_path(sequence)}/batch", ARROW, body=body)


def explained(sequence: str, user: str, event_id: str) -> Asked:
    return Asked("GET", user_path(sequence, user, "/explain"), parameters={"event_id": event_id})


CATALOGUE, STATUS = Asked("GET", "/v1/sequences"), Asked("GET", "/v1/status")


def schema(sequence: str) -> Asked:
    return Asked("GET", f"{sequence_path(sequence)}/schema")


def as_body(selection: Selection) -> dict[str, Any]:
    """As JSON values, under the names of the API."""
    said: dict[str, Any] = {}
    for name, value in selection.items():
        if isinstance(value, Similar):
            vector = [float(number) for number in value.vector]
            said |= {"top_k": value.k, "similar_to": value.column, "vector": vector, "metric": value.metric}
        elif isinstance(value, dt.datetime):
            aware = value if value.tzinfo else value.replace(tzinfo=dt.UTC)
            said[name] = aware.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
        elif value is not None:
            said[name] = value if isinstance(value, int | str) else list(value)  # type: ignore[call-overload]
    return said


def as_parameters(selection: Selection) -> dict[str, str]:
    """As text, lists separated by commas."""
    return {
        name: ",".join(map(str, value)) if isinstance(value, list) else str(value)
        for name, value in as_body(selection).items()
    }


def distinct(users: Iterable[str]) -> list[str]:
    """
    Raises:
        TypeError: it is one text, whose characters would be taken for users.
    """
    if isinstance(users, str):
        raise TypeError(f"users is the text {users!r}; give a list, as [{users!r}]")
    return list(dict.fromkeys(users))


def user_path(sequence: str, user: str, what: str = "") -> str:
    segment = quote(user, safe="")
    if segment in (".", ".."):  # which would be resolved on the way
        segment = segment.replace(".", "%2E")
    return f"{sequence_path(sequence)}/users/{segment}{what}"


def sequence_path(sequence: str) -> str:
    return f"/v1/sequences/{quote(sequence, safe='')}"


def headers(key: str | None, accept: str, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    said = {"Accept": accept, **(extra or {})}
    return {**said, "Authorization": f"Bearer {key}"} if key else said
