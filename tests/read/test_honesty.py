"""What an answer says where it is not all there is: damaged blocks, a deadline, a late batch; when it may be kept."""

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import pytest

from seqplat_resources.batch.publish.events import block_schema
from seqplat_resources.clock import Deadline
from seqplat_resources.online_store import HistoryBlock, NowBlock, OnlineStore, StoreSnapshot
from seqplat_resources.online_store.errors import EpochGoneError
from seqplat_resources.read.answer import answer, answers, version_of
from seqplat_resources.read.cache import AnswerCache
from seqplat_resources.read.freshness import freshness
from seqplat_resources.read.merge import newest as merge_view
from seqplat_resources.release.query import Query, QueryError, TopK
from seqplat_resources.release.sequence_plan import SequencePlan
from seqplat_resources.testing.memory.store import MemoryStore
from sequence_defs.schema import Sequence as SequenceDefinition
from tests.building import ManualClock, utc
from tests.merge_oracle import Row
from tests.properties.clicks import loaded
from tests.properties.streams import DEFINITIONS, PLANS
from tests.read.test_newest import P, event, published, streamed


def plan_of(**changes: Any) -> SequencePlan:
    definition = SequenceDefinition(
        name="recent", tenant="shop", event_types=("click",), columns=("item", "taste"), **changes
    )
    return SequencePlan.of(loaded(*DEFINITIONS, definition), "recent")


PLAN = plan_of()


@pytest.fixture
def store() -> MemoryStore:
    """Four days of two users, two events each."""
    made = MemoryStore()
    for plan in PLANS.values():
        made.register_schema(block_schema(plan))
    for day in (1, 2, 3, 4):
        published(made, day, [*events("ann", day), *events("bob", day)], 100)
    return made


def events(user: str, day: int) -> list[Row]:
    """Stored order: newest first."""
    return [event(f"{day}{half}", day, 10 * day + n, user=user) for n, half in ((1, "b"), (0, "a"))]


@dataclass
class Broken:
    """A store that gives some blocks back damaged, or is slow: its time passes with each block read."""

    store: OnlineStore
    damaged: Sequence[tuple[str, str]] = ()
    reads: int = 0

    @contextmanager
    def snapshot(self, **how: Any) -> Iterator[StoreSnapshot]:
        with self.store.snapshot(**how) as view:
            yield cast(StoreSnapshot, _BrokenView(view, self))


class _BrokenView:
    def __init__(self, view: StoreSnapshot, broken: Broken) -> None:
        self._view, self._broken = view, broken

    def __getattr__(self, name: str) -> Any:
        return getattr(self._view, name)

    def blocks(self, event_type: str, user: str, **bounds: Any) -> Iterator[HistoryBlock]:
        for block in self._view.blocks(event_type, user, **bounds):
            self._broken.reads += 1
            if (user, block.day) in self._broken.damaged:
                payload = bytes(block.payload)  # type: ignore[arg-type]
                yield HistoryBlock(block.day, payload[:40] + bytes([payload[40] ^ 1]) + payload[41:])
            else:
                yield block

    def now_blocks(self, event_type: str, user: str) -> list[NowBlock]:
        blocks = self._view.now_blocks(event_type, user)
        damaged = (user, "now") in self._broken.damaged
        return [NowBlock(b.sequence, b"XX" + bytes(b.payload)[2:]) if damaged else b for b in blocks]


class ReadsLeft(Deadline):
    """A deadline that is over after so many blocks."""

    def __init__(self, broken: Broken, reads: int) -> None:
        super().__init__(0.0)
        object.__setattr__(self, "_broken", broken)
        object.__setattr__(self, "_reads", reads)

    @property
    def is_over(self) -> bool:
        return bool(self._broken.reads > self._reads)  # type: ignore[attr-defined]


def broken(store: OnlineStore, *damaged: tuple[str, str]) -> tuple[OnlineStore, Broken]:
    made = Broken(store, damaged)
    return cast(OnlineStore, made), made


def ids(found: Any) -> list[str]:
    shown: list[str] = found.events["event_id"].to_list()
    return shown


