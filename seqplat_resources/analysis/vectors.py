"""Vectors as numbers: tables store them as bytes, and say in a field's metadata how many of which type.

>>> stored = pl.Series("shape", [b"\\x01\\xff", None], pl.Binary())
>>> stored.to_frame().select(decoded("shape", "vector[int8,2]")).to_series().to_list()
[[1, -1], None]
"""

import polars as pl

from sequence_defs.schema import parse_dtype

_ITEMS = {"int8": pl.Int8(), "float16": pl.Float16(), "float32": pl.Float32()}


def decoded(column: str, dtype: str) -> pl.Expr:
    """A stored vector column as ``Array`` of its dimension; a value of another size, which no build writes, is null.

    Units:
        ``dtype`` is the portable type, as ``seqplat.dtype`` in the metadata of the Delta field says it. float16 widens
        to float32, which more tools can read; int8 stays.
    """
    parsed = parse_dtype(dtype)
    item = _ITEMS[parsed.item]
    numbers = pl.col(column).bin.reinterpret(dtype=pl.Array(item, parsed.dim), endianness="little")
    return numbers.cast(pl.Array(pl.Float32(), parsed.dim)) if parsed.item == "float16" else numbers
