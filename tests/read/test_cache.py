"""Answers that are kept: given again while nothing changed, and only then."""

import datetime as dt
import random
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from seqplat_resources.batch.publish.events import block_schema
from seqplat_resources.online_store import OnlineStore
from seqplat_resources.read.answer import answer, version_of
from seqplat_resources.read.cache import AnswerCache
from seqplat_resources.release.query import Query
from seqplat_resources.testing.memory.store import MemoryStore
from tests.building import ManualClock, utc
from tests.online_stores import empty_store
from tests.properties.streams import PLANS
from tests.read.test_honesty import PLAN, broken, events, plan_of, store
from tests.read.test_newest import event, published, streamed

__all__ = ["store"]


def asked(store: OnlineStore, cache: AnswerCache, query: Query = Query()) -> list[str]:
    found: list[str] = answer(PLAN, store, "ann", query, cache=cache).events["event_id"].to_list()
    return found


def test_the_same_question_is_answered_from_what_was_read(store: MemoryStore) -> None:
    cache = AnswerCache(1 << 20)
    first = asked(store, cache, Query(limit=3))
    assert asked(store, cache, Query(limit=3)) == first == ["4b", "4a", "3b"]
    assert (cache.hits, cache.misses) == (1, 1)
    assert asked(store, cache, Query(limit=2)) == ["4b", "4a"]
    assert (cache.hits, cache.misses) == (1, 2)


def test_columns_may_come_as_any_sequence(store: MemoryStore) -> None:
    cache = AnswerCache(1 << 20)
    asked(store, cache, Query(["event_id", "item"]))
    asked(store, cache, Query(("event_id", "item")))
    assert cache.hits == 1


def test_what_is_streamed_or_published_is_seen_at_once(store: MemoryStore) -> None:
    cache = AnswerCache(1 << 20)
    asked(store, cache)
    streamed(store, [event("new", 4, 200, event_time=utc(2024, 5, 4, 13))])
    assert asked(store, cache)[0] == "new"
    published(store, 4, events("ann", 4), 201)
    assert asked(store, cache)[0] == "4b"
    assert cache.hits == 0


def test_a_plan_that_shows_less_gets_nothing_of_one_that_shows_more(store: MemoryStore) -> None:
    cache = AnswerCache(1 << 20)
    answer(PLAN, store, "ann", cache=cache)
    assert "taste" not in answer(PLAN.restricted(["item"]), store, "ann", cache=cache).events.columns


def test_freshness_is_told_anew(store: MemoryStore) -> None:
    cache, clock = AnswerCache(1 << 20), ManualClock(utc(2024, 5, 4, 12))
    streamed(store, [event("new", 4, 200)])
    first = answer(PLAN, store, "ann", cache=cache, clock=clock).freshness
    clock.time += dt.timedelta(hours=1)
    again = answer(PLAN, store, "ann", cache=cache, clock=clock).freshness
    assert cache.hits == 1
    assert (again.stream_lag_ms or 0) - (first.stream_lag_ms or 0) == 3_600_000
    assert again.newest_event_time == first.newest_event_time == utc(2024, 5, 4, 12)


def test_what_changed_after_the_time_asked_is_told_again(store: MemoryStore) -> None:
    cache = AnswerCache(1 << 20)
    published(store, 4, [event("4b", 4, 41, rev=1)], 100)
    query = Query(as_of=utc(2024, 5, 4))
    told = [answer(PLAN, store, "ann", query, cache=cache).freshness.degraded for _ in range(2)]
    assert cache.hits == 1
    assert told[0] == told[1]
    assert "click: 1 event changed after as_of left out" in told[0]


def test_a_damaged_answer_is_not_kept(store: MemoryStore) -> None:
    cache = AnswerCache(1 << 20)
    damaged, _ = broken(store, ("ann", "2024-05-03"))
    for _ in range(2):
        answer(PLAN, damaged, "ann", cache=cache)
    assert (cache.hits, cache.size_bytes) == (0, 0)


@pytest.mark.parametrize("room", [40_000, 100_000])
def test_what_was_asked_for_longest_ago_leaves_first(store: MemoryStore, room: int) -> None:
    cache, plan = AnswerCache(room), plan_of()
    for n in range(50):
        answer(plan, store, f"user {n}", cache=cache)
        answer(plan, store, "ann", cache=cache)
        assert cache.size_bytes <= room
    assert cache.hits == 49
    answer(plan, store, "user 0", cache=cache)
    answer(plan, store, "user 49", cache=cache)
    assert (cache.hits, cache.misses) == (50, 52)


Fill = Callable[[OnlineStore, str], None]


def _published(store: OnlineStore, prefix: str) -> None:
    published(store, 1, [event(f"{prefix}{n}", 1, n) for n in (2, 1)], 100)


def _rolled_back(store: OnlineStore, prefix: str) -> None:
    _published(store, prefix)
    published(store, 1, [], 100)
    store.rollback("click", to_epoch=1, expected_epoch=2)


def _streamed(store: OnlineStore, prefix: str) -> None:
    streamed(store, [event(f"{prefix}{n}", 1, n) for n in (1, 2)])


@pytest.mark.parametrize("fill", [_published, _rolled_back, _streamed])
@pytest.mark.parametrize("kind", ["memory", "lmdb", "redis"])
def test_nothing_of_a_store_that_is_gone_is_given(kind: str, fill: Fill, tmp_path: Path) -> None:
    """Flushed, failed over or rebuilt: every number begins anew, and the cache and the caller's tag are still there."""
    cache, seen, rebuilt = AnswerCache(1 << 20), dict[str, list[str]](), f"{random.getrandbits(32)}-"
    with ExitStack() as stack:
        for prefix in ("old", "new", rebuilt):
            store = stack.enter_context(empty_store(kind, tmp_path / prefix))
            for plan in PLANS.values():
                store.register_schema(block_schema(plan))
            fill(store, prefix)
            seen[version_of(PLAN, store, "ann")[0]] = asked(store, cache)
            assert asked(store, cache) == [f"{prefix}2", f"{prefix}1"]
    assert len(seen) == 3
    assert (cache.hits, cache.misses) == (3, 3)
