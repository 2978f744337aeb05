"""What every online store promises of its now view, asked of each implementation."""

from collections.abc import Mapping

import polars as pl
import pytest

from seqplat_resources.online_store import (
    ANY_EPOCH,
    Advance,
    BlockSchema,
    BucketVersion,
    Eviction,
    Fold,
    NowStats,
    NowWrite,
    OnlineStore,
    StreamPosition,
    encode_bucket,
)
from seqplat_resources.online_store.errors import (
    FencedStreamError,
    InvalidKeyError,
    InvalidNowWriteError,
    StreamPositionError,
    UnknownSchemaError,
)
from tests.online_stores import fold_one, now_payloads, publish_one

VIEW, BUY = "item_view", "buy"
SCHEMA = BlockSchema.of({"n": "int64"})
D1, D2, D3 = "2024-03-01", "2024-03-02", "2024-03-03"
P, Q = "views:0", "views:1"


def block(n: int) -> bytes:
    return next(encode_bucket(pl.DataFrame({"user_id": ["u"], "n": [n]}), SCHEMA))[1]


def write(reach: Mapping[str, Mapping[str, int]], *, event_type: str = VIEW, **users: int) -> NowWrite:
    return NowWrite(event_type, ((user, block(n)) for user, n in users.items()), reach)


def step(start: int, end: int, *, token: int = 1, lag_ms: int = 7, at_ms: int = 1000) -> Advance:
    return Advance(start, end, token, lag_ms, at_ms)


def add(store: OnlineStore, end: int, *, day: str = D1, partition: str = P, **users: int) -> None:
    """One more batch of ``day``, up to offset ``end``."""
    stored = store.stream_positions().get(partition)
    start = stored.next_offset if stored else 0
    store.advance([write({day: {partition: end}}, **users)], {partition: step(start, end, at_ms=1000 + end)})


def publish(store: OnlineStore, day: str, **high_water: int) -> None:
    marks = {f"views:{name[1:]}": mark for name, mark in high_water.items()}
    bucket = BucketVersion(1, 0, 0, marks)
    publish_one(store, VIEW, day, [], bucket=bucket, release="r1", expected_epoch=ANY_EPOCH)


def seen(store: OnlineStore, user: str, event_type: str = VIEW) -> list[bytes]:
    with store.snapshot() as view:
        return now_payloads(view, event_type, user)


def sequences(store: OnlineStore, user: str) -> list[int]:
    with store.snapshot() as view:
        return [found.sequence for found in view.now_blocks(VIEW, user)]


def newest_day(store: OnlineStore) -> str | None:
    with store.snapshot() as view:
        return view.newest_now_day(VIEW)


@pytest.fixture
def store(online_store: OnlineStore) -> OnlineStore:
    online_store.register_schema(SCHEMA)
    return online_store


def test_nothing_streamed_is_nothing_read(store: OnlineStore) -> None:
    assert seen(store, "ann") == []
    assert store.stream_positions() == {}
    assert newest_day(store) is None
    assert store.now_stats(VIEW) == NowStats(0, 0, 0, None)
    assert store.crowded(VIEW, 0) == []
    assert store.evict(VIEW) == Eviction(0, 0, 0, None)


def test_a_batch_is_readable_with_its_position(store: OnlineStore) -> None:
    batch = write({D1: {P: 12}}, ann=1, bob=2)
    store.advance([batch], {P: step(10, 12, token=3, lag_ms=40, at_ms=5000)})
    assert seen(store, "ann") == [block(1)]
    assert seen(store, "nobody") == []
    assert seen(store, "ann", BUY) == []
    assert store.stream_positions() == {P: StreamPosition(12, 3, 40, 5000)}
    assert store.now_stats(VIEW) == NowStats(1, 2, len(block(1)) + len(block(2)), 5000)


def test_now_blocks_come_oldest_first(store: OnlineStore) -> None:
    for n in range(300):
        add(store, n + 1, ann=n)
    assert seen(store, "ann") == [block(n) for n in range(300)]
    assert sequences(store, "ann") == sorted(sequences(store, "ann"))


