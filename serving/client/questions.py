"""What is asked, as the query string of one user's route or as the body of the batch route."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict
from urllib.parse import quote

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


def user_path(sequence: str, user: str, what: str = "") -> str:
    return f"{sequence_path(sequence)}/users/{quote(user, safe='')}{what}"


def sequence_path(sequence: str) -> str:
    return f"/v1/sequences/{quote(sequence, safe='')}"


def headers(key: str | None, accept: str, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    said = {"Accept": accept, **(extra or {})}
    return {**said, "Authorization": f"Bearer {key}"} if key else said
