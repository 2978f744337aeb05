"""Publish event buckets to the online store: one block per user and day, only where it changed.

>>> [(str(result.day), result.rows) for result in publish(shop, store, "purchase", days)]
[('2024-05-01', 2), ('2024-05-02', 1), ('2024-05-03', 1)]
>>> store.epoch("purchase").epoch
2
"""

import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import polars as pl

from seqplat_resources.batch.builds.past import KEPT
from seqplat_resources.batch.days.result import BucketResult, Stopwatch
from seqplat_resources.batch.days.troubles import DayTroubles
from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.inputs.rows import MEANING, high_water_of, notes_by_day, outranks_of
from seqplat_resources.batch.inputs.spans import rows_by_day, spans
from seqplat_resources.batch.inputs.views import EventsMissing
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.lake.layout import DAY
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.online_store import (
    ANY_EPOCH,
    BlockSchema,
    BucketVersion,
    BucketWrite,
    OnlineStore,
    encode_bucket,
)
from seqplat_resources.online_store.errors import StoreDamagedError
from seqplat_resources.online_store.keys import MAX_USER_BYTES
from seqplat_resources.online_store.rollup import roll_up
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.rules.order import by_user_newest_first

# Known from the key, the event type or the epoch, so not repeated in every block. With the release inside, publishing
# a new one would change, and so rewrite, the block of every user.
NOT_STORED = frozenset({"tenant", "event_type", "user_id", "shard", "release"})


def block_schema(plan: EventPlan) -> BlockSchema:
    """Columns of an event type's blocks, in table order. What published days mean stands in their epoch, so that a day
    whose rows are the same under another meaning is published without a block being written.
    """
    return BlockSchema.of({column.name: column.dtype for column in plan.columns if column.name not in NOT_STORED})


def now_schema(plan: EventPlan) -> BlockSchema:
    """As ``block_schema``, of streamed blocks: nothing but they themselves can say what they mean."""
    return replace(block_schema(plan), meaning=plan.meaning)


def publish(runtime: Runtime, store: OnlineStore, name: str, days: Sequence[dt.date]) -> Iterator[BucketResult]:
    """Publish the buckets of ``days`` as one new epoch of the event type.

    Readers see all of the days or none. Where the store shows nothing of the event type, because it is new, was emptied
    or has lost or damaged its epoch, one of ``days`` alone would look whole: all built days are published with them,
    but for those that a check holds. A user whose events of a day did not change is not written. Rows of a user id
    that no key can hold (empty, or of more than 256 bytes) stay in the lake, counted as ``rows_not_servable``.

    Raises:
        EventsMissing: a day was never built.
        EpochConflictError: another publisher took over one of the days; run it again.
    """
    plan = EventPlan.of(runtime.loaded, name)
    events, schema, watch = tables.events(runtime, plan).pinned(), block_schema(plan), Stopwatch()
    present = events.buckets()
    if missing := [day for day in days if (day.isoformat(),) not in present]:
        raise EventsMissing(
            f"online/{name}: events/{name} was never built for {missing[0]}"
            f"{f' and {len(missing) - 1} more day(s)' if missing[1:] else ''}; materialize events/{name} first"
        )
    every = [*days, *_lost(runtime, store, name, {dt.date.fromisoformat(day) for (day,) in present}.difference(days))]
    version = events.version()
    written: list[BucketWrite] = []
    unnamed = 0

    def writes() -> Iterator[BucketWrite]:
        nonlocal unnamed
        for span, found, notes in _spans(events, every):
            rows = found.filter(pl.col("user_id").str.len_bytes().is_between(1, MAX_USER_BYTES))
            unnamed += found.height - rows.height
            blocks, counted = _blocks(span, rows, schema, events.name), _counted(rows)
            for day in span:
                of_day = counted.get(day, {})
                bucket = BucketVersion(
                    version,
                    of_day.get("rows", 0),
                    of_day.get("users", 0),
                    retractions=of_day.get("retractions", 0),
                    revisions=of_day.get("revisions", 0),
                    high_water=high_water_of(notes[day]),
                    outranks=outranks_of(notes[day], day),
                    meaning=notes[day].get(MEANING, ""),
                    keeps_superseded=KEPT in notes[day],
                )
                written.append(BucketWrite(day.isoformat(), (), bucket))
                yield BucketWrite(day.isoformat(), blocks.get(day, ()), bucket)

    with watch("total"):
        store.register_schema(schema)
        result = store.publish_many(name, writes(), release=runtime.loaded.id, expected_epoch=ANY_EPOCH)
        evicted = store.evict(name)
        rolled_up = roll_up(store, name)
    facts = {
        "epoch": result.epoch,
        "users_written": result.users_written,
        "users_unchanged": result.users_unchanged,
        "users_removed": result.users_removed,
        "bytes_written": result.bytes_written,
        "users_rolled_up": rolled_up,
        "now_batches_left": evicted.batches_left,
        "rows_not_servable": unnamed,
    }
    seconds = {"total": watch.seconds["total"] / max(1, len(written))}
    for write, day in zip(written, days, strict=False):  # of others nobody asked
        # The store counts per publication; a day's share of bytes is not known, so only its rows and users are.
        yield BucketResult(
            f"online/{name}", day, write.bucket.rows, 0, version, {"users": write.bucket.users, **facts}, seconds
        )


