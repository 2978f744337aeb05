"""Every kind of online store, empty, for suites that ask the same of all of them."""

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from seqplat_resources.online_store import (
    BucketVersion,
    BucketWrite,
    Fold,
    HistoryBlock,
    OnlineStore,
    PublishResult,
    StoreSnapshot,
)
from seqplat_resources.online_store.lmdb import LmdbStore
from seqplat_resources.online_store.redis import RedisSettings, RedisStore
from seqplat_resources.testing.memory.store import MemoryStore
from tests import redis_server

KINDS = ("memory", "lmdb", "redis", "valkey", "redis cluster", "valkey cluster")
CLUSTER_NODES = 3


@contextmanager
def empty_store(kind: str, folder: Path, *, keep_epochs: int = 4) -> Iterator[OnlineStore]:
    """A store of its own; skips the test where there is no server for it."""
    if kind == "memory":
        store: OnlineStore = MemoryStore(keep_epochs=keep_epochs)
    elif kind == "lmdb":
        store = LmdbStore(folder / "online", keep_epochs=keep_epochs, first_map_bytes=1 << 20, sync=False)
    else:
        store = RedisStore(RedisSettings.parse(redis_url(kind)), keep_epochs=keep_epochs)
    try:
        yield store
    finally:
        store.close()


def redis_url(kind: str) -> str:
    """Of the server that tests share, with a prefix that nobody else has; skips the test where there is none."""
    name, _, is_cluster = kind.partition(" ")
    url = redis_server.shared(name, nodes=CLUSTER_NODES if is_cluster else 1)
    if url is None:
        pytest.skip(redis_server.why_not(name) or "")
    return f"{url}?prefix={uuid.uuid4().hex}:"


def publish_one(
    store: OnlineStore,
    event_type: str,
    day: str,
    blocks: Iterable[tuple[str, bytes]],
    *,
    bucket: BucketVersion,
    release: str,
    expected_epoch: int | None,
) -> PublishResult:
    """Replace one bucket."""
    writes = [BucketWrite(day, blocks, bucket)]
    return store.publish_many(event_type, writes, release=release, expected_epoch=expected_epoch)


def fold_one(store: OnlineStore, event_type: str, user: str, expected: Sequence[int], payload: bytes) -> bool:
    """Fold one user's blocks; False where they have changed meanwhile."""
    return store.fold_many(event_type, [Fold(user, tuple(expected), payload)]) == 1


def history(
    store: OnlineStore,
    user: str,
    event_type: str,
    *,
    epoch: int | None = None,
    since_day: str | None = None,
    until_day: str | None = None,
) -> list[HistoryBlock]:
    """All blocks of a user, as copies."""
    epochs: Mapping[str, int] | None = None if epoch is None else {event_type: epoch}
    with store.snapshot(epochs=epochs) as view:
        return [block.kept() for block in view.blocks(event_type, user, since_day=since_day, until_day=until_day)]


def now_payloads(view: StoreSnapshot, event_type: str, user: str) -> list[bytes]:
    """A user's now blocks, oldest first."""
    return [block.payload for block in view.now_blocks(event_type, user)]
