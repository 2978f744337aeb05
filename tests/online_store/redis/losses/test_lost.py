"""Keys that a server has lost: what they held is known to be missing, and publishing puts it back. Servers that would
lose more: nobody is answered from them.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import numpy as np
import polars as pl
import pytest
import redis

from seqplat_resources.online_store import (
    ANY_EPOCH,
    BlockSchema,
    BucketVersion,
    BucketWrite,
    decode_blocks,
    encode_bucket,
)
from seqplat_resources.online_store.errors import CorruptBlockError, StoreAwayError, StoreDamagedError
from seqplat_resources.online_store.redis import RedisSettings, RedisStore, bucket, upkeep
from seqplat_resources.online_store.redis.wire import link
from seqplat_resources.online_store.rollup import roll_up
from tests import redis_server
from tests.online_stores import history, redis_url

VIEW, OTHER = "item_view", "buy"
SCHEMA = BlockSchema.of({"n": "int64", "noise": "binary"})
DAYS = ["2024-03-01", "2024-03-02", "2024-03-03"]
USERS = [f"user-{n:03}" for n in range(40)]
NEEDS_REDIS = pytest.mark.skipif(bool(redis_server.why_not("redis")), reason=str(redis_server.why_not("redis")))


@pytest.fixture(params=["redis", "redis cluster"])
def store(request: pytest.FixtureRequest) -> Iterator[RedisStore]:
    made = RedisStore(RedisSettings.parse(redis_url(request.param)))
    made.register_schema(SCHEMA)
    yield made
    made.close()


@pytest.fixture
def servers() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def encoded(users: Sequence[str], day: int, noise: int = 20) -> list[tuple[str, bytes]]:
    random = np.random.default_rng(day)
    events = pl.DataFrame(
        {"user_id": users, "n": [day] * len(users), "noise": [random.bytes(noise) for _ in users]},
        schema_overrides={"user_id": pl.String},
    )
    return list(encode_bucket(events, SCHEMA))


def of_day(number: int) -> list[str]:
    """The first user is there every day; others come later, or left before the last day."""
    return [user for n, user in enumerate(USERS) if n == 0 or n % 3 <= number < 2 + n % 2]


def publish(store: RedisStore, days: Sequence[int] = (0, 1, 2), *, event_type: str = VIEW, noise: int = 20) -> None:
    blocks = {day: encoded(of_day(day), day, noise) for day in days}
    writes = [BucketWrite(DAYS[day], found, BucketVersion(1, len(found), len(found))) for day, found in blocks.items()]
    store.publish_many(event_type, writes, release="r", expected_epoch=ANY_EPOCH)


def read(store: RedisStore, user: str, event_type: str = VIEW) -> tuple[set[str], set[str]]:
    """Days that are there, and days of which the store says that it cannot give them."""
    there, missing = set[str](), set[str]()
    for block in history(store, user, event_type):
        of = {day for day in DAYS if block.first_day <= day <= block.day} - block.superseded
        try:
            assert decode_blocks([block.payload], store.schema, SCHEMA.dtypes, where=user).height == 1
            there |= of
        except CorruptBlockError:  # named in answers
            missing |= of
    return there, missing - there


def expected(user: str) -> set[str]:
    return {DAYS[day] for day in range(3) if user in of_day(day)}


def lose(store: RedisStore, kind: str, user: str | None = None) -> int:
    """Delete keys of a kind, of one user or all."""
    names, lost = store._catalog.names, 0
    for pool in store._link._servers.pools():
        client = redis.Redis(connection_pool=pool)
        for key in client.scan_iter(match=f"{names.prefix}{kind}*", count=1000):
            if user is None or key.endswith(f":{user}}}".encode()):
                lost += client.execute_command("UNLINK", key)
    return lost


def assert_whole(store: RedisStore, event_type: str = VIEW) -> None:
    assert {user: read(store, user, event_type) for user in USERS} == {user: (expected(user), set()) for user in USERS}


def assert_honest(store: RedisStore) -> int:
    """Everything is there or known to be missing; of how many users something is."""
    found = {user: read(store, user) for user in USERS}
    assert not {user: of for user, of in found.items() if not expected(user) <= of[0] | of[1] or of[0] - expected(user)}
    return sum(bool(missing & expected(user)) for user, (_, missing) in found.items())


@pytest.mark.parametrize("kinds", [["index"], ["data"], ["index", "data"]], ids=" and ".join)
def test_a_users_lost_keys_are_missed_and_written_again(store: RedisStore, kinds: list[str]) -> None:
    publish(store)
    publish(store, event_type=OTHER)
    mine = list(filter(expected, USERS))[:5]
    for user in mine:
        for kind in kinds:
            assert lose(store, kind, user) == 2  # of both event types
    for event_type in (VIEW, OTHER):
        assert [read(store, user, event_type)[0] for user in mine] == [set()] * 5
        assert all(read(store, user, event_type)[1] >= expected(user) for user in mine)
    assert assert_honest(store) == 5
    publish(store)
    assert_whole(store)
    assert read(store, USERS[0], OTHER)[1] == set(DAYS)
    publish(store)
    assert_whole(store)


def test_what_is_published_in_parts_is_missed_until_all_is_there(store: RedisStore) -> None:
    """A new day makes the index anew, and the older days are not in it."""
    publish(store)
    lose(store, "index", USERS[0])
    publish(store, [2])
    assert read(store, USERS[0]) == ({DAYS[2]}, {DAYS[0], DAYS[1]})
    publish(store, [0])
    assert read(store, USERS[0]) == ({DAYS[0], DAYS[2]}, {DAYS[1]})
    assert_honest(store)
    publish(store, [1])
    assert_whole(store)


@pytest.mark.parametrize("kind", ["roster", "epochs", "census", "leases", "schemas", "rolled", "versions", "lost"])
def test_lost_bookkeeping_is_made_anew_by_publishing(store: RedisStore, kind: str) -> None:
    """Users who left are still gone."""
    publish(store)
    lose(store, kind)
    if kind == "epochs":  # one whose record is lost shows nothing
        with pytest.raises(StoreDamagedError, match=f"has lost epoch 1 of {VIEW}"):
            read(RedisStore(store._settings), USERS[0])
    else:
        assert_honest(store)
    store.register_schema(SCHEMA)
    publish(store)
    assert_whole(store)
    lose(store, "index", USERS[0])
    assert assert_honest(store) == 1


def test_an_index_and_its_census_lost_together_are_missed(store: RedisStore) -> None:
    publish(store)
    lose(store, "census")
    lose(store, "index", USERS[0])
    assert read(store, USERS[0]) == (set(), set(DAYS))
    publish(store, [2])
    assert read(store, USERS[0]) == ({DAYS[2]}, {DAYS[0], DAYS[1]})
    publish(store)
    assert_whole(store)


def test_who_was_never_there_and_who_left_for_good_is_not_missed(store: RedisStore) -> None:
    publish(store)
    assert read(store, "nobody") == (set(), set())
    store.publish_many(VIEW, [], release="r", expected_epoch=ANY_EPOCH, drop_days=DAYS)
    store.prune(VIEW, keep_epochs=1)
    assert lose(store, "index") == 0
    assert read(store, USERS[0]) == (set(), set())


@NEEDS_REDIS
def test_users_of_a_server_that_dropped_keys_are_whole_or_known_to_be_short(servers: ExitStack) -> None:
    server = servers.enter_context(redis_server.running("redis"))
    store, admin = RedisStore(RedisSettings.parse(server.url)), servers.enter_context(server.client())
    store.register_schema(SCHEMA)
    publish(store, noise=3000)
    admin.config_set("maxmemory-policy", "allkeys-random")
    admin.config_set("maxmemory", int(admin.info("memory")["used_memory"]) - 60_000)
    end = 0
    while admin.info("stats")["evicted_keys"] < 20 and end < 1000:
        admin.set("more", "x" * 100)
        end += 1
    admin.config_set("maxmemory-policy", "noeviction")
    admin.config_set("maxmemory", 0)
    fresh = RedisStore(RedisSettings.parse(server.url))
    if not admin.exists(fresh._catalog.names.pin):
        assert fresh.epoch(VIEW) is None
    elif not admin.exists(fresh._catalog.names.epochs(VIEW)):
        with pytest.raises(StoreDamagedError, match=r"has lost epoch 1 of item_view.*publish"):
            fresh.epoch(VIEW)
    else:
        assert assert_honest(fresh) > 0
    fresh.register_schema(SCHEMA)
    publish(fresh, noise=3000)
    assert_whole(fresh)
    fresh.close()
    store.close()


@NEEDS_REDIS
def test_a_server_that_is_set_to_drop_keys_is_not_read_while_it_may(
    servers: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "LOOK_EVERY_S", 0.0)
    server = servers.enter_context(redis_server.running("redis", "--maxmemory", "100mb"))
    store, admin = RedisStore(RedisSettings.parse(server.url)), servers.enter_context(server.client())
    store.register_schema(SCHEMA)
    publish(store)
    admin.config_set("maxmemory-policy", "allkeys-lru")
    for _ in range(2):
        with pytest.raises(StoreAwayError, match=r"drops keys when its memory is full \(allkeys-lru\).*noeviction"):
            read(store, USERS[0])
    with pytest.raises(StoreAwayError, match="allkeys-lru"):
        publish(store)
    admin.config_set("maxmemory-policy", "noeviction")
    assert_whole(store)
    store.close()


@NEEDS_REDIS
def test_a_password_set_meanwhile_is_an_outage(servers: ExitStack) -> None:
    """Until it is known or taken back; not a fault of the request or the code."""
    server = servers.enter_context(redis_server.running("redis"))
    store, admin = RedisStore(RedisSettings.parse(server.url)), servers.enter_context(server.client())
    store.register_schema(SCHEMA)
    publish(store)
    admin.config_set("requirepass", redis_server.PASSWORD)
    store._link._servers.pools()[0].disconnect()
    with pytest.raises(StoreAwayError, match="refuses this user"):
        read(store, USERS[0])
    admin.config_set("requirepass", "")
    assert_whole(store)
    store.close()


def test_what_a_killed_publisher_wrote_is_deleted_when_it_was_not_heard_of(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def blocks() -> Iterator[tuple[str, bytes]]:
        yield from encoded(["only-there"], 5)
        raise Killed

    def begin() -> None:
        write = BucketWrite(DAYS[0], blocks(), BucketVersion(1, 1, 1))
        store.publish_many(VIEW, [write], release="r", expected_epoch=ANY_EPOCH)

    monkeypatch.setattr(bucket, "CHUNK_USERS", 1)
    publish(store)
    with pytest.raises(Killed):
        begin()
    store.prune(VIEW, keep_epochs=1)
    assert lose(store, "journal") == 1  # it may be at work
    with pytest.raises(Killed):
        begin()
    monkeypatch.setattr(upkeep, "DEAD_AFTER_S", 0)
    store.prune(VIEW, keep_epochs=1)
    assert lose(store, "journal") == 0
    assert_whole(store)


def test_who_left_is_forgotten_when_nothing_is_rolled_up_of_him(store: RedisStore) -> None:
    days = [f"2024-03-{number:02}" for number in range(1, 12)]

    def write(number: int, users: Sequence[str]) -> BucketWrite:
        return BucketWrite(days[number], encoded(users, number), BucketVersion(1, len(users), len(users)))

    writes = [write(number, USERS[:3]) for number in range(len(days))]
    store.publish_many(VIEW, writes, release="r", expected_epoch=ANY_EPOCH)
    roll_up(store, VIEW)
    for number in range(4):
        store.publish_many(VIEW, [write(number, USERS[:2])], release="r", expected_epoch=ANY_EPOCH)
    names = store._catalog.names
    left = [names.left(VIEW, day) for day in store._catalog.kept_views(VIEW)[-1].shown]
    assert sum(store._link.run([("LLEN", key) for key in left])) == 4
    store.prune(VIEW, keep_epochs=1)
    roll_up(store, VIEW)
    assert sum(store._link.run([("LLEN", key) for key in left])) == 0
    shown = history(store, USERS[2], VIEW)
    assert sum(block.first_day <= days[3] and days[3] not in block.superseded for block in shown) == 0
    assert sum(decode_blocks([block.payload for block in shown], store.schema, {"n": "int64"}, where="")["n"]) == sum(
        range(4, 11)
    )


def test_numbers_that_were_given_out_before_a_loss_are_not_given_out_again(store: RedisStore) -> None:
    """A block of an old number would else be shown once the new numbers come to it."""
    for day in (0, 0, 0, 1, 1, 2):
        publish(store, [day])
    lose(store, "versions")
    lose(store, "pin")
    lose(store, "leases")
    publish(store)
    [view] = store._catalog.kept_views(VIEW)[-1:]
    assert min(shown.version for shown in view.shown.values()) > 6
    assert_whole(store)
