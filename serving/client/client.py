"""The two clients: the same routes, one blocking, one for asyncio."""

import asyncio
import datetime as dt
import math
import os
import threading
import time
from collections.abc import Iterable
from contextlib import closing
from typing import Any, Generic, Self, TypeVar, Unpack

import httpx

from serving.client.answers import Batch, Events, batch_of, events_of
from serving.client.attempts import Attempts
from serving.client.errors import AnswerUnreadable, ClientClosed, ClientError, Unreachable, refusal
from serving.client.questions import (
    CATALOGUE,
    STATUS,
    Question,
    Selection,
    distinct,
    explained,
    many,
    one,
    schema,
    session,
)

URL = "http://127.0.0.1:8471"
# Within a data centre: 1 ms there and back, a few to encode and decode a thousand events, the rest for a busy host.
MARGIN_S = 0.02

_Http = TypeVar("_Http", httpx.Client, httpx.AsyncClient)
_Free = TypeVar("_Free", threading.Semaphore, asyncio.Semaphore)


class _ClientBase(Generic[_Http, _Free]):
    """The settings of both, and their connections."""

    _http_type: type[_Http]
    _free_type: type[_Free]

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        deadline_s: float = 2.0,
        margin_s: float = MARGIN_S,
        attempts: int = 3,
        connections: int = 32,
    ) -> None:
        if not (0 < deadline_s < math.inf and 0 <= margin_s < deadline_s):
            raise ValueError(
                f"deadline_s={deadline_s:g} leaves the server no time beside margin_s={margin_s:g}; "
                "raise the one or lower the other"
            )
        if attempts < 1 or connections < 1:
            raise ValueError(f"attempts={attempts} and connections={connections} have to be 1 or more")
        self.url = url or os.environ.get("SEQPLAT_URL") or URL
        self._key = _usable_key(key or os.environ.get("SEQPLAT_KEY") or "")
        self._deadline_s, self._margin_s, self._most = deadline_s, margin_s, attempts
        self._process = os.getpid()
        # Requests wait here and not in the pool, so that the server is told what is left when they leave.
        self._free: _Free = self._free_type(connections)
        self._http: _Http = self._http_type(
            base_url=_usable_url(self.url),
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
            timeout=None,  # every request has its own
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"  # without the key

    def _attempts(self) -> Attempts:
        return Attempts(self._deadline_s, self._most, self._margin_s)

    def _check_open(self) -> None:
        if self._http.is_closed:
            raise ClientClosed(f"the client of {self.url} is closed; make another, or close it later")
        if self._process != os.getpid():
            raise ClientClosed(f"the client of {self.url} was made in another process; make one in each, after forking")


def _usable_url(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise ValueError(f"{text!r} is not the address of an API ({error}); write it as http://host:port") from error
    if url.userinfo:
        raise ValueError("the address has a user or password in it; write it as http://host:port, with key=")
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError(f"{text!r} is not the address of an API; write it as http://host:port")
    return url


def _usable_key(text: str) -> str | None:
    """Without the line break of a file. What no header may hold is refused here: errors below would show it."""
    key = text.strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError("the key has characters that no key has; give it as `seqplat keys create` printed it")
    return key or None


def _object(response: httpx.Response) -> dict[str, Any]:
    try:
        found = response.json()
    except ValueError as error:
        raise AnswerUnreadable(f"{response.request.url} answered something that is not JSON") from error
    if not isinstance(found, dict):
        raise AnswerUnreadable(f"{response.request.url} answered {type(found).__name__}, not an object")
    return found


class _TimeLeft(dict[str, float]):
    """Timeouts as httpx hands them down, looked up as each wait begins: none of them lasts beyond the deadline.

    With fixed ones a request that took long to connect, to send and to be answered could take thrice as long.
    """

    def __init__(self, attempts: Attempts) -> None:
        super().__init__()
        self._attempts = attempts

    def get(self, _name: str, _default: object = None) -> float:
        return self._attempts.left_s()


class Client(_ClientBase[httpx.Client, threading.Semaphore]):
    """A pooled, blocking client; safe to share between threads, not between processes.

    ``url`` and ``key`` are by default those of ``SEQPLAT_URL`` and ``SEQPLAT_KEY``. A request has ``deadline_s``
    seconds with all its repetitions and waits, also that for one of the ``connections``. It is tried up to ``attempts``
    times where the server is away, overloaded or starting. The server is told what is left of the deadline less
    ``margin_s`` seconds, at least 1 ms, and answers with what it has by then (see ``meta.degraded``).
    Raises:
        ValueError: settings that no request could work with.
        ClientError: every method, in one of its kinds.
    """

    _http_type, _free_type = httpx.Client, threading.Semaphore

    def sequence(self, sequence: str, user: str, **chosen: Unpack[Selection]) -> Events:
        """One user's events; ``chosen`` are the fields of ``Selection``: columns, limit, since, until, ..."""
        return events_of(self._answer(one(sequence, user, chosen)), user)

    def batch(self, sequence: str, users: Iterable[str], **chosen: Unpack[Selection]) -> Batch:
        """Many users' events from one view of the store; a user named twice is answered once."""
        asked = distinct(users)
        return batch_of(self._answer(many(sequence, asked, chosen)), asked)

    def catalogue(self) -> dict[str, Any]:
        """All sequences that the key may read, with their columns and how fresh they are."""
        return _object(self._answer(CATALOGUE))

    def schema(self, sequence: str) -> dict[str, Any]:
        """The form of a sequence's answers."""
        return _object(self._answer(schema(sequence)))

    def explain(
        self, sequence: str, user: str, event_id: str, *, event_type: str | None = None, day: dt.date | None = None
    ) -> dict[str, Any]:
        """Why an event is, or is not, in a user's sequence. ``event_type`` chooses where several have events of the id;
        ``day`` (UTC) is looked at at once.
        """
        return _object(self._answer(explained(sequence, user, event_id, event_type, day)))

    def session(self, view: str, user: str) -> dict[str, Any]:
        """The sessions that a user is in, of a view of sessions; where none is open, the last one there was."""
        return _object(self._answer(session(view, user)))

    def status(self) -> dict[str, Any]:
        """What the server serves; for keys of operators."""
        return _object(self._answer(STATUS))

    def close(self) -> None:
        """Give up the connections; requests of other threads that are under way fail."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answer(self, asked: Question) -> httpx.Response:
        attempts = self._attempts()
        while True:
            try:
                return _accepted(self._sent(asked, attempts))
            except (httpx.HTTPError, ClientError) as error:
                time.sleep(attempts.wait_s(_as_client_error(error, attempts, self.url)))

    def _sent(self, asked: Question, attempts: Attempts) -> httpx.Response:
        if not self._free.acquire(timeout=attempts.left_s()):
            raise attempts.exceeded()
        try:
            self._check_open()
            request = asked.request(self._http, self._key, attempts)
            request.extensions["timeout"] = _TimeLeft(attempts)
            with closing(self._http.send(request, stream=True)) as response:
                parts = []
                for part in response.iter_raw():  # which may be many, each in time, and together not
                    attempts.left_s()
                    parts.append(part)
                return httpx.Response(
                    response.status_code, headers=response.headers, content=b"".join(parts), request=request
                )
        finally:
            self._free.release()


class AsyncClient(_ClientBase[httpx.AsyncClient, asyncio.Semaphore]):
    """As ``Client``, for asyncio; to be used in one event loop. Cancelling a request gives its connection back."""

    _http_type, _free_type = httpx.AsyncClient, asyncio.Semaphore
    _loop: asyncio.AbstractEventLoop | None = None

    async def sequence(self, sequence: str, user: str, **chosen: Unpack[Selection]) -> Events:
        """As ``Client.sequence``."""
        return events_of(await self._answer(one(sequence, user, chosen)), user)

    async def batch(self, sequence: str, users: Iterable[str], **chosen: Unpack[Selection]) -> Batch:
        """As ``Client.batch``."""
        asked = distinct(users)
        return batch_of(await self._answer(many(sequence, asked, chosen)), asked)

    async def catalogue(self) -> dict[str, Any]:
        """As ``Client.catalogue``."""
        return _object(await self._answer(CATALOGUE))

    async def schema(self, sequence: str) -> dict[str, Any]:
        """As ``Client.schema``."""
        return _object(await self._answer(schema(sequence)))

    async def explain(
        self, sequence: str, user: str, event_id: str, *, event_type: str | None = None, day: dt.date | None = None
    ) -> dict[str, Any]:
        """As ``Client.explain``."""
        return _object(await self._answer(explained(sequence, user, event_id, event_type, day)))

    async def session(self, view: str, user: str) -> dict[str, Any]:
        """As ``Client.session``."""
        return _object(await self._answer(session(view, user)))

    async def status(self) -> dict[str, Any]:
        """As ``Client.status``."""
        return _object(await self._answer(STATUS))

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _answer(self, asked: Question) -> httpx.Response:
        self._check_loop()
        attempts = self._attempts()
        while True:
            try:
                return _accepted(await self._sent(asked, attempts))
            except (httpx.HTTPError, ClientError) as error:
                await asyncio.sleep(attempts.wait_s(_as_client_error(error, attempts, self.url)))

    async def _sent(self, asked: Question, attempts: Attempts) -> httpx.Response:
        try:
            async with asyncio.timeout(attempts.left_s()), self._free:
                self._check_open()
                return await self._http.send(asked.request(self._http, self._key, attempts))
        except TimeoutError as error:
            raise attempts.exceeded() from error

    def _check_loop(self) -> None:
        """Connections belong to the event loop that made them."""
        running = asyncio.get_running_loop()
        self._loop = self._loop or running
        if self._loop is not running:
            raise ClientClosed(f"the client of {self.url} was used in another event loop; make one in each")


def _accepted(response: httpx.Response) -> httpx.Response:
    if response.status_code >= 400:
        raise refusal(response)
    if response.status_code != 200:
        to = f", to {place}" if (place := response.headers.get("location")) else ""
        raise AnswerUnreadable(f"{response.request.url} answered with status {response.status_code}{to}")
    return response


def _as_client_error(error: httpx.HTTPError | ClientError, attempts: Attempts, url: str) -> ClientError:
    match error:
        case ClientError():
            return error
        case httpx.TimeoutException():
            return attempts.exceeded()
        case httpx.DecodingError():
            return AnswerUnreadable(f"{url} answered something compressed that is damaged: {error}")
        case _:
            return Unreachable(f"{url} is away ({type(error).__name__}: {error}); is `seqplat serve` running there?")
