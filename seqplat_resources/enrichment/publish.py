"""Put the newest days of an enrichment into the online store, as one epoch."""

import datetime as dt
from collections.abc import Mapping

import polars as pl

from seqplat_resources.enrichment.table import ALL_DAYS, block_schema, intervals, key_texts, online_name
from seqplat_resources.online_store import BucketVersion, BucketWrite, OnlineStore, PublishResult, encode_bucket
from sequence_defs.schema import Keyed


def publish_days(
    store: OnlineStore,
    definition: Keyed,
    buckets: Mapping[dt.date, pl.DataFrame],
    *,
    release: str,
    delta_version: int,
    expected_epoch: int | None,
) -> PublishResult:
    """Make the table say what ``buckets`` (see ``table.intervals``) say, in place of what that epoch shows.

    Only keys of which something changed are written. Readers see all of it or nothing.

    Raises:
        EpochConflictError: that is not the current epoch any more.
    """
    name, schema = online_name(definition.name), block_schema(definition)
    rows = intervals(buckets, definition)
    rows = rows.with_columns(key_texts(rows.select(definition.key)).alias("_key"))
    read = {day.isoformat(): delta_version + 1 for day in sorted(buckets)}  # each up to and including that version
    bucket = BucketVersion(delta_version, rows.height, rows["_key"].n_unique(), read)
    store.register_schema(schema)
    blocks = encode_bucket(rows, schema, user_column="_key", where=name)
    return store.publish_many(
        name,
        [BucketWrite(ALL_DAYS, blocks, bucket)],
        release=release,
        expected_epoch=expected_epoch,
    )
