"""Enrichments from files: days whose file is absent, rows without a key or a start, and rejects kept once."""

import datetime as dt

import polars as pl
import pytest

from seqplat_resources.batch.builds import enrichments, events, raw
from seqplat_resources.batch.builds.enrichments import EnrichmentUnknown
from seqplat_resources.batch.inputs import tables
from seqplat_resources.engine.plan import EventPlan
from sequence_defs.schema import Column, Derived, Enrich, EventType, Snapshot, Source, Time, Versioned
from tests.building import utc
from tests.sources.orders import DAY, NEXT, UNDATED, Orders, orders

SOURCE = orders("parquet")
PRICE = Column(name="price", dtype="int64")
prices = Source(
    name="prices",
    tenant="shop",
    location="prices-{day}.parquet",
    columns=(
        Column(name="number", dtype="int64"),
        PRICE,
        Column(name="since", dtype="timestamp"),
        Column(name="of", dtype="date"),
    ),
)
by_day = Snapshot(
    name="by_day", tenant="shop", source="prices", key=("number",), columns=(PRICE,), day=Time(sql='"of"')
)
by_start = Versioned(
    name="by_start",
    tenant="shop",
    source="prices",
    key=("number",),
    columns=(Column(name="start_price", dtype="int64", sql="price"),),
    valid_from=Time(sql="since"),
)
doubled = Derived(name="doubled", tenant="shop", columns=(Column(name="doubled", dtype="int64", sql="price * 2"),))
order = EventType(
    name="order",
    tenant="shop",
    source="orders",
    natural_key=("number",),
    columns=(Column(name="number", dtype="int64"),),
    enrichments=tuple(Enrich(enrichment=name) for name in ("by_day", "by_start", "doubled")),
)
DEFINITIONS = (prices, by_day, by_start, doubled, order)


def price_list(*rows: tuple[int | None, int, dt.datetime | None, dt.date | None]) -> pl.DataFrame:
    schema = {"number": pl.Int64(), "price": pl.Int64(), "since": pl.Datetime("us", "UTC"), "of": pl.Date()}
    return pl.DataFrame(list(rows), schema=schema, orient="row")


def test_a_day_without_a_file_is_reported_and_its_events_are_pending(folder: Orders) -> None:
    folder.write("prices-2024-05-01.parquet", price_list((1, 10, utc(2024, 5, 1), DAY)))
    times = pl.Series([utc(2024, 5, 1, 3), utc(2024, 5, 2, 3), utc(2024, 5, 1, 4)])
    folder.write("orders.parquet", pl.DataFrame({"member": ["ann"] * 3, "at": times, "number": [1, 3, 2]}))
    runtime = folder.runtime(SOURCE, *DEFINITIONS)
    for name in ("by_day", "by_start"):
        built, absent = enrichments.build(runtime, name, [DAY, NEXT])
        assert (built.rows, built.facts) == (1, {"keys": 1})
        assert (absent.rows, absent.version, absent.facts) == (0, -1, {"absent": 1})
        assert tables.enrichment(runtime, runtime.release.enrichments[name]).buckets() == {("2024-05-01",)}  # type: ignore[arg-type]
    list(raw.ingest(runtime, "orders", [DAY, NEXT]))
    list(events.build(runtime, "order", [DAY, NEXT]))
    table = tables.events(runtime, EventPlan.of(runtime.loaded, "order")).scan().sort("day", "number").collect()
    columns = ["price", "by_day__status", "start_price", "by_start__status", "doubled", "doubled__status"]
    assert table.select(columns).rows() == [
        (10, 0, 10, 0, 20, 0),
        (None, 1, None, 1, None, 1),
        (None, 2, None, 2, None, 2),
    ]


def test_rows_without_a_key_or_a_start_are_rejects_of_their_enrichment(folder: Orders) -> None:
    rows = price_list((1, 10, utc(2024, 5, 1), DAY), (None, 11, utc(2024, 5, 1), DAY), (3, 12, None, None))
    folder.write("prices-2024-05-01.parquet", rows)
    folder.write("prices-2024-05-02.parquet", price_list((None, 13, utc(2024, 5, 2), NEXT)))
    runtime = folder.runtime(SOURCE, *DEFINITIONS)
    for days in ([DAY, NEXT], [DAY], [NEXT, DAY]):  # building again replaces them
        for name in ("by_day", "by_start"):
            list(enrichments.build(runtime, name, days))
        found = tables.rejects(runtime, "prices").scan().sort("stage", "source_partition", "offset").collect()
        assert found.select("stage", "day", "source_partition", "offset", "reason").rows() == [
            (name, UNDATED, f"prices-{day}.parquet", offset, f"{name}: null in key ['number'] or no {start}")
            for name, start in (("by_day", "day"), ("by_start", "valid_from"))
            for day, offset in ((DAY, 1), (DAY, 2), (NEXT, 0))
        ]


def test_an_enrichment_without_a_table_of_its_own_is_refused(folder: Orders) -> None:
    runtime = folder.runtime(SOURCE, *DEFINITIONS)
    with pytest.raises(EnrichmentUnknown) as refused:
        list(enrichments.build(runtime, "doubled", [DAY]))
    assert str(refused.value) == "enrichment 'doubled' is derived: it is computed with the event, not by day"


FOREVER = Versioned.model_validate(
    by_start.model_dump() | {"name": "forever", "valid_to": {"sql": "ends", "epoch_unit": "us"}, "max_age_days": 1e300}
)
ENDING = prices.model_copy(update={"columns": (*prices.columns, Column(name="ends", dtype="int64"))})


def test_an_end_that_is_no_time_does_not_hold_for_ever(folder: Orders) -> None:
    """And one that is beyond all days ends no version: a staleness bound may reach further than the calendar."""
    last_us = 253_402_300_799_999_999
    ends = [None, last_us, last_us + 1, 2**63 - 1, -(2**63), 1_714_561_200_000_000]
    rows = price_list(*((n, n, utc(2024, 4, 1), None) for n in range(len(ends))))
    folder.write("prices-2024-05-01.parquet", rows.with_columns(ends=pl.Series(ends, dtype=pl.Int64)))
    event = order.model_copy(update={"enrichments": (Enrich(enrichment="forever"),)})
    runtime = folder.runtime(SOURCE, ENDING, FOREVER, event)
    list(enrichments.build(runtime, "forever", [DAY]))
    table = tables.enrichment(runtime, FOREVER).scan().sort("number").collect()
    assert table.select("number", "valid_to").rows() == [
        (0, None),
        (1, dt.datetime.max.replace(tzinfo=dt.UTC)),
        (5, utc(2024, 5, 1, 11)),
    ]
    refused = tables.rejects(runtime, "prices").scan().sort("offset").collect()
    assert refused.select("offset", "reason").rows() == [
        (n, "forever: valid_to: ends gives no time") for n in (2, 3, 4)
    ]
