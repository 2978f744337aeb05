"""The form that takes an API key and gives a session. The key is in the body of one request, and nowhere else."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from time import perf_counter, time
from urllib.parse import parse_qs

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from serving.access.audit.log import AccessLog
from serving.access.authentication import line_of, refusal_of
from serving.access.caller import Caller
from serving.access.sessions import Sessions, begun
from serving.access.strangers import Strangers
from serving.api.paths import CONSOLE, SIGN_IN, is_console, routed_path
from serving.api.problems import problem_of, send_problem
from serving.api.refusals import Unauthenticated
from serving.follow.errors import NotReady

# Where the state of a refused request has the page that was wanted, for the form to be shown again.
WANTED = "seqplat.wanted"
_MOST_FIELDS, _MOST_CHARS = 4, 2_048


class SignIn:
    """An ASGI application that answers a POST of ``key`` and ``to`` to ``/console/sign-in``, and hands on all others.

    Stands behind what reads bodies, as it needs one, and before what has requests wait, as it needs no turn.
    """

    def __init__(
        self,
        app: ASGIApp,
        sessions: Sessions,
        log: AccessLog,
        strangers: Strangers,
        *,
        now_s: Callable[[], float] = time,
    ) -> None:
        self._app, self._sessions, self._log, self._strangers, self._now_s = app, sessions, log, strangers, now_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not is_sign_in(scope):
            await self._app(scope, receive, send)
            return
        began, now_s = perf_counter(), self._now_s()
        message = await receive()
        form = form_of(message.get("body", b""))  # type: ignore[arg-type]
        to = local(form.get("to", ""))
        try:
            session, access = self._sessions.begin(form.get("key", "").strip().encode(), now_s)
        except Unauthenticated as refused:
            scope["state"][WANTED] = to
            try:
                await asyncio.sleep(self._strangers.wait_s())
                await send_problem(scope, send, refused.problem, refused.headers)
            finally:
                self._log.note(refusal_of(scope, refused, now_s, began))
        except NotReady as error:
            await send_problem(scope, send, problem_of(error))
        else:
            cookie = begun(session, is_secure=is_secure(scope), lasts_s=self._sessions.lasts_s)
            await send_there(send, to, cookie)
            scope["path_template"] = SIGN_IN
            self._log.note(line_of(scope, Caller(access), HTTPStatus.SEE_OTHER, now_s, began))


def is_sign_in(scope: Scope) -> bool:
    """Whether it is the form that is sent."""
    return scope["type"] == ScopeType.HTTP and scope["method"] == "POST" and routed_path(scope) == SIGN_IN


def local(to: str) -> str:
    """``to`` where it is a page of ours as a browser would read it, else the first one."""
    path = to.partition("?")[0]
    is_plain = to.isascii() and to.isprintable() and "\\" not in to and "//" not in path and ".." not in path
    return to if is_plain and is_console(path) else CONSOLE


def is_secure(scope: Scope) -> bool:
    """Whether the browser came by HTTPS, which it says itself: what stands in front of this server may not."""
    origin = next((value for name, value in scope["headers"] if name == b"origin"), b"")
    return not origin.startswith(b"http://")


async def send_there(send: Send, to: str, *set_cookies: str) -> None:
    """Answer a form with the page that comes after it."""
    headers = [(b"location", to.encode()), (b"content-length", b"0")]
    headers += [(b"set-cookie", each.encode()) for each in set_cookies]
    await send({"type": "http.response.start", "status": HTTPStatus.SEE_OTHER, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def form_of(body: bytes) -> dict[str, str]:
    """The fields of a form; none where it is none."""
    try:
        fields = parse_qs(body.decode(), max_num_fields=_MOST_FIELDS, keep_blank_values=True)
    except ValueError:
        return {}
    return {name: values[0][:_MOST_CHARS] for name, values in fields.items()}
