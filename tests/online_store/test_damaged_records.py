"""Damaged records of the LMDB store: whatever a bit or a cut does to them, nobody gets less without being told."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from seqplat_resources.online_store import (
    ANY_EPOCH,
    Advance,
    BucketVersion,
    BucketWrite,
    HistoryBlock,
    NowWrite,
    decode_blocks,
    encode_bucket,
    keys,
)
from seqplat_resources.online_store.errors import CorruptBlockError, StoreDamagedError
from seqplat_resources.online_store.lmdb import LmdbStore
from seqplat_resources.online_store.lmdb.snapshot import ViewCache
from seqplat_resources.online_store.rollup import roll_up
from tests.online_store.codec.formats import sectioned_from
from tests.online_store.test_rollup import SCHEMA, VIEW, day, decoded, publish, rows
from tests.online_stores import history

DAYS = 38
P = "views:0"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LmdbStore]:
    """Users of 38 days each, of which the first 32 are rolled up."""
    made = LmdbStore(tmp_path / "online", sync=False)
    publish(made, {number: {"u": rows(number, 2), "v": rows(number, 2)} for number in range(DAYS)})
    assert roll_up(made, VIEW) == 2
    yield made
    made.close()


def stored(store: LmdbStore, prefix: bytes) -> dict[bytes, bytes]:
    with store._environment.read() as transaction:
        return {key: value for key, value in transaction.cursor() if key.startswith(prefix)}


def put(store: LmdbStore, key: bytes, value: bytes) -> None:
    store._environment.write(lambda transaction: transaction.put(key, value))


def record_of(store: LmdbStore, user: str) -> tuple[bytes, bytes]:
    [found] = stored(store, b"r\x04" + VIEW.encode() + b"\x00\x01" + user.encode()).items()
    return found


def rolled_again(store: LmdbStore) -> int:
    """Users whose days are rolled up once all kept epochs show the same of the older days."""
    for _ in range(4):
        publish(store, {37: {"u": rows(37, 2), "v": rows(37, 2)}})
    return roll_up(store, VIEW)


def day_of(key: bytes) -> int:
    """Of the key of a day's entry, as ``rows`` counts them."""
    return int.from_bytes(key[-12:-8], "big") - keys.ordinal(day(0))


def damaged(value: bytes) -> bytes:
    """With a flipped bit in the version of the newest day."""
    return value[:3] + bytes([value[3] ^ 16]) + value[4:]


def read(store: LmdbStore, user: str, until_day: str | None = None) -> tuple[pl.DataFrame, list[str]]:
    """Rows that count of blocks that can be read, and the names of the others."""
    parts, lost = [decode_blocks([], store.schema, SCHEMA.dtypes)], []
    with store.snapshot() as view:
        for block in view.blocks(VIEW, user, until_day=until_day):
            try:
                parts.append(counting(store, block))
            except CorruptBlockError:
                lost.append(f"{block.first_day} to {block.day}")
    return pl.concat(parts), lost


def counting(store: LmdbStore, block: HistoryBlock) -> pl.DataFrame:
    frame = decode_blocks([block.payload], store.schema, SCHEMA.dtypes)
    return frame.filter(~frame["event_time"].dt.date().cast(pl.String).is_in(list(block.superseded)))


def damages(value: bytes) -> Iterator[tuple[str, bytes]]:
    """Every flip of a bit and every cut."""
    for at in range(len(value)):
        for bit in range(8):
            yield f"bit {bit} of byte {at}", value[:at] + bytes([value[at] ^ 1 << bit]) + value[at + 1 :]
    for size in range(len(value)):
        yield f"cut to {size}", value[:size]


def test_no_flip_nor_cut_of_a_rolled_record_shortens_the_answer_silently(store: LmdbStore) -> None:
    key, value = record_of(store, "u")
    for what, broken in damages(value):
        put(store, key, broken)
        found, lost = read(store, "u", day(31))
        assert (found.height, lost) == (0, [f"{day(0)} to {day(31)}"]), what


