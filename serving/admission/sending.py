"""Large answers leave in pieces, each of which the caller has to take in time: one who does not read holds memory."""

import asyncio
from collections.abc import Iterator, Sequence

from litestar.types import Scope, Send

from serving.admission.memory import TenantMemory

# Smaller answers are one message. Of larger ones a piece at a time is given to the server, which waits until it has
# room for it: some ten pieces and what the system buffers are on their way.
PIECE_BYTES = 256 << 10
# 25 KiB a second. A caller who is slower gets no answer of this size before it has given up itself.
PIECE_S = 10.0


class NotTaken(Exception):
    """The caller does not read what it asked for. The answer has begun, so there is nothing to tell it."""

    def __init__(self, sent: int, size: int) -> None:
        super().__init__(f"an answer of {size} bytes is given up: its caller took {sent} of them")


async def send_large(
    scope: Scope, send: Send, status: int, headers: list[tuple[bytes, bytes]], body: Sequence[bytes]
) -> None:
    """
    Raises:
        Overloaded: before anything is sent, the tenant has taken too little of its other answers.
        NotTaken: it was sent in part.
    """
    room: TenantMemory = scope["litestar_app"].state["sending"]
    caller = scope["state"].get("caller")
    tenant, size, sent = caller.tenant if caller else "", sum(map(len, body)), 0
    room.take(tenant, size)
    try:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for piece in _cut(body):
            message = send({"type": "http.response.body", "body": piece, "more_body": sent + len(piece) < size})
            try:
                await asyncio.wait_for(message, PIECE_S)
            except TimeoutError:
                raise NotTaken(sent, size) from None
            sent += len(piece)
    finally:
        room.give(tenant, size)


def _cut(body: Sequence[bytes]) -> Iterator[bytes]:
    """Pieces of about ``PIECE_BYTES``, none of them empty."""
    small, size = list[bytes](), 0
    for piece in body:
        for start in range(0, len(piece), PIECE_BYTES):
            small.append(piece[start : start + PIECE_BYTES])
            size += len(small[-1])
            if size >= PIECE_BYTES:
                yield b"".join(small)
                small, size = [], 0
    if small:
        yield b"".join(small)