def test_one_advance_writes_several_event_types_and_partitions(store: OnlineStore) -> None:
    writes = [write({D1: {P: 2, Q: 5}}, ann=1), write({D2: {Q: 4}}, event_type=BUY, ann=2, bob=3)]
    store.advance(writes, {P: step(0, 2), Q: step(0, 5)})
    assert (seen(store, "ann"), seen(store, "ann", BUY), seen(store, "bob", BUY)) == (
        [block(1)],
        [block(2)],
        [block(3)],
    )
    assert {name: found.next_offset for name, found in store.stream_positions().items()} == {P: 2, Q: 5}


@pytest.mark.parametrize("users", [["a", "a\0", "a\0b", "ab", "b"], ["é", "e\u0301", "🦊", " ", "x" * 256, "汉" * 85]])
def test_users_do_not_mix(store: OnlineStore, users: list[str]) -> None:
    for end in (1, 2):
        add(store, end, **{user: n for n, user in enumerate(users)})
    assert {user: seen(store, user) for user in users} == {user: [block(n)] * 2 for n, user in enumerate(users)}
    assert sorted(store.crowded(VIEW, 1)) == sorted(users)
    publish(store, D1, p0=2)
    assert store.evict(VIEW) == Eviction(2 * len(users), 2, 0, None)
    assert not any(seen(store, user) for user in users)


def test_positions_of_one_topic(store: OnlineStore) -> None:
    names = ["views:0", "views:1", "views", "view:0", "views:x:0", "viewsx:0", "é:7"]
    store.advance([], {name: step(n, n) for n, name in enumerate(names)})
    with store.snapshot() as view:
        assert view.stream_positions().keys() == set(names)
        assert {name: found.next_offset for name, found in view.stream_positions("views").items()} == {P: 0, Q: 1}
        assert view.stream_positions("é").keys() == {"é:7"}
        assert view.stream_positions("none") == {}


def test_a_replayed_batch_is_refused_and_changes_nothing(store: OnlineStore) -> None:
    add(store, 5, ann=1)
    for start, harm in ((0, "repeat"), (6, "leave out")):
        with pytest.raises(
            StreamPositionError, match=rf"views:0 up to offset 5, so a batch that starts at {start}"
        ) as got:
            store.advance([write({D1: {P: 9}}, ann=2)], {P: step(start, 9)})
        assert harm in str(got.value)
        assert (got.value.partition, got.value.stored, got.value.start) == (P, 5, start)
    assert seen(store, "ann") == [block(1)]
    assert store.stream_positions()[P].next_offset == 5


def test_a_writer_that_resumes_learns_that_its_store_is_gone(store: OnlineStore) -> None:
    """An empty store in the place of the one it wrote to lacks what was streamed until now."""
    gone = Advance(5, 9, 1, 0, 0, resumes=True)
    for writes in ([], [write({D1: {P: 9}}, ann=2)]):
        with pytest.raises(StreamPositionError, match="knows nothing of views:0, of which messages up to offset 5"):
            store.advance(writes, {P: gone})
    assert store.stream_positions() == {}
    assert seen(store, "ann") == []
    add(store, 5, ann=1)
    store.advance([write({D1: {P: 9}}, ann=2)], {P: gone})
    assert len(seen(store, "ann")) == 2


def test_a_refused_partition_holds_back_the_others(store: OnlineStore) -> None:
    add(store, 5, ann=1)
    with pytest.raises(StreamPositionError):
        store.advance([write({D1: {P: 6, Q: 3}}, ann=2)], {Q: step(0, 3), P: step(4, 6)})
    assert store.stream_positions().keys() == {P}
    assert seen(store, "ann") == [block(1)]


def test_an_older_token_is_refused_before_the_position_is_looked_at(store: OnlineStore) -> None:
    store.advance([], {P: step(5, 5, token=4)})
    for start in (0, 5):
        with pytest.raises(
            FencedStreamError, match="views:0 was advanced under token 4, which is newer than this"
        ) as got:
            store.advance([write({D1: {P: 9}}, ann=2)], {P: step(start, 9, token=3)})
        assert (got.value.partition, got.value.mine, got.value.theirs) == (P, 3, 4)
    assert seen(store, "ann") == []


