"""What a stream did, in numbers."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

# Lateness of an event: how long after it happened it was received.
ON_TIME_S = 10 * 60
LATE_S = 72 * 3600
# What a clock that runs ahead may be wrong by; more is worth telling somebody.
FUTURE_S = -5 * 60


@dataclass
class Tally:
    """Numbers since the last report; ``lateness`` counts raw rows by class."""

    messages: int = 0
    bytes: int = 0
    rejected: int = 0
    batches: int = 0
    events: Counter[str] = field(default_factory=Counter)
    lateness: Counter[str] = field(default_factory=Counter)

    def add(
        self, *, messages: int, size_bytes: int, raw: pl.DataFrame, rejected: int, events: Mapping[str, int]
    ) -> None:
        """Count one micro-batch."""
        self.messages, self.bytes = self.messages + messages, self.bytes + size_bytes
        self.rejected, self.batches = self.rejected + rejected, self.batches + 1
        self.events.update(events)
        self.lateness.update(lateness(raw))


def lateness(raw: pl.DataFrame) -> dict[str, int]:
    """Raw rows by class: ``future``, ``on_time``, ``late`` (within three days) and ``very_late``.

    The classes say how much work a row makes for batch; which bucket has to be built again is known from offsets,
    never from these.
    """
    if not raw.height:
        return {}
    seconds = (pl.col("_ingest_time") - pl.col("_event_time")).dt.total_seconds()
    kind = (
        pl.when(seconds < FUTURE_S)
        .then(pl.lit("future"))
        .when(seconds <= ON_TIME_S)
        .then(pl.lit("on_time"))
        .when(seconds <= LATE_S)
        .then(pl.lit("late"))
        .otherwise(pl.lit("very_late"))
    )
    return dict(raw.select(kind.alias("kind"))["kind"].value_counts().iter_rows())