def test_a_record_under_another_key_is_damaged(store: LmdbStore) -> None:
    (key, _), (_, other) = record_of(store, "u"), record_of(store, "v")
    put(store, key, other)
    assert read(store, "u")[1] == [f"{day(0)} to {day(31)}"]


def test_a_record_without_a_checksum_as_they_once_were_is_damaged(store: LmdbStore) -> None:
    key, value = record_of(store, "u")
    end = 1 + 9 * value[0]
    put(store, key, value[:end] + value[end + 4 :])
    assert read(store, "u")[1] == [f"{day(0)} to {day(31)}"]


def test_others_and_day_entries_beside_a_damaged_record_are_served(store: LmdbStore) -> None:
    whole, _ = read(store, "v")
    publish(store, {3: {"u": rows(3, 5, salt=1), "v": rows(3, 2)}})
    key, value = record_of(store, "u")
    put(store, key, damaged(value))
    found, lost = read(store, "u")
    expected = [rows(n, 2) for n in range(DAYS - 1, 31, -1)] + [rows(3, 5, salt=1)]
    assert_frame_equal(found, pl.concat(expected))
    assert lost == [f"{day(0)} to {day(31)}"]
    assert_frame_equal(read(store, "v")[0], whole)


def test_a_damaged_record_is_named_by_the_days_that_it_may_have(store: LmdbStore) -> None:
    """Bounded by the record before it, and by what the user ever had."""
    publish(store, {number: {"u": rows(number, 2)} for number in range(DAYS, DAYS + 31) if number not in (DAYS, 50)})
    roll_up(store, VIEW)
    with store._environment.read() as transaction:
        found = [(key, value) for key, value in transaction.cursor() if key[:1] == b"r" and key[8:9] == b"u"]
    (_, first), (key, second) = found
    put(store, key, damaged(second))
    assert read(store, "u")[1] == [f"{day(32)} to {day(63)}"]
    put(store, found[0][0], damaged(first))
    assert read(store, "u")[1] == [f"{day(32)} to {day(63)}", f"{day(0)} to {day(31)}"]
    with store.snapshot() as view:
        bounded = list(view.blocks(VIEW, "u", since_day=day(20), until_day=day(33)))
    assert next((block.first_day, block.day) for block in bounded) == (day(32), day(63))
    with store.snapshot() as view:
        assert len(list(view.blocks(VIEW, "u", until_day=day(31)))) == 1


def test_rolling_leaves_a_user_with_a_damaged_record_as_he_is(
    store: LmdbStore, caplog: pytest.LogCaptureFixture
) -> None:
    key, value = record_of(store, "u")
    put(store, key, damaged(value))
    both = {number: {"u": rows(number, 3, salt=1), "v": rows(number, 3, salt=1)} for number in range(4, 9)}
    publish(store, both)
    for _ in range(4):
        publish(store, {37: {"u": rows(37, 2), "v": rows(37, 2)}})
    before = stored(store, b"b")
    with caplog.at_level(logging.WARNING):
        assert roll_up(store, VIEW) == 1
    assert (
        "events of view are not rolled up: the head does not match its checksum, in the rolled up block of user 'u' "
        f"whose newest day is {day(31)}"
    ) in caplog.text
    assert record_of(store, "u") == (key, damaged(value))
    assert {k: v for k, v in before.items() if k[8:9] == b"u"} == {
        k: v for k, v in stored(store, b"b").items() if k[8:9] == b"u"
    }
    assert [block.superseded for block in history(store, "v", VIEW) if block.superseded] == []


