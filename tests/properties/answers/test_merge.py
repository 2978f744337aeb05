"""Whatever stream, batch, eviction, rollback and folding do in whatever order, the answer is the oracle's."""

import contextlib
import datetime as dt
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqplat_resources.batch.publish.events import block_schema
from seqplat_resources.online_store import OnlineStore, rollup
from seqplat_resources.online_store.errors import StreamPositionError
from seqplat_resources.online_store.folding import fold_crowded
from seqplat_resources.read.answer import answer
from seqplat_resources.release.query import Query
from seqplat_resources.release.sequence_plan import SequencePlan
from sequence_defs.schema import Sequence
from tests.budget import examples
from tests.building import ManualClock
from tests.merge_oracle import Marks, Row, World, best
from tests.online_stores import empty_store
from tests.properties.clicks import loaded
from tests.properties.streams import (
    DAYS,
    DEFINITIONS,
    PARTITIONS,
    PLANS,
    TYPES,
    USERS,
    histories,
    publish,
    stream,
    with_a_clock_ahead,
)

SHOWN = ("event_type", "event_id", "event_time", "value")
LENGTHS = (None, 1, 2, 4)
KEEP_EPOCHS = 3


def plan_of(window_days: int | None) -> SequencePlan:
    definition = Sequence(
        name="recent", tenant="shop", event_types=TYPES, columns=("item",), length=100, window_days=window_days
    )
    return SequencePlan.of(loaded(*DEFINITIONS, definition), "recent")


WINDOWED = {window_days: plan_of(window_days) for window_days in (None, 1, 2)}

cuts = st.tuples(st.integers(0, 4), st.integers(0, 4))
types = st.sampled_from((*TYPES, "click"))
some_days = st.one_of(st.just(set(DAYS)), st.sets(st.sampled_from(DAYS), min_size=1))
steps = st.one_of(
    st.tuples(st.just("stream"), cuts),
    st.tuples(st.just("stream"), cuts),
    st.tuples(st.just("replay"), st.integers(1, 3)),
    st.tuples(st.just("publish"), types, some_days, cuts),
    st.tuples(st.just("publish"), types, some_days, cuts),
    st.tuples(st.just("publish"), types, some_days, cuts),
    st.tuples(st.just("evict"), types),
    st.tuples(st.just("rollback"), types, st.integers(1, 2)),
    st.tuples(st.just("evict and roll back"), types, st.integers(1, 2)),
    st.tuples(st.just("prune"), types, st.integers(1, 2)),
    st.tuples(st.just("fold"), types, st.integers(1, 2)),
    st.tuples(st.just("roll up"), types),
    st.tuples(st.just("roll up"), types),
)


