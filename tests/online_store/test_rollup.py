"""What is due, and which rows go together into a block."""

import datetime as dt
import logging
from collections.abc import Mapping
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from seqplat_resources.online_store import (
    ANY_EPOCH,
    BlockSchema,
    BucketVersion,
    BucketWrite,
    Epoch,
    HistoryBlock,
    PublishResult,
    RollSpan,
    decode_blocks,
    encode_bucket,
    row_count,
)
from seqplat_resources.online_store.lmdb import LmdbStore
from seqplat_resources.online_store.rollup import BLOCK_ROWS, due, roll_up
from tests.online_stores import history, publish_one

VIEW = "view"
SCHEMA = BlockSchema.of({"event_time": "timestamp", "n": "int64", "s": "string"})
WIDER = BlockSchema.of({**SCHEMA.dtypes, "more": "int64"})
FIRST = dt.date.fromisoformat(RollSpan.of("2024-03-10").first_day)


def day(number: int) -> str:
    return (FIRST + dt.timedelta(days=number)).isoformat()


def rows(number: int, count: int, salt: int = 0) -> pl.DataFrame:
    noon = dt.datetime.combine(FIRST + dt.timedelta(days=number), dt.time(12), dt.UTC)
    times = [noon - dt.timedelta(seconds=7 * k) for k in range(count)]
    frame = pl.DataFrame({"event_time": times, "n": [number * 1000 + k + salt for k in range(count)]})
    text = (pl.lit("item-") + (pl.col("n") % 5).cast(pl.String)).alias("s")
    return frame.with_columns(pl.col("event_time").cast(pl.Datetime("us", "UTC")), text)


def publish(
    store: LmdbStore, days: Mapping[int, Mapping[str, pl.DataFrame]], schema: BlockSchema = SCHEMA
) -> PublishResult:
    store.register_schema(schema)
    writes = []
    for number, users in days.items():
        events = pl.concat([frame.with_columns(user_id=pl.lit(user)) for user, frame in users.items()])
        bucket = BucketVersion(1, events.height, len(users))
        writes.append(BucketWrite(day(number), list(encode_bucket(events, schema)), bucket))
    return store.publish_many(VIEW, writes, release="r", expected_epoch=ANY_EPOCH)


def blocks(store: LmdbStore, user: str) -> list[HistoryBlock]:
    return history(store, user, VIEW)


def decoded(store: LmdbStore, user: str) -> pl.DataFrame:
    """Rows that count, as a reader gets them where no day block lies inside a rolled one."""
    parts = []
    for block in blocks(store, user):
        frame = decode_blocks([block.payload], store.schema, SCHEMA.dtypes)
        dates = frame["event_time"].dt.date().cast(pl.String)
        parts.append(frame.filter(~dates.is_in(list(block.superseded))))
    return pl.concat(parts)


@pytest.fixture
def store(tmp_path: Path) -> LmdbStore:
    return LmdbStore(tmp_path / "online", sync=False)


def test_sixteen_thousand_events_of_a_year_are_tens_of_blocks(store: LmdbStore) -> None:
    history = {number: {"busy": rows(number, 45), "calm": rows(number, 1)} for number in range(365)}
    for start in range(0, 365, 73):
        publish(store, {number: history[number] for number in range(start, start + 73)})
        roll_up(store, VIEW)
    assert len(blocks(store, "busy")) <= 25
    assert len(blocks(store, "calm")) <= 25
    assert max(row_count(block.payload) for block in blocks(store, "busy")) <= BLOCK_ROWS
    assert_frame_equal(decoded(store, "busy"), pl.concat([history[n]["busy"] for n in reversed(range(365))]))
    store.close()


def test_the_newest_days_keep_their_own_blocks(store: LmdbStore) -> None:
    publish(store, {number: {"u": rows(number, 3)} for number in range(38)})
    assert roll_up(store, VIEW) == 1
    assert [(block.first_day, block.day) for block in blocks(store, "u")] == [
        *((day(number), day(number)) for number in range(37, 31, -1)),
        (day(0), day(31)),
    ]
    assert roll_up(store, VIEW) == 0
    publish(store, {number: {"u": rows(number, 3)} for number in range(38, 46)})
    assert roll_up(store, VIEW) == 1
    assert [(block.first_day, block.day) for block in blocks(store, "u")] == [
        *((day(number), day(number)) for number in range(45, 42, -1)),
        (day(32), day(42)),
        (day(0), day(31)),
    ]
    store.close()


def test_publishing_again_what_is_rolled_up_writes_nothing(store: LmdbStore) -> None:
    days = {number: {"u": rows(number, 3), "v": rows(number, 2)} for number in range(40)}
    publish(store, days)
    roll_up(store, VIEW)
    assert publish(store, days).users_written == 0
    assert publish(store, {3: {"u": rows(3, 3, salt=1), "v": rows(3, 2)}}).users_written == 1
    assert [block.superseded for block in blocks(store, "u") if block.superseded] == [frozenset({day(3)})]
    assert publish(store, {3: {"v": rows(3, 2)}}).users_removed == 1
    assert_frame_equal(decoded(store, "u"), pl.concat([rows(n, 3) for n in reversed(range(40)) if n != 3]))
    store.close()


