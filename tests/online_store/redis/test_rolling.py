"""Rolling up on a server, broken into between any two commands: no reader of any epoch sees a difference."""

import contextlib
import datetime as dt
import itertools
from collections.abc import Callable, Iterator
from functools import cache, partial

import polars as pl
import pytest

from seqplat_resources.online_store import (
    ANY_EPOCH,
    BlockSchema,
    BucketVersion,
    BucketWrite,
    HistoryBlock,
    decode_blocks,
    encode_bucket,
)
from seqplat_resources.online_store.errors import EpochGoneError
from seqplat_resources.online_store.redis import RedisSettings, RedisStore, rolled
from seqplat_resources.online_store.rollup import rolls
from seqplat_resources.online_store.spans import RollSpan
from tests.online_store.interrupts import Killed, Links, SavedWorld, interrupted, killing
from tests.online_stores import redis_url

VIEW, USERS = "item_view", ("ann", "bob", "cid")
DAYS = [f"2024-03-{day:02}" for day in range(1, 7)]
SCHEMA = BlockSchema.of({"event_time": "timestamp", "generation": "int64"})
# Half of the commands of a round trip executed, all of them. None of them is all of the trip before.
SHARES = (0.5, 1.0)

# By user, the days and generations of his rows.
Rows = dict[str, dict[str, int]]


# An empty store, or one that holds what another one did.
Worlds = Callable[[SavedWorld | None], RedisStore]


@pytest.fixture(params=["redis", pytest.param("redis cluster", marks=pytest.mark.slow)])
def worlds(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worlds]:
    """After a new world no store of an earlier one is used."""
    monkeypatch.setattr(rolled, "STRIDE", 2)
    with contextlib.closing(Links(monkeypatch)) as links:

        def world(saved: SavedWorld | None) -> RedisStore:
            links.new_world()
            settings = RedisSettings.parse(redis_url(request.param))
            if saved is not None:
                saved.restore(settings)
                links.new_world()
            return opened(settings)

        yield world


def opened(settings: RedisSettings) -> RedisStore:
    store = RedisStore(settings)
    store.register_schema(SCHEMA)
    return store


def another(beside: RedisStore) -> RedisStore:
    """As another process would open it."""
    return opened(beside._settings)


def publish(store: RedisStore, generation: int, *days: str, users: tuple[str, ...] = USERS) -> None:
    bucket = BucketVersion(1, len(users), len(users))
    writes = [BucketWrite(day, blocks(generation, day, users), bucket) for day in days]
    store.publish_many(VIEW, writes, release="r", expected_epoch=ANY_EPOCH)


@cache
def blocks(generation: int, day: str, users: tuple[str, ...]) -> list[tuple[str, bytes]]:
    at = dt.datetime.fromisoformat(day).replace(tzinfo=dt.UTC)
    rows = [{"user_id": user, "event_time": at, "generation": generation} for user in users]
    return list(encode_bucket(pl.DataFrame(rows, schema_overrides={"event_time": pl.Datetime("us", "UTC")}), SCHEMA))


def roll(store: RedisStore) -> int:
    span = RollSpan.of(DAYS[0])
    return sum(store.roll_many(VIEW, span, list(rolls(store, VIEW, found))) for found in store.rollable(VIEW, span))


def rows(store: RedisStore, epoch: int | None = None) -> Rows:
    with store.snapshot(epochs={VIEW: epoch} if epoch else None) as view:
        found = {user: list(view.blocks(VIEW, user)) for user in USERS}
    return {user: _rows(blocks, store) for user, blocks in found.items() if blocks}


def _rows(blocks: list[HistoryBlock], store: RedisStore) -> dict[str, int]:
    found: dict[str, int] = {}
    for block in blocks:
        columns = {"event_time": "timestamp", "generation": "int64"}
        for at, generation in decode_blocks([block.payload], store.schema, columns).rows():
            day = at.date().isoformat()
            if day not in block.superseded:
                assert day not in found, "a row came twice"
                assert block.first_day <= day <= block.day
                found[day] = generation
    return found


