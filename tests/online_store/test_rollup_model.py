"""Whatever is published, dropped, rolled back, pruned and rolled up, in any order and broken off anywhere: every kept
epoch shows what a plain dictionary says it does."""

import datetime as dt
import tempfile
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seqplat_resources.online_store import (
    ANY_EPOCH,
    BlockSchema,
    BucketVersion,
    BucketWrite,
    HistoryBlock,
    OnlineStore,
    RollSpan,
    decode_blocks,
    encode_bucket,
    keys,
    rollup,
)
from seqplat_resources.online_store.lmdb import LmdbStore, rolled
from seqplat_resources.testing.memory.store import MemoryStore
from tests.budget import examples
from tests.online_stores import publish_one

VIEW, OTHER = "view", "views"
SCHEMA = BlockSchema.of({"event_time": "timestamp", "n": "int64"})
LOOKUP = {SCHEMA.schema_id: SCHEMA}.get
USERS = ("a", "b", "ab")
# The last day is the first of another span.
DAYS = ("2024-03-25", "2024-03-26", "2024-03-27", "2024-04-03", "2024-04-05")
SPANS = (RollSpan.of(DAYS[0]), RollSpan.of(DAYS[-1]))
KEPT = 3

# Day -> user -> n: n + 1 rows that say n.
Content = Mapping[str, Mapping[str, int]]


def test_the_days_are_of_two_spans() -> None:
    assert {RollSpan.of(day) for day in DAYS} == set(SPANS)
    assert len(set(SPANS)) == 2


def block(day: str, n: int) -> bytes:
    noon = dt.datetime.fromisoformat(f"{day}T12:00:00+00:00")
    times = [noon - dt.timedelta(seconds=k) for k in range(n + 1)]
    events = pl.DataFrame({"user_id": ["u"] * (n + 1), "event_time": times, "n": [n] * (n + 1)})
    return next(encode_bucket(events.cast({"event_time": pl.Datetime("us", "UTC")}), SCHEMA))[1]


BLOCKS = {(day, n): block(day, n) for day in DAYS for n in range(3)}


class Interrupted(Exception):
    """The publisher's source broke off."""


class Model:
    """Epochs as dictionaries."""

    def __init__(self) -> None:
        self.epochs: dict[int, Content] = {}
        self.last = 0

    def append(self, content: Content, keep: int = KEPT) -> None:
        self.last += 1
        self.epochs[self.last] = content
        self.keep(keep)

    def keep(self, count: int) -> None:
        self.epochs = dict(sorted(self.epochs.items())[-count:])

    @property
    def head(self) -> Content:
        return self.epochs.get(self.last, {})


users = st.dictionaries(st.sampled_from(USERS), st.integers(0, 2))
contents = st.dictionaries(st.sampled_from(DAYS), users, min_size=1)
steps = st.one_of(
    st.tuples(st.just("publish"), contents, st.sets(st.sampled_from(DAYS), max_size=2)),
    st.tuples(st.just("publish"), contents, st.just(set[str]())),
    st.tuples(st.just("fail"), st.sampled_from(DAYS), users),
    st.tuples(st.just("rollback"), st.integers(1, 2)),
    st.tuples(st.just("prune"), st.integers(1, 3)),
    st.tuples(st.just("roll"), st.sampled_from(SPANS), st.integers(1, 3), st.none() | contents),
    st.tuples(st.just("roll"), st.sampled_from(SPANS), st.integers(1, 3), st.none()),
)


def blocks_of(day: str, content: Mapping[str, int], *, broken: bool = False) -> Iterator[tuple[str, bytes]]:
    yield from ((user, BLOCKS[day, n]) for user, n in content.items())
    if broken:
        raise Interrupted


def publish(store: OnlineStore, model: Model, content: Content, dropped: set[str]) -> None:
    writes = [BucketWrite(day, blocks_of(day, users), BucketVersion(1, 1, 1)) for day, users in content.items()]
    store.publish_many(VIEW, writes, release="r", expected_epoch=ANY_EPOCH, drop_days=dropped)
    after = {**model.head, **content}
    model.append({day: users for day, users in after.items() if day not in dropped})


def apply(store: OnlineStore, model: Model, step: tuple[object, ...]) -> None:
    match step:
        case ("publish", dict(content), set(dropped)):
            publish(store, model, content, dropped - content.keys())
        case ("fail", str(day), dict(content)):
            failing, bucket = blocks_of(day, content, broken=True), BucketVersion(1, 1, 1)
            with pytest.raises(Interrupted):
                publish_one(store, VIEW, day, failing, bucket=bucket, release="r", expected_epoch=ANY_EPOCH)
        case ("rollback", int(back)) if model.last - back in model.epochs:
            store.rollback(VIEW, to_epoch=model.last - back, expected_epoch=model.last)
            model.append(model.epochs[model.last - back])
        case ("prune", int(keep)):
            store.prune(VIEW, keep_epochs=keep)
            model.keep(keep)
        case ("roll", RollSpan() as span, int(users), meanwhile):
            # Some users only: as if it had been killed. And perhaps somebody publishes between reading and writing.
            found = [one for chunk in store.rollable(VIEW, span) for one in chunk][:users]
            rolls = list(rollup.rolls(store, VIEW, found))
            if isinstance(meanwhile, dict):
                publish(store, model, meanwhile, set())
            done = store.roll_many(VIEW, span, rolls)
            assert meanwhile is not None or done == len(rolls)


