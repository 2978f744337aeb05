"""Damaged values on a server: whatever a bit or a cut does to them, nobody gets less without being told."""

import contextlib
import logging
from collections.abc import Iterator
from typing import Any, cast

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from seqplat_resources.errors import SeqplatError
from seqplat_resources.online_store import ANY_EPOCH, Advance, NowWrite, keys
from seqplat_resources.online_store.errors import StoreDamagedError
from seqplat_resources.online_store.lmdb import LmdbStore
from seqplat_resources.online_store.redis import RedisSettings, RedisStore
from seqplat_resources.online_store.rollup import roll_up
from tests.online_store.redis.test_store import NEEDS_REDIS
from tests.online_store.test_damaged_records import P, damages, encode, read
from tests.online_store.test_rollup import SCHEMA, VIEW, day, publish, rows
from tests.online_stores import now_payloads, redis_url

pytestmark = NEEDS_REDIS
DAYS = 38
ROLLED = [f"{day(0)} to {day(31)}"]


@pytest.fixture
def store() -> Iterator[RedisStore]:
    """Users of 38 days each, of which the first 32 are rolled up."""
    made = RedisStore(RedisSettings.parse(redis_url("redis")))
    add(made, {number: {"u": rows(number, 2), "v": rows(number, 2)} for number in range(DAYS)})
    assert roll_up(made, VIEW) == 2
    yield made
    made.close()


def add(store: RedisStore, days: dict[int, dict[str, pl.DataFrame]]) -> None:
    publish(cast(LmdbStore, store), days)


def found(store: RedisStore, user: str, until_day: str | None = None) -> tuple[pl.DataFrame, list[str]]:
    return read(cast(LmdbStore, store), user, until_day)


def index_key(store: RedisStore, user: str) -> bytes:
    return store._catalog.names.index(VIEW, user.encode())


def field(store: RedisStore, user: str, beginning: bytes) -> tuple[bytes, bytes]:
    names = store._link.one("HKEYS", index_key(store, user))
    name = next(name for name in names if name.startswith(beginning))
    return name, store._link.one("HGET", index_key(store, user), name)


def put(store: RedisStore, user: str, name: bytes, value: bytes) -> None:
    store._link.one("HSET", index_key(store, user), name, value)


def break_rolled(store: RedisStore, user: str = "u") -> None:
    """The days of the rolled up block cannot be known."""
    name, value = field(store, user, b"r")
    put(store, user, name, value[:-1] + bytes([value[-1] ^ 1]))


def test_no_flip_nor_cut_of_an_index_shortens_the_answer_silently(store: RedisStore) -> None:
    whole, _ = found(store, "u")
    name, value = field(store, "u", b"r")
    for what, broken in damages(value):
        put(store, "u", name, broken)
        rest, lost = found(store, "u", day(31))
        assert (rest.height, lost) == (0, ROLLED), what
    put(store, "u", name, value)
    name, value = field(store, "u", b"%d." % keys.ordinal(day(37)))
    for what, broken in damages(value):
        put(store, "u", name, broken)
        rest, lost = found(store, "u")
        assert_frame_equal(rest, whole[2:])
        assert lost == [f"{day(37)} to {day(37)}"], what


def test_no_flip_nor_cut_of_a_block_shortens_the_answer_silently(store: RedisStore) -> None:
    key, (name, _) = store._catalog.names.data(VIEW, b"u"), field(store, "u", b"r")
    value = store._link.one("HGET", key, name)
    for what, broken in list(damages(value))[::3]:
        store._link.one("HSET", key, name, broken)
        rest, lost = found(store, "u", day(31))
        assert (rest.height, lost) == (0, ROLLED), what


def test_others_and_day_entries_beside_a_damaged_block_are_served(store: RedisStore) -> None:
    whole, _ = found(store, "v")
    add(store, {3: {"u": rows(3, 5, salt=1), "v": rows(3, 2)}})
    break_rolled(store)
    rest, lost = found(store, "u")
    assert_frame_equal(rest, pl.concat([rows(n, 2) for n in range(DAYS - 1, 31, -1)] + [rows(3, 5, salt=1)]))
    assert lost == ROLLED
    assert_frame_equal(found(store, "v")[0], whole)


