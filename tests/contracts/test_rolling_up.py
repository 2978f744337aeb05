"""What rolling up promises, asked of every store; `tests/online_store/test_rollup_model.py` goes through its orders."""

import datetime as dt
from collections.abc import Mapping

import polars as pl
import pytest

from seqplat_resources.online_store import (
    ANY_EPOCH,
    BlockSchema,
    BucketVersion,
    BucketWrite,
    HistoryBlock,
    OnlineStore,
    PublishResult,
    Roll,
    RolledBlock,
    RollSpan,
    decode_blocks,
    encode_bucket,
    rollup,
)
from seqplat_resources.online_store.errors import UnknownSchemaError
from tests.online_stores import history

VIEW = "item_view"
SCHEMA = BlockSchema.of({"event_time": "timestamp", "n": "int64"})
D1, D2, D3, NEXT = "2024-03-25", "2024-03-26", "2024-03-27", "2024-04-05"
SPAN = RollSpan.of(D1)


def block(day: str, n: int, schema: BlockSchema = SCHEMA) -> bytes:
    noon = dt.datetime.fromisoformat(f"{day}T12:00:00+00:00")
    events = pl.DataFrame({"user_id": ["u"], "event_time": [noon], "n": [n]})
    return next(encode_bucket(events.cast({"event_time": pl.Datetime("us", "UTC")}), schema))[1]


def put(store: OnlineStore, **days: Mapping[str, int]) -> PublishResult:
    """Days by their names here: ``D1={"ann": 1}``."""
    writes = []
    for name, users in days.items():
        day = {"D1": D1, "D2": D2, "D3": D3, "NEXT": NEXT}[name]
        blocks = [(user, block(day, n)) for user, n in users.items()]
        writes.append(BucketWrite(day, blocks, BucketVersion(1, len(blocks), len(blocks))))
    return store.publish_many(VIEW, writes, release="r", expected_epoch=ANY_EPOCH)


def roll(store: OnlineStore, span: RollSpan = SPAN) -> int:
    chunks = store.rollable(VIEW, span)
    return sum(store.roll_many(VIEW, span, list(rollup.rolls(store, VIEW, chunk))) for chunk in chunks)


def blocks(store: OnlineStore, user: str, epoch: int | None = None) -> list[tuple[str, str, set[str]]]:
    """First and last day of each block, and what of it does not count."""
    return [(found.first_day, found.day, set(found.superseded)) for found in read(store, user, epoch)]


def read(store: OnlineStore, user: str, epoch: int | None = None) -> list[HistoryBlock]:
    return history(store, user, VIEW, epoch=epoch)


def values(store: OnlineStore, user: str, epoch: int | None = None) -> list[int]:
    """The rows that count, newest first."""
    found: list[tuple[dt.datetime, int]] = []
    for one in read(store, user, epoch):
        rows = decode_blocks([one.payload], store.schema)
        rows = rows.filter(~rows["event_time"].dt.date().cast(pl.String).is_in(list(one.superseded)))
        found += rows.rows()
    return [n for _, n in sorted(found, reverse=True)]


@pytest.fixture
def store(online_store: OnlineStore) -> OnlineStore:
    online_store.register_schema(SCHEMA)
    return online_store


def test_days_become_one_block_with_the_same_rows(store: OnlineStore) -> None:
    put(store, D1={"ann": 1, "bob": 9}, D2={"ann": 2}, D3={"ann": 3}, NEXT={"ann": 4})
    assert roll(store) == 1
    assert blocks(store, "ann") == [(NEXT, NEXT, set()), (D1, D3, set())]
    assert values(store, "ann") == [4, 3, 2, 1]
    assert (blocks(store, "bob"), values(store, "bob")) == ([(D1, D1, set())], [9])
    assert roll(store) == 0


def test_bounds_find_a_rolled_block_by_any_of_its_days(store: OnlineStore) -> None:
    put(store, D1={"ann": 1}, D3={"ann": 3}, NEXT={"ann": 4})
    roll(store)
    whole, alone = (D1, D3), (NEXT, NEXT)
    expected = {
        (None, D1): [whole],
        (D2, D2): [whole],
        (D3, None): [alone, whole],
        (NEXT, None): [alone],
        (None, "2024-03-24"): [],
        ("2024-03-28", "2024-04-04"): [],
    }
    for (since, until), days in expected.items():
        found = history(store, "ann", VIEW, since_day=since, until_day=until)
        assert [(one.first_day, one.day) for one in found] == days, (since, until)


