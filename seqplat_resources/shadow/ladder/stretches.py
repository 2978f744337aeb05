"""Times during which users were divided by one share: what is read out of an experiment is about one of them.

Within a stretch a user is in one arm and arms have one size, so they can be compared. Over several they cannot: at 1 %
our users are few and early, at 50 % many and late.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, replace

from seqplat_resources.shadow.ladder.moves import Move
from seqplat_resources.shadow.ladder.steps import Rung, step
from seqplat_resources.shadow.routing import WHOLE


@dataclass(frozen=True)
class Stretch:
    """The moves ``first`` to ``last`` at one step; ``until`` is None while it goes on."""

    step: Rung
    first: int
    last: int
    since: dt.datetime
    until: dt.datetime | None = None


def divides(rung: Rung) -> bool:
    """Whether there are users of both arms."""
    return 0 < rung.share < WHOLE


def stretches(history: Iterable[Move]) -> list[Stretch]:
    """Those that divide users, oldest first; ``history`` is in the order of the moves.

    Who holds or resumes an event type leaves it where it is, so that a stretch goes on.
    """
    found: list[Stretch] = []
    for move in history:
        if found and found[-1].until is None:
            same = move.step == found[-1].step.name
            found[-1] = replace(found[-1], **({"last": move.number} if same else {"until": move.moved_at}))
            if same:
                continue
        if divides(rung := step(move.step)):
            found.append(Stretch(rung, move.number, move.number, move.moved_at))
    return found