def test_what_has_to_be_read_again_is_remembered_until_it_is(store: OnlineStore) -> None:
    store.advance([], {P: Advance(2, 2, 0, 0, 1000, until=9)})
    assert store.stream_positions() == {P: StreamPosition(2, 0, 0, 1000, until=9)}
    for end, unread in ((2, 7), (8, 1), (9, 0), (12, 0)):
        at = store.stream_positions()[P]
        store.advance([], {P: Advance(at.next_offset, end, 1, 0, 2000, resumes=True, until=9)})
        with store.snapshot() as view:
            assert view.stream_positions("views")[P].unread == unread
    assert store.stream_positions() == {P: StreamPosition(12, 1, 0, 2000)}


def test_a_heartbeat_renews_lag_time_and_token_only(store: OnlineStore) -> None:
    add(store, 5, ann=1)
    store.advance([], {P: step(5, 5, token=2, lag_ms=0, at_ms=9000)})
    assert store.stream_positions() == {P: StreamPosition(5, 2, 0, 9000)}
    assert store.now_stats(VIEW).batches == 1
    with pytest.raises(StreamPositionError):
        store.advance([], {P: step(4, 4, token=2)})


def test_a_write_without_users_only_moves_the_position(store: OnlineStore) -> None:
    store.advance([write({})], {P: step(0, 3)})
    assert store.now_stats(VIEW).batches == 0
    assert store.stream_positions()[P].next_offset == 3


def test_batches_that_contradict_themselves_are_refused(store: OnlineStore) -> None:
    reach = {D1: {P: 1}}
    twice = NowWrite(VIEW, [("ann", block(1)), ("ann", block(2))], reach)
    for writes, partitions, message in (
        ([twice], {P: step(0, 1)}, "a user comes twice, in the now blocks of item_view"),
        ([write(reach, ann=1), write(reach, bob=1)], {P: step(0, 1)}, "of item_view, item_view one comes twice"),
        ([write({}, ann=1)], {P: step(0, 1)}, "rows have no reach, in the now blocks of item_view"),
        ([write(reach, ann=1)], {}, "blocks come from no source partition"),
        ([write(reach, ann=1)], {P: step(2, 1)}, "views:0 ends at 1, before its start 2"),
    ):
        with pytest.raises(InvalidNowWriteError, match=message):
            store.advance(writes, partitions)
    for bad in (write({"1 May": {P: 1}}, ann=1), write(reach, **{"": 1}), write(reach, event_type="", ann=1)):
        with pytest.raises(InvalidKeyError):
            store.advance([bad], {P: step(0, 1)})
    with pytest.raises(InvalidKeyError):
        store.advance([write(reach, ann=1)], {"": step(0, 1)})
    assert store.stream_positions() == {}
    assert seen(store, "ann") == []


def test_unregistered_schema_is_refused_and_changes_nothing(store: OnlineStore) -> None:
    other = BlockSchema.of({"m": "int64"})
    [(_, unknown)] = encode_bucket(pl.DataFrame({"user_id": ["u"], "m": [1]}), other)
    with pytest.raises(UnknownSchemaError):
        store.advance([NowWrite(VIEW, [("ann", block(1)), ("bob", unknown)], {D1: {P: 1}})], {P: step(0, 1)})
    assert (seen(store, "ann"), store.stream_positions()) == ([], {})
    add(store, 1, ann=1)
    with pytest.raises(UnknownSchemaError):
        fold_one(store, VIEW, "ann", sequences(store, "ann"), unknown)


def test_snapshot_does_not_move_under_an_advance_an_eviction_or_a_fold(store: OnlineStore) -> None:
    add(store, 1, ann=1)
    add(store, 2, ann=2)
    with store.snapshot() as view:
        expected = (
            now_payloads(view, VIEW, "ann"),
            view.stream_positions(),
            view.newest_now_day(VIEW),
            view.epoch(VIEW),
        )
        add(store, 3, day=D2, ann=3)
        fold_one(store, VIEW, "ann", sequences(store, "ann"), block(9))
        publish(store, D1, p0=9)
        publish(store, D2, p0=9)
        store.evict(VIEW)
        assert (
            now_payloads(view, VIEW, "ann"),
            view.stream_positions(),
            view.newest_now_day(VIEW),
            view.epoch(VIEW),
        ) == expected