def test_a_damaged_block_is_left_out_named_and_counted(store: MemoryStore) -> None:
    damaged, _ = broken(store, ("ann", "2024-05-03"))
    found = answer(PLAN, damaged, "ann")
    assert ids(found) == ["4b", "4a", "2b", "2a", "1b", "1a"]
    assert "click: 1 damaged block left out (2024-05-03)" in found.freshness.degraded
    assert (found.freshness.corrupt_blocks, found.freshness.partial, found.version) == (1, False, None)


def test_reading_goes_further_back_where_a_block_is_damaged(store: MemoryStore) -> None:
    damaged, _ = broken(store, ("ann", "2024-05-03"), ("ann", "2024-05-04"))
    found = answer(PLAN, damaged, "ann", Query(limit=3))
    assert ids(found) == ["2b", "2a", "1b"]
    assert "click: 2 damaged blocks left out (2024-05-03, 2024-05-04)" in found.freshness.degraded


def test_one_users_damaged_block_leaves_the_others_whole(store: MemoryStore) -> None:
    damaged, _ = broken(store, ("ann", "2024-05-03"))
    found = answers(PLAN, damaged, ["bob", "ann", "bob"], Query(limit=3))
    assert found.lengths == (3, 3, 3)
    assert ids(found) == ["4b", "4a", "3b", "4b", "4a", "2b", "4b", "4a", "3b"]
    assert found.freshness.corrupt_blocks == 1


def test_a_damaged_header_is_a_damaged_block(store: MemoryStore) -> None:
    streamed(store, [event("new", 4, 200)])
    damaged, _ = broken(store, ("ann", "now"))
    found = answer(PLAN, damaged, "ann", Query(limit=2))
    assert ids(found) == ["4b", "4a"]
    assert "click: 1 damaged block left out (now 1)" in found.freshness.degraded


def test_the_deadline_leaves_the_newest_that_is_whole(store: MemoryStore) -> None:
    slow, reads = broken(store)
    found = answer(PLAN, slow, "ann", deadline=ReadsLeft(reads, 2))
    assert ids(found) == ["4b", "4a", "3b", "3a"][: len(ids(found))]
    assert 0 < len(ids(found)) < 8
    fresh = found.freshness
    assert (fresh.partial, found.version) == (True, None)
    assert "the deadline is over: older days not read to the end" in fresh.degraded
    assert 0 < fresh.completeness < answer(PLAN, store, "ann").freshness.completeness


def test_users_that_the_deadline_leaves_unread_are_counted(store: MemoryStore) -> None:
    slow, reads = broken(store)
    found = answers(PLAN, slow, ["ann", "bob", "ann"], deadline=ReadsLeft(reads, 1))
    assert found.freshness.partial
    assert found.partial == (True, True, True)
    assert found.freshness.completeness == 0.0  # of one of them nothing was read
    assert any("of 3 users not read to the end" in text for text in found.freshness.degraded)
    assert len(found.lengths) == 3


@pytest.mark.parametrize("together", [1, 2])
def test_users_read_apart_are_told_of_as_one_batch(
    store: MemoryStore, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merge_view, "TOGETHER", together)
    damaged, reads = broken(store, ("ann", "2024-05-03"))
    found = answers(PLAN, damaged, ["bob", "ann", "bob"], Query(limit=3))
    assert (found.lengths, found.freshness.corrupt_blocks, found.partial) == ((3, 3, 3), 1, (False, False, False))
    assert ids(found) == ["4b", "4a", "3b", "4b", "4a", "2b", "4b", "4a", "3b"]
    reads.reads = 0
    found = answers(PLAN, damaged, ["bob", "ann"], Query(limit=3), deadline=ReadsLeft(reads, 3))
    assert found.partial[1]
    if together == 1:  # bob was done before time ran out
        assert (found.lengths[0], found.partial[0]) == (3, False)


def test_a_deadline_that_is_not_over_changes_nothing(store: MemoryStore) -> None:
    found = answer(PLAN, store, "ann", deadline=Deadline.after(60))
    assert found.events.equals(answer(PLAN, store, "ann").events)
    assert not found.freshness.partial
    assert answers(PLAN, store, ["ann", "bob"], deadline=Deadline.after(60)).partial == (False, False)


