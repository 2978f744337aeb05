"""What every online store promises, asked of each implementation."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace

import polars as pl
import pytest

from seqplat_resources.online_store import (
    ANY_EPOCH,
    BlockSchema,
    BucketVersion,
    BucketWrite,
    Epoch,
    HistoryBlock,
    OnlineStore,
    PublishResult,
    encode_bucket,
)
from seqplat_resources.online_store.errors import (
    EpochConflictError,
    EpochGoneError,
    InvalidKeyError,
    SchemaCollisionError,
    UnknownSchemaError,
)
from tests.online_stores import history, publish_one

VIEW = "item_view"
SCHEMA = BlockSchema.of({"n": "int64"})
D1, D2, D3 = "2024-03-01", "2024-03-02", "2024-03-03"


def block(n: int) -> bytes:
    events = pl.DataFrame({"user_id": ["u"], "n": [n]})
    return next(encode_bucket(events, SCHEMA))[1]


def bucket(**users: int) -> list[tuple[str, bytes]]:
    return [(user, block(n)) for user, n in users.items()]


def version_of(blocks: list[tuple[str, bytes]]) -> BucketVersion:
    return BucketVersion(delta_version=7, rows=len(blocks), users=len(blocks), high_water={"topic[0]": 41})


def put(
    store: OnlineStore, day: str, blocks: list[tuple[str, bytes]], *, expected: int | None = ANY_EPOCH
) -> PublishResult:
    return publish_one(store, VIEW, day, blocks, bucket=version_of(blocks), release="r1", expected_epoch=expected)


def seen(store: OnlineStore, user: str, *, epoch: int | None = None) -> list[HistoryBlock]:
    return history(store, user, VIEW, epoch=epoch)


def everything(store: OnlineStore, *, epoch: int | None = None) -> Mapping[str, list[HistoryBlock]]:
    with store.snapshot(epochs=None if epoch is None else {VIEW: epoch}) as view:
        found = {user: [one.kept() for one in view.blocks(VIEW, user)] for user in ("ann", "bob", "cid", "dan")}
    return {user: blocks for user, blocks in found.items() if blocks}


@pytest.fixture
def store(online_store: OnlineStore) -> OnlineStore:
    online_store.register_schema(SCHEMA)
    return online_store


def test_nothing_published_is_nothing_read(store: OnlineStore) -> None:
    assert store.epoch(VIEW) is None
    assert store.kept_epochs(VIEW) == ()
    assert seen(store, "ann") == []
    assert everything(store) == {}
    assert store.stats().event_types == ()


def test_first_publication_is_epoch_one_and_readable(store: OnlineStore) -> None:
    result = put(store, D1, bucket(ann=1, bob=2), expected=None)
    assert result == PublishResult(1, users_written=2, bytes_written=len(block(1)) + len(block(2)))
    assert seen(store, "ann") == [HistoryBlock(D1, block(1))]
    assert seen(store, "nobody") == []


def test_epoch_tells_what_was_published(store: OnlineStore) -> None:
    put(store, D2, bucket(ann=1))
    put(store, D1, bucket(ann=1, bob=2))
    epoch = store.epoch(VIEW)
    assert epoch is not None
    assert (epoch.event_type, epoch.epoch, epoch.release, list(epoch.buckets)) == (VIEW, 2, "r1", [D1, D2])
    shown = epoch.buckets[D1]
    assert (shown.delta_version, shown.rows, shown.users, shown.high_water) == (7, 2, 2, {"topic[0]": 41})
    assert Epoch.from_json(epoch.to_json()) == epoch


def test_an_epoch_keeps_what_its_days_were_made_by_each_text_once(store: OnlineStore) -> None:
    """A day of the same rows costs no block to be published under another meaning."""
    put(store, D1, bucket(ann=1))
    old = store.epoch(VIEW)
    assert old is not None
    assert "meaning" not in old.to_json()  # as earlier versions wrote it
    made = [replace(old.buckets[D1], meaning=text, version=0) for text in ('{"rows": "a"}', '{"rows": "b"}')]
    writes = [BucketWrite(day, bucket(ann=1), made[number]) for number, day in ((0, D1), (0, D2), (1, D3))]
    assert store.publish_many(VIEW, writes, release="r2", expected_epoch=ANY_EPOCH).users_unchanged == 1
    epoch = store.epoch(VIEW)
    assert epoch is not None
    assert [epoch.buckets[day].meaning for day in (D1, D2, D3)] == [made[0].meaning, made[0].meaning, made[1].meaning]
    assert epoch.to_json().count(r"\"a\"") == 1
    assert Epoch.from_json(epoch.to_json()) == epoch


def test_days_come_newest_first_whatever_the_order_of_publication(store: OnlineStore) -> None:
    for day, n in ((D2, 2), (D3, 3), (D1, 1)):
        put(store, day, bucket(ann=n))
    assert [item.day for item in seen(store, "ann")] == [D3, D2, D1]


def test_day_bounds_are_inclusive(store: OnlineStore) -> None:
    for day in (D1, D2, D3):
        put(store, day, bucket(ann=1))
    days = {
        (since, until): [b.day for b in history(store, "ann", VIEW, since_day=since, until_day=until)]
        for since, until in [(None, D2), (D2, None), (D2, D2), (D3, D1), ("2000-01-01", "2030-01-01")]
    }
    assert list(days.values()) == [[D2, D1], [D3, D2], [D2], [], [D3, D2, D1]]


def test_reader_may_stop_early(store: OnlineStore) -> None:
    for day in (D1, D2, D3):
        put(store, day, bucket(ann=1))
    with store.snapshot() as view:
        assert next(view.blocks(VIEW, "ann")).day == D3


def test_event_types_do_not_mix(store: OnlineStore) -> None:
    put(store, D1, bucket(ann=1))
    publish_one(store, "item", D1, bucket(ann=9), bucket=BucketVersion(1, 1, 1), release="r1", expected_epoch=None)
    assert {name: history(store, "ann", name) for name in (VIEW, "item", "none")} == {
        VIEW: [HistoryBlock(D1, block(1))],
        "item": [HistoryBlock(D1, block(9))],
        "none": [],
    }
    assert [stats.event_type for stats in store.stats().event_types] == ["item", VIEW]


@pytest.mark.parametrize("users", [["a", "a\0", "a\0b", "ab", "b"], ["é", "e\u0301", "🦊", " ", "x" * 256, "汉" * 85]])
def test_users_do_not_mix(store: OnlineStore, users: list[str]) -> None:
    for day in (D1, D2):
        put(store, day, [(user, block(n)) for n, user in enumerate(users)])
    expected = {user: [HistoryBlock(D2, block(n)), HistoryBlock(D1, block(n))] for n, user in enumerate(users)}
    assert {user: seen(store, user) for user in users} == expected


def test_only_changed_users_are_written(store: OnlineStore) -> None:
    put(store, D1, bucket(ann=1, bob=2, cid=3))
    result = put(store, D1, bucket(ann=1, bob=20, dan=4))
    assert result == PublishResult(2, 2, 1, 1, len(block(20)) + len(block(4)))
    assert everything(store).keys() == {"ann", "bob", "dan"}
    assert seen(store, "bob") == [HistoryBlock(D1, block(20))]


def test_publishing_twice_changes_nothing_but_the_epoch(store: OnlineStore) -> None:
    put(store, D1, bucket(ann=1, bob=2))
    before = everything(store)
    assert put(store, D1, bucket(ann=1, bob=2)) == PublishResult(2, users_unchanged=2)
    assert everything(store) == before


def test_user_may_leave_and_return(store: OnlineStore) -> None:
    for blocks in (bucket(ann=1), [], bucket(ann=1)):
        put(store, D1, blocks)
    assert seen(store, "ann") == [HistoryBlock(D1, block(1))]
    assert seen(store, "ann", epoch=2) == []


def test_many_days_become_visible_as_one_epoch(store: OnlineStore) -> None:
    put(store, D1, bucket(ann=1))

    def writes() -> Iterator[BucketWrite]:
        for n, day in enumerate((D1, D2, D3)):
            yield BucketWrite(day, bucket(ann=n, bob=n), BucketVersion(1, 2, 2))
            assert seen(store, "ann") == [HistoryBlock(D1, block(1))]

    result = store.publish_many(VIEW, writes(), release="r2", expected_epoch=1)
    assert (result.epoch, result.users_written) == (2, 6)
    assert [item.day for item in seen(store, "bob")] == [D3, D2, D1]


def test_dropped_day_leaves_the_view_and_can_return(store: OnlineStore) -> None:
    for day in (D1, D2):
        put(store, day, bucket(ann=1))
    store.publish_many(VIEW, [], release="r1", expected_epoch=2, drop_days=[D1])
    assert [item.day for item in seen(store, "ann")] == [D2]
    store.prune(VIEW, keep_epochs=1)
    put(store, D1, bucket(ann=1))
    assert [item.day for item in seen(store, "ann")] == [D2, D1]


def test_unexpected_epoch_is_a_conflict_and_changes_nothing(store: OnlineStore) -> None:
    put(store, D1, bucket(ann=1), expected=None)
    for expected in (None, 0, 2):
        with pytest.raises(EpochConflictError, match=rf"item_view is at epoch 1, not at the expected {expected}; read"):
            put(store, D1, bucket(ann=5), expected=expected)
    assert everything(store) == {"ann": [HistoryBlock(D1, block(1))]}


@pytest.mark.parametrize("other_day", [D1, D2])
def test_of_two_publishers_with_the_same_expectation_one_wins(store: OnlineStore, other_day: str) -> None:
    def slow() -> Iterator[tuple[str, bytes]]:
        yield from bucket(ann=1)
        put(store, other_day, bucket(bob=2), expected=None)
        yield from bucket(cid=3)

    with pytest.raises(EpochConflictError):
        publish_one(store, VIEW, D1, slow(), bucket=BucketVersion(1, 2, 2), release="r1", expected_epoch=None)
    assert everything(store) == {"bob": [HistoryBlock(other_day, block(2))]}
    # What the loser left behind must not show through when its bucket is published after all.
    put(store, D1, bucket(dan=4), expected=1)
    assert everything(store)["dan"] == [HistoryBlock(D1, block(4))]
    assert not everything(store).keys() & {"ann", "cid"}


def test_publishers_of_other_days_may_interleave(store: OnlineStore) -> None:
    def slow() -> Iterator[tuple[str, bytes]]:
        yield from bucket(ann=1)
        put(store, D2, bucket(ann=2))

    result = publish_one(store, VIEW, D1, slow(), bucket=BucketVersion(1, 1, 1), release="r1", expected_epoch=ANY_EPOCH)
    assert result.epoch == 2
    assert seen(store, "ann") == [HistoryBlock(D2, block(2)), HistoryBlock(D1, block(1))]


def test_failed_publication_shows_nothing_and_the_next_one_is_right(store: OnlineStore) -> None:
    put(store, D1, bucket(ann=1, bob=2))

    def broken() -> Iterator[tuple[str, bytes]]:
        yield from bucket(ann=10, cid=30)
        raise RuntimeError("the lake went away")

    with pytest.raises(RuntimeError, match="went away"):
        publish_one(store, VIEW, D1, broken(), bucket=BucketVersion(1, 2, 2), release="r1", expected_epoch=1)
    assert everything(store) == {"ann": [HistoryBlock(D1, block(1))], "bob": [HistoryBlock(D1, block(2))]}
    put(store, D1, bucket(ann=1), expected=1)
    assert everything(store) == {"ann": [HistoryBlock(D1, block(1))]}


def test_snapshot_does_not_move_under_a_publication(store: OnlineStore) -> None:
    put(store, D1, bucket(ann=1))
    with store.snapshot() as view:
        put(store, D1, bucket(ann=2))
        assert list(view.blocks(VIEW, "ann")) == [HistoryBlock(D1, block(1))]
        assert view.epoch(VIEW) != store.epoch(VIEW)


def test_held_epoch_is_read_across_snapshots(store: OnlineStore) -> None:
    put(store, D1, bucket(ann=1, bob=1))
    put(store, D2, bucket(ann=2))
    put(store, D1, bucket(ann=3))
    assert everything(store, epoch=1) == {"ann": [HistoryBlock(D1, block(1))], "bob": [HistoryBlock(D1, block(1))]}
    assert seen(store, "ann", epoch=2) == [HistoryBlock(D2, block(2)), HistoryBlock(D1, block(1))]
    assert seen(store, "ann") == [HistoryBlock(D2, block(2)), HistoryBlock(D1, block(3))]


def test_epoch_that_is_not_kept_is_refused(store: OnlineStore) -> None:
    for n in range(6):
        put(store, D1, bucket(ann=n))
    assert store.kept_epochs(VIEW) == (3, 4, 5, 6)
    assert [seen(store, "ann", epoch=epoch)[0].payload for epoch in (3, 4, 5, 6)] == [block(n) for n in (2, 3, 4, 5)]
    for gone in (2, 7):
        with pytest.raises(EpochGoneError, match=rf"epoch {gone} of item_view is not in the store, which keeps \[3, 4"):
            seen(store, "ann", epoch=gone)


def test_rollback_shows_the_old_view_under_a_new_number(store: OnlineStore) -> None:
    put(store, D1, bucket(ann=1, bob=2))
    first = everything(store)
    put(store, D1, bucket(ann=10))
    put(store, D2, bucket(ann=20))
    rolled = store.rollback(VIEW, to_epoch=1, expected_epoch=3)
    assert (rolled.epoch, list(rolled.buckets)) == (4, [D1])
    assert everything(store) == first
    with pytest.raises(EpochConflictError):
        store.rollback(VIEW, to_epoch=1, expected_epoch=3)
    with pytest.raises(EpochGoneError):
        store.rollback(VIEW, to_epoch=9, expected_epoch=4)


def test_publishing_after_a_rollback_shows_exactly_what_was_published(store: OnlineStore) -> None:
    put(store, D1, bucket(ann=1, bob=2, cid=3))
    put(store, D1, bucket(ann=10, bob=2))
    store.rollback(VIEW, to_epoch=1, expected_epoch=2)
    put(store, D1, bucket(ann=1, bob=20, cid=3), expected=3)
    assert everything(store) == {
        user: [HistoryBlock(D1, block(n))] for user, n in {"ann": 1, "bob": 20, "cid": 3}.items()
    }
    assert everything(store, epoch=2).keys() == {"ann", "bob"}


def test_prune_keeps_what_kept_epochs_show(store: OnlineStore) -> None:
    for n in range(3):
        put(store, D1, bucket(ann=n, bob=7))
    put(store, D1, bucket(bob=7))
    before = {epoch: everything(store, epoch=epoch) for epoch in (3, 4)}
    assert store.prune(VIEW, keep_epochs=2) > 0
    assert store.kept_epochs(VIEW) == (3, 4)
    assert {epoch: everything(store, epoch=epoch) for epoch in (3, 4)} == before
    store.prune(VIEW, keep_epochs=1)
    assert everything(store) == before[4]
    assert store.prune(VIEW, keep_epochs=1) == 0


def test_pruning_beside_a_publication_is_harmless(store: OnlineStore) -> None:
    """Also on a day that only a failed publication has touched: the publisher is right, or is told to try again."""

    def broken() -> Iterator[tuple[str, bytes]]:
        yield from bucket(ann=1, bob=2)
        raise RuntimeError("killed")

    def pruned_meanwhile() -> Iterator[tuple[str, bytes]]:
        yield from bucket(ann=1)
        store.prune(VIEW, keep_epochs=1)
        yield from bucket(bob=2)

    put(store, D2, bucket(cid=3))
    for day in (D1, D2):
        with pytest.raises(RuntimeError, match="killed"):
            publish_one(
                store, VIEW, day, broken(), bucket=BucketVersion(1, 2, 2), release="r1", expected_epoch=ANY_EPOCH
            )
        for _ in range(2):
            with contextlib.suppress(EpochConflictError):
                publish_one(
                    store,
                    VIEW,
                    day,
                    pruned_meanwhile(),
                    bucket=BucketVersion(1, 2, 2),
                    release="r1",
                    expected_epoch=ANY_EPOCH,
                )
        put(store, day, bucket(ann=1, bob=2))
        shown = everything(store)
        assert [HistoryBlock(day, block(1))] == [found for found in shown["ann"] if found.day == day]
        assert [HistoryBlock(day, block(2))] == [found for found in shown["bob"] if found.day == day]


def test_schema_is_registered_once_and_found_by_id(store: OnlineStore) -> None:
    assert store.register_schema(SCHEMA) == SCHEMA.schema_id
    assert store.schema(SCHEMA.schema_id) == SCHEMA
    assert store.schema(1) is None


def test_schema_with_the_same_id_is_refused(store: OnlineStore) -> None:
    twin = BlockSchema.of({"m": "int64"})
    twin.__dict__["schema_id"] = SCHEMA.schema_id
    with pytest.raises(SchemaCollisionError, match=r'known \[\["n","int64"\]\], new \[\["m","int64"\]\]; rename'):
        store.register_schema(twin)


def test_block_of_an_unknown_schema_is_not_published(store: OnlineStore) -> None:
    other = BlockSchema.of({"m": "int8"})
    events = pl.DataFrame({"user_id": ["ann"], "m": [1]}, schema_overrides={"m": pl.Int8})
    blocks = list(encode_bucket(events, other))
    with pytest.raises(UnknownSchemaError, match="is not registered, in a block published to item_view; call register"):
        put(store, D1, blocks)
    assert store.epoch(VIEW) is None


@pytest.mark.parametrize("user", ["", "x" * 257, "\ud800"])
def test_user_that_cannot_be_a_key_is_refused(store: OnlineStore, user: str) -> None:
    with pytest.raises(InvalidKeyError, match="user id"):
        put(store, D1, [(user, block(1))])
    with pytest.raises(InvalidKeyError, match="user id"):
        history(store, user, VIEW)


@pytest.mark.parametrize("day", ["2024-3-1", "20240301", "2024-W01-1", "yesterday", ""])
def test_day_that_is_not_iso_is_refused(store: OnlineStore, day: str) -> None:
    with pytest.raises(InvalidKeyError, match="is not a day, in a bucket key; write it as YYYY-MM-DD"):
        put(store, day, bucket(ann=1))


def test_day_twice_in_one_publication_is_refused(store: OnlineStore) -> None:
    write = BucketWrite(D1, bucket(ann=1), BucketVersion(1, 1, 1))
    with pytest.raises(InvalidKeyError, match="day 2024-03-01 comes twice, in one publication of item_view"):
        store.publish_many(VIEW, [write, write], release="r1", expected_epoch=None)


def test_stats_sum_up_the_current_epoch(store: OnlineStore) -> None:
    put(store, D1, bucket(ann=1, bob=1))
    put(store, D2, bucket(ann=1))
    stats = store.stats()
    assert stats.size_bytes > 0
    [view] = stats.event_types
    assert (view.epoch, view.days, view.rows, view.user_days, view.kept_epochs) == (2, 2, 3, 3, 2)


def test_expired_days_are_shown_no_more_and_come_back_by_nothing(store: OnlineStore) -> None:
    put(store, D1, bucket(ann=1))
    put(store, D2, bucket(ann=2))
    store.publish_many(VIEW, [], release="r2", expected_epoch=2, expired_before=D2)
    assert [found.day for found in seen(store, "ann")] == [D2]
    store.rollback(VIEW, to_epoch=2, expected_epoch=3)
    put(store, D1, bucket(ann=10))
    assert [found.day for found in seen(store, "ann")] == [D2]
    epoch = store.epoch(VIEW)
    assert epoch is not None
    assert (epoch.expired_before, list(epoch.buckets)) == (D2, [D2])
    with pytest.raises(InvalidKeyError):
        store.publish_many(VIEW, [], release="r", expected_epoch=ANY_EPOCH, expired_before="2024")
    store.publish_many(VIEW, [], release="r", expected_epoch=ANY_EPOCH, expired_before="")  # kept for longer again
    put(store, D1, bucket(ann=10))
    assert [found.day for found in seen(store, "ann")] == [D2, D1]


def test_a_server_tells_its_time_and_a_folder_has_none(store: OnlineStore) -> None:
    at_ms = store.clock_ms()
    assert at_ms is None or abs(at_ms / 1000 - time.time()) < 60