def test_publishing_compares_with_what_is_rolled_up(store: OnlineStore) -> None:
    put(store, D1={"ann": 1, "bob": 1}, D2={"ann": 2, "bob": 2})
    assert roll(store) == 2
    result = put(store, D1={"ann": 1, "bob": 10})
    assert (result.users_written, result.users_unchanged, result.users_removed) == (1, 1, 0)
    assert (values(store, "ann"), values(store, "bob")) == ([2, 1], [2, 10])
    result = put(store, D1={"ann": 1})
    assert (result.users_written, result.users_unchanged, result.users_removed) == (0, 1, 1)
    assert (values(store, "ann"), values(store, "bob")) == ([2, 1], [2])
    assert values(store, "bob", epoch=2) == [2, 10]
    assert values(store, "bob", epoch=1) == [2, 1]


def test_days_that_kept_epochs_show_differently_stay_as_they_are(store: OnlineStore) -> None:
    put(store, D1={"ann": 1}, D2={"ann": 2}, D3={"ann": 3})
    put(store, D2={"ann": 20})
    assert roll(store) == 1
    assert (values(store, "ann", epoch=1), values(store, "ann")) == ([3, 2, 1], [3, 20, 1])
    assert blocks(store, "ann") == [(D1, D3, set()), (D2, D2, set())]
    store.prune(VIEW, keep_epochs=1)
    assert roll(store) == 1
    assert (blocks(store, "ann"), values(store, "ann")) == ([(D1, D3, set())], [3, 20, 1])


def test_rollback_and_dropped_days_show_through(store: OnlineStore) -> None:
    put(store, D1={"ann": 1}, D2={"ann": 2})
    roll(store)
    put(store, D1={"ann": 10})
    store.publish_many(VIEW, [], release="r", expected_epoch=2, drop_days=[D2])
    assert values(store, "ann") == [10]
    store.rollback(VIEW, to_epoch=1, expected_epoch=3)
    assert values(store, "ann") == [2, 1]


def test_user_who_changed_meanwhile_is_passed_over(store: OnlineStore) -> None:
    put(store, D1={"ann": 1, "bob": 1}, D2={"ann": 2, "bob": 2})
    rolls = [one for chunk in store.rollable(VIEW, SPAN) for one in rollup.rolls(store, VIEW, chunk)]
    put(store, D1={"ann": 10, "bob": 1})
    assert store.roll_many(VIEW, SPAN, rolls) == 1
    assert (values(store, "ann"), values(store, "bob")) == ([2, 10], [2, 1])
    assert store.roll_many(VIEW, SPAN, [Roll("nobody", (RolledBlock({D1: 1}, block(D1, 1)),))]) == 0


def test_block_of_an_unknown_schema_is_refused(store: OnlineStore) -> None:
    put(store, D1={"ann": 1}, D2={"ann": 2})
    [[found]] = [list(chunk) for chunk in store.rollable(VIEW, SPAN)]
    other = BlockSchema.of({"n": "int64", "event_time": "timestamp"})
    days = {day: version for source in found.sources for day, version in source.days.items()}
    with pytest.raises(UnknownSchemaError):
        store.roll_many(VIEW, SPAN, [Roll("ann", (RolledBlock(days, block(D1, 1, other)),))])
    assert values(store, "ann") == [2, 1]


def test_marks_say_what_was_rolled_up(store: OnlineStore) -> None:
    assert store.rolled_days(VIEW) == {}
    put(store, D1={"ann": 1}, D2={"ann": 2}, D3={"bob": 3})
    roll(store)
    assert store.rolled_days(VIEW) == {D1: 0, D2: 0}
    store.mark_rolled(VIEW, {D1: 4, D3: 5})
    assert store.rolled_days(VIEW) == {D1: 4, D2: 0, D3: 5}


def test_dropping_all_of_it_leaves_nothing_behind(store: OnlineStore) -> None:
    put(store, D1={"ann": 1}, D2={"ann": 2}, NEXT={"bob": 3})
    roll(store)
    store.publish_many(VIEW, [], release="r", expected_epoch=1, drop_days=[D1, D2])
    store.prune(VIEW, keep_epochs=1)
    assert read(store, "ann") == []
    put(store, D1={"bob": 1}, D2={"ann": 5})
    assert (values(store, "ann"), values(store, "bob")) == ([5], [3, 1])
    assert roll(store) == 0
