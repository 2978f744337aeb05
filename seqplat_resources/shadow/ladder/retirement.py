"""What has to hold before an old pipeline may be switched off."""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.ladder.moves import Grounds, Ladder

# Both pipelines are kept going for so long after the last user was moved.
LIVE_FOR = dt.timedelta(days=14)


@dataclass(frozen=True)
class Point:
    """One point of the checklist."""

    what: str
    holds: bool
    says: str = ""


def checklist(runtime: Runtime, ladder: Ladder, grounds: tuple[Grounds, Sequence[str]]) -> list[Point]:
    """Every point, whether or not it holds; ``grounds`` are those of the newest verdict."""
    return list(_points(runtime, ladder, grounds))


def _points(runtime: Runtime, ladder: Ladder, grounds: tuple[Grounds, Sequence[str]]) -> Iterator[Point]:
    standing, now = ladder.standing(), runtime.clock.now()
    yield Point("all users have our events", standing.step.name == "live", f"it is at {standing.step.name}")
    since = standing.since if standing.step.name == "live" else None
    long = since is not None and now - since >= LIVE_FOR
    said = f"since {since:%Y-%m-%d %H:%M}" if since else "nobody moved it there"
    yield Point(f"for {LIVE_FOR.days} days and more", long, said)
    state, wrong = grounds
    yield Point("the newest verdict passes", state.state == "PASS", "; ".join(wrong) or f"verdict {state.digest}")
    backs = [m for m in ladder.history() if m.action in ("rollback", "step_back") and since and m.moved_at >= since]
    yield Point("it was not taken back since", not backs)
    legacy = ladder.event_type.legacy
    source = legacy.source if legacy else ""
    users = [
        name
        for name, each in runtime.release.event_types.items()
        if each.source == source and not (legacy and legacy.serve and name == f"{ladder.event_type.name}__legacy")
    ]
    yield Point("no event type is made of legacy's rows", not users, ", ".join(users))
    others = [
        name
        for name, each in runtime.release.event_types.items()
        if each.legacy and each.legacy.source == source and name != ladder.event_type.name
    ]
    yield Point("no other event type is compared with them", not others, ", ".join(others))
