"""The online store: encoded history per user and day, published in whole epochs."""

from seqplat_resources.online_store.codec import BlockSchema, decode_blocks, encode_bucket, row_count
from seqplat_resources.online_store.contract import (
    ANY_EPOCH,
    BucketVersion,
    BucketWrite,
    Epoch,
    HistoryBlock,
    OnlineStore,
    PublishResult,
    Snapshot,
    StoreStats,
)

__all__ = [
    "ANY_EPOCH",
    "BlockSchema",
    "BucketVersion",
    "BucketWrite",
    "Epoch",
    "HistoryBlock",
    "OnlineStore",
    "PublishResult",
    "Snapshot",
    "StoreStats",
    "decode_blocks",
    "encode_bucket",
    "row_count",
]
