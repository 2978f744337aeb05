"""The ASGI layer around the console: what browsers are told of every page, and problems as pages instead of JSON.

Outside of everything that may refuse a request, so that whoever looks at a page reads a page also when it is refused.

>>> page = client.get("/console/nowhere", headers={"accept": "text/html"})
>>> page.status_code, page.headers["content-type"], page.headers["x-frame-options"]
(404, 'text/html; charset=utf-8', 'DENY')
"""

from http import HTTPStatus

import msgspec
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from serving.access.sessions import ended, session_of
from serving.access.sign_in import WANTED, is_sign_in
from serving.api.paths import CONSOLE, is_console, routed_path
from serving.api.problems import MEDIA_TYPE, send_problem
from serving.api.refusals import Refusal
from serving.api.schemas import Problem
from serving.console.rendering import HTML, Look, address, render

# Nothing is loaded from elsewhere, nothing runs, nobody frames it, and forms go nowhere else.
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
# NOTE: a referrer policy of no-referrer would have browsers send forms with `Origin: null`.
HEADERS = {
    b"content-security-policy": POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"cache-control": b"private, no-store",
    b"vary": b"Accept-Encoding, Authorization, Cookie",
}
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_REPLACED = frozenset({b"content-type", b"content-length"})


class FromElsewhere(Refusal):
    """A form that another site had the browser send."""

    def __init__(self) -> None:
        fix = "send it from a page of this console; a proxy in front of it has to pass on the header Host as it came"
        what = "this form was not sent by a page of this console"
        super().__init__("from-elsewhere", 403, what, field="Origin", fix=fix, headers={})


class ConsoleLayer:
    """An ASGI application around another, whose answers below ``/console`` it completes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or not is_console(routed_path(scope)):
            await self._app(scope, receive, send)
            return
        answer = _PageAnswer(scope, send)
        if scope["method"] not in _SAFE and not is_of_ours(scope):
            refused = FromElsewhere()
            await send_problem(scope, answer.send, refused.problem, refused.headers)
            return
        await self._app(scope, receive, answer.send)


def is_of_ours(scope: Scope) -> bool:
    """Whether a request that changes something comes from a page of this server, as the browser says.

    ``Sec-Fetch-Site`` says it where the browser sends it; else ``Origin`` has to name the host that was asked. What has
    an ``Authorization`` no page of others can have a browser send.
    """
    headers = dict(scope["headers"])
    if b"authorization" in headers:
        return True
    if (site := headers.get(b"sec-fetch-site")) is not None:
        return site == b"same-origin"
    scheme, _, host = headers.get(b"origin", b"").partition(b"://")
    return scheme in {b"http", b"https"} and host != b"" and host == headers.get(b"host")


class _PageAnswer:
    """One answer on its way: with our headers, and where it is a problem as a page."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope, self._send = scope, send
        self._problem: Message | None = None
        self._body = b""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = dict(message["headers"])
            if headers.get(b"content-type", b"").startswith(MEDIA_TYPE.encode()):
                self._problem = message  # until its body is there
                return
            missing = [pair for pair in HEADERS.items() if pair[0] not in headers]
            message["headers"] = [*message["headers"], *missing]
        elif message["type"] == "http.response.body" and self._problem is not None:
            self._body += message["body"]
            if not message.get("more_body"):
                await self._send_page(self._problem)
            return
        await self._send(message)

    async def _send_page(self, start: Message) -> None:
        problem = msgspec.json.decode(self._body, type=Problem)
        page = self._page(problem)
        headers = [pair for pair in start["headers"] if pair[0] not in _REPLACED]  # type: ignore[typeddict-item]
        headers += [(b"content-type", HTML.encode()), (b"content-length", b"%d" % len(page)), *HEADERS.items()]
        if problem.status == HTTPStatus.UNAUTHORIZED and self._is_over:
            headers += [(b"set-cookie", each.encode()) for each in ended()]
        await self._send({"type": "http.response.start", "status": problem.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": page, "more_body": False})

    def _page(self, problem: Problem) -> bytes:
        look = Look.of(self._scope)
        if problem.status != HTTPStatus.UNAUTHORIZED:
            return render("problem.html", look, problem=problem)
        asked = is_sign_in(self._scope)
        to = self._scope["state"].get(WANTED) or CONSOLE if asked else address(self._scope)
        return render("sign_in.html", look, to=to, refused=asked, over=self._is_over)

    @property
    def _is_over(self) -> bool:
        """Whether a session was sent and refused; a wrong key in the form ends none."""
        return not is_sign_in(self._scope) and session_of(self._scope) is not None
