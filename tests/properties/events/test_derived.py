"""Derived columns against plain Python: expressions of one row, of a user's day, and of cells that are not known."""

from collections.abc import Callable
from typing import Any

import polars as pl
from hypothesis import given

from seqplat_resources.engine.contract import NoLookup
from seqplat_resources.testing.lookups import FrameLookup
from sequence_defs.schema import Column, Derived, Snapshot, Source
from tests.building import utc
from tests.oracle import NULL, PENDING, VALUE, Row
from tests.properties.clicks import attached, click, plan_of, raw_rows, run_rows, utc_rows

left_column = Column(name="left", dtype="int64")
stock = Source(
    name="stock", tenant="shop", location="stock.parquet", columns=(Column(name="item", dtype="int64"), left_column)
)
left = Snapshot(name="left", tenant="shop", source="stock", key=("item",), columns=(left_column,))
CALLABLES: dict[str, Callable[[Row], Any]] = {
    "doubled": lambda e: None if e["amount"] is None else e["amount"] * 2,
    "is_large": lambda e: None if e["amount"] is None else e["amount"] * 2 > 10,
    "named": lambda e: e["shop"] if e["shop"] is not None else "none",
}
plain = Derived(
    name="plain",
    tenant="shop",
    columns=(
        Column(name="doubled", dtype="int64", sql="amount * 2"),
        Column(name="is_large", dtype="bool", sql="doubled > 10"),
        Column(name="named", dtype="string", sql="COALESCE(shop, 'none')"),
    ),
)
over_day = Derived(
    name="over_day",
    tenant="shop",
    columns=(
        Column(name="spent", dtype="int64", sql="SUM(amount) OVER (PARTITION BY user_id, shop)"),
        Column(name="counted", dtype="int64", sql="COUNT(click) OVER (PARTITION BY user_id)"),
    ),
)
enough = Derived(name="enough", tenant="shop", columns=(Column(name="enough", dtype="bool", sql="left >= amount"),))
PLAN = plan_of(click(**attached("left", "plain", "over_day", "enough")), stock, left, plain, over_day, enough)


@given(rows=raw_rows())
def test_expressions_of_one_row_are_their_callables(rows: list[Row]) -> None:
    for event in utc_rows(run_rows(PLAN, rows).events):
        expected = {name: call(event) for name, call in CALLABLES.items()}
        assert {name: event[name] for name in expected} == expected
        assert event["plain__status"] == VALUE


@given(rows=raw_rows())
def test_expressions_over_a_day_see_the_users_standing_events(rows: list[Row]) -> None:
    """A retracted event counts for nobody, and nothing is counted for it."""
    events = utc_rows(run_rows(PLAN, rows).events)
    for event in events:
        mine = [e for e in events if e["user_id"] == event["user_id"] and e["op"] == "upsert"]
        amounts = [e["amount"] for e in mine if e["shop"] == event["shop"] and e["amount"] is not None]
        expected = (sum(amounts) if amounts else None, len(mine), VALUE)
        if event["op"] == "retract":
            expected = (None, None, NULL)
        assert (event["spent"], event["counted"], event["over_day__status"]) == expected


@given(rows=raw_rows())
def test_a_derived_cell_is_pending_while_its_input_is(rows: list[Row]) -> None:
    for event in utc_rows(run_rows(PLAN, rows, NoLookup()).events):
        assert (event["left"], event["left__status"]) == (None, PENDING)
        assert (event["enough"], event["enough__status"]) == (None, PENDING)


@given(rows=raw_rows())
def test_a_derived_cell_whose_input_is_missing_has_sqls_value(rows: list[Row]) -> None:
    """An input that was looked up and is not there is null, and so is a comparison with it."""
    versions = {"item": [1, 2], "valid_from": [utc(2024, 1, 1)] * 2, "valid_to": [None, None], "left": [5, None]}
    table = pl.DataFrame(versions).cast({"valid_to": pl.Datetime("us", "UTC"), "left": pl.Int64()})
    for event in utc_rows(run_rows(PLAN, rows, FrameLookup({"left": table})).events):
        assert event["left__status"] == (VALUE if event["item"] in (1, 2) else NULL)
        known = event["item"] == 1 and event["amount"] is not None
        assert event["enough"] == (event["amount"] <= 5 if known else None)
        assert event["enough__status"] == (VALUE if known else NULL)
