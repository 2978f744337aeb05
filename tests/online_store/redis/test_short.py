"""An answer from a server that has lost some of a user's keys says what it lacks, and is kept by nobody."""

import pytest

from seqplat_resources.batch.publish.events import block_schema
from seqplat_resources.online_store.redis import RedisSettings, RedisStore
from seqplat_resources.read.answer import answer, answers
from seqplat_resources.read.cache import AnswerCache
from tests.online_stores import redis_url
from tests.properties.streams import PLANS
from tests.read.test_honesty import PLAN, events
from tests.read.test_newest import published


@pytest.mark.parametrize("lost", [("index",), ("data",), ("index", "data")], ids=" and ".join)
@pytest.mark.parametrize("kind", ["redis", "redis cluster"])
def test_an_answer_says_what_the_server_has_lost(kind: str, lost: tuple[str, ...]) -> None:
    store, cache = RedisStore(RedisSettings.parse(redis_url(kind))), AnswerCache(1 << 20)
    for plan in PLANS.values():
        store.register_schema(block_schema(plan))
    for day in (1, 2):
        published(store, day, [*events("ann", day), *events("bob", day)], 100)
    names = store._catalog.names
    whole = answer(PLAN, store, "ann").events
    for kind_of_key in lost:
        store._link.one("UNLINK", getattr(names, kind_of_key)("click", b"ann"))
    for _ in range(2):
        found = answer(PLAN, store, "ann", cache=cache)
        assert found.events.is_empty()
        assert found.version is None
        assert found.freshness.corrupt_blocks > 0
        assert any("click" in text and "damaged block" in text for text in found.freshness.degraded)
    both = answers(PLAN, store, ["ann", "bob"])
    assert both.lengths == (0, 4)
    assert both.freshness.corrupt_blocks > 0
    assert answer(PLAN, store, "bob", cache=cache).version
    for day in (1, 2):
        published(store, day, [*events("ann", day), *events("bob", day)], 100)
    again = answer(PLAN, store, "ann", cache=cache)
    assert again.events.equals(whole)
    assert again.version
    store.close()
