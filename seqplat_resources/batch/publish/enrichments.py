"""Publish enrichments to the online store, where streams look their values up: one block per key, if it changed.

>>> [(str(result.day), result.rows) for result in publish(shop, store, "price", days)]
[('2024-05-01', 1), ('2024-05-02', 2), ('2024-05-03', 2)]
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from seqplat_resources.batch.builds.enrichments import EnrichmentUnknown
from seqplat_resources.batch.days.result import BucketResult, Stopwatch
from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.inputs.redefined import redefined
from seqplat_resources.enrichment.table import (
    ALL_DAYS,
    block_schema,
    covered,
    covered_days,
    intervals,
    key_texts,
    online_name,
)
from seqplat_resources.lake.layout import DAY
from seqplat_resources.online_store import (
    ANY_EPOCH,
    BucketVersion,
    BucketWrite,
    OnlineStore,
    PublishResult,
    encode_bucket,
)
from seqplat_resources.online_store.errors import StoreDamagedError
from seqplat_resources.release.runtime import Runtime
from sequence_defs.schema import Keyed


def publish(runtime: Runtime, store: OnlineStore, name: str, days: Sequence[dt.date]) -> Iterator[BucketResult]:
    """Publish an enrichment as one new epoch, up to the newest built day of ``days`` or of those already there.

    An epoch answers for a few newest days (``table.covered``). A day of ``days`` that was not built, by the definition
    that there is now, is reported with ``absent``, one that is older than all kept with ``outside``; if no other day is
    left, nothing is published.

    Raises:
        EnrichmentUnknown: the enrichment has no table.
        EpochConflictError: another publisher was faster; run it again.
    """
    definition = runtime.release.enrichments[name]
    if not isinstance(definition, Keyed):
        raise EnrichmentUnknown(f"enrichment {name!r} is {definition.kind}: it has no table that could be published")
    table, watch = tables.enrichment(runtime, definition), Stopwatch()
    built = {dt.date.fromisoformat(day) for (day,) in table.buckets()}
    published, expected = _current(store, online_name(name))
    kept = _days_to_answer(built, days, published)
    if redefined(runtime, f"enrichments/{name}", kept):
        # What another definition looked up, by other keys, say, is no part of this table.
        built -= redefined(runtime, f"enrichments/{name}").keys()
        kept = _days_to_answer(built, days, published)
    buckets: dict[dt.date, pl.DataFrame] = {}
    facts: Mapping[str, int] = {}
    version = table.delta().version() if kept else -1
    with watch("total"):
        if kept:
            buckets = {day: table.scan().filter(pl.col(DAY) == day).drop(DAY).collect() for day in kept}
            result = publish_days(
                store,
                definition,
                buckets,
                release=runtime.loaded.id,
                delta_version=version,
                expected_epoch=expected,
                meaning=runtime.loaded.meaning_of(f"enrichments/{name}"),
            )
            facts = _facts(result)
    for day in days:
        said = facts if day in buckets else {"outside": 1} if day in built else {"absent": 1}
        rows = buckets[day].height if day in buckets else 0
        yield BucketResult(f"online/{online_name(name)}", day, rows, 0, version, said, watch.seconds)


def publish_days(
    store: OnlineStore,
    definition: Keyed,
    buckets: Mapping[dt.date, pl.DataFrame],
    *,
    release: str,
    delta_version: int,
    expected_epoch: int | None,
    meaning: str = "",
) -> PublishResult:
    """Make the table say what ``buckets`` (see ``table.intervals``) say, in place of what that epoch shows. ``meaning``
    is that of the enrichment, as text: streams look nothing up in the table of another.

    Only keys of which something changed are written. Readers see all of it or nothing.

    Raises:
        EpochConflictError: that is not the current epoch any more.
    """
    name, schema = online_name(definition.name), block_schema(definition)
    rows = intervals(buckets, definition)
    rows = rows.with_columns(key_texts(rows.select(definition.key)).alias("_key"))
    read = {day.isoformat(): delta_version + 1 for day in sorted(buckets)}  # each up to and including that version
    bucket = BucketVersion(delta_version, rows.height, rows["_key"].n_unique(), read, meaning=meaning)
    store.register_schema(schema)
    blocks = encode_bucket(rows, schema, user_column="_key", where=name)
    return store.publish_many(
        name,
        [BucketWrite(ALL_DAYS, blocks, bucket)],
        release=release,
        expected_epoch=expected_epoch,
    )


def _current(store: OnlineStore, name: str) -> tuple[Sequence[dt.date] | None, int | None]:
    """The days that readers see, and the epoch to expect when publishing; none of known days, and any, where the one
    that is there cannot be read.
    """
    try:
        before = store.epoch(name)
    except StoreDamagedError:
        return None, ANY_EPOCH
    if before is None:
        return [], None
    return covered_days(before) if ALL_DAYS in before.buckets else [], before.epoch


def _days_to_answer(
    built: set[dt.date], days: Sequence[dt.date], published: Sequence[dt.date] | None
) -> Sequence[dt.date]:
    """The days a new epoch is to answer for; none where ``days`` would change nothing.

    An older day that is built again must not take the newest one away. Where nobody knows which is ``published``, that
    is the newest built.
    """
    if published is None:
        return covered(built, max(built)) if built else []
    newest = max((day for day in (*days, *published[-1:]) if day in built), default=None)
    kept = covered(built, newest) if newest else []
    return kept if set(kept) & set(days) else []


def _facts(result: PublishResult) -> dict[str, int]:
    return {
        "epoch": result.epoch,
        "keys_written": result.users_written,
        "keys_unchanged": result.users_unchanged,
        "keys_removed": result.users_removed,
        "bytes_written": result.bytes_written,
    }
