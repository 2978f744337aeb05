"""Ours are as fresh as legacy's, where both sides say when they received an event."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from seqplat_resources.batch.builds import events, raw
from seqplat_resources.shadow.days.build import compare
from seqplat_resources.shadow.days.freshness import limits_of
from seqplat_resources.shadow.days.window import judged
from sequence_defs.schema import Column, Source, Time
from tests.building import runtime_for
from tests.shadow.world import DAYS, PER_DAY, USERS, World, old_visits, shop, visit, visits

DAY = DAYS[:1]
EVENTS = USERS * PER_DAY
# Legacy has events 1 to 100 seconds after their time: all but 5 (1) of 100 in less than 96 (100).
DELAY = pl.col("nr") % 100 + 1


def _dated(source: Source) -> Source:
    columns = (*source.columns, Column(name="got", dtype="timestamp", nullable=False))
    return source.model_copy(update={"columns": columns, "ingest_time": Time(sql="got")})


def _state(found: object, metric: str) -> tuple[str, float, float]:
    [each] = [each for each in found.record.decision.judged if each.metric.name == metric]  # type: ignore[attr-defined]
    return each.state, each.metric.differing, each.metric.compared


@pytest.mark.parametrize(("share", "state"), [(0.0, "PASS"), (0.3, "FAIL")])
def test_events_of_ours_that_come_later_are_counted_exactly(tmp_path: Path, share: float, state: str) -> None:
    world = World(tmp_path / "world", visit())
    world.old = world.old.with_columns(got=pl.col("at") + pl.duration(seconds=DELAY))
    late = pl.col("visit") % 10 < 10 * share
    # The others are a little later than 95 of 100 of legacy, and within a tenth of it.
    wait = pl.when(late).then(3600).otherwise(104)
    world.ours = world.ours.with_columns(received=pl.col("at") + pl.duration(seconds=wait))
    world.write()
    runtime = runtime_for(tmp_path / "home", [shop, visits, _dated(old_visits), visit()], world.folder)
    for source in ("visits", "old_visits"):
        list(raw.ingest(runtime, source, DAY))
    list(events.build(runtime, "visit", DAY))
    [result] = compare(runtime, "visit", DAY)
    assert result.facts["staleness_p95_limit_s"] == pytest.approx(1.1 * 96)
    assert result.facts["staleness_p99_limit_s"] == pytest.approx(1.1 * 100)
    found = judged(runtime, "visit", until=DAY[0], days=1, who="ann")
    for metric in ("staleness_p95", "staleness_p99"):
        told = _state(found, metric)
        assert told[1:] == (share * EVENTS, EVENTS)
        assert told[0] == state or (metric, told[0]) == ("staleness_p99", "HOLD")


def test_where_a_side_does_not_say_when_nothing_is_promised(tmp_path: Path) -> None:
    world = World(tmp_path / "world", visit())
    runtime = world.write()
    for source in ("visits", "old_visits"):
        list(raw.ingest(runtime, source, DAY))
    list(events.build(runtime, "visit", DAY))
    list(compare(runtime, "visit", DAY))
    record = judged(runtime, "visit", until=DAY[0], days=1, who="ann").record
    assert not [each for each in record.case.promised if each.startswith("staleness")]
    assert not any("staleness" in said for said in record.decision.because)


def test_a_second_is_no_delay_and_nothing_is_no_limit() -> None:
    us = dt.timedelta(seconds=1) // dt.timedelta(microseconds=1)
    assert limits_of(pl.Series("delay", [0] * 100, dtype=pl.Int64)) == dict.fromkeys(
        ("staleness_p95", "staleness_p99"), us
    )
    assert limits_of(pl.Series("delay", [], dtype=pl.Int64)) == {}
