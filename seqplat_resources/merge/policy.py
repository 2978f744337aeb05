"""Which streamed rows history has read already. Pure.

Frames here have the columns ``KEYS`` beside any others; nulls in none of them.
"""

from collections.abc import Mapping

import polars as pl

from seqplat_resources.merge.published import Buckets
from seqplat_resources.online_store import BucketVersion
from seqplat_resources.online_store.codec.layout import Flags, Ints
from seqplat_resources.times import DAY_US

# What the rules look at: name -> portable type.
KEYS: Mapping[str, str] = {
    "event_time": "timestamp",
    "source_partition": "string",
    "offset": "int64",
    "event_id": "string",
    "rev": "int64",
    "op": "string",
    "ingest_time": "timestamp",
}


def uncovered(rows: pl.DataFrame, buckets: Mapping[str, BucketVersion]) -> pl.DataFrame:
    """Streamed rows that the published ``buckets`` (by day) have not read; in the same order."""
    if not rows.height:
        return rows
    times = rows["event_time"].to_physical().to_numpy()
    covered = is_covered(times, rows["source_partition"], rows["offset"].to_numpy(), Buckets(buckets))
    return rows.filter(pl.Series(~covered)) if covered.any() else rows


def is_covered(times_us: Ints, partitions: pl.Series, offsets: Ints, buckets: Buckets) -> Flags:
    """Which streamed rows of one event type some published bucket has read.

    The bucket of a row's own day decides, by offset: a row of a day that is not published is never covered.
    """
    found: Flags = offsets < buckets.marks(times_us // DAY_US, partitions.to_list())
    return found
