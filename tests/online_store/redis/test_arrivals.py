"""Now blocks that a server has lost: known to be missing until history covers them, whatever else goes on."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import polars as pl
import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from seqplat_resources.online_store import (
    ANY_EPOCH,
    Advance,
    BlockSchema,
    BucketVersion,
    NowWrite,
    decode_blocks,
    encode_bucket,
)
from seqplat_resources.online_store.errors import StreamPositionError
from seqplat_resources.online_store.folding import fold_crowded
from seqplat_resources.online_store.redis import RedisSettings, RedisStore, now
from tests.online_stores import publish_one, redis_url

VIEW, DAY, TOPIC = "item_view", "2024-03-01", "views:0"
SCHEMA = BlockSchema.of({"n": "int64"})
USERS = ["ann", "bob", "cy"]


@dataclass
class Streamed:
    """A store, and what it has been told; ``batch`` has published the rows below ``covered``."""

    store: RedisStore
    rows: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    end: int = 0
    covered: int = 0

    def advance(self, users: list[str]) -> None:
        start, self.end = self.end, self.end + len(users)
        numbers = list(range(start, self.end))
        blocks = list(encode_bucket(pl.DataFrame({"user_id": users, "n": numbers}), SCHEMA))
        step = Advance(start, self.end, 1, 0, 0)
        self.store.advance([NowWrite(VIEW, blocks, {DAY: {TOPIC: self.end}})], {TOPIC: step})
        for user, number in zip(users, numbers, strict=True):
            self.rows[user].append(number)

    def publish(self) -> None:
        """The day is empty, so that all rows seen are of the now view."""
        version = BucketVersion(1, 0, 0, {TOPIC: self.end})
        for _ in range(3):  # an eviction waits until all epochs that are kept cover a batch
            publish_one(self.store, VIEW, DAY, [], bucket=version, release="r", expected_epoch=ANY_EPOCH)
        self.covered = self.end

    def lose(self, kind: str, user: str = "") -> int:
        names, lost = self.store._catalog.names, 0
        for pool in self.store._link._servers.pools():
            client = redis.Redis(connection_pool=pool)
            for key in client.scan_iter(match=f"{names.prefix}{kind}*", count=1000):
                if not user or key.endswith(f":{user}}}".encode()):
                    lost += client.execute_command("UNLINK", key)
        return lost

    def seen(self, user: str) -> tuple[set[int], bool]:
        """Rows of a user that history does not have, and whether the store says that it lacks some."""
        with self.store.snapshot() as view:
            payloads = [bytes(block.payload) for block in view.now_blocks(VIEW, user)]
        found = [number for payload in payloads if payload for number in self._numbers(payload)]
        assert len(found) == len(set(found))
        return {number for number in found if number >= self.covered}, b"" in payloads

    def expected(self, user: str) -> set[int]:
        return {number for number in self.rows[user] if number >= self.covered}

    def assert_whole(self) -> None:
        assert {user: self.seen(user) for user in USERS} == {user: (self.expected(user), False) for user in USERS}

    def _numbers(self, payload: bytes) -> list[int]:
        numbers: list[int] = decode_blocks([payload], self.store.schema, SCHEMA.dtypes)["n"].to_list()
        return numbers


@pytest.fixture(params=["redis", "redis cluster"])
def streamed(request: pytest.FixtureRequest) -> Iterator[Streamed]:
    store = RedisStore(RedisSettings.parse(redis_url(request.param)))
    store.register_schema(SCHEMA)
    yield Streamed(store)
    store.close()


def test_lost_rows_are_missed_until_history_has_them(streamed: Streamed) -> None:
    streamed.advance(["ann", "bob"])
    streamed.advance(["ann"])
    streamed.assert_whole()
    assert streamed.lose("now", "ann") == 1
    assert streamed.seen("ann") == (set(), True)
    assert streamed.seen("bob") == (streamed.expected("bob"), False)
    streamed.advance(["ann"])  # the later batch does not hide that the earlier ones are gone
    assert streamed.seen("ann") == ({3}, True)
    streamed.publish()
    streamed.store.evict(VIEW)
    streamed.assert_whole()
    assert streamed.lose("now") + streamed.lose("users") == 0


def test_who_never_had_rows_and_whose_rows_left_miss_nothing(streamed: Streamed) -> None:
    streamed.advance(["ann"])
    assert streamed.seen("nobody") == (set(), False)
    streamed.publish()
    streamed.store.evict(VIEW)
    assert streamed.seen("ann") == (set(), False)
    names = streamed.store._catalog.names
    parts = [names.census(VIEW, number) for number in range(16)]
    fields = [name for found in streamed.store._link.run([("HKEYS", part) for part in parts]) for name in found]
    assert not [name for name in fields if name.endswith(b"ann")]


def test_after_the_lists_were_lost_nobody_is_whole_until_history_covers(streamed: Streamed) -> None:
    streamed.advance(["ann"])
    streamed.lose("census")
    assert streamed.seen("ann") == ({0}, True)
    assert streamed.seen("bob") == (set(), True)
    streamed.advance(["ann", "bob"])
    assert streamed.seen("bob")[1]
    streamed.publish()
    streamed.store.evict(VIEW)
    streamed.advance(["bob"])
    streamed.assert_whole()


def test_batches_whose_records_were_lost_are_still_read(streamed: Streamed) -> None:
    streamed.advance(["ann"])
    assert streamed.lose("batches") == 1
    publish_one(streamed.store, VIEW, DAY, [], bucket=BucketVersion(1, 0, 0), release="r", expected_epoch=ANY_EPOCH)
    streamed.store.evict(VIEW)
    streamed.advance(["bob"])
    streamed.store.evict(VIEW)
    streamed.assert_whole()


def test_batches_whose_records_were_lost_leave_when_history_covers_them(streamed: Streamed) -> None:
    for users in (["ann"], ["bob", "ann"], ["ann"]):
        streamed.advance(users)
    assert streamed.lose("batches") == 1
    streamed.advance(["bob"])
    streamed.assert_whole()
    streamed.store.evict(VIEW)
    streamed.assert_whole()
    streamed.publish()
    assert streamed.store.evict(VIEW).batches == 4
    streamed.assert_whole()
    assert streamed.lose("now") + streamed.lose("users") + streamed.lose("record") + streamed.lose("live") == 0


@pytest.mark.parametrize("kind", ["live", "pin"])
def test_batches_of_others_are_read_on_after_their_order_was_lost(streamed: Streamed, kind: str) -> None:
    """The first type waits for batch; the server loses which batches there are, and those of the second are evicted."""
    store, other = streamed.store, "buy"
    step = Advance(0, 1, 1, 0, 0)
    if kind == "pin":  # what streamed before it was lost is streamed again, under numbers of its own
        streamed.advance(["ann"])
        streamed.advance(["bob"])
        assert streamed.lose("pin") == 1
        streamed.rows.clear()
        streamed.end = 0
    block = list(encode_bucket(pl.DataFrame({"user_id": ["ann"], "n": [7]}), SCHEMA))
    store.advance([NowWrite(other, block, {DAY: {"buys:0": 1}})], {"buys:0": step})
    streamed.advance(["ann"])
    if kind == "live":
        assert streamed.lose("live") == 1
    streamed.advance(["ann", "bob"])
    streamed.publish()
    store.evict(VIEW)
    streamed.assert_whole()
    with store.snapshot() as view:
        assert [bool(block.payload) for block in view.now_blocks(other, "ann")] == [True]
    streamed.advance(["bob"])
    streamed.assert_whole()


def test_a_folded_block_stands_for_those_in_it(streamed: Streamed) -> None:
    for _ in range(5):
        streamed.advance(["ann"])
    assert fold_crowded(streamed.store, VIEW, more_than=2) == 1
    streamed.assert_whole()
    streamed.lose("now", "ann")
    streamed.advance(["ann"])
    streamed.advance(["ann"])
    assert fold_crowded(streamed.store, VIEW, more_than=1) == 0  # it would hide what is missing
    assert streamed.seen("ann") == ({5, 6}, True)


def test_what_was_given_up_is_not_missed(streamed: Streamed, monkeypatch: pytest.MonkeyPatch) -> None:
    streamed.advance(["ann"])
    with monkeypatch.context() as patched:
        patched.setattr(now, "_commit", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            streamed.advance(["ann", "bob"])
    streamed.end = 1
    streamed.assert_whole()
    streamed.advance(["bob"])
    streamed.assert_whole()
    blocks = list(encode_bucket(pl.DataFrame({"user_id": ["cy"], "n": [9]}), SCHEMA))
    with pytest.raises(StreamPositionError):
        streamed.store.advance([NowWrite(VIEW, blocks, {DAY: {TOPIC: 9}})], {TOPIC: Advance(8, 9, 1, 0, 0)})
    streamed.assert_whole()


STEPS = st.one_of(
    st.lists(st.sampled_from(USERS), min_size=1, unique=True).map(lambda users: ("advance", users)),
    st.sampled_from([("publish", []), ("evict", []), ("fold", []), ("lose", ["census"])]),
    st.sampled_from(USERS).map(lambda user: ("lose", ["now", user])),
)


@given(steps=st.lists(STEPS, max_size=14))
def test_no_row_is_ever_missing_in_silence(steps: list[tuple[str, list[str]]]) -> None:
    store = RedisStore(RedisSettings.parse(redis_url("redis")))
    store.register_schema(SCHEMA)
    streamed = Streamed(store)
    for step, what in steps:
        if step == "advance":
            streamed.advance(what)
        elif step == "publish":
            streamed.publish()
        elif step == "evict":
            store.evict(VIEW)
        elif step == "fold":
            fold_crowded(store, VIEW, more_than=1)
        else:
            streamed.lose(*what)
        for user in USERS:
            rows, is_short = streamed.seen(user)
            assert rows <= streamed.expected(user)
            assert is_short or rows == streamed.expected(user)
    streamed.publish()
    store.evict(VIEW)
    streamed.advance(USERS)
    streamed.assert_whole()
    store.close()
