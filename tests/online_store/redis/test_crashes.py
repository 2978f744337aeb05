"""Writers that die, sleep or are overtaken between any two of their commands: nothing half done is ever visible."""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import polars as pl
import pytest

from seqplat_resources.online_store import (
    ANY_EPOCH,
    Advance,
    BlockSchema,
    BucketVersion,
    BucketWrite,
    NowWrite,
    decode_blocks,
    encode_bucket,
)
from seqplat_resources.online_store.errors import (
    AdvanceGivenUpError,
    EpochConflictError,
    EpochGoneError,
    FencedStreamError,
    StreamPositionError,
)
from seqplat_resources.online_store.redis import RedisSettings, RedisStore, batch_list, bucket, upkeep
from seqplat_resources.online_store.redis.records.entries import BIRTH
from seqplat_resources.online_store.redis.wire.pipeline import exchange
from tests.online_store.interrupts import Killed, Links, SavedWorld, interrupted, killing
from tests.online_stores import fold_one, now_payloads, redis_url

VIEW, DAYS = "item_view", ("2024-03-01", "2024-03-02")
P = "views:0"
SCHEMA = BlockSchema.of({"generation": "int64"})
# In strides of two: of one all are missing in every other generation, of one some, of one none.
USERS = [f"user-{n:02}" for n in range(5)]
# Half of the commands of a round trip executed, all of them. None of them is all of the trip before.
SHARES = (0.5, 1.0)

Open = Callable[[], RedisStore]
# An empty store, or one that holds what another one did: what opens it again and again, as other processes would.
Worlds = Callable[[SavedWorld | None], Open]


@pytest.fixture(params=["redis", pytest.param("redis cluster", marks=pytest.mark.slow)])
def worlds(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worlds]:
    monkeypatch.setattr(bucket, "CHUNK_USERS", 2)
    monkeypatch.setattr(batch_list, "STRIDE", 2)
    monkeypatch.setattr(upkeep, "STRIDE", 2)
    with contextlib.closing(Links(monkeypatch)) as links:

        def world(saved: SavedWorld | None) -> Open:
            settings = RedisSettings.parse(redis_url(request.param))
            links.new_world()
            if saved is not None:
                saved.restore(settings)
                links.new_world()

            def another() -> RedisStore:
                store = RedisStore(settings)
                store.register_schema(SCHEMA)
                return store

            return another

        yield world


def users_of(generation: int) -> list[str]:
    """Each fourth user is missing in every other generation, so that removals are broken into as well."""
    return [user for n, user in enumerate(USERS) if n % 4 or generation % 2]


def publish(store: RedisStore, generation: int, *, days: tuple[str, ...] = DAYS, mark: int = 0) -> None:
    users, blocks = users_of(generation), blocks_of(generation)
    bucket = BucketVersion(generation, len(users), len(users), {P: mark})
    writes = [BucketWrite(day, blocks, bucket) for day in days]
    store.publish_many(VIEW, writes, release="r", expected_epoch=ANY_EPOCH)


@cache
def blocks_of(generation: int) -> list[tuple[str, bytes]]:
    users = users_of(generation)
    return list(encode_bucket(pl.DataFrame({"user_id": users, "generation": [generation] * len(users)}), SCHEMA))


def shown(store: RedisStore) -> dict[str, list[tuple[str, int]]]:
    """Of each user the days and what they say."""
    with store.snapshot() as view:
        found = {user: list(view.blocks(VIEW, user)) for user in USERS}
    return {user: [(block.day, value(block.payload)) for block in blocks] for user, blocks in found.items() if blocks}


def expected(generation: int) -> dict[str, list[tuple[str, int]]]:
    return {user: [(day, generation) for day in sorted(DAYS, reverse=True)] for user in users_of(generation)}


def value(block: Any) -> int:
    return values(block)[0]


