"""A name for every request: the caller's own ``X-Request-Id`` where it is usable, else a new one."""

import re
import secrets

from litestar.types import Message, Scope

HEADER = "x-request-id"
_STATE = "seqplat.request_id"
# Printable ASCII without spaces: it goes into headers and log lines as it is.
_USABLE = re.compile(rb"[!-~]{1,128}")


def request_id(scope: Scope) -> str:
    """The same name whenever one request asks."""
    state = scope["state"]
    if _STATE not in state:
        given = next((value for name, value in scope["headers"] if name == HEADER.encode()), b"")
        state[_STATE] = given.decode() if _USABLE.fullmatch(given) else secrets.token_hex(8)
    name: str = state[_STATE]
    return name


async def echo_request_id(message: Message, scope: Scope) -> None:
    """Put it on the answer; hooked before sending, so that errors and unknown paths have it, too."""
    if message["type"] == "http.response.start":
        message["headers"] = [*message["headers"], (HEADER.encode(), request_id(scope).encode())]
