"""How far a reader goes, and what streaming adds, on histories small enough to see through."""

import datetime as dt
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from seqplat_resources.batch.publish.events import block_schema
from seqplat_resources.online_store import OnlineStore
from seqplat_resources.online_store.folding import fold_crowded
from seqplat_resources.online_store.lmdb import LmdbStore
from seqplat_resources.read.answer import answer
from seqplat_resources.release.sequence_plan import SequencePlan
from seqplat_resources.testing.memory.store import MemoryStore
from sequence_defs.schema import Sequence as SequenceDefinition
from tests.building import utc
from tests.merge_oracle import Row
from tests.properties.clicks import loaded
from tests.properties.streams import DAYS, DEFINITIONS, PLANS, publish, stream

P, Q = "clicks:0", "clicks:1"


@pytest.fixture(params=["memory", "lmdb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OnlineStore]:
    made: OnlineStore = MemoryStore() if request.param == "memory" else LmdbStore(tmp_path / "online", sync=False)
    for plan in PLANS.values():
        made.register_schema(block_schema(plan))
    yield made
    made.close()


def plan_of(*, length: int | None = None, window_days: int | None = None) -> SequencePlan:
    definition = SequenceDefinition(
        name="recent", tenant="shop", event_types=("click",), columns=("item",), length=length, window_days=window_days
    )
    return SequencePlan.of(loaded(*DEFINITIONS, definition), "recent")


def event(name: str, day: int, offset: int, **changes: object) -> Row:
    """Noon of day 1 to 4, one row of partition 0."""
    at = utc(2024, 5, day, 12)
    return {
        "event_type": "click",
        "user": "ann",
        "event_id": name,
        "event_time": at,
        "ingest_time": at,
        "rev": 0,
        "op": "upsert",
        "source_partition": P,
        "offset": offset,
        "value": offset,
        **changes,
    }


def streamed(store: OnlineStore, rows: Sequence[Row]) -> None:
    stored = store.stream_positions().get(P)
    start, end = stored.next_offset if stored else 0, max(row["offset"] for row in rows) + 1
    stream(store, rows, {P: start, Q: 0}, {P: end, Q: 0})


def published(store: OnlineStore, day: int, rows: Sequence[Row], mark: int) -> None:
    publish(store, "click", {DAYS[day - 1]: ({P: mark}, rows)})


def ids(store: OnlineStore, **plan: int | None) -> list[str]:
    found: list[str] = answer(plan_of(**plan), store, "ann").events["event_id"].to_list()
    return found


def test_an_event_type_without_an_epoch_is_answered_from_the_now_view_alone(store: OnlineStore) -> None:
    streamed(store, [event("a", 1, 0), event("b", 2, 1)])
    found = answer(plan_of(), store, "ann")
    assert found.events["event_id"].to_list() == ["b", "a"]
    assert found.freshness.newest_event_time == utc(2024, 5, 2, 12)
    assert found.freshness.epoch == {"click": None}
    assert answer(plan_of(), store, "bob").events.is_empty()


def test_streamed_rows_hide_behind_the_bucket_that_read_them(store: OnlineStore) -> None:
    rows = [event("a", 1, 0), event("b", 1, 1)]
    streamed(store, rows)
    published(store, 1, [], 1)  # batch read `a` and left it out on purpose
    assert ids(store) == ["b"]
    published(store, 1, [], 2)
    assert ids(store) == []
    store.rollback("click", to_epoch=1, expected_epoch=2)
    assert ids(store) == ["b"]


def test_a_streamed_row_of_an_unread_day_does_not_push_out_history(store: OnlineStore) -> None:
    """Published events of day 2 come before the old streamed one, although it is at hand and they are not yet read."""
    streamed(store, [event("old", 1, 0)])
    published(store, 3, [event("new", 3, 1)], 2)
    published(store, 2, [event(f"mid{n}", 2, 2 + n) for n in range(2)], 4)
    assert ids(store, length=2) == ["new", "mid1"]
    assert ids(store, length=3) == ["new", "mid1", "mid0"]
    assert ids(store, length=9) == ["new", "mid1", "mid0", "old"]


def test_reading_goes_further_back_where_retractions_leave_too_few(store: OnlineStore) -> None:
    published(store, 3, [event("gone", 3, 5, op="retract", rev=1), event("c", 3, 4)], 9)
    published(store, 2, [event("b", 2, 1)], 9)
    published(store, 1, [event("a", 1, 0)], 9)
    assert ids(store, length=2) == ["c", "b"]
    assert ids(store) == ["c", "b", "a"]


def test_reading_goes_further_back_where_copies_leave_too_few(store: OnlineStore) -> None:
    streamed(store, [event("c", 3, 0), event("c", 3, 1), event("b", 3, 2, op="retract", rev=1)])
    published(store, 2, [event("b", 2, 1)], 0)
    published(store, 1, [event("a", 1, 0)], 0)
    assert ids(store, length=2) == ["c", "a"]


def test_a_late_copy_does_not_bring_back_what_was_retracted(store: OnlineStore) -> None:
    published(store, 1, [event("a", 1, 1, op="retract", rev=1)], 2)
    streamed(store, [event("a", 1, 5)])
    assert ids(store) == []


def test_a_move_to_an_older_day_is_seen_although_that_day_need_not_be_read(store: OnlineStore) -> None:
    published(store, 3, [event("moved", 3, 0), event("c", 3, 1)], 2)
    published(store, 2, [event("b", 2, 2)], 3)
    published(store, 1, [event("moved", 1, 3, rev=1)], 4)  # read after day 3 was built
    assert ids(store, length=2) == ["c", "b"]
    assert ids(store) == ["c", "b", "moved"]
    published(store, 3, [event("c", 3, 1)], 4)
    assert ids(store, length=2) == ["c", "b"]


def test_a_late_copy_of_a_moved_event_is_outranked_from_outside_the_window(store: OnlineStore) -> None:
    published(store, 1, [event("moved", 1, 3, rev=1)], 4)
    published(store, 3, [event("c", 3, 1)], 4)
    streamed(store, [event("moved", 3, 7)])
    assert ids(store, window_days=2) == ["c"]
    assert ids(store, length=1) == ["c"]
    assert ids(store) == ["c", "moved"]


def test_a_window_counts_back_from_the_newest_published_day_whatever_is_streamed(store: OnlineStore) -> None:
    published(store, 1, [event("a", 1, 0)], 1)
    published(store, 2, [event("b", 2, 1)], 2)
    assert ids(store, window_days=2) == ["b", "a"]
    streamed(store, [event("x", 3, 2, user="bob")])
    streamed(store, [event("ahead", 3, 3, user="bob", event_time=utc(2034, 1, 1))])
    assert ids(store, window_days=2) == ["b", "a"]
    published(store, 3, [event("x", 3, 2, user="bob")], 3)
    store.prune("click", keep_epochs=1)
    assert store.evict("click").batches_left == 1, "no batch comes to the day of the clock that is ahead"
    assert ids(store, window_days=2) == ["b"]


def test_folding_changes_blocks_but_no_answer(store: OnlineStore) -> None:
    for offset in range(6):
        streamed(store, [event(f"e{offset}", 1 + offset % 3, offset), event("x", 1, offset, user="bob")])
    before = {user: answer(plan_of(), store, user).events for user in ("ann", "bob")}
    assert fold_crowded(store, "click", more_than=9) == 0
    assert fold_crowded(store, "click", more_than=1) == 1 + 1
    assert store.now_stats("click").blocks == 2
    assert fold_crowded(store, "click", more_than=1) == 0
    assert all(answer(plan_of(), store, user).events.equals(events) for user, events in before.items())


def test_times_are_compared_as_instants(store: OnlineStore) -> None:
    """The newest now row is one microsecond before the oldest unread day's end: not yet to be counted."""
    last = utc(2024, 5, 2) - dt.timedelta(microseconds=1)
    streamed(store, [event("old", 1, 0, event_time=last)])
    published(store, 2, [event("b", 2, 1)], 2)
    published(store, 1, [event("a", 1, 2, event_time=last)], 0)
    assert ids(store, length=2) == ["b", "a"]