def values(block: Any) -> list[int]:
    return decode_blocks([block], {SCHEMA.schema_id: SCHEMA}.get, {"generation": "int64"})["generation"].to_list()


def stream(store: RedisStore, number: int, *, token: int = 1) -> None:
    """Batch ``number`` has one row of each user."""
    blocks = encode_bucket(pl.DataFrame({"user_id": USERS, "generation": [number] * len(USERS)}), SCHEMA)
    advance = Advance(number, number + 1, token, 0, 0)
    store.advance([NowWrite(VIEW, blocks, {DAYS[0]: {P: number + 1}})], {P: advance})


def streamed(store: RedisStore) -> tuple[int, list[int]]:
    """The position, and the batches of which all users have a row; of no batch only some may have one."""
    with store.snapshot() as view:
        position = view.stream_positions()[P].next_offset if view.stream_positions() else 0
        found = [sorted(value(block) for block in now_payloads(view, VIEW, user)) for user in USERS]
    assert all(one == found[0] for one in found)
    return position, found[0]


def leftovers(store: RedisStore) -> dict[str, int]:
    """How many fields there are of each kind of key that lies by user, bucket or batch."""
    start, count = store._settings.prefix.encode(), dict[str, int]()
    for pool in store._link._servers.pools():
        [keys] = exchange(pool, [("KEYS", start + b"*")])
        for key in keys:
            kind = key[len(start) : key.index(b"{")].decode()
            if kind in ("index", "data", "now", "roster"):
                fields, is_index = exchange(pool, [("HLEN", key), ("HEXISTS", key, BIRTH)])
                kind = kind if fields > is_index else "index of nothing"
                count[kind] = count.get(kind, 0) + fields - is_index
            elif kind in ("journal", "users"):
                count[kind] = count.get(kind, 0) + 1
    return count


def every_point(
    work: Callable[[RedisStore], object], worlds: Worlds, ready: Callable[[RedisStore], object]
) -> Iterator[tuple[int, float, Open]]:
    """Each point of ``work`` to break in at, a share of a round trip, and a store made ready for it."""
    store = worlds(None)()
    ready(store)
    saved, store = SavedWorld.of(store), worlds(None)()
    saved.restore(store._settings)
    with interrupted(store, -1, lambda: None) as count:
        work(store)
    # What a cluster has done between two round trips is what one server has.
    shares = SHARES[:1] if store._link.is_cluster else SHARES
    for at, share in sorted({(0, 0.0), *itertools.product(range(count[0]), shares), (count[0] - 1, 1.0)}):
        yield at, share, worlds(saved)


def test_a_publisher_killed_at_any_point_leaves_a_whole_epoch(worlds: Worlds) -> None:
    def ready(store: RedisStore) -> None:
        publish(store, 1)

    seen = set()
    for at, share, another in every_point(lambda store: publish(store, 2), worlds, ready):
        victim, store = another(), another()
        with contextlib.suppress(Killed), interrupted(victim, at, killing(victim), share=share):
            publish(victim, 2)
        left = shown(store)
        [generation] = {number for blocks in left.values() for _, number in blocks}
        assert left == expected(generation), (at, share)
        seen.add(generation)
        # Whatever the dead one left behind, the next publications show exactly themselves.
        for after in (3, 2):
            publish(store, after)
            assert shown(store) == expected(after), (at, share, after)
        store.prune(VIEW, keep_epochs=1)
        assert shown(store) == expected(2)
        users = len(users_of(2)) * len(DAYS)
        assert leftovers(store) == {"index": users, "data": users, "roster": len(DAYS)}, (at, share)
    assert seen == {1, 2}


