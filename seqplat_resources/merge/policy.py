"""Which of several rows of one event counts, and which streamed rows history has read already. Pure.

Frames here have the columns ``KEYS`` under their names behind an underscore, beside any others; nulls in none of them.
"""

from collections.abc import Mapping, Sequence

import numpy as np
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
# True for rows that batch published.
FROM_BATCH = "_from_batch"

# From the strongest to the weakest, and whether the larger value wins. Rows that tie in all are one row, read twice.
PRECEDENCE = {"_rev": True, FROM_BATCH: True, "_ingest_time": False, "_source_partition": False, "_offset": False}


def uncovered(rows: pl.DataFrame, buckets: Mapping[str, BucketVersion]) -> pl.DataFrame:
    """Streamed rows that the published ``buckets`` (by day) have not read; in the same order."""
    if not rows.height:
        return rows
    times = rows["_event_time"].to_physical().to_numpy()
    covered = is_covered(times, rows["_source_partition"], rows["_offset"].to_numpy(), Buckets(buckets))
    return rows.filter(pl.Series(~covered)) if covered.any() else rows


def is_covered(times_us: Ints, partitions: pl.Series, offsets: Ints, buckets: Buckets) -> Flags:
    """Which streamed rows of one event type some published bucket has read.

    The bucket of a row's own day decides, by offset: a row of a day that is not published is never covered.
    """
    found: Flags = offsets < buckets.marks(times_us // DAY_US, partitions.to_list())
    return found


def standing(rows: pl.DataFrame) -> pl.DataFrame:
    """One row per event of one event type, in no promised order, without those that are retracted."""
    if rows["_event_id"].n_unique() < rows.height:
        rows = rows[winners(rows.select("_event_id", *PRECEDENCE), ["_event_id"])]
    retracted = rows["_op"] == "retract"
    return rows.filter(~retracted) if retracted.any() else rows


def winners(keys: pl.DataFrame, identity: Sequence[str]) -> Ints:
    """Of rows with equal ``identity`` the place of the one that counts, for each identity.

    Ties:
        Higher rev; then batch over stream; then lowest ``ingest_time``; then lowest source partition, then offset.
    """
    ranked = keys.with_row_index("_row").sort(list(PRECEDENCE), descending=list(PRECEDENCE.values()))
    return ranked.unique(identity, keep="first")["_row"].to_numpy().astype(np.int64)