def test_days_that_are_over_and_not_built_are_missing_whatever_streams(store: MemoryStore) -> None:
    plan, clock = plan_of(), ManualClock(utc(2024, 5, 5, 23, 59))
    whole = freshness(plan, store, clock=clock)
    assert (whole.completeness, [text for text in whole.degraded if "not built" in text]) == (1.0, [])
    clock.time = utc(2024, 5, 6)
    late = freshness(plan, store, clock=clock)
    assert late.completeness == 4 / 5
    assert "click: 1 of 5 days not built, newest built 2024-05-04" in late.degraded
    # Whose event times run ahead of the clock makes no batch late, and who is silent does not make it look on time.
    streamed(store, [event("y", 9, 101, event_time=utc(2024, 5, 9, 1))])
    assert freshness(plan, store, clock=clock).completeness == 4 / 5


def test_where_nothing_is_published_the_version_knows_the_day(store: MemoryStore) -> None:
    """The window is then counted from our clock, and an answer that is kept must not outlive its day."""
    empty, cache = MemoryStore(), AnswerCache(1 << 20)
    for plan in PLANS.values():
        empty.register_schema(block_schema(plan))
    streamed(empty, [event("x", 4, 100), event("y", 5, 101, event_time=utc(2024, 5, 5, 1))])
    windowed, clock = plan_of(window_days=2), ManualClock(utc(2024, 5, 5, 23))
    before = answer(windowed, empty, "ann", clock=clock, cache=cache)
    assert before.events["event_id"].to_list() == ["y", "x"]
    assert version_of(windowed, empty, "ann", clock=clock)[0] == before.version
    clock.time = utc(2024, 5, 6)
    after = answer(windowed, empty, "ann", clock=clock, cache=cache)
    assert after.events["event_id"].to_list() == ["y"]
    assert version_of(windowed, empty, "ann", clock=clock)[0] == after.version != before.version
    # Published days do not pass, but for those that our clock has not reached.
    shown = {
        day: answer(windowed, store, "ann", clock=ManualClock(utc(2024, 5, day))).events["event_id"].to_list()
        for day in (3, 4, 5, 30)
    }
    assert shown[4] == shown[5] == shown[30] == ["4b", "4a", "3b", "3a"]
    assert shown[3] == ["4b", "4a", "3b", "3a", "2b", "2a"]


def test_the_version_changes_with_whatever_may_change_the_events(store: MemoryStore) -> None:
    windowed = plan_of(window_days=3)
    seen = [answer(windowed, store, "ann").version]
    assert version_of(windowed, store, "ann")[0] == seen[0]
    streamed(store, [event("x", 4, 100)])
    seen.append(answer(windowed, store, "ann").version)
    assert answer(PLAN, store, "bob").version == version_of(PLAN, store, "bob")[0]
    streamed(store, [event("y", 5, 101, user="bob", event_time=utc(2024, 5, 5))])
    assert answer(windowed, store, "ann").version == seen[-1], "no event of one user moves another's window"
    published(store, 4, events("ann", 4), 100)
    seen.append(answer(windowed, store, "ann").version)
    assert len({*seen}) == 3
    assert seen[-1] == version_of(windowed, store, "ann")[0]
    assert answer(windowed.restricted(["item"]), store, "ann").version != seen[-1]
    assert {P} == {name for name in store.stream_positions() if name == P}


def test_the_version_changes_where_a_day_becomes_due_that_is_not_built(store: MemoryStore) -> None:
    """Who has the answer would otherwise be told that it still holds, and go on reading that nothing is missing."""
    plan, clock, cache = plan_of(), ManualClock(utc(2024, 5, 5, 12)), AnswerCache(1 << 20)
    seen = [answer(plan, store, "ann", clock=clock, cache=cache)]
    clock.time += dt.timedelta(hours=11)
    assert version_of(plan, store, "ann", clock=clock)[0] == seen[0].version
    clock.time += dt.timedelta(hours=1)
    seen.append(answer(plan, store, "ann", clock=clock, cache=cache))
    assert [found.freshness.completeness for found in seen] == [1.0, 0.8]
    assert version_of(plan, store, "ann", clock=clock)[0] == seen[1].version != seen[0].version
    assert cache.hits == 1, "no event changed"