def _lost(runtime: Runtime, store: OnlineStore, name: str, others: Collection[dt.date]) -> list[dt.date]:
    """Which of the ``others`` that are built have to be published as well."""
    if shows_something(store, name):
        return []
    held = DayTroubles(runtime.home, runtime.clock).of(f"events/{name}")
    return sorted(set(others) - set(held))


def shows_something(store: OnlineStore, name: str) -> bool:
    """Whether there is an epoch of the event type that others can stand on."""
    try:
        return store.epoch(name) is not None
    except StoreDamagedError:
        return False


def _spans(
    events: LakeTable, days: Sequence[dt.date]
) -> Iterator[tuple[list[dt.date], pl.DataFrame, Mapping[dt.date, Mapping[str, str]]]]:
    """Days that are small enough to be read together, their events, retractions among them, and each day's notes:
    readers need retractions against late copies of the event.
    """
    columns = list(events.schema)
    for span in spans(days, rows_by_day(events)):
        found = events.scan().filter(pl.col(DAY).is_in(span)).select(*columns, DAY).collect()
        yield span, found.with_columns(pl.col("user_id").cast(pl.String)), notes_by_day(events, span)


def _blocks(
    span: Sequence[dt.date], rows: pl.DataFrame, schema: BlockSchema, name: str
) -> Mapping[dt.date, Iterable[tuple[str, bytes]]]:
    """By day a block per user. Those of several days are made at once, for a day costs more than its rows: to the
    encoder a user's days are different users.
    """
    if len(span) == 1:
        return {span[0]: encode_bucket(by_user_newest_first(rows), schema, where=f"{name} {span[0]}")}
    of_days = rows.with_columns(user_id=pl.col(DAY).cast(pl.String) + pl.lit(" ") + pl.col("user_id"))
    blocks: dict[dt.date, list[tuple[str, bytes]]] = {day: [] for day in span}
    by_text = {str(day): of_day for day, of_day in blocks.items()}
    for user, block in encode_bucket(by_user_newest_first(of_days), schema, where=f"{name} {span[0]} to {span[-1]}"):
        day, _, own = user.partition(" ")
        by_text[day].append((own, block))
    return blocks


def _counted(rows: pl.DataFrame) -> dict[dt.date, dict[str, int]]:
    """What the version of each day's bucket says of its rows."""
    numbers = rows.group_by(DAY).agg(
        rows=pl.len(),
        users=pl.col("user_id").n_unique(),
        retractions=(pl.col("op") == "retract").sum(),
        revisions=(pl.col("rev") > 0).sum(),
    )
    return {row.pop(DAY): row for row in numbers.to_dicts()}
