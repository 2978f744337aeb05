"""What is read, what is kept, and what a new epoch changes."""

import datetime as dt
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from seqplat_resources.batch.publish.enrichments import publish_days
from seqplat_resources.enrichment.online import OnlineLookup
from seqplat_resources.online_store import BlockSchema, Epoch, HistoryBlock, OnlineStore, PublishResult
from seqplat_resources.online_store import StoreSnapshot as View
from seqplat_resources.online_store.lmdb import LmdbStore
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.testing.memory.store import MemoryStore
from sequence_defs.schema import Column, Keyed, Snapshot, Source, Tenant
from tests.building import days, runtime_for, utc

DAYS = days(dt.date(2024, 5, 1), 6)
NAME = "enrichments/shelf"

SOURCE = Source(
    name="shelves",
    tenant="shop",
    location="s.parquet",
    columns=(Column(name="item", dtype="int64"), Column(name="place", dtype="string")),
)
SHELF = Snapshot(name="shelf", tenant="shop", source="shelves", key=("item",), columns=SOURCE.columns[1:])


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    return runtime_for(tmp_path / "home", (Tenant(name="shop", tenant="shop"), SOURCE, SHELF))


@pytest.fixture(params=["memory", "lmdb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OnlineStore]:
    store = MemoryStore() if request.param == "memory" else LmdbStore(tmp_path / "online")
    yield store
    store.close()


class CountingStore(MemoryStore):
    """Notes the keys that are read."""

    def __init__(self) -> None:
        super().__init__()
        self.read_keys: list[str] = []

    @contextmanager
    def snapshot(self, *, epochs: Mapping[str, int] | None = None) -> Iterator[View]:
        with super().snapshot(epochs=epochs) as view:
            yield CountingView(view, self.read_keys)


@dataclass(frozen=True)
class CountingView:
    view: View
    read_keys: list[str]

    def epoch(self, event_type: str) -> Epoch | None:
        return self.view.epoch(event_type)

    def schema(self, schema_id: int) -> BlockSchema | None:
        return self.view.schema(schema_id)

    def blocks(self, event_type: str, user: str) -> Iterator[HistoryBlock]:
        self.read_keys.append(user)
        return self.view.blocks(event_type, user)


def publish(store: OnlineStore, day: dt.date, places: dict[int, str], definition: Keyed = SHELF) -> PublishResult:
    rows = pl.DataFrame(
        {"item": list(places), "place": list(places.values())}, schema={"item": pl.Int64(), "place": pl.String()}
    )
    bucket = rows.with_columns(
        valid_from=pl.lit(None, pl.Datetime("us", "UTC")), valid_to=pl.lit(None, pl.Datetime("us", "UTC"))
    )
    before = store.epoch(f"enrichments/{definition.name}")
    return publish_days(
        store, definition, {day: bucket}, release="r", delta_version=1, expected_epoch=before.epoch if before else None
    )


def places(lookup: OnlineLookup, *items: int | None) -> dict[int, str] | None:
    found = lookup.versions("shelf", pl.DataFrame({"item": items}, schema={"item": pl.Int64()}))
    return None if found is None else dict(found.frame.select("item", "place").rows())


def test_a_key_is_read_once_per_epoch_whether_it_is_there_or_not(runtime: Runtime) -> None:
    store = CountingStore()
    publish(store, DAYS[0], {1: "a", 2: "b"})
    lookup = OnlineLookup(runtime, store)
    assert places(lookup, 1, 3, None, 1) == {1: "a"}
    assert places(lookup, 3, 1, 2) == {1: "a", 2: "b"}
    assert store.read_keys == ["1~", "3~", "2~"]
    publish(store, DAYS[1], {1: "c"})
    assert places(lookup, 1, 2) == {1: "c"}
    assert store.read_keys[3:] == ["1~", "2~"]


def test_a_working_set_over_its_limit_keeps_the_keys_of_the_last_batch(runtime: Runtime) -> None:
    store = CountingStore()
    publish(store, DAYS[0], dict.fromkeys(range(10), "a"))
    lookup = OnlineLookup(runtime, store, max_rows=4)
    for batch in ([0, 1, 2], [2, 3, 4, 5], [2, 3, 4], [0]):
        assert places(lookup, *batch) == dict.fromkeys(batch, "a")
    assert store.read_keys == ["0~", "1~", "2~", "3~", "4~", "5~", "0~"]


def test_a_batch_larger_than_the_limit_is_answered_and_not_kept(runtime: Runtime) -> None:
    store = CountingStore()
    publish(store, DAYS[0], dict.fromkeys(range(10), "a"))
    lookup = OnlineLookup(runtime, store, max_bytes=10)
    assert places(lookup, *range(10)) == places(lookup, *range(10)) == dict.fromkeys(range(10), "a")
    assert len(store.read_keys) == 20


def test_only_changed_keys_are_written(runtime: Runtime, store: OnlineStore) -> None:
    """An undated snapshot says the same every day; its keys are written on the first."""
    publish(store, DAYS[0], {1: "a", 2: "b", 3: "c"})
    result = publish(store, DAYS[1], {1: "a", 2: "x", 4: "d"})
    assert (result.users_written, result.users_unchanged, result.users_removed) == (2, 1, 1)
    assert places(OnlineLookup(runtime, store), 1, 2, 3, 4) == {1: "a", 2: "x", 4: "d"}


def test_a_rollback_shows_the_values_and_the_days_of_before(runtime: Runtime, store: OnlineStore) -> None:
    lookup = OnlineLookup(runtime, store)
    first = publish(store, DAYS[0], {1: "a"}).epoch
    second = publish(store, DAYS[3], {1: "b"}).epoch
    assert places(lookup, 1) == {1: "b"}
    store.rollback(NAME, to_epoch=first, expected_epoch=second)
    found = lookup.versions("shelf", pl.DataFrame({"item": [1]}))
    assert found is not None
    assert found.frame["place"].to_list() == ["a"]
    assert found.known_from == utc(2024, 5, 1)


def test_a_table_with_other_columns_is_not_there_yet(runtime: Runtime, store: OnlineStore, tmp_path: Path) -> None:
    """A column a new release declares is unknown until the table is published with it; it is not null."""
    wider = Snapshot(**{**dict(SHELF), "columns": (*SHELF.columns, Column(name="twin", dtype="string", sql="place"))})
    newer = runtime_for(tmp_path / "newer", (Tenant(name="shop", tenant="shop"), SOURCE, wider))
    publish(store, DAYS[0], {1: "a"})
    lookup = OnlineLookup(newer, store)
    assert places(lookup, 1) is None
    assert places(lookup, 1) is None
    assert places(OnlineLookup(runtime, store), 1) == {1: "a"}


def test_nothing_published_is_not_a_table_without_keys(runtime: Runtime, store: OnlineStore) -> None:
    lookup = OnlineLookup(runtime, store)
    assert places(lookup, 1) is None
    publish(store, DAYS[0], {})
    assert places(lookup, 1, None) == {}
    assert places(lookup) == {}


def test_only_keyed_enrichments_have_a_table(runtime: Runtime) -> None:
    with pytest.raises(KeyError):
        OnlineLookup(runtime, MemoryStore()).versions("nothing", pl.DataFrame({"item": [1]}))
