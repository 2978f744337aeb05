"""Large answers leave in pieces, each of which the caller has to take in time: one who does not read holds memory."""

import asyncio

from litestar.types import Scope, Send

from serving.room import Room

# Smaller answers are one message. Of larger ones a piece at a time is given to the server, which waits until it has
# room for it: some ten pieces and what the system buffers are on their way.
PIECE_BYTES = 256 << 10
# 25 KiB a second. A caller who is slower gets no answer of this size before it has given up itself.
PIECE_S = 10.0


class NotTaken(Exception):
    """The caller does not read what it asked for. The answer has begun, so there is nothing to tell it."""

    def __init__(self, sent: int, size: int) -> None:
        super().__init__(f"an answer of {size} bytes is given up: its caller took {sent} of them")


async def send_large(scope: Scope, send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    """
    Raises:
        Overloaded: before anything is sent, the tenant has taken too little of its other answers.
        NotTaken: it was sent in part.
    """
    room: Room = scope["litestar_app"].state["sending"]
    caller = scope["state"].get("caller")
    tenant = caller.tenant if caller else ""
    room.take(tenant, len(body))
    try:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for start in range(0, len(body), PIECE_BYTES):
            end = start + PIECE_BYTES
            await _sent(send, body[start:end], more=end < len(body), before=start, size=len(body))
    finally:
        room.give(tenant, len(body))


async def _sent(send: Send, piece: bytes, *, more: bool, before: int, size: int) -> None:
    message = send({"type": "http.response.body", "body": piece, "more_body": more})
    try:
        await asyncio.wait_for(message, PIECE_S)
    except TimeoutError:
        raise NotTaken(before, size) from None
