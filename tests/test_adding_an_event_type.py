"""An event type without logic of its own is one short definition, and nothing else is touched."""

import datetime as dt
import shutil
from pathlib import Path

import polars as pl

from seqplat_resources.batch.builds import enrichments, events, raw
from seqplat_resources.batch.publish.events import block_schema, publish
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.online_store import decode_blocks
from seqplat_resources.testing.memory.store import MemoryStore
from sequence_defs.compiler.discover import discover
from sequence_defs.compiler.lower import lower
from sequence_defs.compiler.project import Project
from tests.building import runtime_for
from tests.conftest import DEMO_DATA
from tests.online_stores import history

DEFINITION = """
from sequence_defs import Column, Enrich, EventType

product_return = EventType(
    name="product_return",
    tenant="grocery",
    owner="team:grocery",
    description="A line that took nothing home: returned, or cancelled at the till.",
    source="transactions",
    filter="quantity = 0",
    natural_key=("basket_id", "product_id"),
    columns=(
        Column(name="basket_id", dtype="int64", nullable=False),
        Column(name="product_id", dtype="int64", nullable=False),
        Column(name="refund", dtype="float64", unit="USD", sql="0 - sales_value"),
    ),
    enrichments=(Enrich(enrichment="product", columns={"department": "department"}),),
    retention_days=730,
)
"""
DAY = dt.date(2017, 11, 7)


def test_one_definition_file_gives_a_table_and_served_blocks(tmp_path: Path) -> None:
    folder = tmp_path / "definitions"
    shutil.copytree(DEMO_DATA.parent, folder, ignore=shutil.ignore_patterns("data", "__pycache__"))
    before = discover(str(folder))
    (folder / "returns.py").write_text(DEFINITION)
    after = discover(str(folder))
    assert (before.errors, after.errors) == ((), ())

    runtime = runtime_for(tmp_path / "home", after.definitions, DEMO_DATA)
    list(raw.ingest(runtime, "transactions", [DAY]))
    list(enrichments.build(runtime, "product", [DAY]))
    (built,) = events.build(runtime, "product_return", [DAY])
    store = MemoryStore()
    list(publish(runtime, store, "product_return", [DAY]))

    lines = pl.read_parquet(DEMO_DATA / "transactions.parquet").filter(
        pl.col("quantity") == 0, pl.col("transaction_timestamp").dt.date() == DAY
    )
    assert built.rows == lines.height > 0
    lines = lines.join(pl.read_parquet(DEMO_DATA / "products.parquet"), on="product_id", how="left")
    user = str(lines["household_id"][0])
    wanted = ["product_id", "refund", "department"]
    plan = EventPlan.of(runtime.loaded, "product_return")
    blocks = [block.payload for block in history(store, user, "product_return")]
    types = {name: dtype for name, dtype in block_schema(plan).columns if name in wanted}
    served = decode_blocks(blocks, store.schema, types, where="product_return")
    mine = lines.filter(pl.col("household_id") == int(user)).with_columns(refund=-pl.col("sales_value"))
    assert sorted(served.select(wanted).rows()) == sorted(mine.select(wanted).rows())


def test_no_other_object_of_the_release_moves(tmp_path: Path) -> None:
    """Its neighbours keep their hashes, so nothing of theirs is published, built or read again."""
    (tmp_path / "returns.py").write_text(DEFINITION)
    demo, added = discover("sequence_defs.definitions.demo"), discover(str(tmp_path))
    executors = {"declarative": "0" * 16, "priced_line": "1" * 16, "discounts": "2" * 16}
    before = lower(Project(demo.definitions, executors)).hashes
    after = lower(Project((*demo.definitions, *added.definitions), executors)).hashes
    assert after.keys() - before.keys() == {"event_types/product_return"}
    assert {name: after[name] for name in before} == before
