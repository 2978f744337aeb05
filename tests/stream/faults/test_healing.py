"""What a stream knew and batch does not stays; what batch knows replaces what the stream did not."""

from pathlib import Path

import polars as pl
import pytest

from seqplat_resources.batch.inputs import tables
from seqplat_resources.engine.contract import Lookup, NoLookup
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.engine.status import CellStatus
from seqplat_resources.testing.lookups import FrameLookup
from seqplat_resources.testing.memory.store import MemoryStore
from sequence_defs.schema import Column, Derived, Enrich, Source, Time, Versioned
from tests.building import utc
from tests.properties.clicks import shop
from tests.stream.world import DAYS, Shop, event_type, recent, source

prices = Source(
    name="prices",
    tenant="shop",
    location="prices-{day}.parquet",
    columns=(
        Column(name="item", dtype="int64"),
        Column(name="since", dtype="timestamp"),
        Column(name="price", dtype="float64"),
    ),
)
price = Versioned(
    name="price",
    tenant="shop",
    source="prices",
    key=("item",),
    columns=(Column(name="price", dtype="float64"),),
    valid_from=Time(sql="since"),
)
doubled = Derived(name="doubled", tenant="shop", columns=(Column(name="twice", dtype="float64", sql="price * 2"),))
click = event_type.model_copy(
    update={"enrichments": (Enrich(enrichment="price", on={"item": "value"}), Enrich(enrichment="doubled"))}
)
DEFINITIONS = (shop, source, click, prices, price, doubled, recent)
KNOWN = FrameLookup(
    {
        "price": pl.DataFrame(
            {"item": [1], "valid_from": [utc(2024, 1, 1)], "valid_to": [None], "price": [2.5]},
            schema={
                "item": pl.Int64(),
                "valid_from": pl.Datetime("us", "UTC"),
                "valid_to": pl.Datetime("us", "UTC"),
                "price": pl.Float64(),
            },
        )
    }
)


def built(folder: Path, lookup: Lookup, *, revised: bool = False) -> pl.DataFrame:
    """The bucket of a click on item 1 and one on item 2, streamed with ``lookup``, built without the day's prices."""
    there = Shop(folder, MemoryStore(), definitions=DEFINITIONS, lookup=lookup)
    at = utc(2024, 5, 1, 12)
    say = {"member": "ann", "at": at, "received": at, "partition": 0}
    there.say([say | {"click": 1, "amount": 1}, say | {"click": 2, "amount": 2}])
    loop = there.loop()
    loop.once()
    loop.close()
    loop.log.close()
    if revised:
        there.say([say | {"click": 1, "amount": 1, "revision": 1}])
        loop = there.loop()
        loop.lookup = NoLookup()
        loop.once()
        loop.close()
        loop.log.close()
    there.build(DAYS[:1])
    table = tables.events(there.runtime, EventPlan.of(there.runtime.loaded, "click"))
    return table.scan().sort("event_id").select("price", "price__status", "twice", "doubled__status").collect()


def test_a_streamed_value_stands_where_batch_has_none(tmp_path: Path) -> None:
    """Of item 2 the stream knew that there is no price, which is no value: batch still waits for its own answer."""
    assert built(tmp_path, KNOWN).rows() == [
        (2.5, CellStatus.VALUE, 5.0, CellStatus.VALUE),
        (None, CellStatus.PENDING, None, CellStatus.PENDING),
    ]


@pytest.mark.parametrize("revised", [False, True])
def test_where_neither_knows_the_cell_waits(tmp_path: Path, revised: bool) -> None:
    """The value of an earlier revision is not that of a later one."""
    found = built(tmp_path, KNOWN if revised else NoLookup(), revised=revised)
    assert found.rows() == [(None, CellStatus.PENDING, None, CellStatus.PENDING)] * 2