def test_corrected_days_are_taken_in_when_there_are_enough_of_them(store: LmdbStore) -> None:
    publish(store, {number: {"u": rows(number, 3)} for number in range(40)})
    roll_up(store, VIEW)
    corrected = {number: {"u": rows(number, 4, salt=1)} for number in range(2, 12)}
    publish(store, corrected)
    assert roll_up(store, VIEW) == 0, "kept epochs still show these days as they were"
    for _ in range(4):
        publish(store, {39: {"u": rows(39, 3)}})
    assert roll_up(store, VIEW) == 1
    assert [block.first_day for block in blocks(store, "u")][-1] == day(0)
    assert not any(block.superseded for block in blocks(store, "u"))
    expected = [rows(n, 4, salt=1) if 2 <= n < 12 else rows(n, 3) for n in reversed(range(40))]
    assert_frame_equal(decoded(store, "u"), pl.concat(expected))
    store.close()


def test_blocks_of_other_columns_stay_apart_and_do_not_overlap(store: LmdbStore) -> None:
    wider = rows(5, 3).with_columns(more=pl.lit(1, pl.Int64))
    publish(store, {number: {"u": rows(number, 3)} for number in range(40) if number != 5})
    publish(store, {5: {"u": wider}}, WIDER)
    roll_up(store, VIEW)
    rolled = [block for block in blocks(store, "u") if block.day <= day(31)]
    assert [(block.first_day, block.day) for block in rolled] == [
        (day(6), day(31)),
        (day(5), day(5)),
        (day(0), day(4)),
    ]
    assert decode_blocks([rolled[1].payload], store.schema)["more"].to_list() == [1, 1, 1]
    store.close()


def test_days_of_many_rows_are_blocks_of_their_own(store: LmdbStore) -> None:
    publish(store, {number: {"u": rows(number, 3000 if number == 1 else 700)} for number in range(40)})
    roll_up(store, VIEW)
    rolled = [row_count(block.payload) for block in blocks(store, "u") if block.day <= day(31)]
    assert rolled == [1400] * 15 + [3000, 700]
    assert_frame_equal(decoded(store, "u"), pl.concat([rows(n, 3000 if n == 1 else 700) for n in reversed(range(40))]))
    store.close()


def test_user_with_a_damaged_block_stays_as_he_is(store: LmdbStore, caplog: pytest.LogCaptureFixture) -> None:
    users = {number: {"good": rows(number, 2), "hurt": rows(number, 2)} for number in range(38) if number != 3}
    publish(store, users)
    [(_, payload)] = encode_bucket(rows(3, 2).with_columns(user_id=pl.lit("u")), SCHEMA)
    both = [("good", payload), ("hurt", payload[:-1] + bytes([payload[-1] ^ 1]))]
    publish_one(store, VIEW, day(3), both, bucket=BucketVersion(1, 2, 2), release="r", expected_epoch=ANY_EPOCH)
    with caplog.at_level(logging.WARNING):
        assert roll_up(store, VIEW) == 1
    assert "events of view are not rolled up" in caplog.text
    assert "bytes do not match their checksum" in caplog.text
    assert (len(blocks(store, "good")), len(blocks(store, "hurt"))) == (7, 38)
    store.close()


def test_events_without_a_time_are_not_rolled_up(store: LmdbStore) -> None:
    timeless = BlockSchema.of({"n": "int64"})
    publish(store, {number: {"u": rows(number, 2)} for number in range(40)}, timeless)
    assert roll_up(store, VIEW) == 0
    assert len(blocks(store, "u")) == 40
    store.close()


def epoch_of(days: Mapping[int, int]) -> Epoch:
    return Epoch(VIEW, 1, "r", {day(number): BucketVersion(1, 1, 1, version=v) for number, v in days.items()})


def due_days(days: Mapping[int, int], marks: Mapping[int, int], *older: Mapping[int, int]) -> list[int]:
    epochs = [epoch_of(one) for one in (*older, days)]
    found = due(epochs, {day(number): version for number, version in marks.items()})
    return [(dt.date.fromisoformat(d) - FIRST).days for days_of in found.values() for d in days_of]


def test_a_span_is_due_when_four_of_its_days_are_new() -> None:
    days = dict.fromkeys(range(7), 1)
    assert due_days(days, {}) == list(range(4))
    assert due_days(dict.fromkeys(range(6), 1), {}) == []
    assert due_days(days, {3: 1}) == []
    assert due_days(days, {3: 0}) == list(range(4))


def test_a_full_span_is_due_for_fewer_days_but_not_for_corrected_ones() -> None:
    days = dict.fromkeys([0, 1, 2, 39], 1)
    assert due_days(days, {}) == [0, 1, 2]
    assert due_days(days, {0: 1}) == []
    assert due_days(days, {0: 2, 1: 2, 2: 2}) == []
    many = dict.fromkeys([*range(9), 39], 3)
    assert due_days(many, dict.fromkeys(range(9), 2)) == list(range(9))


def test_days_that_kept_epochs_show_differently_do_not_count() -> None:
    days = dict.fromkeys(range(7), 2)
    assert due_days(days, {}, {**days, 2: 1}) == []
    assert due_days(days, {}, dict.fromkeys(range(3, 7), 2)) == list(range(4))


def test_nothing_published_is_nothing_due(store: LmdbStore) -> None:
    assert roll_up(store, VIEW) == 0
    assert due([Epoch(VIEW, 1, "r", {})], {}) == {}
    store.close()