def test_a_publisher_that_sleeps_while_another_publishes_changes_nothing(worlds: Worlds) -> None:
    """Wherever it wakes up: it fails, or had published before."""

    def ready(store: RedisStore) -> None:
        publish(store, 1)

    for at, share, another in every_point(lambda store: publish(store, 2), worlds, ready):
        sleeper, store = another(), another()
        with (
            contextlib.suppress(EpochConflictError),
            interrupted(sleeper, at, lambda s=store: publish(s, 3), share=share),
        ):
            publish(sleeper, 2)
        left = shown(store)
        [generation] = {number for blocks in left.values() for _, number in blocks}
        # At its very beginning it has taken nothing yet, so it may come after the other.
        assert left == expected(generation), (at, share)
        assert generation in (2, 3)
        assert at < 4 or generation == 3
        publish(store, 1)
        assert shown(store) == expected(1)


def test_a_publisher_overtaken_by_pruning_and_publishing_of_its_day_changes_nothing(worlds: Worlds) -> None:
    """Of a day that no epoch shows, pruning deletes what the sleeper compared with."""

    def ready(store: RedisStore) -> None:
        publish(store, 1)
        store.publish_many(VIEW, [], release="r", expected_epoch=ANY_EPOCH, drop_days=DAYS)
        store.prune(VIEW, keep_epochs=1)

    def overtake(store: RedisStore) -> None:
        store.prune(VIEW, keep_epochs=1)
        publish(store, 2)

    for at, share, another in every_point(lambda store: publish(store, 1), worlds, ready):
        sleeper, store = another(), another()
        with (
            contextlib.suppress(EpochConflictError),
            interrupted(sleeper, at, lambda s=store: overtake(s), share=share),
        ):
            publish(sleeper, 1)
        left = shown(store)
        [generation] = {number for blocks in left.values() for _, number in blocks}
        assert left == expected(generation), (at, share)


def test_a_rollback_and_a_prune_killed_at_any_point_leave_whole_epochs(worlds: Worlds) -> None:
    def ready(store: RedisStore) -> None:
        for generation in (1, 2, 3):
            publish(store, generation)

    def work(store: RedisStore) -> None:
        store.rollback(VIEW, to_epoch=1, expected_epoch=3)
        store.publish_many(VIEW, [], release="r", expected_epoch=ANY_EPOCH, drop_days=DAYS[:1])
        store.prune(VIEW, keep_epochs=1)

    for at, share, another in every_point(work, worlds, ready):
        victim, store = another(), another()
        with contextlib.suppress(Killed), interrupted(victim, at, killing(victim), share=share):
            work(victim)
        newest = {user: blocks[:1] for user, blocks in shown(store).items()}
        assert newest in [{user: [blocks[0]] for user, blocks in expected(n).items()} for n in (1, 3)], (at, share)
        publish(store, 2)
        assert shown(store) == expected(2), (at, share)


def test_a_stream_killed_at_any_point_has_each_message_once(worlds: Worlds) -> None:
    def ready(store: RedisStore) -> None:
        stream(store, 0)

    seen = set()
    for at, share, another in every_point(lambda store: stream(store, 1), worlds, ready):
        victim, store = another(), another()
        with contextlib.suppress(Killed), interrupted(victim, at, killing(victim), share=share):
            stream(victim, 1)
        position, batches = streamed(store)
        assert batches == list(range(position)), (at, share)
        seen.add(position)
        stream(store, position)
        assert streamed(store) == (position + 1, list(range(position + 1)))
        assert store.now_stats(VIEW).blocks == (position + 1) * len(USERS)
        assert leftovers(store) == {"now": (position + 1) * len(USERS), "users": position + 1}, (at, share)
    assert seen == {1, 2}


