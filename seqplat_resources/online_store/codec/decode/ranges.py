"""The least and the greatest value of columns, of each of many blocks.

>>> import polars as pl
>>> from seqplat_resources.online_store.codec.encode.bucket import encode_bucket
>>> from seqplat_resources.online_store.codec.schema import BlockSchema
>>> schema = BlockSchema.of({"amount": "int64"})
>>> events = pl.DataFrame({"user_id": ["ann", "ann", "bob"], "amount": [3, 4, 9]})
>>> blocks = [block for user, block in encode_bucket(events, schema)]
>>> ranges(blocks, {schema.schema_id: schema}.get, {"amount": "int64"})
[[(3, 4)], [(9, 9)]]
"""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from seqplat_resources.online_store.codec.block import Block
from seqplat_resources.online_store.codec.decode import one_by_one
from seqplat_resources.online_store.codec.decode.blocks import decode_blocks
from seqplat_resources.online_store.codec.decode.directory import SchemaLookup
from seqplat_resources.online_store.codec.decode.one_by_one import Range, told_ranges
from seqplat_resources.online_store.codec.layout import Ints, row_count
from seqplat_resources.online_store.codec.ragged import starts_of
from seqplat_resources.online_store.codec.series import are_constant


def ranges(
    blocks: Sequence[Block], schemas: SchemaLookup, columns: Mapping[str, str], *, where: str = "the blocks read"
) -> Sequence[Sequence[Range | None]]:
    """Of each block the least and the greatest value of each column of texts, whole numbers or times.

    None where that is not told without much ado: of texts that differ, where there are nulls, and of few blocks where
    values are closely encoded.

    Raises:
        CorruptBlockError: a block is damaged or its schema is unknown; ``where`` is named in it.
    """
    if len(blocks) * len(columns) <= one_by_one.MOST_SECTIONS:
        return told_ranges(blocks, schemas, columns, where)
    values = decode_blocks(blocks, schemas, columns, where=where)
    starts = starts_of(np.array([row_count(block) for block in blocks], np.int64))
    return list(zip(*(_of_each(values[name], starts) for name in columns), strict=True))


def _of_each(values: pl.Series, starts: Ints) -> list[Range | None]:
    if values.null_count():
        return [None] * starts.size
    if values.dtype == pl.String:
        firsts, constant = values.gather(starts).to_list(), are_constant(values, starts).tolist()
        return [(first, first) if is_constant else None for first, is_constant in zip(firsts, constant, strict=True)]
    numbers = values.to_physical().to_numpy()
    least, most = np.minimum.reduceat(numbers, starts).tolist(), np.maximum.reduceat(numbers, starts).tolist()
    return list(zip(least, most, strict=True))
