"""A stream in a process of its own; run by the recovery tests, not a test."""

import os
import signal
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

import polars as pl

from seqplat_resources.online_store import (
    ANY_EPOCH,
    Advance,
    BlockSchema,
    BucketVersion,
    NowWrite,
    decode_blocks,
    encode_bucket,
)
from seqplat_resources.online_store.lmdb import LmdbStore, now
from tests.online_stores import now_payloads, publish_one

VIEW, PARTITION, DAY = "item_view", "views:0", "2024-03-01"
SCHEMA = BlockSchema.of({"offset": "int64"})
# Messages of a batch; each is one user's, so that a user has every USERS-th offset.
BATCH, USERS = 60, 20
CRASH_POINTS = ("encoding", "before the transaction", "blocks put", "before commit", "after commit", "mid eviction")


def blocks(start: int) -> Iterator[tuple[str, bytes]]:
    offsets = pl.DataFrame({"offset": range(start, start + BATCH)}).with_columns(
        user_id=pl.format("user-{}", pl.col("offset") % USERS)
    )
    return encode_bucket(offsets.sort("user_id", "offset", descending=[False, True]), SCHEMA)


def position(store: LmdbStore) -> int:
    stored = store.stream_positions().get(PARTITION)
    return stored.next_offset if stored else 0


def offsets(store: LmdbStore) -> list[int]:
    """Every offset in the now view, as one snapshot shows it, ascending."""
    with store.snapshot() as view:
        found = [payload for n in range(USERS) for payload in now_payloads(view, VIEW, f"user-{n}")]
    return sorted(decode_blocks(found, store.schema, {"offset": "int64"})["offset"].to_list())


def advance(store: LmdbStore, crash_point: str = "") -> None:
    start = position(store)

    def writes() -> Iterator[tuple[str, bytes]]:
        for n, item in enumerate(blocks(start)):
            if n == 3 and crash_point == "encoding":
                die()
            yield item

    write = NowWrite(VIEW, writes(), {DAY: {PARTITION: start + BATCH}})
    if crash_point == "before the transaction":
        now.advance = dying
    if crash_point == "blocks put":
        now._add_totals = dying
    if crash_point == "before commit":
        now.advance = after(now.advance)
    store.advance([write], {PARTITION: Advance(start, start + BATCH, 1, 0, 0)})
    if crash_point == "after commit":
        die()


def evict(store: LmdbStore, crash_point: str = "") -> None:
    """Everything that is there, in strides of a third of a batch's users."""
    now.STRIDE = 7
    bucket = BucketVersion(1, 0, 0, {PARTITION: position(store)})
    publish_one(store, VIEW, DAY, [], bucket=bucket, release="r", expected_epoch=ANY_EPOCH)
    store.prune(VIEW, keep_epochs=1)
    if crash_point == "mid eviction":
        store._environment.write(lambda transaction: now.evict_stride(transaction, VIEW))
        die()
    store.evict(VIEW)


def after(done: Any) -> Any:
    def both(*args: Any, **kwargs: Any) -> NoReturn:
        done(*args, **kwargs)
        die()

    return both


def dying(*args: Any, **kwargs: Any) -> NoReturn:
    die()


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


def main(folder: Path, point: str, told: Connection) -> None:
    """Advance for ever from the stored position, and tell it each time; kill -9 itself at the named point of the third
    batch, or never for "none".
    """
    online = LmdbStore(folder, first_map_bytes=1 << 16)
    online.register_schema(SCHEMA)
    advance(online)
    advance(online)
    if point == "mid eviction":
        evict(online, point)
    advance(online, point)
    while True:
        advance(online)
        told.send(position(online))