def test_publishing_all_days_again_repairs_a_damaged_record(store: LmdbStore) -> None:
    whole, _ = read(store, "u")
    key, value = record_of(store, "u")
    put(store, key, damaged(value))
    again = {number: {"u": rows(number, 2), "v": rows(number, 2)} for number in range(32)}
    assert publish(store, {number: again[number] for number in range(1, 32)}).users_written == 31
    found, lost = read(store, "u")
    assert (found.height, lost) == (2 * (DAYS - 1), [f"{day(0)} to {day(31)}"])
    assert publish(store, again).users_written == 1
    found, lost = read(store, "u")
    assert lost == []
    assert_frame_equal(found, whole)
    assert publish(store, again).users_written == 0
    assert rolled_again(store) == 1
    assert_frame_equal(decoded(store, "u"), whole)
    assert record_of(store, "u")[1][:1] == value[:1]


def test_publishing_the_same_rows_again_repairs_a_damaged_block(store: LmdbStore) -> None:
    whole, _ = read(store, "u")
    again = {36: {"u": rows(36, 2), "v": rows(36, 2)}}
    [(key, value)] = [
        (key, value) for key, value in stored(store, b"b").items() if key[8:9] == b"u" and day_of(key) == 36
    ]
    for _, broken in list(damages(value))[::97]:
        put(store, key, broken)
        assert read(store, "u")[1] == [f"{day(36)} to {day(36)}"]
        result = publish(store, again)
        assert (result.users_written, result.users_unchanged) == (1, 1)
        found, lost = read(store, "u")
        assert lost == []
        assert_frame_equal(found, whole)
        assert publish(store, again).users_written == 0
        key = next(key for key in reversed(stored(store, b"b")) if key[8:9] == b"u" and day_of(key) == 36)


@pytest.mark.parametrize("is_sectioned", [False, True])
def test_publishing_the_same_days_again_repairs_a_damaged_rolled_up_block(tmp_path: Path, is_sectioned: bool) -> None:
    with sectioned_from(-1 if is_sectioned else 1 << 20):
        store = LmdbStore(tmp_path / "online", sync=False)
        all_days = {number: {"u": rows(number, 2), "v": rows(number, 2)} for number in range(DAYS)}
        publish(store, all_days)
        roll_up(store, VIEW)
        whole, _ = read(store, "u")
        key, value = record_of(store, "u")
        put(store, key, value[:-1] + bytes([value[-1] ^ 1]))
        assert read(store, "u")[1] == [f"{day(0)} to {day(31)}"]
        assert publish(store, {5: all_days[5]}).users_written == 1
        assert publish(store, {5: all_days[5]}).users_written == 0
        assert publish(store, all_days).users_written == 31
        found, lost = read(store, "u")
        assert lost == []
        assert_frame_equal(found, whole)
        assert publish(store, all_days).users_written == 0
        assert rolled_again(store) == 1
        assert_frame_equal(decoded(store, "u"), whole)
        assert publish(store, all_days).users_written == 0
        store.close()


def test_a_user_who_leaves_the_days_of_a_damaged_record_is_gone(store: LmdbStore) -> None:
    key, value = record_of(store, "u")
    put(store, key, damaged(value))
    publish(store, {number: {"v": rows(number, 2)} for number in range(DAYS)})
    found, lost = read(store, "u")
    assert (found.height, lost) == (0, [])
    with store.snapshot(epochs={VIEW: 1}) as view:
        assert [block.first_day for block in view.blocks(VIEW, "u") if block.day == day(31)] == [day(0)]
    store.prune(VIEW, keep_epochs=1)
    assert read(store, "u")[1] == []


