"""Versioned columnar codec of history blocks: a bucket's events of one user <-> bytes."""

from seqplat_resources.online_store.codec.block import Block, BlockParts
from seqplat_resources.online_store.codec.decode import decode_blocks, texts
from seqplat_resources.online_store.codec.directory import SchemaLookup, is_sound
from seqplat_resources.online_store.codec.encode import encode_bucket
from seqplat_resources.online_store.codec.layout import fingerprint, row_count, schema_id
from seqplat_resources.online_store.codec.one_by_one import Range
from seqplat_resources.online_store.codec.ranges import ranges
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
