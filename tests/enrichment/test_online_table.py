"""Key texts, the days kept, and what a block says of a key."""

import datetime as dt

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqplat_resources.enrichment.table import block_schema, covered, intervals, key_texts, online_name
from seqplat_resources.online_store.keys import type_bytes, user_bytes
from sequence_defs.schema import Column, Snapshot, Time, Versioned
from tests.building import days, utc

DAYS = days(dt.date(2024, 5, 1), 6)
VALUE = Column(name="value", dtype="int64")
SHELF = Snapshot(name="shelf", tenant="shop", source="s", key=("item",), columns=(VALUE,))
PRICE = Versioned(name="price", tenant="shop", source="s", key=("item",), columns=(VALUE,), valid_from=Time(sql="at"))
SCHEMA: dict[str, pl.DataType] = {
    "item": pl.Int64(),
    "valid_from": pl.Datetime("us", "UTC"),
    "valid_to": pl.Datetime("us", "UTC"),
    "value": pl.Int64(),
}

parts = st.one_of(st.sampled_from(["", "~", "\\", "a", "a~", "\\~", "é"]), st.text(max_size=5), st.just("x" * 300))


def bucket(*rows: tuple[int, dt.datetime | None, dt.datetime | None, int]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=SCHEMA, orient="row")


@given(keys=st.lists(st.tuples(parts, parts), unique=True, min_size=1, max_size=20))
def test_distinct_keys_have_distinct_texts_that_a_store_can_hold(keys: list[tuple[str, str]]) -> None:
    both = key_texts(pl.DataFrame(keys, schema={"a": pl.String(), "b": pl.String()}, orient="row"))
    alone = key_texts(pl.DataFrame({"a": sorted({a for a, _ in keys})}, schema={"a": pl.String()}))
    for texts in (both, alone):
        assert texts.n_unique() == texts.len()
        for text in texts:
            assert user_bytes(text)


def test_keys_of_every_type_have_texts() -> None:
    keys = pl.DataFrame({"a": [1, None], "b": [True, True], "c": [dt.date(2024, 5, 1)] * 2, "d": [b"\xff", b""]})
    assert key_texts(keys).to_list() == ["1~true~2024-05-01~ff~", None]


def test_a_digest_is_not_the_text_of_a_key() -> None:
    long = key_texts(pl.DataFrame({"a": ["x" * 300]})).item()
    assert key_texts(pl.DataFrame({"a": [long]})).item() != long


def test_the_longest_name_fits_the_store() -> None:
    assert type_bytes(online_name("n" * 63))


def test_the_days_kept_reach_back_72_hours_from_the_newest() -> None:
    assert covered(DAYS, DAYS[5]) == DAYS[2:]


def test_the_days_kept_end_at_a_gap() -> None:
    assert covered([*DAYS[:2], *DAYS[3:]], DAYS[4]) == DAYS[3:5]


def test_a_value_that_holds_all_along_has_neither_start_nor_end() -> None:
    """So its block is the same tomorrow."""
    open_price = {day: bucket((1, utc(2023, 1, 1), None, 5)) for day in DAYS[:3]}
    open_shelf = {day: bucket((1, None, None, 5)) for day in DAYS[:3]}
    for found in (intervals(open_price, PRICE), intervals(open_shelf, SHELF)):
        assert found.rows() == [(1, None, None, 5)]


def test_a_stated_end_after_the_newest_day_is_kept() -> None:
    ends = utc(2024, 7, 1)
    assert intervals({DAYS[0]: bucket((1, utc(2023, 1, 1), ends, 5))}, PRICE)["valid_to"].to_list() == [ends]


def test_a_key_that_leaves_does_not_lend_its_value_to_the_next_key() -> None:
    start, middle, end = utc(2024, 5, 1), utc(2024, 5, 2), utc(2024, 5, 3)
    buckets = {DAYS[0]: bucket((1, start, middle, 5)), DAYS[1]: bucket((2, middle, end, 5))}
    assert intervals(buckets, SHELF).rows() == [(1, None, middle, 5), (2, middle, None, 5)]


def test_a_value_that_is_interrupted_is_two() -> None:
    first, noon, evening = utc(2023, 1, 1), utc(2024, 5, 1, 12), utc(2024, 5, 1, 18)
    rows = intervals({DAYS[0]: bucket((1, first, noon, 5), (1, evening, None, 5))}, PRICE).rows()
    assert rows == [(1, None, noon, 5), (1, evening, None, 5)]


@pytest.mark.parametrize("definition", [PRICE, SHELF])
def test_an_empty_day_is_known_to_be_empty(definition: Versioned | Snapshot) -> None:
    found = intervals({DAYS[0]: bucket()}, definition)
    assert found.height == 0
    assert found.schema == SCHEMA
    assert block_schema(definition).dtypes == {"valid_from": "timestamp", "valid_to": "timestamp", "value": "int64"}
