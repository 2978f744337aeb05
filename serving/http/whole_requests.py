"""Requests are read to their end before they are answered, also those that are refused unread.

A server that has answered and not read closes the connection; the caller, who is still sending, then gets an error of
the connection instead of the answer.
"""

import asyncio
from contextlib import suppress

from litestar.types import HTTPReceiveMessage, Message, Receive, Send

# A caller who sends more than that, or more slowly, is answered before the end.
MOST_BYTES, PATIENCE_S = 8 << 20, 1.0


def read_first(receive: Receive, send: Send) -> tuple[Receive, Send]:
    """The two with which an application can answer as soon as it likes."""
    is_read = False

    async def receiving() -> HTTPReceiveMessage:
        nonlocal is_read
        message: HTTPReceiveMessage = await receive()  # type: ignore[assignment]
        is_read = message["type"] != "http.request" or not message.get("more_body")
        return message

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start" and not is_read:
            with suppress(TimeoutError):
                await asyncio.wait_for(_rest(), PATIENCE_S)
        await send(message)

    async def _rest() -> None:
        size = 0
        while not is_read and size < MOST_BYTES:
            message = await receiving()
            size += len(message["body"]) if message["type"] == "http.request" else 0

    return receiving, sending