@pytest.mark.parametrize(
    ("query", "field", "what"),
    [
        (lambda: Query(since=dt.datetime(2024, 5, 1)), "since", "has no time zone"),
        (lambda: Query(since=utc(2024, 5, 2), until=utc(2024, 5, 2)), "until", "nothing is before"),
        (lambda: Query(limit=-1), "limit", "below 0"),
        (lambda: TopK("taste", (1.0, 2.0), 0), "top_k", "k is 0"),
        (lambda: TopK("taste", (1.0, float("nan")), 5), "vector", "not finite"),
        (lambda: TopK("taste", (), 5), "vector", "no numbers"),
        (lambda: TopK("taste", (0.0, 0.0), 5, "cosine"), "vector", "no direction"),
        (lambda: TopK("taste", (1.0, 1.0), 5, cast(Any, "hamming")), "metric", "no metric 'hamming'"),
        (lambda: Query(top_k=TopK("taste", (1.0,), 5)), "vector", "1 numbers, but the vectors of 'taste' have 2"),
        (lambda: Query(top_k=TopK("taste", (1e300, 0.0), 5)), "vector", "too large for products in float32"),
        (lambda: Query(top_k=TopK("item", (1.0,), 5)), "top_k", "column 'item' is int64, not a vector"),
        (lambda: Query(top_k=TopK("tastes", (1.0,), 5)), "top_k", "has no column 'tastes'"),
        (lambda: Query(event_types=["klick"]), "event_types", "has no event type 'klick'"),
        (lambda: Query(event_types=[]), "event_types", "none is given"),
        (lambda: Query(where="item"), "where", "not true or false"),
    ],
)
def test_what_cannot_be_answered_names_the_field(store: MemoryStore, query: Any, field: str, what: str) -> None:
    with pytest.raises(QueryError) as refused:
        answer(PLAN, store, "ann", query())
    assert (refused.value.field, what in refused.value.what) == (field, True), refused.value.what
    assert refused.value.fix


def test_columns_that_are_hidden_are_no_columns(store: MemoryStore) -> None:
    hidden = PLAN.restricted(["item"])
    assert list(hidden.columns) == ["event_time", "event_type", "event_id", "item"]
    for query in (Query(where="taste IS NULL"), Query(top_k=TopK("taste", (1.0, 0.0), 3))):
        with pytest.raises(QueryError, match="no column 'taste'") as refused:
            answer(hidden, store, "ann", query)
        assert "taste" not in refused.value.fix


def test_cosine_looks_at_the_direction_only(store: MemoryStore) -> None:
    found = answer(PLAN, store, "ann", Query(["taste"], top_k=TopK("taste", (3.0, 0.0), 2, "cosine"))).events
    vectors = found["taste"].to_list()
    lengths = [(a * a + b * b) ** 0.5 for a, b in vectors]
    assert found["similarity"].to_list() == pytest.approx([a / n for (a, _), n in zip(vectors, lengths, strict=True)])


class _Hasty:
    """A store that loses what its first snapshot read, as one across a network may."""

    def __init__(self, store: OnlineStore, losses: int) -> None:
        self._store, self.losses = store, losses

    @contextmanager
    def snapshot(self, **how: Any) -> Iterator[StoreSnapshot]:
        with self._store.snapshot(**how) as view:
            yield view
        if self.losses:
            self.losses -= 1
            raise EpochGoneError("click", 1, kept=(2,))


def test_an_epoch_that_is_gone_meanwhile_is_read_once_more(store: MemoryStore) -> None:
    assert ids(answer(PLAN, cast(OnlineStore, _Hasty(store, 1)), "ann", Query(limit=1))) == ["4b"]
    assert answers(PLAN, cast(OnlineStore, _Hasty(store, 1)), ["ann"], Query(limit=1)).lengths == (1,)
    with pytest.raises(EpochGoneError):
        answer(PLAN, cast(OnlineStore, _Hasty(store, 2)), "ann")


def test_no_events_of_the_most_similar_have_all_columns(store: MemoryStore) -> None:
    query = Query(["item"], limit=0, top_k=TopK("taste", (1.0, 0.0), 3))
    assert answer(PLAN, store, "ann", query).events.columns == ["item", "similarity"]
    assert answers(PLAN, store, ["ann", "bob"], query).lengths == (0, 0)


def test_the_most_similar_come_first_also_where_as_many_are_asked_as_there_may_be(store: MemoryStore) -> None:
    found = answer(plan_of(length=4), store, "ann", Query(["taste"], top_k=TopK("taste", (1.0, 0.0), 4))).events
    scores = found["similarity"].to_list()
    assert len(set(scores)) > 1
    assert scores == sorted(scores, reverse=True)
