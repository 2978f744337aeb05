"""A publisher (or reader) in a process of its own; run by the recovery tests, not a test."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import polars as pl

from seqplat_resources.online_store import (
    ANY_EPOCH,
    BlockSchema,
    BucketVersion,
    BucketWrite,
    decode_blocks,
    encode_bucket,
)
from seqplat_resources.online_store.errors import EpochConflictError
from seqplat_resources.online_store.lmdb import LmdbStore, publication

VIEW = "item_view"
SCHEMA = BlockSchema.of({"generation": "int64", "noise": "binary"})
DAYS = ("2024-03-01", "2024-03-02")
USERS = [f"user-{n:02}" for n in range(40)]
CRASH_POINTS = (
    "first lease",
    "first block",
    "mid bucket",
    "between buckets",
    "before commit",
    "in commit",
    "after commit",
)


def bucket(generation: int) -> list[tuple[str, bytes]]:
    """All users; each tenth one is missing in every other generation, so that removals are crashed into as well."""
    users = [user for n, user in enumerate(USERS) if n % 10 or generation % 2]
    noise = [bytes([n]) * 400 for n in range(len(users))]
    events = pl.DataFrame({"user_id": users, "generation": [generation] * len(users), "noise": noise})
    return list(encode_bucket(events, SCHEMA))


def publish(store: LmdbStore, generation: int, crash_point: str = "", *, expected: int | None = ANY_EPOCH) -> None:
    def reach(point: str) -> None:
        if point == crash_point:
            die()

    def writes() -> Iterator[BucketWrite]:
        for n, day in enumerate(DAYS):
            if n:
                reach("between buckets")
            yield BucketWrite(day, blocks(), BucketVersion(generation, len(USERS), len(USERS)))
        reach("before commit")

    def blocks() -> Iterator[tuple[str, bytes]]:
        reach("first lease")
        for n, item in enumerate(bucket(generation)):
            if n == 1:
                reach("first block")
            if n == 20:
                reach("mid bucket")
            yield item

    if crash_point == "in commit":
        publication.commit = dying_commit
    store.register_schema(SCHEMA)
    store.publish_many(VIEW, writes(), release="r", expected_epoch=expected)
    reach("after commit")


def generations(store: LmdbStore) -> set[int]:
    """Generations seen by one snapshot over all users and days, -1 where a block is missing."""
    seen = set()
    with store.snapshot() as view:
        for n, user in enumerate(USERS):
            blocks = [block.payload for block in view.blocks(VIEW, user)]
            found = decode_blocks(blocks, view.schema, {"generation": "int64"})["generation"].to_list()
            if n % 10 or found:
                seen |= {*found, -1} if len(found) < len(DAYS) else set(found)
    return seen


def watch(store: LmdbStore, last: int) -> None:
    while (seen := generations(store)) != {last}:
        if len(seen) != 1 or -1 in seen:
            sys.exit(f"a snapshot shows parts of several epochs: {seen}")


def dying_commit(*args: Any, **kwargs: Any) -> NoReturn:
    commit(*args, **kwargs)
    die()


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


commit = publication.commit
publication.CHUNK_USERS = 7


def main(folder: Path, mode: str, generation: int, crash_point: str, together: bool) -> None:
    """``publish`` it, and kill -9 itself at the named point; ``race``: expect no epoch, exit with 3 where there is one;
    ``watch``: read until it is seen. Buckets are small enough to be written ``together``, or too large.
    """
    publication.CHUNK_USERS = 1 << 14 if together else 7
    if mode == "watch":
        return watch(LmdbStore(folder, readonly=True), generation)
    try:
        store = LmdbStore(folder, first_map_bytes=1 << 16)
        publish(store, generation, crash_point, expected=None if mode == "race" else ANY_EPOCH)
    except EpochConflictError:
        sys.exit(3)
