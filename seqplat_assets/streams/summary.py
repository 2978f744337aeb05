"""What a stream did since it last said so, as numbers that the UI plots."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import dagster as dg
from dagster._core.definitions.data_version import DEFAULT_DATA_VERSION

from seqplat_assets.describe.keys import STREAM, key_of
from seqplat_resources.stream.report import Tally

# Every number is a plot of its own; of a topic with more partitions only the total and the largest lag are told.
PARTITIONS_SHOWN = 32
LATENESS = ("future", "on_time", "late", "very_late")

# A stream's materializations all have this one data version, which days have noted that were built before the first of
# them. Otherwise every few seconds of messages would show each day of everything downstream as outdated; which days are
# is what the dirty-bucket ledger tells.
_DATA_VERSION = {"dagster/data_version": DEFAULT_DATA_VERSION.value}


@dataclass
class Summary:
    """Numbers of some seconds of one source's stream; ``lag`` is the newest that was told."""

    seconds: float = 0.0
    tally: Tally = field(default_factory=Tally)
    lag: Mapping[str, int] = field(default_factory=dict)

    def add(self, tally: Tally, lag: Mapping[str, int]) -> None:
        """Take what the stream told of a stretch of its time; a stretch that ends the stream tells no lag."""
        mine = self.tally
        mine.messages, mine.bytes = mine.messages + tally.messages, mine.bytes + tally.bytes
        mine.rejected, mine.batches = mine.rejected + tally.rejected, mine.batches + tally.batches
        mine.filtered, mine.duplicates = mine.filtered + tally.filtered, mine.duplicates + tally.duplicates
        mine.events.update(tally.events)
        mine.lateness.update(tally.lateness)
        mine.services.update(tally.services)
        self.lag = lag or self.lag


def numbers(summary: Summary) -> dict[str, float]:
    """All of them as float, the type that the UI plots; those that may be zero are there all the same.

    ``rows`` are messages that became raw rows; ``rejected`` also counts rows that no event type could take.
    """
    tally, lag = summary.tally, summary.lag
    found = {
        "messages": tally.messages,
        "messages_per_s": round(tally.messages / summary.seconds, 2) if summary.seconds else 0,
        "bytes": tally.bytes,
        "batches": tally.batches,
        "rows": sum(tally.lateness.values()),
        "rejected": tally.rejected,
        "filtered": tally.filtered,
        "duplicates": tally.duplicates,
        "seconds": round(summary.seconds, 2),
        **{f"events_{name}": count for name, count in sorted(tally.events.items())},
        **{f"lateness_{kind}": tally.lateness[kind] for kind in LATENESS},
        **{f"service_{what}": count for what, count in sorted(tally.services.items())},
    }
    if lag:
        found |= {"lag": sum(lag.values()), "lag_largest": max(lag.values())}
    if len(lag) <= PARTITIONS_SHOWN:
        found |= {f"lag_{partition}": behind for partition, behind in sorted(lag.items())}
    return {name: float(value) for name, value in found.items()}


def materialization(source: str, summary: Summary, *, release: str, **more: float | str) -> dg.AssetMaterialization:
    """One point of the stream's plots."""
    metadata = {**numbers(summary), "release": release[:12], **more}
    return dg.AssetMaterialization(key_of(f"{STREAM}/{source}"), metadata=metadata, tags=_DATA_VERSION)
