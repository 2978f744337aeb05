"""Sessions in plain Python, one event after the other."""

import datetime as dt
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Event:
    """``at_s`` is its time in seconds since ``START``."""

    user: str
    at_s: int
    name: str
    offset: int = 0
    scope: str | None = None
    boundary: bool | None = False
    amount: int | None = None
    event_type: str = "click"

    @property
    def order(self) -> tuple[int, str, int, str, str]:
        return (self.at_s, "p", self.offset, self.event_type, self.name)


@dataclass
class Session:
    """Its events, oldest first; ``chain_s`` is when the chain begins that it is of."""

    chain_s: int
    events: list[Event] = field(default_factory=list)

    def name(self, tenant: str, version: str) -> str:
        first = self.events[0]
        return hashlib.sha256(
            "\x1f".join([tenant, first.user, version, first.event_type, first.name]).encode()
        ).hexdigest()[:32]


START = dt.datetime(2024, 5, 1, tzinfo=dt.UTC)


def sessions_of(events: Iterable[Event], *, gap_s: int, cap_s: int) -> list[Session]:
    """All sessions, by user and scope, oldest first."""
    found: list[Session] = []
    by_owner: dict[tuple[str, str | None], list[Event]] = {}
    for event in events:
        by_owner.setdefault((event.user, event.scope), []).append(event)
    for owned in by_owner.values():
        before: Event | None = None
        for event in sorted(owned, key=lambda each: each.order):
            if before is None or event.at_s - before.at_s >= gap_s or event.boundary:
                found.append(Session(event.at_s, [event]))
            elif event.at_s - found[-1].events[0].at_s > cap_s:
                found.append(Session(found[-1].chain_s, [event]))
            else:
                found[-1].events.append(event)
            before = event
    return found
