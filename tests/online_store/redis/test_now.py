"""What an eviction notes of batches that an epoch covers, beside streams that have begun and not ended."""

from collections.abc import Iterator

import polars as pl
import pytest

from seqplat_resources.online_store import (
    ANY_EPOCH,
    Advance,
    BlockSchema,
    BucketVersion,
    NowWrite,
    OnlineStore,
    encode_bucket,
)
from seqplat_resources.online_store.redis import RedisSettings, RedisStore, now
from tests.online_stores import now_payloads, publish_one, redis_url

VIEW, DAY, P, Q = "item_view", "2024-03-01", "views:0", "views:1"
SCHEMA = BlockSchema.of({"n": "int64"})


@pytest.fixture(params=["redis", "redis cluster"])
def store(request: pytest.FixtureRequest) -> Iterator[RedisStore]:
    store = RedisStore(RedisSettings.parse(redis_url(request.param)))
    store.register_schema(SCHEMA)
    yield store
    store.close()


def advance(store: OnlineStore, partition: str, n: int) -> None:
    blocks = encode_bucket(pl.DataFrame({"user_id": ["ann"], "n": [n]}), SCHEMA)
    store.advance([NowWrite(VIEW, blocks, {DAY: {partition: 1}})], {partition: Advance(0, 1, 1, 0, 0)})


def seen(store: OnlineStore) -> int:
    with store.snapshot() as view:
        return len(now_payloads(view, VIEW, "ann"))


def test_a_batch_that_was_begun_before_and_ends_after_it_is_seen(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, begun = now._write, list[object]()

    def meanwhile(*given: object) -> None:
        begun.append(given[1])
        monkeypatch.setattr(now, "_write", write)
        advance(store, Q, 2)
        bucket = BucketVersion(1, 0, 0, {Q: 1})
        publish_one(store, VIEW, DAY, [], bucket=bucket, release="r", expected_epoch=ANY_EPOCH)
        publish_one(store, VIEW, DAY, [], bucket=bucket, release="r", expected_epoch=ANY_EPOCH)
        store.evict(VIEW)
        write(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(now, "_write", meanwhile)
    advance(store, P, 1)
    assert seen(store) >= 1
    with store.snapshot() as view:
        assert {block.sequence for block in view.now_blocks(VIEW, "ann")} >= set(begun)
    store.evict(VIEW)
    assert seen(store) >= 1