def test_only_a_batch_that_is_covered_whole_leaves(store: OnlineStore) -> None:
    store.advance([write({D1: {P: 3, Q: 2}, D2: {P: 5}}, ann=1)], {P: step(0, 5), Q: step(0, 2)})
    assert store.evict(VIEW) == Eviction(0, 0, 1, (D1, P))
    for day, high_water, held_by in (
        (D1, {"p0": 3}, (D1, Q)),
        (D1, {"p0": 3, "p1": 2}, (D1, Q)),  # the epoch before is kept
        (D2, {"p0": 4}, (D1, Q)),
        (D2, {"p0": 5, "p1": 99}, (D1, Q)),
    ):
        publish(store, day, **high_water)
        assert store.evict(VIEW) == Eviction(0, 0, 1, held_by)
    store.prune(VIEW, keep_epochs=2)
    assert store.evict(VIEW).held_by == (D2, P)
    store.prune(VIEW, keep_epochs=1)
    assert store.evict(VIEW) == Eviction(1, 1, 0, None)
    assert (seen(store, "ann"), newest_day(store), store.now_stats(VIEW)) == ([], None, NowStats(0, 0, 0, None))


def test_rows_of_expired_days_hold_up_no_batch(store: OnlineStore) -> None:
    add(store, 1, day=D1, ann=1)
    add(store, 2, day=D2, ann=2)
    publish(store, D1, p0=1)
    add(store, 3, day=D1, ann=3)  # nobody will build the day again
    store.publish_many(VIEW, [], release="r", expected_epoch=ANY_EPOCH, drop_days=[D1], expired_before=D2)
    assert store.evict(VIEW).held_by == (D2, P)
    publish(store, D2, p0=2)
    store.prune(VIEW, keep_epochs=1)
    assert store.evict(VIEW) == Eviction(2, 2, 0, None)


def test_batches_leave_strictly_oldest_first(store: OnlineStore) -> None:
    add(store, 1, day=D2, ann=1)
    add(store, 2, day=D1, ann=2)
    add(store, 3, day=D1, ann=3)
    publish(store, D1, p0=9)
    assert store.evict(VIEW) == Eviction(0, 0, 3, (D2, P))
    assert seen(store, "ann") == [block(1), block(2), block(3)]
    publish(store, D2, p0=1)
    store.prune(VIEW, keep_epochs=1)
    assert store.evict(VIEW) == Eviction(3, 3, 0, None)


def test_what_a_rollback_would_uncover_stays(store: OnlineStore) -> None:
    publish(store, D1, p0=0)
    add(store, 1, ann=1)
    publish(store, D1, p0=1)
    assert store.evict(VIEW) == Eviction(0, 0, 1, (D1, P))
    store.rollback(VIEW, to_epoch=1, expected_epoch=2)
    assert seen(store, "ann") == [block(1)]


def test_readers_pass_by_what_only_older_epochs_need(store: OnlineStore) -> None:
    publish(store, D1, p0=0)
    for end in (1, 2, 3):
        add(store, end, ann=end)
    publish(store, D1, p0=2)
    assert store.evict(VIEW) == Eviction(0, 0, 3, (D1, P))
    assert seen(store, "ann") == [block(3)]
    add(store, 4, ann=4)
    assert seen(store, "ann") == [block(3), block(4)]
    with store.snapshot(epochs={VIEW: 1}) as view:
        assert now_payloads(view, VIEW, "ann") == [block(n) for n in (1, 2, 3, 4)]
    publish(store, D2, p0=0)  # nothing is known of a new epoch before the next eviction
    assert seen(store, "ann") == [block(n) for n in (1, 2, 3, 4)]
    store.evict(VIEW)
    assert seen(store, "ann") == [block(3), block(4)]
    store.rollback(VIEW, to_epoch=1, expected_epoch=3)
    store.evict(VIEW)
    assert seen(store, "ann") == [block(n) for n in (1, 2, 3, 4)]


