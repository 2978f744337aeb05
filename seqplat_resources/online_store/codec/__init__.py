"""A bucket's events of one user to bytes and back: a versioned columnar block.

Doors: ``encode_bucket``, ``decode_blocks``, ``ranges``. This level says how bytes lie.
Stores and readers may enter; it stands on the store's errors.
"""

from seqplat_resources.online_store.codec.block import Block, BlockParts
from seqplat_resources.online_store.codec.decode.blocks import decode_blocks, texts
from seqplat_resources.online_store.codec.decode.directory import SchemaLookup, is_sound
from seqplat_resources.online_store.codec.decode.one_by_one import Range
from seqplat_resources.online_store.codec.decode.ranges import ranges
from seqplat_resources.online_store.codec.encode.bucket import encode_bucket
from seqplat_resources.online_store.codec.layout import fingerprint, row_count, schema_id
from seqplat_resources.online_store.codec.schema import BlockSchema, array_dtype, polars_dtype
from seqplat_resources.online_store.codec.sectioned import parts_of

__all__ = [
    "Block",
    "BlockParts",
    "BlockSchema",
    "Range",
    "SchemaLookup",
    "array_dtype",
    "decode_blocks",
    "encode_bucket",
    "fingerprint",
    "is_sound",
    "parts_of",
    "polars_dtype",
    "ranges",
    "row_count",
    "schema_id",
    "texts",
]
