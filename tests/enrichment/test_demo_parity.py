"""On real data: a stream that runs the raw rows of the newest days through the engine makes the rows batch made."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from seqplat_resources.batch.days.result import BucketResult
from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.inputs.rows import RawInputs
from seqplat_resources.batch.publish.enrichments import publish
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.engine.run import run
from seqplat_resources.enrichment.online import OnlineLookup
from seqplat_resources.enrichment.table import DAYS_KEPT
from seqplat_resources.lake.layout import DAY
from seqplat_resources.online_store.lmdb import LmdbStore
from sequence_defs.schema import Keyed
from tests.conftest import Demo


@pytest.fixture(scope="module")
def store(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> LmdbStore:
    """The demo's enrichments, published as the last days of its window come in."""
    store = LmdbStore(tmp_path_factory.mktemp("stream") / "online")
    for name, definition in demo.runtime.release.enrichments.items():
        if isinstance(definition, Keyed):
            for day in demo.days[-5:]:
                list(publish(demo.runtime, store, name, [day]))
    return store


@pytest.mark.parametrize("days_back", range(DAYS_KEPT))
def test_a_stream_makes_the_events_that_batch_made(demo: Demo, store: LmdbStore, days_back: int) -> None:
    day, lookup = demo.days[-1 - days_back], OnlineLookup(demo.runtime, store)
    for name in demo.runtime.release.event_types:
        plan = EventPlan.of(demo.runtime.loaded, name)
        rows = RawInputs.open(demo.runtime, plan).rows(pl.col(DAY) == day)
        batch = tables.events(demo.runtime, plan).scan().filter(pl.col(DAY) == day).drop(DAY).collect()
        # Whole users of the day, so that expressions over several rows are computed as well.
        assert_frame_equal(run(plan, rows, lookup, complete=True).events, batch, check_row_order=False)


def test_an_older_day_is_pending(demo: Demo, store: LmdbStore) -> None:
    day, lookup = demo.days[-1 - DAYS_KEPT], OnlineLookup(demo.runtime, store)
    seen = 0
    for name in demo.runtime.release.event_types:
        plan = EventPlan.of(demo.runtime.loaded, name)
        rows = RawInputs.open(demo.runtime, plan).rows(pl.col(DAY) == day)
        events = run(plan, rows, lookup, complete=True).events
        for use, enrichment in plan.attachments:
            if isinstance(enrichment, Keyed):
                seen += events.height
                assert events[f"{use.enrichment}__status"].unique().to_list() in ([], [2])
    assert seen


def _published(demo: Demo, store: LmdbStore, name: str, days: list[dt.date]) -> list[BucketResult]:
    return list(publish(demo.runtime, store, name, days))


def test_each_day_is_reported_with_what_became_of_it(demo: Demo, tmp_path: Path) -> None:
    store = LmdbStore(tmp_path / "online")
    name = next(n for n, e in demo.runtime.release.enrichments.items() if isinstance(e, Keyed))
    newest, unbuilt = demo.days[-1], demo.days[-1] + dt.timedelta(days=1)
    old, last, absent = _published(demo, store, name, [demo.days[0], newest, unbuilt])
    assert dict(old.facts) == {"outside": 1}
    assert dict(absent.facts) == {"absent": 1}
    assert last.facts["epoch"] == 1
    assert last.facts["keys_written"] > 0
    assert last.table == f"online/enrichments/{name}"
    (again,) = _published(demo, store, name, [newest])
    assert (again.facts["epoch"], again.facts["keys_written"], again.facts["bytes_written"]) == (2, 0, 0)
    (backfilled,) = _published(demo, store, name, [demo.days[3]])
    assert dict(backfilled.facts) == {"outside": 1}
    (within,) = _published(demo, store, name, [demo.days[-3]])
    assert within.facts["keys_written"] == 0
    assert store.epoch(f"enrichments/{name}").buckets["0001-01-01"].high_water.keys() == {
        day.isoformat() for day in demo.days[-DAYS_KEPT:]
    }
    assert [dict(r.facts) for r in _published(demo, store, name, [unbuilt])] == [{"absent": 1}]
