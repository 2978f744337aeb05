"""One user's sequence past the framework: of all routes this is the one that is asked for thousands of times a second,
and resolving a route, a handler and its arguments takes longer than reading a sequence."""

from collections.abc import Awaitable, Callable

from litestar.types import ASGIApp, Receive, Scope, Send

from serving.answers.answer import Ready
from serving.api.paths import USER_PATH, is_user, raw_parts
from serving.api.problems import send_error

Handler = Callable[[Scope], Awaitable[Ready]]


class Direct:
    """Answers ``GET .../users/{user_id}`` by ``handler``, which the framework has as well, and hands on the others."""

    def __init__(self, app: ASGIApp, handler: Handler) -> None:
        self._app, self._handler = app, handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("method") != "GET" or not is_user(raw_parts(scope)):
            await self._app(scope, receive, send)
            return
        scope["path_template"] = USER_PATH
        try:
            ready = await self._handler(scope)
        except Exception as error:
            await send_error(scope, send, error)
        else:
            await ready(scope, receive, send)
