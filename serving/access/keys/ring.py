"""All API keys of an installation as one immutable value: who may read what, how much, until when, and who said so.

A change returns a new ring. Keys are never deleted: a revoked one keeps its history and loses its secrets.
"""

import datetime as dt
import math
from collections.abc import Mapping
from typing import Any, Literal, get_args

import msgspec
from msgspec.structs import replace

from seqplat_resources.errors import Final

FORMAT_VERSION = 1

Role = Literal["reader", "operator"]
ROLES: tuple[Role, ...] = get_args(Role)


class UnknownKey(Final):
    """No key of that id."""

    def __init__(self, key_id: str) -> None:
        self.key_id = key_id
        super().__init__(f"there is no key {key_id!r}; `seqplat keys list --all` shows those there are")


class KeyRevoked(Final):
    """A revoked key stays revoked."""

    def __init__(self, key_id: str) -> None:
        super().__init__(f"key {key_id} is revoked, which is final; make a new one with `seqplat keys create`")


class UnreadableKeyring(Final):
    """Stored bytes that this build cannot read as a ring."""


class Grant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Leave to read one sequence.

    It holds as long as the sequence belongs to ``owner``: a name that another tenant takes over is another sequence.
    ``columns`` None is all but personal data; ``pii`` names the columns of personal data that are granted.
    """

    owner: str
    columns: tuple[str, ...] | None = None
    pii: tuple[str, ...] = ()


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Quotas of one key; None is none. ``burst`` is how many requests may come at once, by default a second's worth.

    Raises:
        ValueError: one is not above 0, or not finite. JSON would keep NaN as null, which is no quota.
    """

    requests_per_s: float | None = None
    burst: int | None = None
    events_per_day: int | None = None

    def __post_init__(self) -> None:
        for name in ("requests_per_s", "burst", "events_per_day"):
            limit = getattr(self, name)
            if limit is not None and not (0 < limit < math.inf):
                raise ValueError(f"{name} is {limit}, which is no quota; give a number above 0, or None for none")


class StoredSecret(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The digest of one secret of a key, and for an outgoing one until when it is accepted."""

    digest: bytes
    until: dt.datetime | None = None


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What somebody did to a key."""

    at: dt.datetime
    by: str
    what: str


class Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One API key.

    ``reads_own`` is all sequences of its tenant, those to come included; ``grants`` are by sequence and go before it.
    ``secrets`` are newest first: two during a rotation, none once revoked.
    """

    id: str
    tenant: str
    secrets: tuple[StoredSecret, ...]
    name: str = ""
    roles: tuple[Role, ...] = ("reader",)
    reads_own: bool = True
    grants: Mapping[str, Grant] = {}
    limits: Limits = Limits()
    expires_at: dt.datetime | None = None
    revoked_at: dt.datetime | None = None
    history: tuple[Change, ...] = ()

    def state(self, now: dt.datetime) -> Literal["active", "expired", "revoked"]:
        """Whether it opens anything at ``now``."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and now >= self.expires_at else "active"

    def reads(self, sequence: str, owner: str) -> Grant | None:
        """As what it may read a sequence of tenant ``owner``; None if it may not."""
        if "reader" not in self.roles:
            return None
        grant = self.grants.get(sequence)
        if grant is None and self.reads_own and self.tenant == owner:
            return Grant(owner)
        return grant if grant is not None and grant.owner == owner else None

    def noted(self, change: Change) -> "Key":
        return replace(self, history=(*self.history, change))


class Keyring(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Keys by id. ``log_key`` hashes user ids in access logs: equal on all servers, unknown to readers of the log."""

    log_key: bytes
    keys: Mapping[str, Key] = {}
    format_version: int = FORMAT_VERSION

    def key(self, key_id: str) -> Key:
        """
        Raises:
            UnknownKey: there is none of that id.
        """
        if key_id not in self.keys:
            raise UnknownKey(key_id)
        return self.keys[key_id]

    def open_key(self, key_id: str) -> Key:
        """As ``key``, for a change that makes no sense on a revoked one.

        Raises:
            UnknownKey, KeyRevoked
        """
        key = self.key(key_id)
        if key.revoked_at is not None:
            raise KeyRevoked(key_id)
        return key

    def with_key(self, key: Key) -> "Keyring":
        """With this key added, or in place of the one of its id."""
        return replace(self, keys={**self.keys, key.id: key})


def rotated(key: Key, digest: bytes, *, old_until: dt.datetime | None) -> Key:
    """With a new secret; the newest of the old ones is accepted until ``old_until``, all others no more."""
    old = (StoredSecret(key.secrets[0].digest, old_until),) if old_until and key.secrets else ()
    return replace(key, secrets=(StoredSecret(digest), *old))


def revoked(key: Key, at: dt.datetime) -> Key:
    """Without secrets, for good."""
    return replace(key, secrets=(), revoked_at=at)


def dump(ring: Keyring) -> bytes:
    """The ring as JSON."""
    return msgspec.json.encode(ring)


def load(data: bytes) -> Keyring:
    """Read a ring. A field this build does not know might forbid something, so nothing is read past it.

    Raises:
        UnreadableKeyring: not a ring, or one of another build.
    """
    try:
        found: Any = msgspec.json.decode(data)
        version = found.get("format_version") if isinstance(found, dict) else None
        if version != FORMAT_VERSION:
            raise UnreadableKeyring(f"API keys of format {version!r}; this build reads {FORMAT_VERSION}: upgrade it")
        return msgspec.json.decode(data, type=Keyring)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise UnreadableKeyring(f"stored API keys cannot be read: {error}") from error
