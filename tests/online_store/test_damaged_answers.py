"""What is answered where a rolled up block of one user is damaged: everything else, and that something is missing."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest

from seqplat_resources.batch.publish.events import block_schema
from seqplat_resources.online_store import OnlineStore, RollSpan
from seqplat_resources.online_store.lmdb import LmdbStore
from seqplat_resources.online_store.rollup import rolls
from seqplat_resources.read.answer import Answer, answer, answers
from seqplat_resources.release.query import Query
from tests.online_store.test_damaged_records import damaged, put, stored
from tests.properties.streams import PLANS
from tests.read.test_honesty import PLAN
from tests.read.test_newest import event, published

USERS = ("ann", "bob")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LmdbStore]:
    """Four days of two users, of which the second and third are rolled up; the first is in another span."""
    made = LmdbStore(tmp_path / "online", sync=False)
    for plan in PLANS.values():
        made.register_schema(block_schema(plan))
    for day in range(1, 5):
        publish(made, day)
    span = RollSpan.of("2024-05-03").until("2024-05-03")
    for _ in range(4):  # until all kept epochs show the same
        publish(made, 4)
    [users] = made.rollable("click", span)
    assert made.roll_many("click", span, list(rolls(made, "click", users))) == 2
    yield made
    made.close()


def publish(store: OnlineStore, day: int, *more: str) -> None:
    rows = [event(f"{day}{name}", day, 10 * day, user=user) for user in USERS for name in ("a", *more)]
    published(store, day, rows, 100)  # type: ignore[arg-type]


def break_anns(store: LmdbStore, cut: int | None = None) -> None:
    for key, value in stored(store, b"r").items():
        if b"ann" in key:
            put(store, key, damaged(value) if cut is None else value[:cut])


def days_of(found: Answer) -> set[int]:
    return {at.day for at in found.events["event_time"]}


def test_an_answer_leaves_out_a_block_whose_days_are_damaged_and_says_so(store: LmdbStore) -> None:
    whole = answer(PLAN, store, "ann")
    for cut in (None, 0, 1, 20, 32):
        break_anns(store, cut)
        found = answer(PLAN, store, "ann")
        assert 0 < found.events.height < whole.events.height
        assert found.freshness.corrupt_blocks == 1
        assert any("1 damaged block left out (2024-05-" in text for text in found.freshness.degraded)
        assert found.version is None
        assert days_of(found) == {1, 4}


def test_a_batch_has_everybody_else_whole(store: LmdbStore) -> None:
    bob = answer(PLAN, store, "bob")
    break_anns(store, 0)
    found = answers(PLAN, store, ["bob", "ann", "nobody"], Query())
    assert found.lengths[0] == bob.events.height > found.lengths[1] > found.lengths[2] == 0
    assert found.freshness.corrupt_blocks == 1


def test_a_day_that_is_published_again_is_served_beside_the_damage(store: LmdbStore) -> None:
    break_anns(store)
    publish(store, 2, "b")
    found = answer(PLAN, store, "ann")
    assert days_of(found) == {1, 2, 4}


def test_a_query_for_days_that_are_whole_says_nothing_of_others(store: LmdbStore) -> None:
    break_anns(store)
    since = dt.datetime(2024, 5, 4, tzinfo=dt.UTC)
    assert answer(PLAN, store, "ann", Query(since=since)).freshness.corrupt_blocks == 0
    until = dt.datetime(2024, 5, 3, tzinfo=dt.UTC)
    assert answer(PLAN, store, "ann", Query(until=until)).freshness.corrupt_blocks == 1
