"""Nobody without a key, nobody over their quota, and a line for everybody: the ASGI layer before the application.

>>> client.get("/v1/sequences").status_code
200
>>> client.get("/v1/sequences", headers={"authorization": "Bearer of nobody"}).json()["title"]
'Unauthenticated'
"""

import asyncio
from collections.abc import Callable
from math import ceil
from time import perf_counter, time
from typing import Any

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from seqplat_resources.release.query import Query
from seqplat_resources.times import DAY_S
from serving.access.audit.log import AccessLog, Line
from serving.access.caller import Access, Caller
from serving.access.follower import KeyFollower
from serving.access.sessions import Sessions, session_of
from serving.access.strangers import Strangers
from serving.api.paths import CONSOLE_FILES, SIGN_IN, is_console, routed_path
from serving.api.problems import problem_of, send_problem
from serving.api.refusals import Refusal, RoleNeeded, Unauthenticated
from serving.api.request_id import request_id
from serving.follow.errors import NotReady

# Paths that say nothing about data or tenants.
_OPEN = frozenset({"/healthz", "/readyz", "/openapi.json", "/docs"})
_OPEN_BELOW = ("/docs/", CONSOLE_FILES)
_OPERATORS = frozenset({"/metrics", "/v1/status"})
_CALLER = "caller"
_SHOWN_CHARS = 128  # of a name that the caller chose, in a log line


class Authentication:
    """Lets a request through to ``app`` with its ``Caller`` in ``scope["state"]``, or answers it.

    Everything is closed but for a few paths. The pages of the console are opened by a session as well, and by nothing
    else a browser sends unasked. ``metrics_open`` opens /metrics, for scrapers that cannot send a header.
    ``now_s`` tells seconds since 1970.
    """

    def __init__(
        self,
        app: ASGIApp,
        keys: KeyFollower,
        log: AccessLog,
        *,
        metrics_open: bool = False,
        strangers: Strangers | None = None,
        now_s: Callable[[], float] = time,
    ) -> None:
        self._app, self._keys, self._log, self._now_s = app, keys, log, now_s
        self._open = _OPEN | {"/metrics"} if metrics_open else _OPEN
        self._sessions, self._strangers = Sessions(keys), strangers or Strangers()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (
            scope["type"] == ScopeType.WEBSOCKET
        ):  # nothing here speaks WebSocket, and nothing may be reached by it unasked
            await send({"type": "websocket.close", "code": 1008, "reason": ""})
            return
        path = routed_path(scope)
        if path in self._open or path.startswith(_OPEN_BELOW) or (path == SIGN_IN and scope["method"] == "POST"):
            await self._app(scope, receive, send)
            return
        began, now_s = perf_counter(), self._now_s()
        try:
            access = self._admitted(scope, path, now_s)
        except Refusal as refused:
            try:
                if isinstance(refused, Unauthenticated) and (wait_s := self._strangers.wait_s()):
                    await asyncio.sleep(wait_s)
                await send_problem(scope, send, refused.problem, refused.headers)
            finally:  # also of one who has gone meanwhile
                self._log.note(refusal_of(scope, refused, now_s, began))
        except NotReady as error:
            await send_problem(scope, send, problem_of(error))
        else:
            await self._answer(access, scope, receive, send, now_s, began)

    def _admitted(self, scope: Scope, path: str, now_s: float) -> Access:
        presented = _presented(scope)
        if presented is not None:
            access = self._keys.authenticated(presented, now_s)
        elif is_console(path) and (session := session_of(scope)) is not None:
            access = self._sessions.access(session, now_s)
        else:
            raise Unauthenticated
        scope["state"][_CALLER] = Caller(access)
        if path in _OPERATORS and "operator" not in access.key.roles:
            raise RoleNeeded("operator")
        access.quota.admit(now_s)
        return access

    async def _answer(
        self, access: Access, scope: Scope, receive: Receive, send: Send, now_s: float, began: float
    ) -> None:
        status, quota = 500, access.quota
        caller: Caller = scope["state"][_CALLER]

        # Not a coroutine: it hands on the awaitable of the layer before it, which saves one for every message.
        def sending(message: Message) -> Any:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if quota.is_limited:
                    told = quota.headers(now_s, events=caller.events).items()
                    message["headers"] = [*message["headers"], *((k.lower().encode(), v.encode()) for k, v in told)]
            return send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            if caller.events:
                quota.charge(caller.events, now_s)
            self._log.note(line_of(scope, caller, status, now_s, began))


def caller_of(scope: Scope) -> Caller:
    """The caller of a request, as handlers get it.

    Raises:
        Unauthenticated: the request came past the layer above, which only a mistake of ours can cause.
    """
    found: Any = scope["state"].get(_CALLER)
    if not isinstance(found, Caller):
        raise Unauthenticated
    return found


def line_of(scope: Scope, caller: Caller, status: int, now_s: float, began: float, refused: str = "") -> Line:
    """What the access log says of a request whose caller is known."""
    parts, users = scope.get("path_params") or {}, caller.users
    if not users and "user_id" in parts:
        users = (parts["user_id"],)
    return Line(
        now_s,
        request_id(scope),
        str(scope.get("method", "")),
        scope.get("path_template", ""),
        status,
        (perf_counter() - began) * 1000,
        _client(scope),
        caller.tenant,
        caller.key_id,
        refused,
        (caller.sequence or parts.get("name", ""))[:_SHOWN_CHARS],
        caller.columns,
        caller.pii,
        len(users),
        users,
        caller.events,
        *_wanted(caller.asked, now_s),
    )


def _wanted(asked: Query | None, now_s: float) -> tuple[int | None, int | None]:
    """How many events of a user, and how many days back from now; None for all there are. Of no events, nothing."""
    if asked is None:
        return 0, 0
    most = None if asked.top_k is not None else asked.limit
    if asked.since is None:
        return most, None
    return most, max(0, ceil((now_s - asked.since.timestamp()) / DAY_S))


def refusal_of(scope: Scope, refused: Refusal, now_s: float, began: float) -> Line:
    """Of a request that never came to the router, whose path might name a user: it is not written."""
    caller = scope["state"].get(_CALLER)
    if caller is not None:
        return line_of(scope, caller, refused.problem.status, now_s, began, refused.problem.title)
    why, key_id = (refused.why, refused.key_id) if isinstance(refused, Unauthenticated) else ("", "")
    ms = (perf_counter() - began) * 1000
    return Line(
        now_s, request_id(scope), str(scope.get("method", "")), "", 401, ms, _client(scope), key=key_id, refused=why
    )


def _client(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else ""


def _presented(scope: Scope) -> bytes | None:
    """The credential of ``Authorization: Bearer ...``; None where there is none."""
    for name, value in scope["headers"]:
        if name == b"authorization":
            scheme, _, credential = value.partition(b" ")
            return credential.strip() if scheme.lower() == b"bearer" else b""
    return None
