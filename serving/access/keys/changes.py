"""What an administrator does with keys: each function is one change of the ring, noted in the key's history.

They trust their arguments; ``grants`` checks names against a release.

>>> ring = KeyStore(home)
>>> key, text = create(ring, "shop", by="ann", name="the till")
>>> key.name, key.roles, key.id in text
('the till', ('reader',), True)
>>> revoke(ring, key.id, by="ann").tenant
'shop'
>>> rotate(ring, key.id, by="ann", overlap=dt.timedelta(hours=1))
Traceback (most recent call last):
    ...
serving.access.keys.ring.KeyRevoked: key ... is revoked, which is final; make a new one with ...
"""

import datetime as dt
from collections.abc import Callable, Mapping

from msgspec.structs import replace

from serving.access.keys.ring import Change, Grant, Key, Keyring, Limits, Role, StoredSecret, revoked, rotated
from serving.access.keys.secret import digest, new_id, new_text
from serving.access.keys.store import KeyStore


def create(
    store: KeyStore,
    tenant: str,
    *,
    by: str,
    name: str = "",
    roles: tuple[Role, ...] = ("reader",),
    reads_own: bool = True,
    grants: Mapping[str, Grant] = {},
    limits: Limits = Limits(),
    expires_at: dt.datetime | None = None,
) -> tuple[Key, str]:
    """A new key, and its text, which is not stored and cannot be had again."""
    key_id = new_id()
    text = new_text(key_id)
    reads = [f"all of {tenant}"] if reads_own else []
    reads += [_grant_text(sequence, granted) for sequence, granted in grants.items()]
    key = Key(
        key_id, tenant, (StoredSecret(digest(text)),), name, roles, reads_own, dict(grants), limits, expires_at
    ).noted(_change(store, by, f"created as {', '.join(roles)} of {'; '.join(reads)}"))
    store.change(lambda ring: ring.with_key(key))
    return key, text


def rotate(store: KeyStore, key_id: str, *, by: str, overlap: dt.timedelta) -> tuple[Key, str]:
    """A new secret for a key; the one it had is accepted for ``overlap`` more, older ones no more.

    Raises:
        UnknownKey, KeyRevoked
    """
    text, now = new_text(key_id), store.clock.now()
    until = now + overlap if overlap else None
    what = f"rotated, the old secret accepted until {until:%Y-%m-%d %H:%M} UTC" if until else "rotated"
    return _changed(store, key_id, by, what, lambda key: rotated(key, digest(text), old_until=until)), text


def issue_named(store: KeyStore, tenant: str, name: str, *, by: str, overlap: dt.timedelta) -> str:
    """A text that works of the tenant's key of this ``name``: made as reader and operator, or rotated if it is there.

    For tools that print a key whenever they run, without leaving a trail of keys behind.
    """
    now = store.clock.now()
    for key in store.read()[1].keys.values():
        if (key.tenant, key.name, key.state(now)) == (tenant, name, "active"):
            return rotate(store, key.id, by=by, overlap=overlap)[1]
    return create(store, tenant, by=by, name=name, roles=("reader", "operator"))[1]


def revoke(store: KeyStore, key_id: str, *, by: str) -> Key:
    """Close a key for good; running servers refuse it within their poll interval.

    Raises:
        UnknownKey, KeyRevoked
    """
    return _changed(store, key_id, by, "revoked", lambda key: revoked(key, store.clock.now()))


def grant(store: KeyStore, key_id: str, sequence: str, granted: Grant, *, by: str) -> Key:
    """Let a key read a sequence, in place of an earlier grant of it.

    Raises:
        UnknownKey, KeyRevoked
    """
    what = f"granted {_grant_text(sequence, granted)}"
    return _changed(store, key_id, by, what, lambda key: replace(key, grants={**key.grants, sequence: granted}))


def withdraw(store: KeyStore, key_id: str, sequence: str, *, by: str) -> Key:
    """Take back a grant; a key that reads all of its tenant's sequences reads this one as the others then.

    Raises:
        UnknownKey, KeyRevoked
    """

    def without(key: Key) -> Key:
        return replace(key, grants={name: each for name, each in key.grants.items() if name != sequence})

    return _changed(store, key_id, by, f"withdrew {sequence}", without)


def _grant_text(sequence: str, granted: Grant) -> str:
    columns = ", ".join(granted.columns) if granted.columns is not None else "all columns"
    personal = f", personal data {', '.join(granted.pii)}" if granted.pii else ""
    return f"{sequence} of {granted.owner} ({columns}{personal})"


def _changed(store: KeyStore, key_id: str, by: str, what: str, change: Callable[[Key], Key]) -> Key:
    noted = _change(store, by, what)

    def changed(ring: Keyring) -> Keyring:
        return ring.with_key(change(ring.open_key(key_id)).noted(noted))

    return store.change(changed).keys[key_id]


def _change(store: KeyStore, by: str, what: str) -> Change:
    return Change(store.clock.now(), by, what)
