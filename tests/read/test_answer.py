"""Assembling from event types that share column names, times and positions."""

import datetime as dt
from collections.abc import Sequence

import polars as pl
import pytest

from seqplat_resources.batch.publish.events import block_schema
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.online_store import BucketVersion, encode_bucket
from seqplat_resources.read.answer import answer
from seqplat_resources.release.query import Query
from seqplat_resources.release.sequence_plan import SequencePlan, UnknownSequence, UnknownSequenceColumn
from seqplat_resources.release.store import LoadedRelease
from seqplat_resources.testing.memory.store import MemoryStore
from sequence_defs import Column, EventType, Pick, Source, Tenant, Time
from sequence_defs import Sequence as SequenceDefinition
from tests.building import ManualClock, runtime_for, utc
from tests.online_stores import publish_one

DAY = dt.date(2024, 5, 1)
NOON = utc(2024, 5, 1, 12)

_log = Source(
    name="log",
    tenant="shop",
    location="log.parquet",
    columns=(
        Column(name="member", dtype="string", nullable=False),
        Column(name="at", dtype="timestamp", nullable=False),
        Column(name="n", dtype="int64", nullable=False),
        Column(name="price", dtype="float64"),
        Column(name="word", dtype="string"),
        Column(name="mail", dtype="string", pii=True),
    ),
    event_time=Time(sql="at"),
    user_id="member",
)
_common = (Column(name="n", dtype="int64", nullable=False), Column(name="mail", dtype="string", pii=True))


def _event_type(name: str, *columns: Column) -> EventType:
    return EventType(
        name=name, tenant="shop", source="log", natural_key=("n",), columns=(*_common, *columns), start=DAY
    )


# `value` is a price in one and a word in the other, so the two cannot be decoded in one pass.
DEFINITIONS = (
    Tenant(name="shop", tenant="shop"),
    _log,
    _event_type(
        "buy", Column(name="value", dtype="float64", sql="price"), Column(name="kind", dtype="string", sql="word")
    ),
    _event_type("look", Column(name="kind", dtype="string", sql="word")),
    _event_type("search", Column(name="value", dtype="string", sql="word")),
    SequenceDefinition(
        name="all",
        tenant="shop",
        event_types=("buy", "look", "search"),
        columns=(
            "n",
            "kind",
            "mail",
            Pick(name="paid", columns={"buy": "value"}),
            Pick(name="text", columns={"search": "value"}),
        ),
        length=5,
    ),
)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedRelease:
    return runtime_for(tmp_path_factory.mktemp("assemble"), DEFINITIONS).loaded


@pytest.fixture(scope="module")
def plan(loaded: LoadedRelease) -> SequencePlan:
    return SequencePlan.of(loaded, "all")


@pytest.fixture(scope="module")
def store(loaded: LoadedRelease) -> MemoryStore:
    store = MemoryStore()
    # Times equal throughout: position decides first, then the event type, both downwards.
    _publish(store, loaded, "buy", [(3, 3), (1, 1)], value=pl.Series([9.5, None], dtype=pl.Float64), kind=["a", "b"])
    _publish(store, loaded, "look", [(2, 3), (4, 0)], kind=["c", "d"])
    _publish(store, loaded, "search", [(5, 2)], value=["shoes"])
    return store


def test_names_with_two_types_are_decoded_apart(plan: SequencePlan) -> None:
    assert plan.decodable_together == [["buy", "look"], ["search"]]


def test_each_event_type_fills_the_columns_picked_from_it(plan: SequencePlan, store: MemoryStore) -> None:
    events = answer(plan, store, "ann").events
    assert events.select("event_type", "n", "kind", "paid", "text").rows() == [
        ("look", 2, "c", None, None),
        ("buy", 3, "a", 9.5, None),
        ("search", 5, None, None, "shoes"),
        ("buy", 1, "b", None, None),
        ("look", 4, "d", None, None),
    ]


def test_one_event_type_alone_needs_no_merge(plan: SequencePlan, loaded: LoadedRelease) -> None:
    store = MemoryStore()
    _publish(store, loaded, "buy", [(3, 3), (1, 1)], value=[9.5, 2.0], kind=["a", "b"])
    found = answer(plan, store, "ann", Query(["paid", "n"], 1), clock=ManualClock(utc(2024, 5, 2, 9)))
    assert found.events.rows() == [(9.5, 3)]
    assert found.freshness.degraded == ("look: nothing published", "search: nothing published")
    assert found.freshness.sealed_through is None


def test_no_events_have_the_same_columns_as_some(plan: SequencePlan, store: MemoryStore) -> None:
    assert answer(plan, store, "nobody").events.schema == answer(plan, store, "ann").events.schema
    assert answer(plan, store, "ann", Query(limit=0)).events.is_empty()


def test_a_column_is_nullable_where_an_event_type_lacks_it(plan: SequencePlan) -> None:
    assert not plan.columns["n"].nullable
    assert plan.columns["paid"].nullable


def test_personal_data_is_no_column(plan: SequencePlan, store: MemoryStore) -> None:
    assert list(plan.columns) == ["event_time", "event_type", "event_id", "n", "kind", "paid", "text"]
    with pytest.raises(UnknownSequenceColumn, match="has no column 'mail'; it has event_time, event_type"):
        answer(plan, store, "ann", Query(["n", "mail"]))


def test_an_unknown_sequence_lists_those_there_are(loaded: LoadedRelease) -> None:
    with pytest.raises(UnknownSequence, match="there is no sequence 'al'; there are all"):
        SequencePlan.of(loaded, "al")


def _publish(
    store: MemoryStore, loaded: LoadedRelease, name: str, keyed: list[tuple[int, int]], **columns: Sequence[object]
) -> None:
    """Events of member ``ann`` at noon, as (n, offset), in stored order: offset downwards."""
    schema = block_schema(EventPlan.of(loaded, name))
    frame = pl.DataFrame({"n": [n for n, _ in keyed], "offset": [offset for _, offset in keyed], **columns})
    typed = pl.DataFrame(schema=EventPlan.of(loaded, name).schema)
    frame = pl.concat([typed, frame], how="diagonal").with_columns(
        pl.lit("ann").alias("user_id"),
        pl.lit(NOON).dt.cast_time_unit("us").alias("event_time"),
        pl.col("n").cast(pl.String).alias("event_id"),
        pl.lit("log-0").alias("source_partition"),
    )
    store.register_schema(schema)
    blocks = encode_bucket(frame, schema)
    bucket = BucketVersion(1, frame.height, 1)
    publish_one(store, name, DAY.isoformat(), blocks, bucket=bucket, release=loaded.id, expected_epoch=None)
