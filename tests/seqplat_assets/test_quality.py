"""Measures find what was broken on purpose, count it, and name it."""

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from seqplat_resources.batch.builds import enrichments, events, raw
from seqplat_resources.batch.inputs import tables
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.lake.files import FilePart
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.quality import completeness as completeness_module
from seqplat_resources.quality.availability import availability
from seqplat_resources.quality.completeness import completeness
from seqplat_resources.quality.coverage import coverage
from seqplat_resources.quality.identity import identity
from seqplat_resources.quality.rejects import rejects
from seqplat_resources.quality.schema import schema
from seqplat_resources.release.runtime import Runtime
from sequence_defs import Column, EventType, Snapshot, Source, Time
from tests.building import runtime_for
from tests.seqplat_assets.conftest import DAYS, Built

DAY = DAYS[1]


def purchases(runtime: Runtime) -> LakeTable:
    return tables.events(runtime, EventPlan.of(runtime.loaded, "purchase"))


def of_day(table: LakeTable) -> pl.DataFrame:
    return table.scan().filter(pl.col("day") == DAY).drop("day").collect()


def row(measured: pl.DataFrame, day: dt.date = DAY) -> dict[str, Any]:
    return measured.row(by_predicate=pl.col("day") == day, named=True)


@pytest.mark.parametrize("measure", [schema, identity, completeness, coverage])
def test_a_sound_bucket_passes_every_measure_with_one_row_per_day(built: Built, measure: Any) -> None:
    measured = measure(built.runtime, "purchase", DAYS)
    assert measured["day"].to_list() == DAYS
    assert measured["passed"].to_list() == [True] * 3
    assert measured["detail"].to_list() == [""] * 3


def test_a_repeated_event_is_a_duplicate_of_its_day_only(spoilable: Runtime) -> None:
    table = purchases(spoilable)
    rows = of_day(table)
    table.replace({"day": DAY}, [FilePart(pl.concat([rows, rows.head(2)]))])
    measured = identity(spoilable, "purchase", DAYS)
    assert measured["passed"].to_list() == [True, False, True]
    assert (row(measured)["duplicates"], row(measured)["rows"]) == (2, rows.height + 2)
    assert row(measured)["detail"] == "2 duplicate row(s), 0 copies of events of other days, 0 without identity"
    assert row(completeness(spoilable, "purchase", DAYS))["passed"], "all identities are still there"


def test_a_lost_and_an_invented_event_are_missing_and_surplus(spoilable: Runtime) -> None:
    table = purchases(spoilable)
    rows = of_day(table)
    invented = rows.head(1).with_columns(event_id=pl.lit("1~1"))
    table.replace({"day": DAY}, [FilePart(pl.concat([rows[3:], invented]))])
    found = row(completeness(spoilable, "purchase", DAYS))
    assert (found["expected"], found["present"]) == (rows.height, rows.height - 2)
    assert (found["missing"], found["surplus"]) == (3, 1)
    assert found["missing_share"] == 3 / rows.height
    assert found["detail"] == "3 event(s) missing, 1 surplus, 0 reject(s) lost"