def test_publishing_rolling_and_pruning_leave_a_damaged_block_as_it_is(
    store: RedisStore, caplog: pytest.LogCaptureFixture
) -> None:
    break_rolled(store)
    name, value = field(store, "u", b"r")
    for broken in (value, b"", b"7", b"a b c d e f"):
        put(store, "u", name, broken)
        salt = len(broken)
        add(store, {n: {"u": rows(n, 3, salt=salt), "v": rows(n, 3, salt=salt)} for n in range(4, 9)})
        for _ in range(4):
            add(store, {37: {"u": rows(37, 2), "v": rows(37, 2)}})
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            assert roll_up(store, VIEW) == 1
        assert f"the entry of block {name.decode()} of user 'u' does not match its checksum" in caplog.text
        store.prune(VIEW, keep_epochs=2)
        rest, lost = found(store, "u")
        assert (rest.height, lost) == (2 * 6 + 3 * 5, ROLLED)
        assert found(store, "v")[1] == []
        assert field(store, "u", b"r") == (name, broken)


def test_publishing_all_days_anew_hides_a_damaged_block(store: RedisStore) -> None:
    break_rolled(store)
    add(store, {n: {"u": rows(n, 3, salt=1), "v": rows(n, 2)} for n in range(32)})
    rest, lost = found(store, "u")
    assert (rest.height, lost) == (3 * 32 + 2 * 6, [])


def test_a_user_who_leaves_and_days_that_are_dropped_take_a_damaged_block_with_them(store: RedisStore) -> None:
    break_rolled(store)
    put(store, "v", field(store, "v", b"r")[0], b"")
    add(store, {n: {"v": rows(n, 2)} for n in range(DAYS)})
    assert found(store, "u")[0].height == 0
    dropped = [day(number) for number in range(32)]
    store.publish_many(VIEW, [], release="r", expected_epoch=ANY_EPOCH, drop_days=dropped)
    assert found(store, "v")[1] == []
    store.prune(VIEW, keep_epochs=1)
    names = store._link.one("HKEYS", index_key(store, "v"))
    assert [name for name in names if name[:1] == b"r"] == []


def test_records_that_are_not_what_was_written_are_a_typed_error(store: RedisStore) -> None:
    now = [("u", encode(rows(37, 1, salt=9)))]
    store.advance([NowWrite(VIEW, now, {day(37): {P: 5}})], {P: Advance(0, 5, 1, 7, 1000)})
    names, position, epoch = store._catalog.names, b"p" + P.encode(), store.epoch(VIEW)
    assert epoch

    def use() -> Any:
        store._catalog._schemas.clear()
        store._catalog._views.clear()
        with store.snapshot() as view:
            return (
                view.stream_positions(),
                found(store, "u")[0].height,
                view.newest_now_day(VIEW),
                now_payloads(view, VIEW, "u"),
            )

    whole, text = use(), VIEW.encode()
    checked = [(names.pin, position), (names.epochs(VIEW), str(epoch.epoch)), (names.schemas, str(SCHEMA.schema_id))]
    for key, name in [*checked, (names.pin, b"h" + text), (names.pin, b"s"), (names.pin, b"d" + text)]:
        value = store._link.one("HGET", key, name)
        for what, broken in list(damages(value))[:: max(1, len(value) // 40)]:  # an epoch's record is kilobytes
            store._link.one("HSET", key, name, broken)
            if (key, name) in checked:
                with pytest.raises(StoreDamagedError, match="is not what was written") as refused:
                    use()
                assert "publish all days again under another prefix" in refused.value.fix, what
            else:
                with contextlib.suppress(SeqplatError):
                    use()
        store._link.one("HSET", key, name, value)
    assert use() == whole