def all_epochs(store: RedisStore) -> dict[int, Rows]:
    return {epoch: rows(store, epoch) for epoch in store.kept_epochs(VIEW)}


@pytest.fixture
def ready(worlds: Worlds) -> Callable[[], RedisStore]:
    """Six days; ann's and bob's of the first four are rolled up, and bob has left one of those since."""
    store = worlds(None)
    publish(store, 1, *DAYS[:4])
    assert roll(store) == 3
    publish(store, 2, *DAYS[1:2], users=("ann", "cid"))
    publish(store, 3, *DAYS[4:])
    return partial(worlds, SavedWorld.of(store))


def points(
    work: Callable[[RedisStore], object], store: RedisStore, shares: tuple[float, ...] = SHARES
) -> list[tuple[int, float]]:
    with interrupted(store, -1, lambda: None) as count:
        work(store)
    shares = SHARES[:1] if store._link.is_cluster else shares
    return sorted({(0, 0.0), *itertools.product(range(count[0]), shares), (count[0] - 1, 1.0)})


def test_rolling_killed_at_any_point_changes_no_row(ready: Callable[[], RedisStore]) -> None:
    for at, share in points(roll, ready()):
        victim = ready()
        store = another(victim)
        before = all_epochs(store)
        with contextlib.suppress(Killed), interrupted(victim, at, killing(victim), share=share):
            roll(victim)
        assert all_epochs(store) == before, (at, share)
        roll(store)
        assert all_epochs(store) == before
        store.prune(VIEW, keep_epochs=1)
        roll(store)
        assert {"": rows(store)} == {"": before[max(before)]}
        with store.snapshot() as view:
            assert [len(list(view.blocks(VIEW, user))) for user in USERS] == [1, 1, 1]


@pytest.mark.slow
def test_rolling_beside_anything_changes_no_row(ready: Callable[[], RedisStore]) -> None:
    def change(store: RedisStore) -> None:
        publish(store, 7, DAYS[0], DAYS[5], users=("ann", "bob"))

    def leave(store: RedisStore) -> None:
        publish(store, 7, *DAYS, users=("cid",))
        store.prune(VIEW, keep_epochs=1)

    def back(store: RedisStore) -> None:
        store.rollback(VIEW, to_epoch=1, expected_epoch=3)

    def drop(store: RedisStore) -> None:
        store.publish_many(VIEW, [], release="r", expected_epoch=ANY_EPOCH, drop_days=DAYS[:3])
        store.prune(VIEW, keep_epochs=1)
        publish(store, 8, DAYS[0], users=("bob",))

    for meanwhile in (change, leave, back, drop, roll):
        plain = ready()
        meanwhile(plain)
        expected = all_epochs(plain)
        for at, share in points(roll, ready(), SHARES[:1]):
            roller = ready()
            store = another(roller)
            with interrupted(roller, at, lambda s=store, m=meanwhile: m(s), share=share):
                roll(roller)
            assert all_epochs(store) == expected, (meanwhile, at, share)
            roll(store)
            assert all_epochs(store) == expected, (meanwhile, at, share)


def test_a_reader_of_users_who_are_rolled_up_meanwhile_gets_each_row_once(ready: Callable[[], RedisStore]) -> None:
    for at, share in points(rows, ready()):
        reader = ready()
        store = another(reader)
        before = rows(store)
        with contextlib.suppress(EpochGoneError), interrupted(reader, at, lambda s=store: roll(s), share=share):
            assert rows(reader) == before, (at, share)


def test_publishing_beside_rolling_shows_what_was_published(ready: Callable[[], RedisStore]) -> None:
    def work(store: RedisStore) -> None:
        publish(store, 7, DAYS[0], DAYS[1], DAYS[5], users=("ann",))

    plain = ready()
    work(plain)
    expected = all_epochs(plain)
    for at, share in points(work, ready()):
        publisher = ready()
        store = another(publisher)
        with interrupted(publisher, at, lambda s=store: roll(s), share=share):
            work(publisher)
        assert all_epochs(store) == expected, (at, share)
        roll(store)
        assert all_epochs(store) == expected, (at, share)
