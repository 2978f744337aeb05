"""How rows are brought to the engine never shows in its events: their order, batches, shards, and repetition."""

import itertools
from pathlib import Path
from random import Random

import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from seqplat_resources.batch.builds import events, raw
from seqplat_resources.batch.inputs import tables
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.release.runtime import Runtime
from sequence_defs.schema import Column, Derived
from tests.budget import examples
from tests.building import days, runtime_for
from tests.oracle import PENDING, Row
from tests.properties.clicks import DAY, SCHEMA, attached, click, clicks, plan_of, raw_rows, run_rows, shop

DAYS = days(DAY, 2)
PRICED = (*click().columns, Column(name="price", dtype="float64"))

taxed = Derived(
    name="taxed",
    tenant="shop",
    columns=(
        Column(name="taxed_price", dtype="float64", sql="price * 1.07"),
        Column(name="is_dear", dtype="bool", sql="taxed_price > 0.5"),
    ),
)
visit = Derived(
    name="visit",
    tenant="shop",
    columns=(
        Column(name="visit_value", dtype="float64", sql="SUM(price) OVER (PARTITION BY user_id, shop)"),
        Column(name="visit_first", dtype="int64", sql="FIRST_VALUE(click) OVER (PARTITION BY user_id, shop)"),
    ),
)
DEFINITIONS = (taxed, visit, click(columns=PRICED, **attached("taxed", "visit")))
ENRICHED = plan_of(DEFINITIONS[-1], taxed, visit)


@given(rows=raw_rows(max_size=30), chance=st.randoms(use_true_random=False))
def test_the_order_rows_come_in_changes_nothing(rows: list[Row], chance: Random) -> None:
    """Positions decide, so the same rows read in any order give the same events to the last bit of a sum."""
    again = sorted(rows, key=lambda row: chance.random())
    one, other = run_rows(ENRICHED, rows), run_rows(ENRICHED, again)
    assert one.events.equals(other.events)
    assert one.counts == other.counts


@given(rows=raw_rows(max_size=30, unique_ids=True), cuts=st.lists(st.integers(0, 30), max_size=4))
def test_batches_of_any_size_give_the_events_of_the_whole(rows: list[Row], cuts: list[int]) -> None:
    """Columns of one row are the same; columns over several rows wait for the whole day."""
    whole = run_rows(ENRICHED, rows).events
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    parts = [run_rows(ENRICHED, rows[start:end], complete=False).events for start, end in itertools.pairwise(edges)]
    batched = pl.concat(parts)
    over_rows = ["visit_value", "visit_first", "visit__status"]
    by_id = ["user_id", "event_id"]
    assert batched.drop(over_rows).sort(by_id).equals(whole.drop(over_rows).sort(by_id))
    assert set(batched["visit__status"]) <= {PENDING}
    assert batched["visit_value"].null_count() == batched.height


@pytest.fixture(scope="module")
def runtimes(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Runtime]:
    """The same definitions over one folder of files, with one shard and with four."""
    folder = tmp_path_factory.mktemp("files")
    return {
        shards: runtime_for(
            tmp_path_factory.mktemp(f"shards{shards}"), (shop, clicks(shards=shards), *DEFINITIONS), folder
        )
        for shards in (1, 4)
    }


@settings(max_examples=examples(4), phases=[Phase.generate])
@given(rows=raw_rows(within=DAYS, max_size=60, users=[f"user{n}" for n in range(12)]))
def test_shards_and_repetition_change_no_row(runtimes: dict[int, Runtime], rows: list[Row]) -> None:
    """From files to tables: one shard or four, built once or twice."""
    _write_files(rows, Path(runtimes[1].sources_root))
    one, four = _built(runtimes[1]), _built(runtimes[4])
    assert set(one["shard"]) <= {0}
    assert one.drop("shard", "release").equals(four.drop("shard", "release"))
    assert _built(runtimes[4]).equals(four)
    plan = EventPlan.of(runtimes[4].loaded, "click")
    for file in tables.events(runtimes[4], plan).delta().file_uris():
        assert pl.read_parquet(file, columns=["shard"])["shard"].n_unique() <= 1


def _write_files(rows: list[Row], folder: Path) -> None:
    """A file per partition, every row at its offset."""
    for name in ("clicks-0.parquet", "clicks-1.parquet"):
        mine = sorted((row for row in rows if row["_partition"] == name), key=lambda row: row["_offset"])
        frame = pl.DataFrame(mine, schema=SCHEMA, orient="row")
        frame.drop("_partition", "_offset").write_parquet(folder / name)


def _built(runtime: Runtime) -> pl.DataFrame:
    list(raw.ingest(runtime, "clicks", DAYS))
    list(events.build(runtime, "click", DAYS))
    plan = EventPlan.of(runtime.loaded, "click")
    return tables.events(runtime, plan).scan().sort("user_id", "event_id", "day").collect()
