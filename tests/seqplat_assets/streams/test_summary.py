"""What a point of a stream's plots holds."""

from collections import Counter

import dagster as dg

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
    assert event.asset_key == dg.AssetKey(["stream", "clicks"])
    plain = {name: value for name, value in event.metadata.items() if name != "release"}
    assert all(isinstance(value, dg.FloatMetadataValue) for value in plain.values())
    later = materialization("clicks", Summary(), release="r" * 64)
    assert event.tags == later.tags == {"dagster/data_version": "stream"}


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
