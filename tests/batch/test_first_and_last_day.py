"""The first and the last day of the calendar are days like others: built, looked up, checked, published, answered."""

import datetime as dt
from contextlib import closing
from pathlib import Path

import pytest

from seqplat_resources.batch.builds import enrichments, events, raw
from seqplat_resources.batch.days.ledger import dirty_buckets
from seqplat_resources.batch.publish import enrichments as publish_enrichments
from seqplat_resources.batch.publish.events import publish
from seqplat_resources.online_store.lmdb import LmdbStore
from seqplat_resources.quality.completeness import completeness
from seqplat_resources.quality.identity import identity
from seqplat_resources.read.answer import answer
from seqplat_resources.release.query import Query
from seqplat_resources.release.sequence_plan import SequencePlan
from sequence_defs.schema import Column, Enrich, EventType, Sequence, Source, Time, Versioned
from tests.sources.orders import Orders, orders

DAYS = (dt.date.min, dt.date.max)
FOR_EVER = 10_000 * 366 * 86_400
prices = Source(
    name="prices",
    tenant="shop",
    location="prices.csv",
    format="csv",
    columns=(
        Column(name="number", dtype="int64"),
        Column(name="price", dtype="int64"),
        Column(name="since", dtype="timestamp"),
    ),
)
price = Versioned(
    name="price",
    tenant="shop",
    source="prices",
    key=("number",),
    columns=(Column(name="price", dtype="int64"),),
    valid_from=Time(sql="since"),
)
order = EventType(
    name="order",
    tenant="shop",
    source="orders",
    natural_key=("number",),
    columns=(Column(name="number", dtype="int64"),),
    enrichments=(Enrich(enrichment="price"),),
)
recent = Sequence(name="recent", tenant="shop", event_types=("order",), columns=("number", "price"), length=10)


@pytest.mark.parametrize("together", [True, False])
def test_events_of_the_first_and_of_the_last_instant(tmp_path: Path, *, together: bool) -> None:
    folder = Orders(tmp_path)
    first, last = "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"
    folder.write("orders.csv", f"member,at,number,amount\nann,{first},1,1\nann,{last},2,1\nann,{last},1,1\n")
    folder.write("prices.csv", f"number,price,since\n1,10,{first}\n2,20,9999-12-31T10:00:00Z\n1,30,{last}\n")
    source = orders(start=dt.date.min, max_lead_s=FOR_EVER)
    runtime = folder.runtime(source, prices, price, order, recent)
    for days in [DAYS] if together else [DAYS[:1], DAYS[1:]]:
        list(raw.ingest(runtime, "orders", days))
        list(enrichments.build(runtime, "price", days))
        list(events.build(runtime, "order", days))
    for check in (completeness, identity):
        assert check(runtime, "order", DAYS)["passed"].to_list() == [True, True]
    assert not list(dirty_buckets(runtime, "order"))
    with closing(LmdbStore(tmp_path / "online", sync=False)) as store:
        list(publish(runtime, store, "order", DAYS))
        list(publish_enrichments.publish(runtime, store, "price", DAYS))
        found = answer(SequencePlan.of(runtime.loaded, "recent"), store, "ann", Query())
    assert sorted(found.events.select("number", "price").rows()) == [(1, 10), (1, 30), (2, 20)]
