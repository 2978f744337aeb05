"""Whatever key a server loses, at whatever moment, and whatever happens after that: nobody is answered less than there
is without being told, and publishing everything mends all.

``every_loss`` has the history, and loses more when it is run by itself.
"""

from collections.abc import Sequence

import pytest

from tests import redis_server
from tests.online_store.redis.losses.every_loss import STEPS, Moment, moments, problems_after, prune

pytestmark = pytest.mark.skipif(bool(redis_server.why_not("redis")), reason=str(redis_server.why_not("redis")))
OF_ALL = ("pin", "epochs", "leases", "versions", "schemas", "open", "live", "batches", "days", "totals", "rolled")
KINDS = (*OF_ALL, "census", "index", "data", "now", "roster", "users", "record")
# Kinds that say the same twice, and what is extended when it was lost.
TOGETHER = (("live", "batches"), ("pin", "versions"), ("census", "batches"), ("pin", "live"), ("index", "census"))
# Keys whose loss matters to a step long after.
LATER = (("leases", 0), ("leases", STEPS.index(prune)), ("versions", STEPS.index(prune)), ("pin", 0))


@pytest.fixture(scope="module")
def history() -> list[Moment]:
    return moments()


def lost(moment: Moment, kind: str, number: int) -> Sequence[bytes]:
    """One key of the kind; the small ones of each event type are as one."""
    keys = moment.kinds.get(kind, [])
    return [] if not keys else keys if len(keys) <= 3 else [keys[number * 7 % len(keys)]]


@pytest.mark.parametrize("kind", KINDS)
def test_a_lost_key_is_told_or_missed_by_nobody(history: list[Moment], kind: str) -> None:
    """Each kind at a moment of its own."""
    number = KINDS.index(kind)
    there = [moment for moment in history[:-1] if moment.kinds.get(kind)]
    moment = there[number * 5 % len(there)]
    assert problems_after(moment, lost(moment, kind, number)) == []


@pytest.mark.parametrize(("kind", "step"), LATER)
def test_a_key_that_matters_long_after(history: list[Moment], kind: str, step: int) -> None:
    assert problems_after(history[step], lost(history[step], kind, 0)) == []


@pytest.mark.parametrize("kinds", TOGETHER, ids=" and ".join)
def test_what_says_the_same_twice_is_lost_together(history: list[Moment], kinds: Sequence[str]) -> None:
    moment = history[2 * TOGETHER.index(tuple(kinds)) + 1]
    assert problems_after(moment, [key for kind in kinds for key in moment.kinds[kind]]) == []


def test_a_store_is_emptied(history: list[Moment]) -> None:
    moment = history[STEPS.index(prune) - 3]
    assert problems_after(moment, moment.dumped) == []
