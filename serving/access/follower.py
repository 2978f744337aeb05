"""The ring that a running server lets callers in by, kept good while it changes."""

import logging
from collections.abc import Mapping
from types import MappingProxyType

from seqplat_resources.errors import SeqplatError
from seqplat_resources.home import Home
from serving.access.caller import Access
from serving.access.keys.ring import Key, Keyring
from serving.access.keys.secret import digest, id_of, matching
from serving.access.keys.store import KeyStore
from serving.access.quota import Quota
from serving.access.usage import Usage, default_file
from serving.api.refusals import Unauthenticated
from serving.follow.errors import NotReady

_log = logging.getLogger(__name__)


class KeyFollower:
    """The newest ring of a home that could be read.

    ``refresh`` is called by one thread at a time, away from requests; ``authenticated`` by any. A ring that cannot be
    read changes nothing but ``failure``: the last good one goes on letting in whom it let in, which is reported as an
    error until it is mended, because a key that was revoked since then is among them.
    """

    def __init__(self, home: Home, *, usage_file: str = "", hosts: int = 1) -> None:
        self._store = KeyStore(home)
        self._usage_file, self._hosts = default_file(home, usage_file), hosts
        self._usage: Usage | None = None
        self._number = -1  # of the ring in force; nothing was read yet
        self._accesses: Mapping[str, Access] | None = None
        self.log_key = b""
        self.failure: str | None = None

    def refresh(self) -> None:
        """Take over a newer ring, if there is one. Raises nothing."""
        try:
            if self._store.number() != self._number:
                self._take(*self._store.read())
            self.failure = None
        except Exception as error:  # whatever is wrong with a new ring, the one in force stays
            self._failed(error)

    def require(self) -> Mapping[str, Access]:
        """The keys in force.

        Raises:
            NotReady: no ring could be read yet, so nobody can be told from anybody.
        """
        if self._accesses is None:
            raise NotReady("API keys cannot be read", fix="the server's log says why")
        return self._accesses

    def authenticated(self, presented: bytes, now_s: float) -> Access:
        """Whose key this is the text of.

        Takes equally long for every id, known or not.

        Raises:
            NotReady: no ring could be read yet, so nobody can be told from anybody.
            Unauthenticated: nobody's; the log may say why, the caller is not told.
        """
        accesses = self.require()
        key_id = id_of(presented)
        access = accesses.get(key_id) if key_id else None
        found = matching(digest(presented), access.digests if access else ())
        if access is None:
            raise Unauthenticated("unknown key" if key_id else "not a key")
        return accepted(access, found, now_s)

    def _take(self, number: int, ring: Keyring) -> None:
        self._usage = self._usage or Usage(self._usage_file)
        rows = self._usage.rows(ring.keys)
        before = self._accesses or {}

        def access(key: Key) -> Access:
            kept = before.get(key.id)
            if kept is not None and kept.key == key:
                return kept  # with its plans
            return Access(key, Quota(key.limits, rows[key.id], self._hosts))

        accesses = {key_id: access(key) for key_id, key in ring.keys.items()}
        self.log_key = ring.log_key
        self._accesses, self._number = MappingProxyType(accesses), number
        _log.info("%d API key(s) of ring %d in force", len(accesses), number)

    def _failed(self, error: Exception) -> None:
        message = str(error) if isinstance(error, SeqplatError) else f"{type(error).__name__}: {error}"
        if message != self.failure:
            self.failure = message
            _log.error("API keys: %s; those of ring %d stay in force", message, self._number)


def accepted(access: Access, found: int | None, now_s: float) -> Access:
    """``access`` by its secret ``found``, one of two, or none where what was presented is of neither.

    Raises:
        Unauthenticated: of none, or of one that is accepted no more.
    """
    if found is None:
        raise Unauthenticated("wrong secret" if access.digests else "revoked", key_id=access.key.id)
    if now_s >= access.ends_s[found]:
        raise Unauthenticated("expired", key_id=access.key.id)
    return access
