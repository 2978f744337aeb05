"""Bodies are read before their request waits for anything or holds a slot, and how long that takes is bounded.

A caller who sends slowly, or stops, holds a connection and a few bytes; who is answered does not depend on it.

>>> told = client.post("/v1/sequences/basket/batch", content=b"x" * 50_000_000)
>>> told.status_code, told.json()["title"]
(413, 'Too much')
"""

import asyncio
from time import monotonic

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPReceiveMessage, Receive, Scope, Send

from serving.admission.limits import TooMuch
from serving.admission.memory import TenantMemory
from serving.api.problems import send_problem
from serving.api.refusals import Refusal

# Where the state of a request that was read has what tells that its caller has gone.
CONNECTION = "seqplat.connection"
# What any network manages, and how long it may take to begin: a body of 10 kB is there after 3 s at the latest.
LEAST_PER_S, GRACE_S = 16 << 10, 2.0
# A message costs some 50 us whatever is in it, so many small ones are an attack on the processor.
_PIECES, _BYTES_PER_PIECE = 1_000, 128
# Whoever has no key sends nothing but one, in a form.
STRANGERS_BYTES = 4 << 10
# How a body may be on its way; the server has taken chunks apart.
_PLAIN = {b"content-encoding": ("", "identity"), b"transfer-encoding": ("chunked",)}
_CODING_CHARS = 40


class BrokenBody(Refusal):
    """The connection, or its framing, ended before the body did."""

    def __init__(self) -> None:
        super().__init__(
            "broken-body",
            400,
            "the body is broken off, or its chunks are malformed",
            field=None,
            fix="send as many bytes as Content-Length says, or whole chunks with one of size 0 at the end",
            headers={"Connection": "close"},
        )


class CodedBody(Refusal):
    """A body that says itself to be compressed. None is unpacked: what is short here may be endless there."""

    def __init__(self, field: str, coding: str) -> None:
        super().__init__(
            "coded-body",
            415,
            f"the body is {coding!r}, and bodies are read as they are",
            field=field,
            fix=f"send it without {field}",
            headers={"Accept-Encoding": "identity"},
        )


class SlowBody(Refusal):
    """The body did not come in time, at the least rate, or came in crumbs."""

    def __init__(self, within_s: float) -> None:
        super().__init__(
            "slow-body",
            408,
            "the body did not come in time",
            field=None,
            fix=f"send it whole within {within_s:g} s, at {LEAST_PER_S >> 10} KiB a second or more, in large pieces",
            headers={"Connection": "close"},
        )


class Bodies:
    """An ASGI application that hands on requests with their whole body, or answers them.

    A body has at most ``most_bytes``, comes within ``within_s``, and after ``grace_s`` never falls behind
    ``least_per_s``. It takes ``room`` until its request is answered. Who calls must be known by now; a stranger's has
    at most ``STRANGERS_BYTES``.
    """

    def __init__(
        self,
        app: ASGIApp,
        room: TenantMemory,
        *,
        most_bytes: int,
        within_s: float,
        least_per_s: int = LEAST_PER_S,
        grace_s: float = GRACE_S,
    ) -> None:
        self._app, self._room, self._most, self._within_s = app, room, most_bytes, within_s
        self._least_per_s, self._grace_s = least_per_s, grace_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or scope["method"] == "GET":
            await self._app(scope, receive, send)
            return
        caller = scope["state"].get("caller")
        held = _HeldBody(self._room, caller.tenant if caller else "")
        try:
            await self._read(scope, receive, held, self._most if caller else min(self._most, STRANGERS_BYTES))
            scope["state"][CONNECTION] = receive
            await self._app(scope, _whole(bytes(held.body), receive), send)
        except Refusal as refused:
            await send_problem(scope, send, refused.problem, refused.headers)
        finally:
            held.release()

    async def _read(self, scope: Scope, receive: Receive, held: "_HeldBody", most: int) -> None:
        """
        Raises:
            TooMuch, BrokenBody, CodedBody, SlowBody, Overloaded
        """
        _require_plain(scope)
        if _announced_bytes(scope) > most:
            raise _too_large()
        began, pieces, more = monotonic(), 0, True
        while more:
            due_s = min(self._within_s, self._grace_s + len(held.body) / self._least_per_s)
            message = await self._next(receive, began + due_s - monotonic())
            if message["type"] != "http.request":
                raise BrokenBody
            held.add(message["body"])
            pieces, more = pieces + 1, message.get("more_body", False)
            if len(held.body) > most:
                raise _too_large()
            if pieces > _PIECES + len(held.body) / _BYTES_PER_PIECE:
                raise SlowBody(self._within_s)

    async def _next(self, receive: Receive, left_s: float) -> HTTPReceiveMessage:
        try:
            return await asyncio.wait_for(receive(), left_s)  # type: ignore[arg-type]
        except TimeoutError:
            raise SlowBody(self._within_s) from None


class _HeldBody:
    """A body, and the room it takes of its tenant's."""

    def __init__(self, room: TenantMemory, tenant: str) -> None:
        self._room, self._tenant = room, tenant
        self._taken = 0
        self.body = bytearray()

    def add(self, piece: bytes) -> None:
        self._room.take(self._tenant, len(piece))
        self._taken += len(piece)
        self.body += piece

    def release(self) -> None:
        self._room.give(self._tenant, self._taken)


def _whole(body: bytes, receive: Receive) -> Receive:
    """What an application receives: the body, then whatever else there is to hear of the connection."""
    left = [body]

    async def receiving() -> HTTPReceiveMessage:
        if left:
            return {"type": "http.request", "body": left.pop(), "more_body": False}
        message: HTTPReceiveMessage = await receive()  # type: ignore[assignment]
        return message

    return receiving


def _require_plain(scope: Scope) -> None:
    for name, value in scope["headers"]:
        if plain := _PLAIN.get(name):
            coding = value.decode("latin-1").strip().lower()
            if coding not in plain:
                raise CodedBody(name.decode().title(), coding[:_CODING_CHARS])


def _announced_bytes(scope: Scope) -> int:
    """The server has refused what is no number."""
    return next((int(value) for name, value in scope["headers"] if name == b"content-length"), 0)


def _too_large() -> TooMuch:
    fix = "shorten what is longest in it: fewer users at once, a shorter where; /docs has the limits"
    return TooMuch(None, "the body is larger than any request needs", fix=fix)
