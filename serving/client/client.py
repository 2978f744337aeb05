"""The two clients: the same routes, one blocking, one for asyncio."""

import asyncio
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, Unpack
from urllib.parse import urlsplit

import httpx

from serving.client.answers import Batch, Events, batch_of, events_of
from serving.client.attempts import Attempts
from serving.client.errors import AnswerUnreadable, ClientError, DeadlineExceeded, Unreachable, refusal
from serving.client.questions import ARROW, Selection, as_body, as_parameters, headers, sequence_path, user_path

URL = "http://127.0.0.1:8471"
_JSON = "application/json"
# The server answers this much before the client gives up, so that a partial answer still arrives.
_ON_THE_WAY = 0.9


@dataclass(frozen=True)
class _Asked:
    method: str
    path: str
    accept: str = _JSON
    parameters: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None

    def request(self, client: httpx.Client | httpx.AsyncClient, key: str | None, left_s: float) -> httpx.Request:
        said = headers(key, self.accept, {"X-Deadline-Ms": str(max(1, min(60_000, int(left_s * _ON_THE_WAY * 1000))))})
        return client.build_request(
            self.method, self.path, params=self.parameters, json=self.body, headers=said, timeout=left_s
        )


class _Shared:
    """The settings of both."""

    def __init__(self, url: str | None, key: str | None, deadline_s: float, attempts: int) -> None:
        self.url = url or os.environ.get("SEQPLAT_URL") or URL
        if urlsplit(self.url).scheme not in ("http", "https"):
            raise ValueError(f"{self.url!r} is not the address of an API; write it as http://host:port")
        self._key = key or os.environ.get("SEQPLAT_KEY")
        self._deadline_s, self._most = deadline_s, attempts

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"  # without the key

    def _attempts(self) -> Attempts:
        return Attempts(self._deadline_s, self._most)


def _one(sequence: str, user: str, selection: Selection) -> _Asked:
    return _Asked("GET", user_path(sequence, user), ARROW, as_parameters(selection))


def _many(sequence: str, users: Sequence[str], selection: Selection) -> _Asked:
    body = {"users": list(users), **as_body(selection)}
    return _Asked("POST", f"{sequence_path(sequence)}/batch", ARROW, body=body)


def _explained(sequence: str, user: str, event_id: str) -> _Asked:
    return _Asked("GET", user_path(sequence, user, "/explain"), parameters={"event_id": event_id})


_CATALOGUE, _STATUS = _Asked("GET", "/v1/sequences"), _Asked("GET", "/v1/status")


def _schema(sequence: str) -> _Asked:
    return _Asked("GET", f"{sequence_path(sequence)}/schema")


def _object(response: httpx.Response) -> dict[str, Any]:
    try:
        found = response.json()
    except ValueError as error:
        raise AnswerUnreadable(f"{response.request.url} answered something that is not JSON") from error
    if not isinstance(found, dict):
        raise AnswerUnreadable(f"{response.request.url} answered {type(found).__name__}, not an object")
    return found