def test_days_are_compared_alike_whether_taken_together_or_one_by_one(
    spoilable: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    purchases(spoilable).replace({"day": DAY}, [FilePart(of_day(purchases(spoilable))[1:])])
    together = completeness(spoilable, "purchase", DAYS)
    monkeypatch.setattr(completeness_module, "ROWS_AT_ONCE", 1)
    assert completeness(spoilable, "purchase", DAYS).equals(together)


def test_a_bucket_written_without_a_column_or_with_another_fails_the_schema(spoilable: Runtime) -> None:
    table = purchases(spoilable)
    other = replace(
        table, columns=[*(c for c in table.columns if c.name != "week"), Column(name="colour", dtype="string")]
    )
    rows = of_day(table).drop("week").with_columns(colour=pl.lit("red"))
    other.replace({"day": DAY}, [FilePart(rows, label="odd")])
    measured = schema(spoilable, "purchase", DAYS)
    assert measured["passed"].to_list() == [True, False, True]
    assert (row(measured)["missing"], row(measured)["surplus"], row(measured)["mistyped"]) == (1, 1, 0)
    assert "lacks week" in row(measured)["detail"]
    assert "has colour, not declared" in row(measured)["detail"]


def test_a_file_of_another_type_fails_the_schema(spoilable: Runtime) -> None:
    """Delta does not look into files, so whoever exchanges one is found out here."""
    (file,) = Path(purchases(spoilable).uri).glob(f"day={DAY}/*.parquet")
    pl.read_parquet(file).with_columns(pl.col("quantity").cast(pl.Int32)).write_parquet(file)
    found = row(schema(spoilable, "purchase", DAYS))
    assert (found["passed"], found["mistyped"]) == (False, 1)
    assert "has quantity as Int32, declared Int64" in found["detail"]


def test_days_that_were_never_built_or_ingested_fail_and_say_so(built: Built) -> None:
    unbuilt = dt.date(2017, 11, 1)
    assert row(schema(built.runtime, "purchase", [unbuilt]), unbuilt)["detail"] == (
        "events/purchase was never built for this day"
    )
    found = row(completeness(built.runtime, "purchase", [unbuilt]), unbuilt)
    assert (found["passed"], found["detail"]) == (False, "raw/transactions was never ingested for this day")
    assert row(availability(built.runtime, "promotion", [unbuilt]), unbuilt)["passed"] is False


def test_shares_of_the_statuses_add_up(built: Built) -> None:
    for found in coverage(built.runtime, "purchase", DAYS).iter_rows(named=True):
        for name in ("product", "promotion", "demographics", "basket"):
            shares = [found[f"{name}_{status}"] for status in ("value", "null", "pending", "error")]
            assert sum(shares) == pytest.approx(1)
        assert 0 < found["promotion_value"] < 1


CLICKS = Source(
    name="clicks",
    tenant="shop",
    owner="team:shop",
    location="{day}.ndjson",
    format="ndjson",
    columns=(
        Column(name="user", dtype="int64", nullable=False),
        Column(name="id", dtype="string"),
        Column(name="at", dtype="timestamp", nullable=False),
        Column(name="item", dtype="int64"),
    ),
    event_time=Time(sql="at"),
    ingest_time=Time(sql="at"),
    user_id="user",
    start=DAYS[0],
)
ITEMS = Snapshot(
    name="items",
    tenant="shop",
    owner="team:shop",
    source="item_files",
    key=("item",),
    columns=(Column(name="colour", dtype="string"),),
)
ITEM_FILES = Source(
    name="item_files",
    tenant="shop",
    owner="team:shop",
    location="items-{day}.ndjson",
    format="ndjson",
    columns=(Column(name="item", dtype="int64", nullable=False), Column(name="colour", dtype="string")),
)
CLICK = EventType(
    name="click",
    tenant="shop",
    owner="team:shop",
    source="clicks",
    id_field="id",
    columns=(Column(name="id", dtype="string", nullable=False), Column(name="item", dtype="int64")),
    enrichments=({"enrichment": "items"},),  # type: ignore[arg-type]
)


@pytest.fixture
def clicks(tmp_path: Path) -> Runtime:
    """Two days of clicks. Only the first has its item file, a row that cannot be decoded and one without id."""
    first, second = DAYS[:2]
    lines = [
        f'{{"user": 1, "id": "a", "at": "{first}T10:00:00Z", "item": 7}}',
        f'{{"user": "nobody", "id": "b", "at": "{first}T10:00:00Z", "item": 7}}',
        f'{{"user": 1, "at": "{first}T11:00:00Z", "item": 7}}',
    ]
    (tmp_path / f"{first}.ndjson").write_text("\n".join(lines))
    (tmp_path / f"{second}.ndjson").write_text(f'{{"user": 1, "id": "c", "at": "{second}T10:00:00Z", "item": 7}}')
    (tmp_path / f"items-{first}.ndjson").write_text('{"item": 7, "colour": "red"}')
    runtime = runtime_for(tmp_path / "home", [CLICKS, ITEM_FILES, ITEMS, CLICK], tmp_path)
    list(raw.ingest(runtime, "clicks", [first, second]))
    list(enrichments.build(runtime, "items", [first, second]))
    list(events.build(runtime, "click", [first, second]))
    return runtime


def test_refused_rows_are_counted_by_day_with_their_reasons(clicks: Runtime) -> None:
    measured = rejects(clicks, "clicks", DAYS[:2])
    assert measured["passed"].to_list() == [False, True]
    found = row(measured, DAYS[0])
    assert (found["rows"], found["rejected"], found["rejected_share"]) == (2, 1, pytest.approx(1 / 3))
    assert found["detail"].endswith(": 1")
    assert found["detail"] == "column user: 1"


def test_broken_lines_count_for_the_day_their_file_is_named_after(clicks: Runtime) -> None:
    file = Path(clicks.sources_root) / f"{DAYS[1]}.ndjson"
    file.write_text(file.read_text() + "\n{broken\n")
    list(raw.ingest(clicks, "clicks", [DAYS[1]]))
    assert rejects(clicks, "clicks", DAYS[:2])["rejected"].to_list() == [1, 1]
    assert row(rejects(clicks, "clicks", DAYS[:1]), DAYS[0])["undated"] == 0, "it is of another day's file"


def test_rejects_of_the_engine_are_neither_missing_nor_forgotten(clicks: Runtime) -> None:
    found = row(completeness(clicks, "click", DAYS[:2]), DAYS[0])
    assert (found["passed"], found["expected"], found["rejected"], found["rejects_lost"]) == (True, 1, 1, 0)
    table = tables.rejects(clicks, "clicks")
    table.replace({"stage": "click", "day": DAYS[0]}, [])
    found = row(completeness(clicks, "click", DAYS[:2]), DAYS[0])
    assert (found["passed"], found["rejects_lost"]) == (False, 1)


def test_a_day_without_enrichment_file_is_unavailable_and_its_events_wait(clicks: Runtime) -> None:
    assert availability(clicks, "items", DAYS[:2])["passed"].to_list() == [True, False]
    measured = coverage(clicks, "click", DAYS[:2])
    assert measured["passed"].to_list() == [True, False]
    assert measured["items_value"].to_list() == [1.0, 0.0]
    assert row(measured, DAYS[1])["items_pending"] == 1.0
    assert row(measured, DAYS[1])["detail"] == "items: 100.0 % PENDING"