class Run:
    """A world, and the stores that should tell of it."""

    def __init__(
        self,
        rows: list[Row],
        stores: tuple[OnlineStore, ...],
        *,
        batch_may_lead: bool,
        filtered: frozenset[int],
        today: str = DAYS[-1],
    ) -> None:
        self.world = World(rows, filtered, dict.fromkeys(PARTITIONS, 0), dt.date.fromisoformat(today))
        self.clock = ManualClock(dt.datetime.combine(self.world.today, dt.time(23), dt.UTC))
        self.stores, self.batch_may_lead = stores, batch_may_lead
        self.consumed = dict.fromkeys(PARTITIONS, 0)
        self.ends = {name: sum(row["source_partition"] == name for row in rows) for name in PARTITIONS}
        for store in stores:
            for plan in PLANS.values():
                store.register_schema(block_schema(plan))

    def apply(self, step: tuple[Any, ...]) -> None:
        match step:
            case ("stream", counts):
                before, after = self.world.streamed, self._moved(self.world.streamed, counts)
                for store in self.stores:
                    stream(store, self.world.rows, before, after)
                self.world.streamed = after
            case ("replay", back):
                starts = {name: max(0, at - back) for name, at in self.world.streamed.items()}
                for store in self.stores if starts != self.world.streamed else ():
                    with pytest.raises(StreamPositionError):
                        stream(store, self.world.rows, starts, self.world.streamed)
            case ("publish", event_type, days, counts):
                self.consumed = self._moved(self.consumed, counts)
                if not self.batch_may_lead:
                    self.consumed = {name: min(at, self.world.streamed[name]) for name, at in self.consumed.items()}
                self._publish(event_type, sorted(days))
            case ("evict", event_type):
                evictions = [store.evict(event_type) for store in self.stores]
                assert len(set(evictions)) == 1
            case ("evict and roll back", event_type, back):
                self.apply(("evict", event_type))
                self.apply(("rollback", event_type, back))
            case ("rollback", event_type, back):
                self._rollback(event_type, back)
            case ("prune", event_type, keep):
                for store in self.stores:
                    store.prune(event_type, keep_epochs=keep)
            case ("roll up", event_type):
                # Days are rolled up when they are three days old and four; here there are four at all.
                with mock.patch.multiple(rollup, KEEP_DAYS=0, LEAST_DAYS=1, LEAST_DAYS_OF_FULL_SPAN=1):
                    for store in self.stores:
                        rollup.roll_up(store, event_type)
            case ("fold", event_type, more_than):
                for store in self.stores:
                    fold_crowded(store, event_type, more_than=more_than)
                    assert store.crowded(event_type, more_than) == []

    def check(self, window_days: int | None) -> None:
        plan = WINDOWED[window_days]
        for user in USERS:
            expected = shown(self.world.answer(user, TYPES, window_days=window_days))
            for store in self.stores:
                for length in LENGTHS:
                    events = answer(plan, store, user, Query(limit=length), clock=self.clock).events.rename(
                        {"item": "value"}
                    )
                    assert events.select(SHOWN).rows() == expected[:length], (type(store).__name__, user, length)
                subset = answer(plan, store, user, Query(["item"], 3), clock=self.clock).events
                assert subset["item"].to_list() == [row[-1] for row in expected[:3]]

    def _publish(self, event_type: str, days: list[str]) -> None:
        before = {user: visible(self.world, user) for user in USERS}
        self.world.publish(event_type, days, self.consumed)
        current = self.world.current(event_type)
        for store in self.stores:
            publish(store, event_type, {day: current[day] for day in days}, self.world.rows)
        if not self.batch_may_lead:
            for user in USERS:
                removed = before[user] - visible(self.world, user)
                assert removed <= retracted(self.world, self.world.streamed) | filtered(self.world)

    def _rollback(self, event_type: str, back: int) -> None:
        kept = self.stores[0].kept_epochs(event_type)
        assert all(store.kept_epochs(event_type) == kept for store in self.stores)
        if len(kept) > back:
            for store in self.stores:
                store.rollback(event_type, to_epoch=kept[-1 - back], expected_epoch=kept[-1])
            self.world.rollback(event_type, kept[-1 - back])

    def _moved(self, marks: Marks, counts: tuple[int, ...]) -> dict[str, int]:
        wanted = zip(PARTITIONS, counts, strict=True)
        return {name: min(self.ends[name], marks[name] + count) for name, count in wanted}


def shown(rows: list[Row]) -> list[tuple[object, ...]]:
    return [tuple(row[name] for name in SHOWN) for row in rows]


def visible(world: World, user: str) -> set[tuple[str, str, str]]:
    return {identity(row) for row in world.answer(user, TYPES)}


def retracted(world: World, marks: Marks) -> set[tuple[str, str, str]]:
    """Events whose highest rev up to ``marks`` retracts them, or has a copy that does: batch may know only that one."""
    known = [row for row in world.rows if row["offset"] < marks[row["source_partition"]]]
    highest = {identity(row): row["rev"] for row in best(known)}
    return {identity(row) for row in known if row["op"] == "retract" and row["rev"] == highest[identity(row)]}


def filtered(world: World) -> set[tuple[str, str, str]]:
    """Events of which batch leaves out a row on purpose."""
    return {identity(row) for row in world.rows if row["value"] in world.filtered}


def identity(row: Row) -> tuple[str, str, str]:
    return row["event_type"], row["user"], row["event_id"]


@contextlib.contextmanager
def stores_of(*kinds: str) -> Iterator[tuple[OnlineStore, ...]]:
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        yield tuple(stack.enter_context(empty_store(kind, Path(folder), keep_epochs=KEEP_EPOCHS)) for kind in kinds)


interleavings = {
    "rows": histories(),
    "history": st.lists(steps, min_size=4, max_size=14),
    "window_days": st.sampled_from([None, None, 1, 2]),
    "batch_may_lead": st.booleans(),
    "removed": st.frozensets(st.integers(0, 8), max_size=3),
    "today": st.sampled_from([DAYS[1], DAYS[-1], "2031-01-01"]),
}


@given(**interleavings)
def test_every_interleaving_answers_as_the_oracle(**interleaving: Any) -> None:
    """At every step; and in the end, all streamed and published, as batch alone would."""
    answers_as_the_oracle("memory", "lmdb", **interleaving)


@settings(max_examples=examples(10))
@given(**interleavings)
def test_every_interleaving_answers_as_the_oracle_on_a_server(**interleaving: Any) -> None:
    answers_as_the_oracle("redis", **interleaving)


