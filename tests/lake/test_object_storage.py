"""A whole batch run with its home on an S3-compatible server gives the tables that a local home has."""

import datetime as dt
import uuid
from collections.abc import Mapping

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from seqplat_resources.batch.builds import enrichments, events, raw, sequences
from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.publish.events import publish
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.home import Home
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.online_store.opening import OnlineStoreUnset, open_online_store
from seqplat_resources.read.answer import answer
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.release.sequence_plan import SequencePlan
from seqplat_resources.testing.memory.store import MemoryStore
from sequence_defs.compiler.discover import discover
from tests.building import runtime_for
from tests.conftest import Demo
from tests.object_server import BUCKET

SEQUENCE = "household_history"


@pytest.fixture
def environment(object_storage: Mapping[str, str], demo: Demo) -> dict[str, str]:
    """What a deployment sets."""
    home = f"s3://{BUCKET}/{uuid.uuid4().hex}"
    return {**object_storage, "SEQPLAT_HOME": home, "SEQPLAT_SOURCES": str(demo.data)}


def test_two_days_of_the_demo_are_the_same_on_object_storage(environment: dict[str, str], demo: Demo) -> None:
    runtime_for(Home.from_environment(environment), discover("sequence_defs.definitions.demo").definitions)
    runtime, days = Runtime.from_environment(environment), demo.days[34:36]  # a campaign starts on the second
    assert runtime.loaded.id == demo.runtime.loaded.id
    types = runtime.release.sequences[SEQUENCE].event_types
    for name in {runtime.release.event_types[name].source for name in types}:
        list(raw.ingest(runtime, name, days))
    for name in ("product", "promotion", "product_embedding", "demographics"):
        list(enrichments.build(runtime, name, days))
    for name in types:
        list(events.build(runtime, name, days))
    list(sequences.build(runtime, SEQUENCE, days))

    for name in types:
        plan = EventPlan.of(runtime.loaded, name)
        _assert_same(tables.events(runtime, plan), tables.events(demo.runtime, plan), days)
    _assert_same(tables.sequence(runtime, SEQUENCE), tables.sequence(demo.runtime, SEQUENCE), days)

    store = MemoryStore()
    for name in types:
        list(publish(runtime, store, name, days))
    served = tables.sequence(runtime, SEQUENCE).scan().filter(pl.col("day") == days[1]).collect()
    user, ids = served.select(pl.col("user_id").cast(pl.String), "event_id").row(0)
    found = answer(SequencePlan.of(runtime.loaded, SEQUENCE), store, user)
    assert found.events["event_id"].to_list()[: len(ids)] == ids


def test_a_home_on_object_storage_asks_for_a_place_of_the_online_store(environment: dict[str, str]) -> None:
    home = Home.from_environment(environment)
    with pytest.raises(OnlineStoreUnset, match=f"the home {home.root} is not local: set SEQPLAT_ONLINE to a folder"):
        open_online_store(home)


def _assert_same(found: LakeTable, expected: LakeTable, days: list[dt.date]) -> None:
    key = ["day", "user_id", *(["event_id"] if "offset" in found.schema else [])]
    one, other = (table.scan().filter(pl.col("day").is_in(days)).sort(key).collect() for table in (found, expected))
    assert one.height > 0
    assert_frame_equal(one, other)