def test_a_stream_that_sleeps_while_another_goes_on_adds_nothing(worlds: Worlds) -> None:
    """What it writes after it was given up is in nobody's view, also when its batch would have been the newest."""

    def ready(store: RedisStore) -> None:
        stream(store, 0)

    def overtake(store: RedisStore) -> None:
        position = store.stream_positions()[P].next_offset
        for number in (position, position + 1):
            stream(store, number, token=2)

    for at, share, another in every_point(lambda store: stream(store, 1), worlds, ready):
        sleeper, store = another(), another()
        with (
            contextlib.suppress(FencedStreamError, StreamPositionError, AdvanceGivenUpError),
            interrupted(sleeper, at, lambda s=store: overtake(s), share=share),
        ):
            stream(sleeper, 1)
        position, batches = streamed(store)
        assert batches == list(range(position)), (at, share)
        publish(store, 1, mark=99)
        store.prune(VIEW, keep_epochs=1)
        assert store.evict(VIEW).batches_left == 0
        assert streamed(store) == (position, [])
        stream(store, position, token=3)
        assert streamed(store) == (position + 1, [position]), (at, share)


def test_an_eviction_killed_at_any_point_is_finished_by_the_next(worlds: Worlds) -> None:
    def ready(store: RedisStore) -> None:
        for number in range(3):
            stream(store, number)
        publish(store, 1, mark=2)

    for at, share, another in every_point(lambda store: store.evict(VIEW), worlds, ready):
        victim, store = another(), another()
        with contextlib.suppress(Killed), interrupted(victim, at, killing(victim), share=share):
            victim.evict(VIEW)
        with store.snapshot() as view:  # of batches that history covers, users may have rows or not
            found = [[value(block) for block in now_payloads(view, VIEW, user)] for user in USERS]
        assert all(batches[-1:] == [2] and set(batches) <= {0, 1, 2} for batches in found)
        assert store.evict(VIEW).batches_left == 1
        assert streamed(store) == (3, [2])
        assert leftovers(store)["now"] == len(USERS)
        publish(store, 1, mark=3)
        store.prune(VIEW, keep_epochs=1)
        store.evict(VIEW)
        assert "now" not in leftovers(store)
        stats = store.now_stats(VIEW)
        assert (stats.batches, stats.blocks, stats.size_bytes) == (0, 0, 0)


def test_a_reader_never_sees_what_belongs_to_no_epoch(worlds: Worlds) -> None:
    """Whatever happens between two of its round trips: an answer is of the epoch it began with, or there is none."""

    def ready(store: RedisStore) -> None:
        for number in range(3):
            stream(store, number)
        publish(store, 1, mark=1)

    def read(store: RedisStore) -> tuple[list[tuple[str, int]], list[int]]:
        with store.snapshot() as view:
            now_rows = [row for block in now_payloads(view, VIEW, USERS[0]) for row in values(block)]
            return [(block.day, value(block.payload)) for block in view.blocks(VIEW, USERS[0])], now_rows

    def once(store: RedisStore) -> None:
        publish(store, 2, mark=3)
        store.evict(VIEW)

    def all_over(store: RedisStore) -> None:
        once(store)
        store.prune(VIEW, keep_epochs=1)
        store.evict(VIEW)
        stream(store, 3)

    def folded(store: RedisStore) -> None:
        stream(store, 3)
        with store.snapshot() as view:
            found = [block.sequence for block in view.now_blocks(VIEW, USERS[0])]
        [(_, block)] = encode_bucket(pl.DataFrame({"user_id": ["u"] * 4, "generation": [3, 2, 1, 0]}), SCHEMA)
        assert fold_one(store, VIEW, USERS[0], found, block)

    results = set()
    for meanwhile in (once, all_over, folded):
        for at, share, another in every_point(read, worlds, ready):
            reader, store = another(), another()
            try:
                with interrupted(reader, at, lambda s=store, m=meanwhile: m(s), share=share):
                    days, rows = read(reader)
            except EpochGoneError:
                results.add("gone")
                continue
            of_first = days == [(DAYS[1], 1), (DAYS[0], 1)] and set(rows) >= {1, 2}
            of_second = days == [] and (meanwhile is once or rows == [3])
            assert of_first or of_second, (meanwhile, at, share, days, rows)
            results.add("first" if of_first else "second")
    assert results == {"first", "second", "gone"}
