"""Nobody without a key: the ASGI layer in front of the application."""

from typing import Any

from litestar.types import ASGIApp, Receive, Scope, Send
from litestar.utils import normalize_path

from serving.follower import NotReady
from serving.problems import problem_of, send_problem
from serving.refusals import Refused, RoleNeeded, Unauthenticated
from serving.tenants.access import Caller
from serving.tenants.following import KeyFollower

# Paths that say nothing about data or tenants.
_OPEN = frozenset({"/healthz", "/readyz", "/openapi.json", "/docs"})
_OPEN_BELOW = "/docs/"
_OPERATORS = frozenset({"/metrics", "/v1/status"})
_CALLER = "caller"


class Authenticated:
    """Lets a request through to ``app`` with its ``Caller`` in ``scope["state"]``, or answers it.

    Everything is closed but for a few paths. ``metrics_open`` opens /metrics, for scrapers that cannot send a header.
    """

    def __init__(self, app: ASGIApp, keys: KeyFollower, *, metrics_open: bool = False) -> None:
        self._app, self._keys = app, keys
        self._open = _OPEN | {"/metrics"} if metrics_open else _OPEN

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = _path(scope)
        if path in self._open or path.startswith(_OPEN_BELOW):
            await self._app(scope, receive, send)
            return
        try:
            scope["state"][_CALLER] = self._admitted(scope, path)
        except Refused as refused:
            await send_problem(scope, send, refused.problem, refused.headers)
        except NotReady as error:
            await send_problem(scope, send, problem_of(error))
        else:
            await self._app(scope, receive, send)

    def _admitted(self, scope: Scope, path: str) -> Caller:
        presented = _presented(scope)
        if presented is None:
            raise Unauthenticated
        access, _why = self._keys.authenticated(presented)
        if access is None:
            raise Unauthenticated(presented=True)
        if path in _OPERATORS and "operator" not in access.key.roles:
            raise RoleNeeded("operator")
        return Caller(access)


def caller_of(scope: Scope) -> Caller:
    """The caller of a request, as handlers get it.

    Raises:
        Unauthenticated: the request came past the layer above, which only a mistake of ours can cause.
    """
    found: Any = scope["state"].get(_CALLER)
    if not isinstance(found, Caller):
        raise Unauthenticated
    return found


def _presented(scope: Scope) -> bytes | None:
    """The credential of ``Authorization: Bearer ...``; None where there is none."""
    for name, value in scope["headers"]:
        if name == b"authorization":
            scheme, _, credential = value.partition(b" ")
            return credential.strip() if scheme.lower() == b"bearer" else b""
    return None


def _path(scope: Scope) -> str:
    """As the router is about to see it, or ``/v1//status`` would be another path here than there."""
    path: str = scope["path"]
    if root := scope.get("root_path", ""):
        path = path.split(root, maxsplit=1)[-1]
    return normalize_path(path)
