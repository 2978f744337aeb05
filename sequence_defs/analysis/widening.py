"""Which types a declared column holds without losing anything."""

import polars as pl

from sequence_defs.compiler.sql import storage_dtype
from sequence_defs.schema import Column, parse_dtype

# Whole numbers up to this many bits are exact in a float of so many bits (24 and 53 bits of mantissa).
_EXACT_INTEGER_BITS = {32: 16, 64: 32}
_SQL_NAMES = {
    "bool": "BOOLEAN",
    "int8": "TINYINT",
    "int16": "SMALLINT",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "float32": "REAL",
    "float64": "DOUBLE",
    "string": "VARCHAR",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
}
# In this order the first type that holds a value is the closest one.
NUMBERS = ("int8", "int16", "int32", "int64", "float32", "float64")
_OTHERS = ("bool", "string", "binary", "date", "timestamp")


def holds(declared: str, found: pl.DataType) -> bool:
    """Whether every value of ``found`` has its equal in ``declared``. A time without a zone is taken for UTC."""
    return _holds(storage_dtype(declared), found)


def holds_column(declared: Column, found: Column) -> bool:
    """The same for a column taken over as it is: vectors also keep item type and dimension."""
    if "vector" in (parse_dtype(declared.dtype).kind, parse_dtype(found.dtype).kind):
        return declared.dtype == found.dtype
    return holds(declared.dtype, storage_dtype(found.dtype))


def nearest_dtype(found: pl.DataType) -> str | None:
    """The closest portable type that holds ``found``, or None."""
    if isinstance(found, pl.List) and isinstance(found.inner, pl.DataType):
        item = nearest_dtype(found.inner)
        return f"list[{item}]" if item and parse_dtype(item).kind == "scalar" else None
    return next((dtype for dtype in NUMBERS + _OTHERS if holds(dtype, found)), None)


def cast_to(dtype: str, sql: str) -> str | None:
    """SQL that turns an expression into ``dtype`` where a value fits and into null where not."""
    name = _SQL_NAMES.get(dtype)
    return f"TRY_CAST({sql} AS {name})" if name else None


def _holds(want: pl.DataType, found: pl.DataType) -> bool:
    if found == want or isinstance(found, pl.Null):
        return True
    if isinstance(want, pl.List) and isinstance(found, pl.List):
        return _holds(_inner(want), _inner(found))
    if found.is_integer() and want.is_integer():
        return _bits(found) < _bits(want) if found.is_unsigned_integer() else _bits(found) <= _bits(want)
    if found.is_integer() and want.is_float():
        return _bits(found) <= _EXACT_INTEGER_BITS[_bits(want)]
    if found.is_float() and want.is_float():
        return _bits(found) <= _bits(want)
    return isinstance(found, pl.Datetime) and isinstance(want, pl.Datetime) and found.time_unit != "ns"


def _inner(dtype: pl.List) -> pl.DataType:
    return dtype.inner if isinstance(dtype.inner, pl.DataType) else dtype.inner()


def _bits(dtype: pl.DataType) -> int:
    # Polars names numeric types by their width: Int8, UInt32, Float64.
    return int("".join(filter(str.isdigit, str(dtype))))


def alike(one: str, other: str) -> bool:
    """Whether values of two portable types can be the same value: numbers of any width are, 7 and the text '7' not."""
    first, second = parse_dtype(one), parse_dtype(other)
    if first.kind == "vector":
        return one == other
    return first.kind == second.kind and _family(first.item) == _family(second.item)


def _family(item: str) -> str:
    return item.rstrip("0123456789") if item.startswith(("int", "float")) else item
