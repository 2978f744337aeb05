"""Sessions of browsers: what a cookie holds instead of a key, so that the key itself is typed once and kept nowhere.

A session is the key's id, when it ends, and a code over both that is made with the digest of the secret it was begun
with. So nothing is stored, every server knows it, it opens pages and not the API, and it is over with its key: revoked,
expired or rotated away (docs/adr/0055).
"""

import hmac
import re

from litestar.types import Scope

from serving.access.caller import Access
from serving.access.follower import KeyFollower, accepted
from serving.access.keys.secret import ID_LENGTH, digest, matching
from serving.api.refusals import Unauthenticated

# A working day.
LASTS_S = 10 * 3600
# Over HTTPS by a name that browsers take from this very host alone, for all its paths; over HTTP there is no such name.
SECURE_COOKIE, PLAIN_COOKIE = "__Host-seqplat-console", "seqplat-console"

_PURPOSE = b"seqplat console session"
_SESSION = re.compile(rf"([a-z0-9]{{{ID_LENGTH}}})\.(\d{{1,12}})\.([0-9a-f]{{64}})")


class Sessions:
    """Begins sessions and tells whose they are. Called by any thread; there is nothing to be forgotten."""

    def __init__(self, keys: KeyFollower, *, lasts_s: int = LASTS_S) -> None:
        self._keys, self.lasts_s = keys, lasts_s

    def begin(self, presented: bytes, now_s: float) -> tuple[str, Access]:
        """A session of whoever has the key that is ``presented``.

        Raises:
            NotReady: no keys could be read yet.
            Unauthenticated: it is no key that opens anything.
        """
        access = self._keys.authenticated(presented, now_s)
        ends_s = int(now_s) + self.lasts_s
        code = self._code(access.key.id, ends_s, digest(presented))
        return f"{access.key.id}.{ends_s}.{code.hex()}", access

    def access(self, session: str, now_s: float) -> Access:
        """Whose session it is.

        Raises:
            NotReady: no keys could be read yet.
            Unauthenticated: it is over, or was never begun.
        """
        accesses, said = self._keys.require(), _SESSION.fullmatch(session)
        access = accesses.get(said[1]) if said else None
        if said is None or access is None:
            raise Unauthenticated("no session")
        key_id, ends_s = access.key.id, int(said[2])
        codes = [self._code(key_id, ends_s, each) for each in access.digests]
        accepted(access, matching(bytes.fromhex(said[3]), codes), now_s)
        if now_s >= ends_s:
            raise Unauthenticated("session ended", key_id=key_id)
        return access

    def _code(self, key_id: str, ends_s: int, secret_digest: bytes) -> bytes:
        secret = hmac.digest(self._keys.log_key, _PURPOSE, "sha256")
        return hmac.digest(secret, f"{key_id}.{ends_s}.".encode() + secret_digest, "sha256")


def session_of(scope: Scope) -> str | None:
    """What the request's cookie holds; None where it has none."""
    given = cookies(scope)
    return next((given[name] for name in (SECURE_COOKIE, PLAIN_COOKIE) if name in given), None)


def cookies(scope: Scope) -> dict[str, str]:
    """All cookies of a request by name; of several of one name the first, which is that of the longest path."""
    lines = b"; ".join(value for name, value in scope["headers"] if name == b"cookie").decode("latin-1")
    found = dict[str, str]()
    for pair in lines.split(";"):
        name, _, value = pair.strip().partition("=")
        found.setdefault(name, value)
    return found


def begun(session: str, *, is_secure: bool, lasts_s: int) -> str:
    """The header that gives a browser its session; blank, and of 0 seconds, it takes it away."""
    name, path, secure = (SECURE_COOKIE, "/", "; Secure") if is_secure else (PLAIN_COOKIE, "/console", "")
    return f"{name}={session}; Path={path}; Max-Age={lasts_s}; HttpOnly; SameSite=Strict{secure}"


def ended() -> list[str]:
    """The headers that take a session away, whichever name it has."""
    return [begun("", is_secure=is_secure, lasts_s=0) for is_secure in (True, False)]
