"""What a point of a stream's plots holds."""

from collections import Counter

import dagster as dg
from dagster._core.definitions.data_version import DATA_VERSION_TAG, CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from seqplat_assets.describe.keys import key_of
from seqplat_assets.streams.summary import PARTITIONS_SHOWN, Summary, materialization, numbers
from seqplat_resources.stream.report import Tally


def tally(**changes: int) -> Tally:
    found = Tally(messages=10, bytes=1000, rejected=1, filtered=2, duplicates=1, batches=2)
    found.events, found.lateness = Counter(click=8), Counter(on_time=7, late=2)
    found.services = Counter(risk_requests=3, risk_requests_failed=1)
    for name, value in changes.items():
        setattr(found, name, value)
    return found


def test_stretches_add_up_and_the_newest_lag_counts() -> None:
    summary = Summary(seconds=4.0)
    summary.add(tally(), {"clicks:0": 5, "clicks:1": 7})
    summary.add(tally(messages=30), {"clicks:0": 1, "clicks:1": 2})
    summary.add(tally(messages=0), {})  # the end: nothing is owned any more
    found = numbers(summary)
    assert (found["messages"], found["messages_per_s"], found["rows"], found["rejected"]) == (40, 10, 27, 3)
    assert (found["filtered"], found["duplicates"]) == (6, 3)
    assert (found["events_click"], found["lateness_late"], found["lateness_future"]) == (24, 6, 0)
    assert (found["service_risk_requests"], found["service_risk_requests_failed"]) == (9, 3)
    assert (found["lag"], found["lag_largest"], found["lag_clicks:0"], found["lag_clicks:1"]) == (3, 2, 1, 2)


def test_numbers_are_floats_so_that_the_ui_plots_them_and_nothing_downstream_is_outdated() -> None:
    summary = Summary(seconds=4.0)
    summary.add(tally(), {"clicks:0": 5})
    event = materialization("clicks", summary, release="r" * 64, run_messages=40.0)
    assert event.asset_key == key_of("stream/clicks")
    plain = {name: value for name, value in event.metadata.items() if name != "release"}
    assert all(isinstance(value, dg.FloatMetadataValue) for value in plain.values())
    later = materialization("clicks", Summary(), release="r" * 64)
    assert event.tags == later.tags == {DATA_VERSION_TAG: "INITIAL"}


def test_days_built_before_the_first_summary_are_in_sync_after_it() -> None:
    """``INITIAL`` is what Dagster notes for an input of which nothing was told yet."""
    stream = dg.AssetSpec(key_of("stream/clicks"))

    @dg.asset(key=key_of("events/click"), deps=[stream])
    def events() -> None: ...

    graph = dg.Definitions([stream, events]).resolve_asset_graph()
    with dg.DagsterInstance.ephemeral() as instance:
        dg.materialize([stream, events], instance=instance)
        for _ in range(2):
            instance.report_runless_asset_event(materialization("clicks", Summary(), release="r" * 64))
            context = LoadingContextForTest(instance)
            resolver = CachingStaleStatusResolver(instance, graph, context)
            assert resolver.get_status(key_of("events/click")) == StaleStatus.FRESH


def test_a_topic_of_many_partitions_tells_their_total_and_the_largest() -> None:
    summary = Summary(seconds=1.0)
    summary.add(tally(), {f"clicks:{n}": n for n in range(PARTITIONS_SHOWN + 1)})
    found = numbers(summary)
    assert (found["lag"], found["lag_largest"]) == (sum(range(PARTITIONS_SHOWN + 1)), PARTITIONS_SHOWN)
    assert not [name for name in found if name.startswith("lag_clicks")]


def test_a_stream_that_did_nothing_has_zeros() -> None:
    found = numbers(Summary())
    assert (found["messages_per_s"], found["rows"], found["lateness_on_time"]) == (0, 0, 0)
    assert "lag" not in found, "unknown is not zero"