def test_a_damaged_record_goes_with_its_days(store: LmdbStore) -> None:
    key, value = record_of(store, "u")
    put(store, key, damaged(value))
    store.prune(VIEW, keep_epochs=1)
    assert record_of(store, "u") == (key, damaged(value))
    store.publish_many(
        VIEW, [], release="r", expected_epoch=ANY_EPOCH, drop_days=[day(number) for number in range(1, 32)]
    )
    store.prune(VIEW, keep_epochs=1)
    assert read(store, "u")[1] == [f"{day(0)} to {day(31)}"]
    store.publish_many(VIEW, [], release="r", expected_epoch=ANY_EPOCH, drop_days=[day(0)])
    assert read(store, "u")[1] == []
    store.prune(VIEW, keep_epochs=1)
    assert stored(store, b"r") == {}
    publish(store, {number: {"u": rows(number, 2)} for number in range(32)})
    assert read(store, "u")[0].height == 2 * DAYS


def test_a_user_with_a_damaged_header_is_not_rolled_up(store: LmdbStore, caplog: pytest.LogCaptureFixture) -> None:
    publish(store, {number: {"u": rows(number, 2)} for number in range(DAYS, 70)})
    key = next(key for key in stored(store, b"b") if int.from_bytes(key[-12:-8], "big") == keys.ordinal(day(50)))
    put(store, key, b"XX" + stored(store, key)[key][2:])
    with caplog.at_level(logging.WARNING):
        assert roll_up(store, VIEW) == 1
    assert [block.day for block in history(store, "u", VIEW) if block.day < day(64)][:2] == [day(63), day(62)]
    assert "is not a block format known here" in caplog.text


def encode(frame: pl.DataFrame) -> bytes:
    [(_, payload)] = encode_bucket(frame.with_columns(user_id=pl.lit("u")), SCHEMA)
    return payload


def test_a_day_entry_that_is_cut_or_flipped_is_damaged(store: LmdbStore) -> None:
    """Neither does a block come to say that the user left, nor the other way round."""
    publish(store, {36: {"v": rows(36, 2)}})
    entries = {key[-12:]: (key, value) for key, value in stored(store, b"b").items() if key[8:9] == b"u"}
    (block, payload), (left, says_left) = list(entries.values())[-1], list(entries.values())[-2]
    for key, value, at in ((block, payload, 37), (left, says_left, 36)):
        for what, broken in damages(value):
            put(store, key, broken)
            assert read(store, "u")[1] == [f"{day(at)} to {day(at)}"], what
        put(store, key, value)
    assert read(store, "u")[1] == []


def streaming(store: LmdbStore, start: int = 0) -> None:
    now = [("u", encode(rows(37, 1, salt=9)))]
    store.advance([NowWrite(VIEW, now, {day(37): {P: start + 5}})], {P: Advance(start, start + 5, 1, 7, 1000)})


# First byte of its key, what it is called, who reads it.
SMALL: list[tuple[bytes, str, Callable[[LmdbStore], object]]] = [
    (b"h", "the number of the current epoch", lambda store: store.epoch(VIEW)),
    (b"e", "an epoch", lambda store: store.kept_epochs(VIEW) and history(store, "u", VIEW)),
    (b"s", "a schema", lambda store: store.schema(SCHEMA.schema_id)),
    (b"p", "a stream position", lambda store: store.stream_positions()),
    (b"q", "the reach of a now batch", lambda store: store.now_stats(VIEW)),
    (b"t", "the totals of a now view", lambda store: store.now_stats(VIEW)),
    (b"m", "the days that are rolled up", lambda store: store.rolled_days(VIEW)),
    (b"l", "the lease of a bucket", lambda store: publish(store, {37: {"u": rows(37, 1)}})),
    (b"v", "the last write version", lambda store: publish(store, {37: {"u": rows(37, 1)}})),
    (b"c", "the last sequence number", lambda store: streaming(store, 5)),
    (b"y", "the count of a day's now batches", lambda store: streaming(store, 5)),
    (b"u", "the users of a now batch", lambda store: store.evict(VIEW)),
]


