"""A value that a step cannot take costs its own row: in times, enrichments, filters and derived columns alike."""

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from seqplat_resources.batch.builds import enrichments, events, raw
from seqplat_resources.batch.inputs import tables
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.values.isolation import isolated
from sequence_defs.schema import Column, Derived, Enrich, EventType, Source, Time, Versioned
from tests.building import utc
from tests.sources.orders import COLUMNS, DAY, UNDATED, Orders, orders, reasons, rejects, rows

STAMP = "STRPTIME({}, '%d/%m/%Y')"


def test_a_panic_of_polars_is_an_error_of_its_row_and_an_interrupt_is_none() -> None:
    far = pl.DataFrame({"t": pl.Series([0, 2**63 - 1]).cast(pl.Datetime("us"))})
    found = isolated(far, lambda some: some.select(pl.col("t").dt.to_string("%Y")))
    assert (found.done["t"].to_list(), list(found.failed)) == (["1970"], [1])
    assert found.failed[1].startswith("PanicException: ")

    def stop(_: pl.DataFrame) -> pl.DataFrame:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        isolated(far, stop)


@pytest.mark.parametrize("format", ["csv", "ndjson"])
def test_a_time_that_cannot_be_read_is_one_reject_with_the_bytes_as_sent(folder: Orders, format: str) -> None:
    text = Column(name="at", dtype="string")
    source = orders(format, columns=(COLUMNS[0], text, *COLUMNS[2:]), event_time=Time(sql=STAMP.format("at")))
    source = source.model_copy(update={"ingest_time": None})
    lines = {
        "csv": ["member,at,number\n", "ann,01/05/2024,1\n", "bob,  31/02/2024 ,2.00\r\n", '"c ""d""",01/05/2024,3\n'],
        "ndjson": [
            '{"member":"ann","at":"01/05/2024"}\n',
            '{"member": "b\\u006fb", "at":"yesterday", "number": 2.00e0,"x":[1, 2.0]}\n',
            '{"member":"c","at":"01/05/2024"}\n',
        ],
    }[format]
    folder.write(f"orders.{format}", "".join(lines))
    runtime = folder.ingest(source)
    assert len(rows(runtime)) == 2
    (reject,) = rejects(runtime)
    bad = lines[2] if format == "csv" else lines[1].strip()
    assert (reject["offset"], reject["day"], reject["payload"]) == (1, UNDATED, bad.encode())
    assert reject["reason"].startswith("event_time: ")


def test_of_a_parquet_row_its_own_fields_are_kept_with_their_types(folder: Orders) -> None:
    """No numbers as texts, no fields that were not there."""
    frame = pl.DataFrame({"member": [None], "at": [utc(2024, 5, 1)], "number": [7], "amount": [1.5], "sub": [{"x": 1}]})
    folder.write("orders.parquet", frame.with_columns(pl.col("member").cast(pl.String)))
    runtime = folder.ingest(orders("parquet"))
    (reject,) = rejects(runtime)
    said = '{"member":null,"at":"2024-05-01T00:00:00+00:00","number":7,"amount":1.5,"sub":{"x":1}}'
    assert reject["payload"].decode() == said


def test_native_instants_that_no_encoder_can_write_are_rejects_also_in_lists(folder: Orders) -> None:
    """Of nanoseconds every one can be written: none is outside of the years 1677 to 2262."""
    columns = (*COLUMNS[:2], *(Column(name=n, dtype=d) for n, d in [("a", "timestamp"), ("b", "list[timestamp]")]))
    for unit, values in (("us", [0, 10**18]), ("ms", [0, 2**62]), ("ns", [0, 2**63 - 1])):
        at = pl.Series([utc(2024, 5, 1)] * 2)
        times = pl.Series(values).cast(pl.Datetime(unit))  # type: ignore[arg-type]
        lists = pl.DataFrame({"t": times}).select(pl.concat_list("t")).to_series()
        for name, column in (("a", times), ("b", lists)):
            folder.write("orders.parquet", pl.DataFrame({"member": ["x", "y"], "at": at, name: column}))
            runtime = folder.ingest(orders("parquet", columns=columns))
            assert rows(runtime, "_offset") == ([(0,), (1,)] if unit == "ns" else [(0,)])
            assert [(n, reason.split(":")[0]) for n, reason in reasons(runtime)] == (
                [] if unit == "ns" else [(1, f"column {name}")]
            )


def test_spark_times_before_1677_and_after_2262_are_what_they_say(folder: Orders) -> None:
    """``spark_times.parquet`` has INT96 times, alone, in a list and in a struct, which Polars reads as one instant."""
    first, last = utc(1, 1, 1), utc(9999, 12, 31)
    paths = (("a", "a", "timestamp"), ("b", "b", "list[timestamp]"), ("c", "s.t", "timestamp"), ("d", "a", "string"))
    columns = (*COLUMNS[:2], *(Column(name=name, dtype=dtype, field=path) for name, path, dtype in paths))
    folder.write("orders.parquet", (Path(__file__).parent / "spark_times.parquet").read_bytes())
    assert rows(folder.ingest(orders("parquet", columns=columns)), "member", "a", "b", "c", "d") == [
        ("x", last, [last, None], last, "9999-12-31 00:00:00.000000"),
        ("y", first, [first], first, "0001-01-01 00:00:00.000000"),
        ("z", None, [], None, None),
    ]


