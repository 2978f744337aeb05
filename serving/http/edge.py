"""The outermost layer around the application: it names every request, times and counts it, reads it to its end, and
closes connections while the process drains. Around everything, so that unknown paths and refused callers have it.
"""

import logging
from collections.abc import Awaitable
from time import perf_counter

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from serving.admission.draining import Drain
from serving.admission.sending import NotTaken
from serving.api.problems import send_error
from serving.api.request_id import CURRENT, HEADER, RequestNames
from serving.http.whole_requests import read_first
from serving.metrics.requests import RequestCounts

_log = logging.getLogger(__name__)

_CLOSE = (b"connection", b"close")


class Edge:
    """An ASGI application around another; ``scope["state"]`` must be there."""

    def __init__(self, app: ASGIApp, counts: RequestCounts, draining: Drain) -> None:
        self._app, self._counts, self._draining = app, counts, draining
        self._names = RequestNames()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        is_head = scope["method"] == "HEAD"
        if is_head:  # what GET would answer, without its body
            scope = {**scope, "method": "GET"}
        began = perf_counter()
        name = self._names.of(scope)
        named = (HEADER, name.encode())
        status, size, media_type = 0, 0, b""

        # Not a coroutine: it hands on the awaitable of the server, which saves one for every message.
        def sending(message: Message) -> Awaitable[None]:
            nonlocal status, size, media_type
            if message["type"] == "http.response.body":
                if is_head:
                    message["body"] = b""
                size += len(message["body"])
            elif message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message["headers"], named]
                for field, value in headers:
                    if field == b"content-type":
                        media_type = value
                        break
                if self._draining.is_on and scope["http_version"] != "2":  # where connections may not be spoken of
                    headers.append(_CLOSE)
                message["headers"] = headers
            return send(message)

        outwards: Send = sending
        if scope["method"] != "GET":
            receive, outwards = read_first(receive, sending)
        token = CURRENT.set(name)
        try:
            await self._app(scope, receive, outwards)
        except NotTaken as error:
            _log.info("%s", error)  # returning closes the connection, as there are bytes to come
        except Exception as error:  # of a layer between here and the application, which answers its own
            if status:
                raise
            await send_error(scope, outwards, error)
        finally:
            CURRENT.reset(token)
            self._counts.count(scope, status or 500, media_type, seconds=perf_counter() - began, size=size)