@pytest.mark.parametrize(("prefix", "what", "use"), SMALL, ids=[what for _, what, _ in SMALL])
def test_no_flip_nor_cut_of_a_small_record_is_read(
    tmp_path: Path, prefix: bytes, what: str, use: Callable[[LmdbStore], object]
) -> None:
    store = LmdbStore(tmp_path / "online", sync=False)
    publish(store, {number: {"u": rows(number, 1)} for number in range(36, DAYS)})
    streaming(store)
    covering = BucketVersion(1, 1, 1, high_water={P: 9})
    for _ in range(4):  # so that every kept epoch covers what was streamed
        write = BucketWrite(day(37), [("u", encode(rows(37, 1)))], covering)
        store.publish_many(VIEW, [write], release="r", expected_epoch=ANY_EPOCH)
    store.mark_rolled(VIEW, {day(36): 0})
    key, value = list(stored(store, prefix).items())[-1]
    for how, broken in damages(value):
        put(store, key, broken)
        store._schemas.clear()
        store._views = ViewCache()
        with pytest.raises(StoreDamagedError, match=what) as refused:
            use(store)
        assert "in the online store, under b'" in str(refused.value), how
        mended = (
            "publish any of its days" if prefix in (b"e", b"h") else "put a copy of the store's folder in its place"
        )
        assert mended in refused.value.fix
    put(store, key, value)
    use(store)
    store.close()


@pytest.mark.parametrize("prefix", [b"e", b"h"])
@pytest.mark.parametrize("which", ["current", "older", "all"])
def test_a_publication_of_all_days_mends_epochs_that_are_damaged(store: LmdbStore, prefix: bytes, which: str) -> None:
    """Numbers go on, what is whole of the epochs before can be gone back to, and streamed rows leave again."""
    all_days = {number: {"u": rows(number, 2), "v": rows(number, 2)} for number in range(DAYS)}
    publish(store, {37: {"u": rows(37, 3), "v": rows(37, 3)}})
    streaming(store)
    whole, before = read(store, "u")[0], store.kept_epochs(VIEW)
    found = [key for key in stored(store, prefix) if key[1:].startswith(b"\x04view")]
    chosen = {"current": found[-1:], "older": found[:1], "all": found}[which]
    for key in chosen:
        value = stored(store, key)[key]
        put(store, key, value[:-1] + bytes([value[-1] ^ 1]))
    store._views = ViewCache()
    if which != "older" or prefix == b"h":
        with pytest.raises(StoreDamagedError, match="publish any of its days again"):
            store.epoch(VIEW)
        with pytest.raises(StoreDamagedError):
            store.evict(VIEW)
    all_days[37] = {"u": rows(37, 3), "v": rows(37, 3)}
    number = publish(store, all_days).epoch
    assert number == before[-1] + 1
    assert_frame_equal(read(store, "u")[0], whole)
    assert store.evict(VIEW).batches_left == 1
    kept = store.kept_epochs(VIEW)
    assert kept[-1] == number
    for each in kept:
        with store.snapshot(epochs={VIEW: each}) as view:
            assert view.epoch(VIEW)
    store.prune(VIEW, keep_epochs=1)
    assert roll_up(store, VIEW) >= 0
    assert_frame_equal(read(store, "u")[0], whole)


def test_an_epoch_that_is_damaged_while_days_are_published_keeps_its_days(store: LmdbStore) -> None:
    """Whoever began on top of it did not give all days."""
    (key, value), *_ = reversed(stored(store, b"e").items())

    def blocks() -> Iterator[tuple[str, bytes]]:
        put(store, key, value[:-1] + bytes([value[-1] ^ 1]))
        store._views = ViewCache()
        yield from [("u", encode(rows(37, 1)))]

    write = BucketWrite(day(37), blocks(), BucketVersion(1, 1, 1))
    with pytest.raises(StoreDamagedError, match="an epoch does not match"):
        store.publish_many(VIEW, [write], release="r", expected_epoch=ANY_EPOCH)
    put(store, key, value)
    assert len(store.epoch(VIEW).buckets) == DAYS  # type: ignore[union-attr]
