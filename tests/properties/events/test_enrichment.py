"""Values known at event time, from files to events, against the oracle: every way a version begins and ends."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from seqplat_resources.batch.builds import enrichments
from seqplat_resources.batch.builds.lookup import LakeLookups
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.engine.run import run
from seqplat_resources.release.runtime import Runtime
from sequence_defs.schema import Column, Enrich, Snapshot, Source, Time, Versioned
from tests.budget import examples
from tests.building import days, runtime_for
from tests.oracle import NULL, PENDING, VALUE, Row, as_of, nulls_last
from tests.properties.clicks import DAY, SCHEMA, click, clicks, instants, raw_frame, raw_rows, shop, utc_rows

DAYS = days(DAY, 2)
BEFORE = days(DAY - dt.timedelta(days=2), 4)
VERSIONS = {
    "item": pl.Int64(),
    "shop": pl.String(),
    "since": pl.Datetime("us", "UTC"),
    "until": pl.Datetime("us", "UTC"),
    "value": pl.Int64(),
    "note": pl.String(),
}

prices = Source(
    name="prices",
    tenant="shop",
    location="prices.parquet",
    columns=(
        Column(name="item", dtype="int64"),
        Column(name="shop", dtype="string"),
        Column(name="since", dtype="timestamp"),
        Column(name="until", dtype="timestamp"),
        Column(name="value", dtype="int64"),
        Column(name="note", dtype="string"),
    ),
)


def price(name: str, **settings: Any) -> Versioned:
    columns = (Column(name="value", dtype="int64"), Column(name="note", dtype="string"))
    start = Time(sql="since")
    return Versioned(
        name=name, tenant="shop", source="prices", columns=columns, valid_from=start, **{"key": ("item",), **settings}
    )


UNTIL = Time(sql="until")
# Every setting alone, and together.
VARIANTS = (
    price("plain"),
    price("ended", valid_to=UNTIL),
    price("aged", max_age_days=0.5),
    price("refreshed", refresh="full"),
    price("shopped", key=("shop", "item")),
    price("all_of_it", key=("item", "shop"), valid_to=UNTIL, max_age_days=1.25, refresh="full"),
    price("cheap", filter="value < 2", refresh="full", missing={"value": -1, "note": "none"}),
)
SNAPSHOTS = (
    Snapshot(name="dated", tenant="shop", source="prices", key=("item",), columns=VARIANTS[0].columns, day=UNTIL),
    Snapshot(name="timeless", tenant="shop", source="prices", key=("item",), columns=VARIANTS[0].columns),
)
NAMES = [enrichment.name for enrichment in (*VARIANTS, *SNAPSHOTS)]


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    uses = tuple(Enrich(enrichment=name, columns={f"{name}_value": "value", f"{name}_note": "note"}) for name in NAMES)
    folder = tmp_path_factory.mktemp("prices")
    definitions = (shop, clicks(), prices, *VARIANTS, *SNAPSHOTS, click(enrichments=uses))
    return runtime_for(folder / "home", definitions, folder)


def versions() -> st.SearchStrategy[list[Row]]:
    return st.lists(
        st.fixed_dictionaries(
            {
                "item": st.sampled_from([1, 1, 2, None]),
                "shop": st.sampled_from(["x", "x", 'y "z"', None]),
                "since": st.one_of(instants(BEFORE), instants(BEFORE), instants(BEFORE), st.none()),
                "until": st.one_of(st.none(), instants(BEFORE)),
                "value": st.sampled_from([None, 1, 2, 10]),
                "note": st.sampled_from([None, "a", "b"]),
            }
        ),
        max_size=30,
    )


# One example writes some twenty buckets, so there are few of them, each is rich, and none is made smaller.
@settings(max_examples=examples(10), phases=[Phase.generate])
@given(rows=versions(), events=raw_rows(within=DAYS, unique_ids=True, revisions=False, max_size=30))
def test_each_event_gets_the_value_known_when_it_happened(runtime: Runtime, rows: list[Row], events: list[Row]) -> None:
    pl.DataFrame(rows, schema=VERSIONS, orient="row").write_parquet(Path(runtime.sources_root) / "prices.parquet")
    for name in NAMES:
        list(enrichments.build(runtime, name, DAYS))
    plan, lookups, raw = EventPlan.of(runtime.loaded, "click"), LakeLookups(runtime), raw_frame(events)
    for span in ([DAYS[0]], DAYS[1:], DAYS):  # built alone, or together: an event sees its own day's bucket
        of_span = raw.filter(pl.col("_event_time").dt.date().is_in(span))
        for event in utc_rows(run(plan, of_span, lookups.over(span)).events):
            for name in NAMES:
                found = {c: event[f"{name}_{c}"] for c in ("value", "note")}, event[f"{name}__status"]
                assert found == _expected(name, rows, event), (name, event)


def _expected(name: str, rows: list[Row], event: Row) -> tuple[Row, int]:
    found = ORACLES[name](rows, event)
    missing = {"value": -1, "note": "none"} if name == "cheap" else {"value": None, "note": None}
    return ({c: found[c] for c in missing}, VALUE) if found else (missing, NULL)


def _versioned(
    *key: str,
    keep: Callable[[Row], bool] = lambda row: True,
    ends: bool = False,
    full: bool = False,
    max_age: dt.timedelta | None = None,
) -> Callable[[list[Row], Row], Row | None]:
    def current(rows: list[Row], event: Row) -> Row | None:
        usable = [row for row in rows if keep(row) and None not in (row["since"], *(row[k] for k in key))]
        known = [row | {"valid_from": row["since"], "valid_to": row["until"] if ends else None} for row in usable]
        at = {name: event[name] for name in key}
        return as_of(known, at, event["event_time"], ["value", "note"], full=full, max_age=max_age)

    return current


def _snapshot(*, dated: bool) -> Callable[[list[Row], Row], Row | None]:
    def current(rows: list[Row], event: Row) -> Row | None:
        mine = [row for row in rows if row["item"] is not None and row["item"] == event["item"]]
        if dated:
            mine = [row for row in mine if row["until"] and row["until"].date() == event["event_time"].date()]
        return min(mine, key=lambda row: nulls_last([row["value"], row["note"]]), default=None)

    return current


ORACLES = {
    "plain": _versioned("item"),
    "ended": _versioned("item", ends=True),
    "aged": _versioned("item", max_age=dt.timedelta(hours=12)),
    "refreshed": _versioned("item", full=True),
    "shopped": _versioned("item", "shop"),
    "all_of_it": _versioned("item", "shop", ends=True, full=True, max_age=dt.timedelta(hours=30)),
    "cheap": _versioned("item", keep=lambda row: row["value"] is not None and row["value"] < 2, full=True),
    "dated": _snapshot(dated=True),
    "timeless": _snapshot(dated=False),
}


def test_a_day_that_was_not_built_gives_pending_cells(runtime: Runtime) -> None:
    """Not knowing differs from knowing that there is nothing, and no default stands in for it."""
    row = dict.fromkeys(SCHEMA) | {"member": "ann", "click": 1, "item": 1, "_partition": "p", "_offset": 0}
    at = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
    raw = raw_frame([row | {"at": at, "received": at}])
    plan = EventPlan.of(runtime.loaded, "click")
    (event,) = run(plan, raw, LakeLookups(runtime).over([at.date()])).events.to_dicts()
    assert {event[f"{name}__status"] for name in NAMES} == {PENDING}
    assert {event[f"{name}_{column}"] for name in NAMES for column in ("value", "note")} == {None}
