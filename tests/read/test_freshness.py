"""What an answer says of its streams: lag that grows with silence, and what is missing, in words."""

import datetime as dt

import pytest

from seqplat_resources.online_store import Advance
from seqplat_resources.read.answer import answer
from seqplat_resources.read.freshness import freshness
from seqplat_resources.release.sequence_plan import SequencePlan
from seqplat_resources.testing.memory.store import MemoryStore
from sequence_defs.schema import EventType, Sequence, Source
from tests.building import ManualClock, utc
from tests.properties.clicks import click, clicks, loaded, shop

NOW = utc(2024, 5, 1, 12)
NOW_MS = 1_714_564_800_000
UNPUBLISHED = ("click: nothing published",)


def plan_of(*definitions: Source | EventType) -> SequencePlan:
    events = tuple(found.name for found in definitions if isinstance(found, EventType))
    recent = Sequence(name="recent", tenant="shop", event_types=events, columns=("item",))
    return SequencePlan.of(loaded(shop, *definitions, recent), "recent")


def beat(store: MemoryStore, partition: str, *, lag_ms: int, age_ms: int = 0) -> None:
    store.advance([], {partition: Advance(0, 0, 1, lag_ms, NOW_MS - age_ms)})


def test_without_a_topic_nothing_streams() -> None:
    store = MemoryStore()
    beat(store, "other:0", lag_ms=5)
    found = freshness(plan_of(clicks(), click()), store, clock=ManualClock(NOW))
    assert (found.stream_lag_ms, found.degraded) == (None, UNPUBLISHED)


def test_a_topic_without_a_position_has_not_streamed_yet() -> None:
    store = MemoryStore()
    for partition in ("other:0", "click:0", "clicks:x:0", "clicks"):
        beat(store, partition, lag_ms=5)
    found = freshness(plan_of(clicks(topic="clicks"), click()), store, clock=ManualClock(NOW))
    assert (found.stream_lag_ms, found.degraded) == (None, (*UNPUBLISHED, "click: nothing streamed yet"))


def test_lag_is_that_of_the_worst_partition_and_grows_while_nobody_writes() -> None:
    store, clock = MemoryStore(), ManualClock(NOW)
    beat(store, "clicks:0", lag_ms=700, age_ms=100)
    beat(store, "clicks:1", lag_ms=20, age_ms=1500)
    beat(store, "others:0", lag_ms=90_000)
    plan = plan_of(clicks(topic="clicks"), click())
    found = freshness(plan, store, clock=clock)
    assert (found.stream_lag_ms, found.degraded) == (1520, UNPUBLISHED)
    clock.time += dt.timedelta(seconds=2)
    assert answer(plan, store, "ann", clock=clock).freshness.stream_lag_ms == 3520


def test_a_writer_whose_clock_is_ahead_does_not_look_better_than_it_said() -> None:
    store = MemoryStore()
    beat(store, "clicks:0", lag_ms=700, age_ms=-5000)
    found = freshness(plan_of(clicks(topic="clicks"), click()), store, clock=ManualClock(NOW))
    assert found.stream_lag_ms == 700


@pytest.mark.parametrize(("age_ms", "silent"), [(60_000, []), (60_001, ["click: stream silent for 60 s"])])
def test_a_stream_without_a_heartbeat_for_a_minute_is_silent(age_ms: int, silent: list[str]) -> None:
    """One partition that still writes is enough: the other one's silence shows in the lag."""
    store, plan = MemoryStore(), plan_of(clicks(topic="clicks"), click())
    beat(store, "clicks:0", lag_ms=0, age_ms=age_ms)
    beat(store, "clicks:1", lag_ms=0, age_ms=300_000)
    found = freshness(plan, store, clock=ManualClock(NOW))
    assert (list(found.degraded), found.stream_lag_ms) == ([*UNPUBLISHED, *silent], 300_000)


def test_a_stream_that_began_anew_is_short_until_it_has_read_what_there_was() -> None:
    store, plan = MemoryStore(), plan_of(clicks(topic="clicks"), click())
    store.advance([], {f"clicks:{n}": Advance(n, n, 0, 0, NOW_MS, until=5) for n in range(2)})
    said = "messages not streamed yet of those there were when the stream began anew"
    for start, unread in ((0, 9), (3, 6)):
        found = freshness(plan, store, clock=ManualClock(NOW))
        assert found.degraded == (*UNPUBLISHED, f"click: {unread} {said}")
        store.advance([], {"clicks:0": Advance(start, start + 3, 1, 0, NOW_MS, until=5)})
    store.advance([], {"clicks:1": Advance(1, 7, 1, 0, NOW_MS, until=5)})
    assert freshness(plan, store, clock=ManualClock(NOW)).degraded == UNPUBLISHED


def test_each_event_type_is_judged_by_the_topic_of_its_source() -> None:
    view = click(name="view", source="views", natural_key=("click",))
    plan = plan_of(clicks(topic="clicks"), clicks(name="views", topic="views"), click(), view)
    store = MemoryStore()
    beat(store, "clicks:0", lag_ms=3)
    found = freshness(plan, store, clock=ManualClock(NOW))
    assert found.stream_lag_ms == 3
    assert found.degraded == (*UNPUBLISHED, "view: nothing published", "view: nothing streamed yet")
