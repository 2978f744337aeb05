"""Events of one time: by the declared order of their source, or by position; and never by when they arrived."""

import datetime as dt
from random import Random
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqplat_resources.rules.order import SOURCE_ORDER, TIES, among_equals, newest_first, source_order
from tests.building import utc
from tests.oracle import Row
from tests.oracle import newest_first as ordered
from tests.properties.clicks import click, clicks, plan_of, raw_rows, run_rows, utc_rows

NUMBERS = [-(2**63), -10, -9, 0, 9, 10, 2**63 - 1]


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (NUMBERS, pl.Int64()),
        ([-128, 0, 127], pl.Int8()),
        (["", "a", "b", "éa"], pl.String()),
        ([dt.date(1, 1, 1), dt.date(1970, 1, 1), dt.date(9999, 12, 31)], pl.Date()),
        ([utc(1, 1, 1), utc(1969, 12, 31), utc(2024, 5, 1)], pl.Datetime("us", "UTC")),
    ],
)
def test_the_text_of_an_order_sorts_as_its_values_do(values: list[Any], dtype: pl.DataType) -> None:
    frame = pl.DataFrame({"value": [None, *values]}, schema={"value": dtype})
    texts = frame.select(source_order("value", dtype)).to_series().to_list()
    assert texts[0] == ""
    assert texts == sorted(texts)
    assert len(set(texts[1:])) == len(values)


rows_of_one_time = st.lists(
    st.fixed_dictionaries(
        {
            "event_time": st.just(utc(2024, 5, 1)),
            SOURCE_ORDER: st.sampled_from([None, "", "1", "2"]),
            "source_partition": st.sampled_from("ab"),
            "offset": st.integers(0, 3),
            "event_type": st.sampled_from(["click", "view"]),
            "event_id": st.sampled_from("xyz"),
        }
    ),
    min_size=1,
    max_size=8,
)


@given(rows=rows_of_one_time, chance=st.randoms(use_true_random=False))
def test_mixed_events_have_one_total_order_in_frames_and_in_arrays(rows: list[Row], chance: Random) -> None:
    expected = ordered(rows)
    chance.shuffle(rows)
    schema = {"event_time": pl.Datetime("us", "UTC"), **{key: pl.String() for key in ("event_type", "event_id")}}
    frame = pl.DataFrame(rows, schema_overrides={**schema, SOURCE_ORDER: pl.String()})
    shown = [SOURCE_ORDER, "event_type", "event_id"]
    wanted = [tuple(row[name] for name in shown) for row in expected]
    assert newest_first(frame).select(shown).rows() == wanted
    kinds = (frame["event_type"] == "view").cast(pl.Int64).to_numpy()
    places = among_equals(frame.select(list(TIES)), kinds, (kinds * 0))
    assert frame[places].select(shown).rows() == wanted


@given(rows=raw_rows(revisions=False, unique_ids=True), chance=st.randoms(use_true_random=False))
def test_where_a_source_declares_an_order_positions_and_arrival_change_nothing(rows: list[Row], chance: Random) -> None:
    plan = plan_of(click(), clicks(order="item"))
    once = run_rows(plan, rows).events
    places = [(row["_partition"], row["_offset"]) for row in rows]
    chance.shuffle(places)
    moved = [
        row | {"_partition": partition, "_offset": offset, "received": row["at"] + dt.timedelta(minutes=offset)}
        for row, (partition, offset) in zip(rows, places, strict=True)
    ]
    again = run_rows(plan, moved).events
    columns = ["user_id", "event_time", "event_id", "item"]
    assert again.select(columns).equals(once.select(columns))
    found = utc_rows(once)
    for user in {row["user_id"] for row in found}:
        mine = [row for row in found if row["user_id"] == user]
        by_value = sorted(
            mine,
            key=lambda e: (e["event_time"], e["item"] is not None, e["item"] or 0, e["event_id"]),
            reverse=True,
        )
        assert mine == by_value
