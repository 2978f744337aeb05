"""Legacy's values in the types of our columns; one that no value of ours equals is named, and null."""

from collections.abc import Iterable
from functools import partial

import numpy as np
import polars as pl

from seqplat_resources.shadow.legacy.contract import PROBLEMS, LegacyRows
from seqplat_resources.values.spread import spread
from sequence_defs.compiler.counterparts import Counterpart
from sequence_defs.compiler.sql import storage_dtype
from sequence_defs.schema import parse_dtype

# Items of vectors as they are packed.
ITEMS = {"int8": "<i1", "float16": "<f2", "float32": "<f4"}
# Where a row comes from, and what legacy's columns are called while they stand beside ours: no column begins so.
PLACE = "@"


def their(column: str) -> str:
    """What a column of legacy is called beside ours."""
    return f"@{column}"


def fitted(rows: pl.DataFrame, met: Iterable[Counterpart]) -> LegacyRows:
    """Legacy's columns under our names and in our types.

    Shapes:
        In: ``user_id``, ``PLACE``, legacy's columns as ``their``, and others, which stay.
        Out: the others, then ours; and a problem for each value that is lost.
    """
    met = list(met)
    kept = [name for name in rows.columns if not name.startswith(PLACE)]
    found = rows.select(*kept, *(_value(each).alias(each.ours.name) for each in met))
    problems = [pl.DataFrame(schema=PROBLEMS)]
    for each in met:
        lost = rows[their(each.legacy.name)].is_not_null() & found[each.ours.name].is_null()
        if lost.any():
            problems.append(rows.filter(lost).select(_problem(each)))
    return LegacyRows(found, pl.concat(problems))


def _value(each: Counterpart) -> pl.Expr:
    ours, legacy, value = each.ours.dtype, each.legacy.dtype, pl.col(their(each.legacy.name))
    want, given = storage_dtype(ours), storage_dtype(legacy)
    if parse_dtype(ours).kind == "vector" and ours != legacy:
        pack = partial(_repacked, dim=parse_dtype(ours).dim, item=parse_dtype(legacy).item, into=parse_dtype(ours).item)
        return value.map_batches(pack, return_dtype=pl.Binary())
    if want == given:
        return value
    cast = value.cast(want, strict=False)
    if want.is_integer() and given.is_float():
        return pl.when(cast.cast(given) == value).then(cast)  # 7.5 is no 7
    if isinstance(want, pl.List):
        return pl.when(cast.list.drop_nulls().list.len() == value.list.drop_nulls().list.len()).then(cast)
    return cast


def _repacked(vectors: pl.Series, dim: int, item: str, into: str) -> pl.Series:
    """Vectors of floats in floats of another width."""
    valid = vectors.is_not_null()
    data = np.frombuffer(b"".join(vectors.drop_nulls()), dtype=ITEMS[item])
    with np.errstate(over="ignore"):
        made = data.astype(ITEMS[into])
    width = dim * made.dtype.itemsize
    packed = pl.Series("vector", np.frombuffer(made.tobytes(), dtype=f"V{width}").tolist(), dtype=pl.Binary())
    return packed if packed.len() == vectors.len() else spread(packed.to_frame(), valid).to_series()


def _problem(each: Counterpart) -> list[pl.Expr]:
    value = pl.col(their(each.legacy.name))
    is_list, is_personal = each.legacy.dtype.startswith("list"), each.ours.pii or each.legacy.pii
    shown = pl.lit("a list" if is_list else "a value") if is_list or is_personal else value.cast(pl.String)
    return [
        pl.col("user_id").cast(pl.String).alias("user"),
        pl.col(PLACE).cast(pl.String).alias("place"),
        pl.format("column {}: {} is not {}", pl.lit(each.ours.name), shown, pl.lit(each.ours.dtype)).alias("reason"),
    ]