def test_nanoseconds_and_times_of_day_keep_their_digits_as_text(folder: Orders) -> None:
    """Texts may be ids: two that differ must not become one."""
    columns = (*COLUMNS[:2], Column(name="a", dtype="string"), Column(name="b", dtype="string"))
    moments = pl.Series([1, 2]).cast(pl.Datetime("ns"))
    hours = pl.Series([dt.time(10), dt.time(23, 59, 59, 999999)])
    folder.write("orders.parquet", pl.DataFrame({"member": "x", "at": utc(2024, 5, 1), "a": moments, "b": hours}))
    assert rows(folder.ingest(orders("parquet", columns=columns)), "a", "b") == [
        ("1970-01-01 00:00:00.000000001", "10:00:00"),
        ("1970-01-01 00:00:00.000000002", "23:59:59.999999"),
    ]


# ---- Enrichments and events --------------------------------------------------------------------------------------

prices = Source(
    name="prices",
    tenant="shop",
    location="prices.csv",
    format="csv",
    columns=tuple(Column(name=name, dtype="string") for name in ("number", "price", "since", "until", "kind")),
)
price = Versioned(
    name="price",
    tenant="shop",
    source="prices",
    key=("number",),
    columns=(Column(name="price", dtype="int8", sql="CAST(price AS INT)"),),
    filter="CAST(kind AS INT) > 0",
    valid_from=Time(sql=STAMP.format("since")),
    valid_to=Time(sql=STAMP.format("until")),
)
GOOD = "1,10,01/04/2024,,1\n"


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("2,10,yesterday,,1\n", "price: InvalidOperationError"),
        ("2,10,01/04/2024,soon,1\n", "price: InvalidOperationError"),
        ("2,ten,01/04/2024,,1\n", "price: InvalidOperationError"),
        ("2,1000,01/04/2024,,1\n", "price: column price: 1000 is not int8"),
        ("2,10,01/04/2024,,one\n", "price: InvalidOperationError"),
        (",10,01/04/2024,,1\n", "price: null in key ['number'] or no valid_from"),
    ],
)
def test_a_bad_row_of_an_enrichment_is_one_reject(folder: Orders, bad: str, said: str) -> None:
    """What the filter leaves out may be as bad as it likes."""
    left_out = "3,x,x,x,0\n"
    folder.write("prices.csv", "number,price,since,until,kind\n" + GOOD + bad + left_out + GOOD.replace("1,", "4,", 1))
    runtime = folder.runtime(prices, price, orders(), order())
    list(enrichments.build(runtime, "price", [DAY]))
    table = tables.enrichment(runtime, price).scan().sort("number").collect()
    assert table.select("number", "price").rows() == [("1", 10), ("4", 10)]
    (reject,) = tables.rejects(runtime, "prices").scan().collect().to_dicts()
    assert (reject["offset"], reject["payload"], reject["reason"][: len(said)]) == (1, bad.encode(), said)


def order(*uses: Enrich, **changes: Any) -> EventType:
    columns = (COLUMNS[2], Column(name="text", dtype="string"))
    made = EventType(name="order", tenant="shop", source="orders", natural_key=("number",), columns=columns)
    return made.model_copy(update={"enrichments": uses, **changes})


@pytest.mark.parametrize("sql", ["CAST(text AS INT)", "SUM(CAST(text AS INT)) OVER (PARTITION BY user_id)"])
def test_a_derived_column_that_cannot_be_computed_is_an_error_of_its_cell(folder: Orders, sql: str) -> None:
    """Of all cells of the user where it is computed over them; 300 is computed, and is no int8."""
    derived = Derived(name="made", tenant="shop", columns=(Column(name="made", dtype="int8", sql=sql),))
    columns = (*COLUMNS[:3], Column(name="text", dtype="string"))
    cells = [("a", "1"), ("a", "2"), ("b", "3"), ("b", "x"), ("c", ""), ("d", "300")]
    lines = "".join(f"{member},2024-05-01,{n},{text}\n" for n, (member, text) in enumerate(cells))
    folder.write("orders.csv", "member,at,number,text\n" + lines)
    runtime = folder.runtime(orders(columns=columns), derived, order(Enrich(enrichment="made")))
    list(raw.ingest(runtime, "orders", [DAY]))
    list(events.build(runtime, "order", [DAY]))
    table = tables.events(runtime, EventPlan.of(runtime.loaded, "order")).scan().sort("number").collect()
    value, null, error = 0, 1, 3
    if "OVER" not in sql:
        expected = [(1, value), (2, value), (3, value), (None, error), (None, null), (None, error)]
    else:
        expected = [(3, value), (3, value), (None, error), (None, error), (None, null), (None, error)]
    assert table.select("made", "made__status").rows() == expected
    assert reasons(runtime) == []


def test_a_filter_that_cannot_judge_a_row_rejects_it_with_the_fields_of_its_source(folder: Orders) -> None:
    """However many they are, as long as they are not most."""
    columns = (*COLUMNS[:3], Column(name="text", dtype="string"))
    texts = ["x" if n % 3 == 0 else str(n) for n in range(3600)]
    lines = "".join(f"m{n},2024-05-01,{n},{text}\n" for n, text in enumerate(texts))
    folder.write("orders.csv", "member,at,number,text\n" + lines)
    runtime = folder.runtime(orders(columns=columns), order(filter="CAST(text AS INT) >= 0"))
    list(raw.ingest(runtime, "orders", [DAY]))
    (built,) = events.build(runtime, "order", [DAY])
    assert built.rows == 2400
    found = rejects(runtime)
    assert len(found) == 1200
    assert found[0]["payload"] == b'{"member":"m0","at":"2024-05-01T00:00:00+00:00","number":0,"text":"x"}'
    assert dt.date(2024, 5, 1) == found[0]["day"]
