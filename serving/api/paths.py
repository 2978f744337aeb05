"""What paths say: which page is asked for, and user ids, which are any text, percent-encoded. Those are read from the
raw path, because the decoded one does not tell the slash of an id from one between the parts of a path."""

from collections.abc import Awaitable
from urllib.parse import unquote_to_bytes

from litestar.types import ASGIApp, Receive, Scope, Send
from litestar.utils import normalize_path

from seqplat_resources.online_store.errors import InvalidKeyError
from serving.api.problems import send_error
from serving.api.refusals import Refusal

USER_PATH = "/v1/sequences/{name}/users/{user_id}"
# Pages for people, signed in to by a form, and what those pages look like, which says nothing.
CONSOLE, SIGN_IN, CONSOLE_FILES = "/console", "/console/sign-in", "/console/static/"
SESSIONS = "/v1/sessions/"
_NAME, _USER = 3, 5
_PARTS = "seqplat.path"


class EmptyPart(Refusal):
    """Two slashes one after the other. The router would pass over the part that is missing, and who counts parts would
    take the next one for it."""

    def __init__(self) -> None:
        fix = "write one slash; one that belongs to a user id is %2F"
        super().__init__("empty-part", 404, "a part of the path is empty", field=None, fix=fix, headers={})


def routed_path(scope: Scope) -> str:
    """As the router is about to see it, or ``/v1//status`` would be another path here than there."""
    path: str = scope["path"]
    if root := scope.get("root_path", ""):
        path = path.split(root, maxsplit=1)[-1]
    # What begins so does so however it is spelled further on; it is what thousands a second ask for.
    return path if path.startswith("/v1/sequences/") else normalize_path(path)


def is_console(path: str) -> bool:
    """Whether a routed path is one of the pages for people."""
    return path.startswith(CONSOLE) and (path == CONSOLE or path[len(CONSOLE)] == "/")


def raw_parts(scope: Scope) -> list[bytes]:
    """The parts of the path, still encoded; the first is empty. Behind a proxy's prefix they are counted after it."""
    state = scope["state"]
    parts: list[bytes] | None = state.get(_PARTS)
    if parts is None:  # several layers ask
        prefix = (scope.get("root_path") or "").rstrip("/").encode()
        parts = state[_PARTS] = _raw_path(scope).removeprefix(prefix).split(b"/")
    return parts


def is_user(parts: list[bytes]) -> bool:
    """Whether they are those of one user's sequence."""
    return (
        len(parts) == 6 and parts[1] == b"v1" and parts[2] == b"sequences" and parts[4] == b"users" and parts[3] != b""
    )


def name_of(scope: Scope) -> str:
    """The sequence's name; what is not UTF-8 is no sequence's, so it may be replaced."""
    return unquote_to_bytes(raw_parts(scope)[_NAME]).decode(errors="replace")


def user_of(scope: Scope) -> str:
    """
    Raises:
        InvalidKeyError: it is not UTF-8.
    """
    given = unquote_to_bytes(raw_parts(scope)[_USER])
    try:
        return given.decode()
    except UnicodeDecodeError as error:
        fix = "percent-encode the UTF-8 of the id"
        raise InvalidKeyError(f"user id {given!r} is not UTF-8", where="the path", fix=fix) from error


def with_routed_path(app: ASGIApp) -> ASGIApp:
    """``app`` behind a layer that hides the slashes of ids from the router, and refuses two one after the other."""

    # Not a coroutine: it hands on the awaitable of the application.
    def layer(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if b"//" in _raw_path(scope):
            return send_error(scope, send, EmptyPart())
        return app(_routed(scope), receive, send)

    return layer


def _raw_path(scope: Scope) -> bytes:
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return raw.partition(b"?")[0]


def _routed(scope: Scope) -> Scope:
    if b"%2f" not in scope.get("raw_path", b"").lower():
        return scope
    parts = [b"_" if b"%2f" in part.lower() else part for part in raw_parts(scope)]
    return {**scope, "path": unquote_to_bytes(b"/".join(parts)).decode(errors="replace")}  # type: ignore[return-value]