@pytest.mark.slow
@settings(max_examples=examples(5))
@given(**interleavings)
def test_every_interleaving_answers_as_the_oracle_on_a_cluster(**interleaving: Any) -> None:
    answers_as_the_oracle("valkey cluster", **interleaving)


def answers_as_the_oracle(
    *kinds: str,
    rows: list[Row],
    history: list[tuple[Any, ...]],
    window_days: int | None,
    batch_may_lead: bool,
    removed: frozenset[int],
    today: str,
) -> None:
    with stores_of(*kinds) as stores:
        run = Run(rows, stores, batch_may_lead=batch_may_lead, filtered=removed, today=today)
        for step in history:
            run.apply(step)
            run.check(window_days)
        run.apply(("stream", (99, 99)))
        for event_type in TYPES:
            run.apply(("publish", event_type, DAYS, (99, 99)))
            run.apply(("prune", event_type, 1))
            run.apply(("evict", event_type))
            run.check(window_days)
            assert not any(store.now_stats(event_type).blocks for store in stores)
        kept = best(row for row in rows if row["value"] not in removed or row["rev"] > 0)
        standing = [row for row in kept if row["op"] != "retract" and row["value"] not in removed]
        for user in USERS:
            alone = {(*identity(row), row["value"]) for row in standing if row["user"] == user}
            assert {(*identity(row), row["value"]) for row in run.world.answer(user, TYPES)} == alone


@given(
    rows=histories(),
    history=st.lists(steps, min_size=3, max_size=8),
    window_days=st.sampled_from([1, 2]),
    today=interleavings["today"],
)
def test_no_message_moves_another_users_window(
    rows: list[Row], history: list[tuple[Any, ...]], window_days: int, today: str
) -> None:
    """Somebody's clock is years ahead: everybody else is answered as if he had said nothing."""
    with stores_of("memory", "lmdb") as stores, stores_of("memory", "lmdb") as others:
        run = Run(with_a_clock_ahead(rows), stores, batch_may_lead=False, filtered=frozenset(), today=today)
        without = Run(rows, others, batch_may_lead=False, filtered=frozenset(), today=today)
        run.apply(("stream", (1, 1)))
        run.consumed = dict.fromkeys(PARTITIONS, 1)
        for step in history:
            if step[0] != "replay":
                run.apply(step)
                without.apply(step)
            run.check(window_days)
            without.check(window_days)
            for user in USERS:
                alike = [each.world.answer(user, TYPES, window_days=window_days) for each in (run, without)]
                assert shown(alike[0]) == shown(alike[1])


@given(rows=histories(), cut=st.integers(0, 16), day=st.sampled_from(DAYS))
def test_publishing_twice_is_publishing_once(rows: list[Row], cut: int, day: str) -> None:
    with stores_of("memory", "lmdb") as stores:
        run = Run(rows, stores, batch_may_lead=False, filtered=frozenset())
        run.apply(("stream", (99, 99)))
        run.apply(("publish", "click", {day}, (cut, cut)))
        before = [answer(WINDOWED[None], store, user).events for store in stores for user in USERS]
        run.apply(("publish", "click", {day}, (0, 0)))
        after = [answer(WINDOWED[None], store, user).events for store in stores for user in USERS]
        assert all(one.equals(two) for one, two in zip(before, after, strict=True))


@given(rows=histories(), batches=st.lists(cuts, max_size=4), cut=cuts)
def test_a_rollback_after_an_eviction_finds_its_rows(
    rows: list[Row], batches: list[tuple[int, int]], cut: tuple[int, int]
) -> None:
    with stores_of("memory", "lmdb") as stores:
        run = Run(rows, stores, batch_may_lead=False, filtered=frozenset())
        for counts in [*batches, (99, 99)]:
            run.apply(("stream", counts))
        run.apply(("publish", "click", DAYS, cut))
        run.apply(("publish", "click", DAYS, (99, 99)))
        run.apply(("evict and roll back", "click", 1))
        run.check(None)


@given(
    rows=histories(max_size=10),
    built=st.permutations(DAYS),
    marks=st.lists(cuts, min_size=len(DAYS), max_size=len(DAYS)),
    streamed=st.booleans(),
)
def test_days_built_one_after_the_other_show_each_event_once(
    rows: list[Row], built: list[str], marks: list[tuple[int, int]], streamed: bool
) -> None:
    """Each later day has read more, so an event that moved may stand in two days, and either may be the older one."""
    with stores_of("memory", "lmdb") as stores:
        run = Run(rows, stores, batch_may_lead=True, filtered=frozenset())
        if streamed:
            run.apply(("stream", (99, 99)))
        for day, counts in zip(built, marks, strict=True):
            run.apply(("publish", "click", {day}, counts))
        run.check(None)
        run.check(2)
