"""Every kind of online store, empty, for suites that ask the same of all of them."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from seqplat_resources.online_store import OnlineStore
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
