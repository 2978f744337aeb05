"""What rows say that were stored before a column was declared.

A column that is never null may be declared later than rows were stored; its ``default`` stands in them until their
days are built again. Whatever is built with the column has a value, so that null is of a row from before, or of one
whose value is stored with another type and cannot be read.

>>> from sequence_defs.schema import Column
>>> seats = Column(name="seats", dtype="int8", nullable=False, default=1)
>>> pl.DataFrame({"seats": [4, None]}, {"seats": pl.Int8}).select(with_default(pl.col("seats"), seats)).rows()
[(4,), (1,)]
"""

from collections.abc import Sequence

import polars as pl

from sequence_defs.compiler.sql import storage_dtype
from sequence_defs.schema import Column


def with_default(values: pl.Expr, column: Column, *, unread: Sequence[pl.Expr] = ()) -> pl.Expr:
    """``values`` of the column as they are stored, its default in place of null where it has one.

    Rows of which one of ``unread`` is true have a value, in another type: where that cannot be read they stay null.
    """
    if column.default is None or column.nullable:
        return values
    filled = values.fill_null(pl.lit(column.default, storage_dtype(column.dtype)))
    return pl.when(pl.any_horizontal(unread)).then(values).otherwise(filled) if unread else filled
