"""What one key opens, worked out once per release, and the caller of one request who holds it."""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence

from seqplat_resources.release.query import Query
from seqplat_resources.release.sequence_plan import NotShared, SequencePlan, UnknownSequence
from seqplat_resources.release.store import LoadedRelease
from seqplat_resources.release.view_plan import UnknownView, ViewPlan
from serving.access.keys.ring import Grant, Key
from serving.access.quota import Quota
from serving.follow.release import ServedRelease


class Access:
    """One key, its quota, and the plans of what it may read. One object per key and ring, shared by all requests.

    The plans of the newest release asked for are kept, in one assignment, so that threads need no lock.
    """

    __slots__ = ("_plans", "digests", "ends_s", "key", "quota")

    def __init__(self, key: Key, quota: Quota) -> None:
        self.key, self.quota = key, quota
        # Of each secret: what it is compared with, and until when it is accepted, in seconds since 1970.
        self.digests = tuple(secret.digest for secret in key.secrets)
        self.ends_s = tuple(min(_seconds(secret.until), _seconds(key.expires_at)) for secret in key.secrets)
        self._plans: tuple[ServedRelease | None, Mapping[str, SequencePlan]] = (None, {})

    def plans(self, serving: ServedRelease) -> Mapping[str, SequencePlan]:
        """Plans of the sequences that the key may read, of the columns that it may read, in the release's order."""
        made_for, plans = self._plans
        if made_for is not serving:
            plans = _readable(self.key, serving)
            self._plans = (serving, plans)
        return plans


class Caller:
    """Who sent one request: what they may read, and what they did read, for quota and access log.

    Handlers get it as the dependency ``caller``. A sequence, a column or a value that it does not give does not exist
    for this caller, so no answer needs to tell "not there" from "not yours".
    """

    __slots__ = ("_access", "asked", "columns", "events", "sequence", "users")

    def __init__(self, access: Access) -> None:
        self._access = access
        self.sequence = ""
        self.events = 0
        self.columns: Sequence[str] = ()
        self.users: Sequence[str] = ()
        self.asked: Query | None = None

    @property
    def key_id(self) -> str:
        return self._access.key.id

    @property
    def tenant(self) -> str:
        return self._access.key.tenant

    @property
    def roles(self) -> Collection[str]:
        return self._access.key.roles

    @property
    def reads_own(self) -> bool:
        """Whether the key reads whatever its tenant has."""
        return self._access.key.reads_own and "reader" in self._access.key.roles

    @property
    def name(self) -> str:
        """What people call the key, or its id."""
        return self._access.key.name or self._access.key.id

    def plans(self, serving: ServedRelease) -> Mapping[str, SequencePlan]:
        """Every sequence this caller may read, restricted to the columns they may read."""
        return self._access.plans(serving)

    def plan(self, serving: ServedRelease, name: str) -> SequencePlan:
        """One of ``plans``.

        Raises:
            UnknownSequence: there is none of that name for this caller; it names only what they see.
        """
        self.sequence = name
        plans = self._access.plans(serving)
        if name not in plans:
            raise UnknownSequence(name, list(plans))
        return plans[name]

    def session_view(self, serving: ServedRelease, name: str) -> ViewPlan:
        """A view of sessions of their tenant, or one that is granted to the key by the name ``sessions/<name>``.

        Raises:
            UnknownView: there is none of that name for this caller; it names only what they see.
        """
        self.sequence = f"sessions/{name}"
        key, views = self._access.key, serving.release.sessions
        seen = [each for each, view in views.items() if key.reads(f"sessions/{each}", view.tenant)]
        if name not in seen:
            raise UnknownView(name, seen)
        return ViewPlan.of(serving.loaded, self.sequence)

    def charge(
        self, events: int, *, columns: Sequence[str] = (), users: Sequence[str] = (), asked: Query | None = None
    ) -> None:
        """Say what is answered: how many events, and for the access log which columns (those that only chose among
        events included) of whom, and what was ``asked``, where that was events. To be called once per answer, before it
        is sent; it never refuses.
        """
        self.events, self.columns, self.users, self.asked = events, columns, users, asked

    @property
    def pii(self) -> tuple[str, ...]:
        """Which of the answer's columns are personal data."""
        grant = self._access.key.grants.get(self.sequence)
        return tuple(column for column in self.columns if column in grant.pii) if grant and grant.pii else ()


def _seconds(at: dt.datetime | None) -> float:
    return at.timestamp() if at else float("inf")


def readable(key: Key, loaded: LoadedRelease, name: str) -> SequencePlan | None:
    """What the key may see of one sequence; None where that is nothing: it may not read it, or its tenant is not among
    those that the owners of its event types share them with.
    """
    definition = loaded.release.sequences[name]
    grant = key.reads(name, definition.tenant)
    if grant is None:
        return None
    try:
        plan = SequencePlan.of(loaded, name, pii=grant.pii, reader=key.tenant)
    except NotShared:
        return None
    return plan.restricted(None if grant.columns is None else {*grant.columns, *grant.pii})


def _readable(key: Key, serving: ServedRelease) -> dict[str, SequencePlan]:
    found: dict[str, SequencePlan] = {}
    for name, own in serving.plans.items():
        owner = own.definition.tenant
        # One plan for all who see as much: what readers keep with it is shared.
        if key.tenant == owner and key.reads(name, owner) == Grant(owner):
            found[name] = own
        elif plan := readable(key, serving.loaded, name):
            found[name] = own if plan.fingerprint == own.fingerprint else plan
    return found
