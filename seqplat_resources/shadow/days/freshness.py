"""How long after it happened an event is there, where both sides say it: whether ours come later than legacy's."""

from collections.abc import Mapping

import polars as pl

from seqplat_resources.comparison.contract import EVENT_TIME, INGEST_TIME, LEGACY, USER, Sums
from seqplat_resources.comparison.events import EventComparison
from seqplat_resources.shadow.legacy.events import LegacyEvents

# By metric, of legacy's delays the share up to which they are looked at.
SHARES: Mapping[str, float] = {"staleness_p95": 0.95, "staleness_p99": 0.99}
# So much worse than legacy counts, but no less than a second: clocks are no better.
_WORSE, _LEAST_US = 1.1, 1_000_000


def tells_freshness(legacy: LegacyEvents) -> bool:
    """Whether both sides say when they received an event. A file's own time says only when somebody copied it."""
    ours, theirs = legacy.plan.source, legacy.source
    return theirs.ingest_time is not None and (ours.ingest_time is not None or ours.topic is not None)


def limits_of(delays: pl.Series) -> dict[str, int]:
    """By metric how late ours may be, in microseconds; ``delays`` are legacy's of a day. Nothing without any."""
    found = {name: delays.quantile(share, "higher") for name, share in SHARES.items()}
    return {name: int(max(_WORSE * value, value + _LEAST_US)) for name, value in found.items() if value is not None}


def later(found: EventComparison, limits: Mapping[str, int]) -> dict[str, Sums]:
    """By metric, of the events that both sides have, those of ours that are later than the limit; over users."""
    delay = (pl.col(INGEST_TIME) - pl.col(EVENT_TIME)).dt.total_microseconds()
    told = found.pairs.filter(delay.is_not_null() & pl.col(f"{LEGACY}{INGEST_TIME}").is_not_null())
    late = [(delay > limit).sum().cast(pl.Int64).alias(name) for name, limit in limits.items()]
    users = told.group_by(USER).agg(pl.len().cast(pl.Int64).alias("compared"), *late)
    return {name: Sums.of(users[name], users["compared"]) for name in limits}
