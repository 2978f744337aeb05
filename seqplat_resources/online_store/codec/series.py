"""Decoded values -> series of a column's type; and what several look for in a series."""

import numpy as np
import polars as pl

from seqplat_resources.online_store.codec.layout import Flags, Ints
from seqplat_resources.online_store.codec.schema import polars_dtype


def spread(values: Ints, valid: Flags | None) -> Ints:
    """From one entry per value to one per row, 0 where null."""
    if valid is None:
        return values
    rows = np.zeros(valid.size, np.int64)
    rows[valid] = values
    return rows


def typed(bits: Ints, dtype: str) -> pl.Series:
    """Fixed-width values from int64, floats from their bit pattern."""
    if dtype == "float64":
        return pl.Series(bits.view(np.float64))
    if dtype == "float32":
        return pl.Series(bits.astype(np.int32).view(np.float32))
    if dtype == "bool":
        return pl.Series(bits != 0)
    if dtype in ("timestamp", "int64"):
        return pl.Series(bits).cast(polars_dtype(dtype))
    narrow = np.int32 if dtype == "date" else np.dtype(dtype)
    return pl.Series(bits.astype(narrow)).cast(polars_dtype(dtype))


def masked(values: pl.Series, valid: Flags | None) -> pl.Series:
    """Null where not ``valid``."""
    if valid is None or valid.all():
        return values
    return values.zip_with(pl.Series(valid), pl.Series([None], dtype=values.dtype))


def are_constant(values: pl.Series, starts: Ints) -> Flags:
    """Of each run of values, beginning at ``starts``, whether all are equal; no run is empty."""
    differs = (values != values.shift(1)).fill_null(False).to_numpy().copy()
    differs[starts] = False
    found: Flags = ~np.logical_or.reduceat(differs, starts)
    return found
