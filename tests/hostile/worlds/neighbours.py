"""One user's messages change nobody else's answer: the same days with and without a hostile user."""

import datetime as dt
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from seqplat_resources.read.answer import answer
from seqplat_resources.release.query import Query
from seqplat_resources.release.sequence_plan import SequencePlan
from seqplat_resources.testing.memory.store import MemoryStore
from tests.hostile.material import clocks
from tests.hostile.material.draws import Draw
from tests.hostile.worlds import stories
from tests.hostile.worlds.clicks import Clicks
from tests.hostile.worlds.stories import Said, Step
from tests.hostile.worlds.wide import in_utc

MALLORY = "mallory"
SINCE = clocks.NOW - dt.timedelta(days=2)


def neighbourhood(draw: Draw, *, rounds: int = 3) -> list[Step]:
    """Rounds of what sane users and one hostile user say, each followed by a look; now and then all days are sealed."""
    told: list[Step] = []
    for _ in range(draw.number(1, rounds)):
        told.append(Step("say", said=tuple(_sane(draw) for _ in range(draw.number(1, 5)))))
        told.append(Step("hostile", said=tuple(_hostile(draw) for _ in range(draw.number(1, 4)))))
        if draw.chance(0.6):
            told.append(Step("seal all"))
        told.append(Step("look"))
    return told


def _sane(draw: Draw) -> Said:
    at = clocks.sane_time(draw)
    sent = draw.of((0, 1)), clocks.sane_stamp(draw, at)
    return Said(draw.of(stories.USERS), draw.of(stories.IDS), at, draw.of((1, 2)), 0, None, 0, *sent)


def _hostile(draw: Draw) -> Said:
    real = stories.Reality(draw.of((clocks.SANE_STAMPS, stories.STAMPS)), (*stories.OLD, *stories.AHEAD), True)
    at = draw.of(real.times) if draw.chance(0.7) else clocks.sane_time(draw)
    revision = draw.of(stories.REVS), draw.of((None, "retract"))
    return Said(MALLORY, draw.of(stories.IDS), at, 1, *revision, 0, draw.of((0, 1)), draw.of(real.stamps))


def play(steps: Sequence[Step], folder: Path) -> None:
    """Play the rounds twice.

    Raises:
        AssertionError: somebody's answer differs between the two; any other error: something stopped the platform.
    """
    with ExitStack() as until_end:
        stores = [MemoryStore(keep_epochs=4) for _ in range(2)]
        for store in stores:
            until_end.callback(store.close)
        alone, beside = (Clicks(folder / name, s) for name, s in zip(("alone", "beside"), stores, strict=True))
        for step in steps:
            if step.what in ("say", "hostile"):
                for each in (beside,) if step.what == "hostile" else (alone, beside):
                    each.say(step.said)
            elif step.what == "seal all":
                for each in (alone, beside):
                    each.drain()
                    # What one home has to seal must not depend on anybody either, so it is the same days in both.
                    each.seal([day for day in clocks.DAYS if day <= clocks.NOW.date()])
            else:
                for each in (alone, beside):
                    each.drain()
                _compare(alone, beside)


def _compare(alone: Clicks, beside: Clicks) -> None:
    for user in stories.USERS:
        for sequence in ("every", "recent"):
            for query in (Query(), Query(limit=1), Query(since=SINCE), Query(as_of=clocks.NOW)):
                one, other = _seen(alone, sequence, user, query), _seen(beside, sequence, user, query)
                for name, said in one.items():
                    assert other[name] == said, (f"{name} of {sequence}", user, query, said, other[name])


def _seen(clicks: Clicks, sequence: str, user: str, query: Query) -> dict[str, Any]:
    plan = SequencePlan.of(clicks.runtime.loaded, sequence)
    found = answer(plan, clicks.store, user, query, clock=clicks.clock)
    fresh = found.freshness
    return {
        "events": in_utc(found.events.select("event_id", "event_time", "value")),
        "completeness": fresh.completeness,
        "sealed through": fresh.sealed_through,
        "newest event": fresh.newest_event_time,
        "degraded": fresh.degraded,
    }
