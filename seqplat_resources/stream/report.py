"""What a stream did, in numbers."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from seqplat_resources.engine.outcome import Outcome

# Lateness of an event: how long after it happened it was received.
ON_TIME_S = 10 * 60
LATE_S = 72 * 3600
# What a clock that runs ahead may be wrong by; more is worth telling somebody.
FUTURE_S = -5 * 60


@dataclass
class Tally:
    """Numbers since the last report; ``lateness`` counts raw rows by class, ``services`` what was asked of services.

    Every message gives events or a reject, or is among ``duplicates`` and ``filtered``: nothing was made of it.
    """

    messages: int = 0
    bytes: int = 0
    rejected: int = 0
    filtered: int = 0
    duplicates: int = 0
    batches: int = 0
    events: Counter[str] = field(default_factory=Counter)
    lateness: Counter[str] = field(default_factory=Counter)
    services: Counter[str] = field(default_factory=Counter)

    def add(
        self,
        *,
        messages: int,
        size_bytes: int,
        raw: pl.DataFrame,
        rejected: int,
        outcomes: Mapping[str, Outcome],
        filtered: int = 0,
    ) -> None:
        """Count one micro-batch: ``rejected`` messages never became rows of ``raw``, ``outcomes`` are by event type."""
        self.messages, self.bytes = self.messages + messages, self.bytes + size_bytes
        self.rejected += rejected + sum(outcome.rejects.height for outcome in outcomes.values())
        self.batches += 1
        unused = raw.height - _used(outcomes)
        # Where a message may give events of several types, one that is a duplicate of one type and filtered of another
        # is a duplicate.
        counts = [outcome.counts for outcome in outcomes.values()]
        duplicates = min(unused, sum(each.duplicates + each.conflicts for each in counts))
        self.duplicates, self.filtered = self.duplicates + duplicates, self.filtered + filtered + unused - duplicates
        self.events.update({name: outcome.events.height for name, outcome in outcomes.items()})
        self.lateness.update(lateness(raw))


def _used(outcomes: Mapping[str, Outcome]) -> int:
    """Rows of which there are events, or rejects."""
    at = ("source_partition", "offset")
    places = [frame.select(at) for outcome in outcomes.values() for frame in (outcome.events, outcome.rejects)]
    return pl.concat(places).n_unique() if places else 0


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
