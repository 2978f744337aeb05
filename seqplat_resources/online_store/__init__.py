"""The online store: encoded history per user and day, published in whole epochs, and the now view beside it.

Doors: ``opening.open_online_store`` and ``contract.OnlineStore``, which every store keeps.
Read, enrichment, batch, stream, explain and the packages above may enter; it stands on errors and times.
"""

from seqplat_resources.online_store.codec import Block, BlockParts, BlockSchema, decode_blocks, encode_bucket, row_count
from seqplat_resources.online_store.contract import (
    ANY_EPOCH,
    BucketVersion,
    BucketWrite,
    Epoch,
    HistoryBlock,
    OnlineStore,
    PublishResult,
    ReadAhead,
    StoreSnapshot,
    StoreStats,
)
from seqplat_resources.online_store.now_view import (
    Advance,
    Eviction,
    Fold,
    NowBlock,
    NowStats,
    NowWrite,
    StreamPosition,
)
from seqplat_resources.online_store.spans import Roll, Rollable, RolledBlock, RollSource, RollSpan

__all__ = [
    "ANY_EPOCH",
    "Advance",
    "Block",
    "BlockParts",
    "BlockSchema",
    "BucketVersion",
    "BucketWrite",
    "Epoch",
    "Eviction",
    "Fold",
    "HistoryBlock",
    "NowBlock",
    "NowStats",
    "NowWrite",
    "OnlineStore",
    "PublishResult",
    "ReadAhead",
    "Roll",
    "RollSource",
    "RollSpan",
    "Rollable",
    "RolledBlock",
    "StoreSnapshot",
    "StoreStats",
    "StreamPosition",
    "decode_blocks",
    "encode_bucket",
    "row_count",
]
