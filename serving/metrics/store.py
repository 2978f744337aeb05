"""What the online store holds, and how fresh it is: read when somebody looks, never while a request is answered."""

import datetime as dt
from collections.abc import Collection, Iterator, Mapping

import numpy as np
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from seqplat_resources.clock import Clock
from seqplat_resources.online_store import Epoch, OnlineStore
from seqplat_resources.read.merge.due import Due, Promised, completeness
from seqplat_resources.release.sequence_plan import SequencePlan
from seqplat_resources.times import FIRST_DAY, day_number, day_of, midnight


def store_metrics(store: OnlineStore, plans: Collection[SequencePlan], clock: Clock) -> Iterator[Metric]:
    """Gauges of the store, and of each event type that is published or in one of ``plans``, enrichments included."""
    stats = store.stats()
    yield gauge("store_bytes", "What the online store takes where it lives.", {(): stats.size_bytes}, [])
    promised = {name: days for plan in plans for name, days in plan.promised.items()}
    topics = {name: topic for plan in plans for name, topic in plan.topics.items()}
    names = sorted({*promised, *(found.event_type for found in stats.event_types)})
    epochs = {name: epoch for name in names if (epoch := store.epoch(name))}
    yield from _of_history(epochs, promised, day_of(clock.now()))
    yield from _of_now_view(store, names, clock)
    yield from _of_streams(store, topics, clock)


def gauge(name: str, what: str, values: Mapping[tuple[str, ...], float], labels: list[str]) -> Metric:
    """Values by label values; what is not known is left out rather than said to be zero."""
    family = GaugeMetricFamily(f"seqplat_{name}", what, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _by_type(name: str, what: str, values: Mapping[str, float]) -> Metric:
    return gauge(name, what, {(event_type,): value for event_type, value in values.items()}, ["event_type"])


def _of_history(epochs: Mapping[str, Epoch], promised: Mapping[str, Promised], day: int) -> Iterator[Metric]:
    yield _by_type("epoch", "Number of the published view.", {name: epoch.epoch for name, epoch in epochs.items()})
    rows = {name: sum(bucket.rows for bucket in epoch.buckets.values()) for name, epoch in epochs.items()}
    yield _by_type("published_events", "Events of the published view.", rows)
    days = {name: len(epoch.buckets) for name, epoch in epochs.items()}
    yield _by_type("published_days", "Days of the published view.", days)
    ends = {name: _end(epoch) for name, epoch in epochs.items() if epoch.buckets}
    sealed = {name: midnight(end).timestamp() for name, end in ends.items()}
    yield _by_type("sealed_through_timestamp_seconds", "End of the newest published day.", sealed)
    shares = {name: completeness([_due(epochs.get(name), promised[name], day)]) for name in sorted(promised)}
    yield _by_type("completeness", "Published share of the days due by now, 0 to 1.", shares)


def _of_now_view(store: OnlineStore, names: Collection[str], clock: Clock) -> Iterator[Metric]:
    found = {name: store.now_stats(name) for name in names}
    yield _by_type(
        "now_view_batches", "Streamed batches that history does not cover.", {n: s.batches for n, s in found.items()}
    )
    yield _by_type("now_view_blocks", "Blocks of the now view.", {n: s.blocks for n, s in found.items()})
    yield _by_type("now_view_bytes", "Size of the blocks of the now view.", {n: s.size_bytes for n, s in found.items()})
    now_s = clock.now().timestamp()
    ages = {n: max(0.0, now_s - s.oldest_at_ms / 1000) if s.oldest_at_ms else 0.0 for n, s in found.items()}
    yield _by_type("now_view_oldest_age_seconds", "Age of the oldest batch that history does not cover.", ages)


def _of_streams(store: OnlineStore, topics: Mapping[str, str], clock: Clock) -> Iterator[Metric]:
    """Of the partition furthest behind; a topic that nobody has read yet has no lag, and ``silent`` is infinite."""
    now_ms = clock.now().timestamp() * 1000
    lag_s: dict[str, float] = {}
    silent_s: dict[str, float] = {}
    positions = store.stream_positions() if topics else {}
    for name, topic in sorted(topics.items()):
        # A writer whose clock is ahead of this one must not look better than it said.
        at = [(p.lag_ms, max(0.0, now_ms - p.at_ms)) for key, p in positions.items() if key.rpartition(":")[0] == topic]
        if at:
            lag_s[name] = max(lag_ms + age_ms for lag_ms, age_ms in at) / 1000
        silent_s[name] = min((age_ms for _, age_ms in at), default=float("inf")) / 1000
    yield _by_type("stream_lag_seconds", "How far streaming is behind, and the time since it said so.", lag_s)
    yield _by_type("stream_silent_seconds", "Time since any stream process wrote.", silent_s)


def _end(epoch: Epoch) -> dt.date:
    return dt.date.fromisoformat(max(epoch.buckets)) + dt.timedelta(days=1)


def _due(epoch: Epoch | None, promised: Promised, day: int) -> Due:
    days = sorted(map(day_number, epoch.buckets)) if epoch else []
    return Due.of(np.array(days, np.int64), promised, day, expired_before=epoch.first_kept if epoch else FIRST_DAY)