def rows_of(blocks: list[HistoryBlock]) -> list[tuple[str, int]]:
    """Rows that count, by the rules that a reader has: and the promises about order and overlap."""
    assert [found.day for found in blocks] == sorted((found.day for found in blocks), reverse=True)
    several = [found for found in blocks if found.first_day != found.day]
    assert all(later.first_day > earlier.day for later, earlier in pairwise(several))
    rows: list[tuple[str, int]] = []
    for found in blocks:
        frame = decode_blocks([found.payload], LOOKUP)
        dated = list(zip(frame["event_time"].dt.date().cast(pl.String).to_list(), frame["n"].to_list(), strict=True))
        assert all(found.first_day <= day <= found.day for day, _ in dated)
        counting = [row for row in dated if row[0] not in found.superseded]
        assert counting, "a block without rows that count"
        assert [day for day, _ in dated] == sorted((day for day, _ in dated), reverse=True)
        rows += counting
    return sorted(rows)


def check(store: OnlineStore, model: Model) -> None:
    assert store.kept_epochs(VIEW) == tuple(model.epochs)
    for number, content in model.epochs.items():
        with store.snapshot(epochs={VIEW: number}) as view:
            shown = {user: rows_of(list(view.blocks(VIEW, user))) for user in USERS}
            assert shown == {user: expected(content, user) for user in USERS}
            for since, until in ((DAYS[1], DAYS[2]), (None, DAYS[0]), (DAYS[3], None), (DAYS[2], DAYS[2])):
                between = rows_of(list(view.blocks(VIEW, "a", since_day=since, until_day=until)))
                inside = [row for row in between if (since or "") <= row[0] <= (until or "9")]
                assert inside == [row for row in shown["a"] if (since or "") <= row[0] <= (until or "9")]


def check_that_heads_can_be_done_without(store: LmdbStore) -> None:
    """What a reader takes a record with a damaged head for: every day it has is supposed, and entries beside it are
    newer, so that none of them is shown in its place."""
    with store._environment.read() as transaction:
        stored = list(transaction.cursor())
        for key, value in stored:
            if key[:1] == b"r":
                record, supposed = rolled.RolledRecord.of(key, value), rolled.record(transaction, key, b"")
                assert record.days.keys() <= supposed.days.keys()
                same_user = keys.blocks_of_user(key[1 : 2 + key[1]], rolled._user(key))
                entries = [keys.day_and_version(other) for other, _ in stored if other.startswith(same_user)]
                assert all(version > record.days.get(day, 0) for day, version in entries)


def expected(content: Content, user: str) -> list[tuple[str, int]]:
    found = [(day, users[user]) for day, users in content.items() if user in users]
    return sorted((day, n) for day, n in found for _ in range(n + 1))


ROLL = ("roll", SPANS[0], 3, None)
D1, D2, D3 = DAYS[:3]


@settings(max_examples=examples(60))
@given(st.lists(steps, max_size=14), st.booleans())
# The user leaves a day that is rolled up, that was dropped and pruned, or that was pruned but for the block.
@example([("publish", {D1: {"a": 0}, D2: {"a": 0}}, set()), ROLL, ("publish", {D1: {"b": 0}}, set())], False)
@example(
    [
        ("publish", {D1: {"a": 0}, D2: {"a": 0}}, set()),
        ROLL,
        ("publish", {D3: {}}, {D1}),
        ("prune", 1),
        ("publish", {D1: {"b": 1}}, set()),
    ],
    False,
)
@example(
    [
        ("publish", {D1: {"a": 0}, D2: {"a": 0}}, set()),
        ROLL,
        ("publish", {D1: {}}, set()),
        ("publish", {D3: {}}, {D1}),
        ("prune", 1),
        ("publish", {D1: {"b": 1}}, set()),
    ],
    False,
)
# What was rolled up is seen by nobody after a rollback, and the digest that the next publication meets describes it.
@example(
    [
        ("publish", {D1: {}, D2: {"a": 0}, D3: {"a": 0}}, set()),
        ("publish", {D1: {"a": 0}}, set()),
        ROLL,
        ("rollback", 1),
        ("publish", {D2: {"a": 2}}, set()),
        ("prune", 1),
        ROLL,
        ("publish", {D1: {"a": 0}}, set()),
    ],
    False,
)
def test_every_kept_epoch_shows_what_was_published(history: list[tuple[object, ...]], in_memory: bool) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patched:
        patched.setattr(rollup, "BLOCK_ROWS", 4)  # so that a span's rows make several blocks
        store: OnlineStore = (
            MemoryStore(keep_epochs=KEPT) if in_memory else LmdbStore(Path(folder), keep_epochs=KEPT, sync=False)
        )
        store.register_schema(SCHEMA)
        # A neighbour whose name begins alike, with everything rolled up, must not be touched.
        neighbour = [BucketWrite(day, blocks_of(day, {"a": 1}), BucketVersion(1, 1, 1)) for day in DAYS]
        store.publish_many(OTHER, neighbour, release="r", expected_epoch=ANY_EPOCH)
        for span in SPANS:
            for chunk in store.rollable(OTHER, span):
                store.roll_many(OTHER, span, list(rollup.rolls(store, OTHER, chunk)))
        model = Model()
        for step in history:
            apply(store, model, step)
            check(store, model)
            if isinstance(store, LmdbStore):
                check_that_heads_can_be_done_without(store)
        with store.snapshot() as view:
            assert rows_of(list(view.blocks(OTHER, "a"))) == sorted((day, 1) for day in DAYS for _ in range(2))
        store.close()
