"""Which of several rows of one event counts, and which streamed rows history has read already. Pure, on small frames.

Frames here have the columns ``KEYS`` under their names behind an underscore, beside any others; nulls in none of them.
"""

import datetime as dt
from collections.abc import Mapping

import numpy as np
import polars as pl

from seqplat_resources.engine.order import ORDER
from seqplat_resources.online_store import BucketVersion

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

_DAY_US = 86_400_000_000
_EPOCH_DAY = dt.date(1970, 1, 1).toordinal()
# From the strongest to the weakest, and whether the larger value wins. The last two never tie.
PRECEDENCE = {"_rev": True, FROM_BATCH: True, "_ingest_time": False, "_source_partition": False, "_offset": False}


def uncovered(rows: pl.DataFrame, buckets: Mapping[str, BucketVersion]) -> pl.DataFrame:
    """Streamed rows that the published ``buckets`` (by day) have not read; in the same order.

    The bucket of a row's own day decides, by offset: a row of a day that is not published is never covered.
    """
    if not rows.height:
        return rows
    numbers, day_of = np.unique(rows["_event_time"].to_physical().to_numpy() // _DAY_US, return_inverse=True)
    days = [dt.date.fromordinal(_EPOCH_DAY + number).isoformat() for number in numbers.tolist()]
    partitions, offsets = rows["_source_partition"], rows["_offset"].to_numpy()
    # A user's rows come from one partition as a rule, so a set is cheaper than a query for distinct values.
    present = set(partitions.to_list())
    covered = np.zeros(rows.height, np.bool_)
    for partition in present:
        marks = np.array([buckets[day].high_water.get(partition, 0) if day in buckets else 0 for day in days], np.int64)
        of_partition = (partitions == partition).to_numpy() if len(present) > 1 else np.True_
        covered |= of_partition & (offsets < marks[day_of])
    return rows.filter(pl.Series(~covered)) if covered.any() else rows


def standing(rows: pl.DataFrame) -> pl.DataFrame:
    """One row per event of one event type, in no promised order, without those that are retracted.

    Ties:
        Higher rev; then batch over stream; then lowest ``ingest_time``; then lowest source partition, then offset.
    """
    if rows["_event_id"].n_unique() < rows.height:
        keys = pl.DataFrame([rows["_event_id"], *(rows[name] for name in PRECEDENCE)]).with_row_index("_row")
        best = keys.sort(list(PRECEDENCE), descending=list(PRECEDENCE.values()))
        rows = rows[best.unique("_event_id", keep="first")["_row"]]
    retracted = rows["_op"] == "retract"
    return rows.filter(~retracted) if retracted.any() else rows


def newest_first(rows: pl.DataFrame) -> pl.DataFrame:
    """Events of any event types (named in ``_event_type``) in the total order."""
    return rows.sort([f"_{key}" for key in ORDER], descending=True)
