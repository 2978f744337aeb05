"""A name for every request: the caller's own ``X-Request-Id`` where it is usable, else a new one.

It is in the answer's headers, in problems of 500 and above, and in every line logged while the request is answered.
"""

import re
import secrets
from contextvars import ContextVar
from itertools import count

from litestar.types import Scope

HEADER = b"x-request-id"
# Of the request being answered; "" outside of one. Threads that handlers run in get it with their context.
CURRENT: ContextVar[str] = ContextVar("seqplat.request_id", default="")
_STATE = "seqplat.request_id"
# Printable ASCII without spaces: it goes into headers and log lines as it is.
_USABLE = re.compile(rb"[!-~]{1,128}")


class RequestNames:
    """New names: random by process, counted within it, because random bytes for each cost ten times as much."""

    def __init__(self) -> None:
        self._process, self._number = secrets.token_hex(4), count(1)

    def of(self, scope: Scope) -> str:
        """Name a request, for ``request_id`` to tell."""
        given = b""
        for field, value in scope["headers"]:
            if field == HEADER:
                given = value
                break
        usable = given and _USABLE.fullmatch(given)
        name = given.decode() if usable else f"{self._process}{next(self._number):08x}"
        scope["state"][_STATE] = name
        return name


def request_id(scope: Scope) -> str:
    """The name a request was given."""
    name: str = scope["state"][_STATE]
    return name