class Client(_Shared):
    """A pooled, blocking client; safe to share between threads.

    ``url`` and ``key`` are by default those of ``SEQPLAT_URL`` and ``SEQPLAT_KEY``. A request and all its repetitions
    have ``deadline_s`` together; it is tried up to ``attempts`` times where the server is away, overloaded or starting.
    The server is told how long it has, and answers with what it has by then (see ``meta.degraded``).
    Raises:
        ClientError: every method, in one of its kinds.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        deadline_s: float = 2.0,
        attempts: int = 3,
        connections: int = 32,
    ) -> None:
        super().__init__(url, key, deadline_s, attempts)
        self._http = httpx.Client(base_url=self.url, limits=_limits(connections))

    def sequence(self, sequence: str, user: str, **chosen: Unpack[Selection]) -> Events:
        """One user's events; ``chosen`` are the fields of ``Selection``: columns, limit, since, until, ..."""
        return events_of(self._answer(_one(sequence, user, chosen)), user)

    def batch(self, sequence: str, users: Iterable[str], **chosen: Unpack[Selection]) -> Batch:
        """Many users' events from one view of the store; a user named twice is answered once."""
        distinct = list(dict.fromkeys(users))
        return batch_of(self._answer(_many(sequence, distinct, chosen)), distinct)

    def catalogue(self) -> dict[str, Any]:
        """All sequences that the key may read, with their columns and how fresh they are."""
        return _object(self._answer(_CATALOGUE))

    def schema(self, sequence: str) -> dict[str, Any]:
        """The form of a sequence's answers."""
        return _object(self._answer(_schema(sequence)))

    def explain(self, sequence: str, user: str, event_id: str) -> dict[str, Any]:
        """Why an event is, or is not, in a user's sequence."""
        return _object(self._answer(_explained(sequence, user, event_id)))

    def status(self) -> dict[str, Any]:
        """What the server serves; for keys of operators."""
        return _object(self._answer(_STATUS))

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answer(self, asked: _Asked) -> httpx.Response:
        attempts = self._attempts()
        while True:
            left_s = attempts.left_s()
            try:
                return _accepted(self._http.send(asked.request(self._http, self._key, left_s)))
            except (httpx.HTTPError, ClientError) as error:
                time.sleep(attempts.wait_s(_as_client_error(error, attempts, self.url)))


class AsyncClient(_Shared):
    """As ``Client``, for asyncio; to be used in one event loop."""

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        deadline_s: float = 2.0,
        attempts: int = 3,
        connections: int = 32,
    ) -> None:
        super().__init__(url, key, deadline_s, attempts)
        self._http = httpx.AsyncClient(base_url=self.url, limits=_limits(connections))

    async def sequence(self, sequence: str, user: str, **chosen: Unpack[Selection]) -> Events:
        """As ``Client.sequence``."""
        return events_of(await self._answer(_one(sequence, user, chosen)), user)

    async def batch(self, sequence: str, users: Iterable[str], **chosen: Unpack[Selection]) -> Batch:
        """As ``Client.batch``."""
        distinct = list(dict.fromkeys(users))
        return batch_of(await self._answer(_many(sequence, distinct, chosen)), distinct)

    async def catalogue(self) -> dict[str, Any]:
        """As ``Client.catalogue``."""
        return _object(await self._answer(_CATALOGUE))

    async def schema(self, sequence: str) -> dict[str, Any]:
        """As ``Client.schema``."""
        return _object(await self._answer(_schema(sequence)))

    async def explain(self, sequence: str, user: str, event_id: str) -> dict[str, Any]:
        """As ``Client.explain``."""
        return _object(await self._answer(_explained(sequence, user, event_id)))

    async def status(self) -> dict[str, Any]:
        """As ``Client.status``."""
        return _object(await self._answer(_STATUS))

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _answer(self, asked: _Asked) -> httpx.Response:
        attempts = self._attempts()
        while True:
            left_s = attempts.left_s()
            try:
                return _accepted(await self._http.send(asked.request(self._http, self._key, left_s)))
            except (httpx.HTTPError, ClientError) as error:
                await asyncio.sleep(attempts.wait_s(_as_client_error(error, attempts, self.url)))


def _limits(connections: int) -> httpx.Limits:
    return httpx.Limits(max_connections=connections, max_keepalive_connections=connections)


def _accepted(response: httpx.Response) -> httpx.Response:
    if response.status_code >= 400:
        raise refusal(response)
    if response.status_code != 200:
        raise AnswerUnreadable(f"{response.request.url} answered with status {response.status_code}")
    return response


def _as_client_error(error: httpx.HTTPError | ClientError, attempts: Attempts, url: str) -> ClientError:
    if isinstance(error, ClientError):
        return error
    if isinstance(error, httpx.ReadTimeout | httpx.WriteTimeout):
        return DeadlineExceeded(f"no answer within {attempts.deadline_s:g} s", error)
    return Unreachable(f"{url} is away ({type(error).__name__}: {error}); is `seqplat serve` running there?")
