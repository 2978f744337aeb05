"""A stream's lookups through the engine: what becomes of cells of every kind of enrichment."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from seqplat_resources.batch.publish.enrichments import publish_days
from seqplat_resources.engine.contract import Fetcher, NoLookup
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.engine.run import run
from seqplat_resources.enrichment import ServiceLookup, StreamLookup
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.testing.memory.store import MemoryStore
from sequence_defs.schema import Column, Derived, Enrich, Snapshot, Source
from sequence_defs.schema import Service as ServiceDefinition
from tests.building import runtime_for, utc
from tests.enrichment.http_service import Service, serving
from tests.properties.clicks import DAY, SCHEMA, click, clicks, raw_frame, shop

VALUE, NULL, PENDING, ERROR = range(4)

shelves = Source(
    name="shelves",
    tenant="shop",
    location="s.parquet",
    columns=(Column(name="item", dtype="int64"), Column(name="shelf", dtype="string")),
)
shelf = Snapshot(name="shelf", tenant="shop", source="shelves", key=("item",), columns=shelves.columns[1:])
doubled = Derived(name="doubled", tenant="shop", columns=(Column(name="twice", dtype="float64", sql="score * 2"),))


@pytest.fixture
def service() -> Iterator[Service]:
    with serving() as service:
        yield service


@pytest.fixture
def runtime(service: Service, tmp_path: Path) -> Runtime:
    risk = ServiceDefinition(
        name="risk",
        tenant="shop",
        url=service.url,
        key=("item",),
        columns=(Column(name="score", dtype="float64"),),
        deadline_ms=2000,
    )
    uses = tuple(Enrich(enrichment=name) for name in ("shelf", "risk", "doubled"))
    definitions = (shop, clicks(), shelves, shelf, risk, doubled, click(enrichments=uses))
    return runtime_for(tmp_path / "home", definitions)


def raw(*items: int | None) -> pl.DataFrame:
    at = utc(2024, 5, 1, 12)
    row = dict.fromkeys(SCHEMA) | {"member": "ann", "at": at, "received": at, "_partition": "p"}
    return raw_frame([row | {"click": n, "item": item, "_offset": n} for n, item in enumerate(items)])


def cells(runtime: Runtime, lookup: StreamLookup | NoLookup, *items: int | None) -> list[tuple[object, ...]]:
    events = run(EventPlan.of(runtime.loaded, "click"), raw(*items), lookup, complete=False).events.sort("click")
    return events.select("shelf", "shelf__status", "score", "risk__status", "twice", "doubled__status").rows()


def test_cells_of_every_kind_and_fate(runtime: Runtime, service: Service) -> None:
    store = MemoryStore()
    rows = pl.DataFrame({"item": [1, 2], "valid_from": None, "valid_to": None, "shelf": ["top", "low"]})
    rows = rows.with_columns(pl.col("valid_from", "valid_to").cast(pl.Datetime("us", "UTC")))
    publish_days(store, shelf, {DAY: rows}, release="r", delta_version=0, expected_epoch=None)
    service.answer = lambda keys: [{1: {"score": 0.5}, 2: None, 3: {"score": "x"}}[key["item"]] for key in keys]
    lookup = StreamLookup(runtime, store, {})
    assert cells(runtime, lookup, 1, 2, 3, None, 1) == [
        ("top", VALUE, 0.5, VALUE, 1.0, VALUE),
        ("low", VALUE, None, NULL, None, NULL),
        (None, NULL, None, ERROR, None, PENDING),
        (None, NULL, None, NULL, None, NULL),
        ("top", VALUE, 0.5, VALUE, 1.0, VALUE),
    ]
    assert lookup.take_counts()["risk_requests"] == 1
    service.answer = lambda keys: 400
    assert cells(runtime, lookup, 4) == [(None, NULL, None, PENDING, None, PENDING)]
    lookup.close()


def test_without_a_way_to_ask_services_their_cells_are_pending(runtime: Runtime, service: Service) -> None:
    assert not isinstance(NoLookup(), Fetcher)
    assert cells(runtime, NoLookup(), 1) == [(None, PENDING, None, PENDING, None, PENDING)]
    assert service.requests == []


def test_each_lookup_refuses_the_other_kind(runtime: Runtime) -> None:
    lookup = StreamLookup(runtime, MemoryStore(), {})
    with pytest.raises(TypeError, match="'risk' of kind service has no table"):
        lookup.versions("risk", pl.DataFrame({"item": [1]}))
    with pytest.raises(TypeError, match="'shelf' of kind snapshot is not asked over HTTP"):
        ServiceLookup(runtime, {}).fetch("shelf", pl.DataFrame({"item": [1]}))


def test_closing_twice_is_harmless(runtime: Runtime) -> None:
    lookup = StreamLookup(runtime, MemoryStore(), {})
    assert lookup.fetch("risk", pl.DataFrame({"item": [4]}))["score"].to_list() == [2.0]
    lookup.close()
    lookup.close()