def test_a_folded_block_is_passed_by_when_all_of_it_is_covered(store: OnlineStore) -> None:
    publish(store, D1, p0=0)
    for end in (1, 2, 3):
        add(store, end, ann=end)
    first, second, _ = sequences(store, "ann")
    fold_one(store, VIEW, "ann", [first, second], block(12))
    publish(store, D1, p0=1)
    store.evict(VIEW)
    assert seen(store, "ann") == [block(12), block(3)]
    publish(store, D1, p0=2)
    store.evict(VIEW)
    assert seen(store, "ann") == [block(3)]


def test_an_eviction_of_many_users_is_whole(store: OnlineStore, monkeypatch: pytest.MonkeyPatch) -> None:
    from seqplat_resources.online_store import lmdb, redis

    monkeypatch.setattr(lmdb.now, "STRIDE", 7)
    monkeypatch.setattr(redis.batch_list, "STRIDE", 7)
    users = {f"u{n}": n for n in range(40)}
    for end in (1, 2, 3):
        add(store, end, **users)
    publish(store, D1, p0=2)
    assert store.evict(VIEW) == Eviction(80, 2, 1, (D1, P))
    assert all(len(seen(store, user)) == 1 for user in users)
    assert store.now_stats(VIEW).blocks == 40
    assert store.evict(VIEW) == Eviction(0, 0, 1, (D1, P))


def test_newest_day_is_that_of_all_users_and_follows_eviction(store: OnlineStore) -> None:
    add(store, 1, day=D3, ann=1)
    add(store, 2, day=D1, bob=1)
    assert newest_day(store) == D3
    publish(store, D3, p0=1)
    store.evict(VIEW)
    assert newest_day(store) == D1


def test_fold_puts_one_block_where_the_newest_was(store: OnlineStore) -> None:
    for end in (1, 2, 3, 4):
        add(store, end, ann=end, bob=end)
    assert sorted(store.crowded(VIEW, 3)) == ["ann", "bob"]
    assert store.crowded(VIEW, 4) == []
    first, second, third, fourth = sequences(store, "ann")
    assert fold_one(store, VIEW, "ann", [first, third, second], block(123))
    assert seen(store, "ann") == [block(123), block(4)]
    assert sequences(store, "ann") == [third, fourth]
    assert seen(store, "bob") == [block(n) for n in (1, 2, 3, 4)]
    assert store.crowded(VIEW, 3) == ["bob"]
    stats = store.now_stats(VIEW)
    assert (stats.batches, stats.blocks) == (4, 6)
    assert stats.size_bytes == sum(map(len, [*seen(store, "ann"), *seen(store, "bob")]))


def test_a_fold_of_blocks_that_left_is_passed_over(store: OnlineStore) -> None:
    for end in (1, 2, 3):
        add(store, end, ann=end)
    mine = sequences(store, "ann")
    publish(store, D1, p0=1)
    store.evict(VIEW)
    before = store.now_stats(VIEW)
    assert not fold_one(store, VIEW, "ann", mine, block(123))
    assert not fold_one(store, VIEW, "ann", [], block(123))
    assert not fold_one(store, VIEW, "nobody", mine, block(123))
    assert (seen(store, "ann"), store.now_stats(VIEW)) == ([block(2), block(3)], before)


def test_a_folded_block_leaves_with_its_newest_batch(store: OnlineStore) -> None:
    for end in (1, 2, 3):
        add(store, end, ann=end, bob=end)
    first, second, third = sequences(store, "ann")
    assert store.fold_many(VIEW, [Fold("ann", (first, second), block(12)), Fold("cid", (first, second), block(0))]) == 1
    publish(store, D1, p0=1)
    assert store.evict(VIEW) == Eviction(1, 1, 2, (D1, P))
    assert (seen(store, "ann"), seen(store, "bob")) == ([block(12), block(3)], [block(2), block(3)])
    publish(store, D1, p0=2)
    store.prune(VIEW, keep_epochs=1)
    assert store.evict(VIEW) == Eviction(2, 1, 1, (D1, P))
    assert (seen(store, "ann"), sequences(store, "ann")) == ([block(3)], [third])
