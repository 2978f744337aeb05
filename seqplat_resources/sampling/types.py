"""Which declared type the values of a column seem to have. Whether a value fits is asked of ``values``."""

from dataclasses import dataclass, replace

import polars as pl

from seqplat_resources.sampling.attributes import Attribute
from seqplat_resources.values.scalars import scalar
from seqplat_resources.values.typing import typed
from sequence_defs.schema import Column

# So many of a hundred values must fit a type; where fewer do, the column is text and says so.
_MOST_FIT = 0.99
_LEADING_ZERO = r"^[+-]?0[0-9]"
_WHOLE = r"^[+-]?[0-9]+$"
# Ids, mostly: as float64 they would lose their last digits.
_MOST_INT64, _TOO_LARGE = 2**63 - 1, "has whole numbers that int64 does not hold: kept as text"
_DATE_ALONE = r"^\d{4}-\d{2}-\d{2}$"
_WIDER = {
    pl.UInt8: "int16",
    pl.UInt16: "int32",
    pl.UInt32: "int64",
    pl.UInt64: "int64",
    pl.Int8: "int8",
    pl.Int16: "int16",
    pl.Int32: "int32",
    pl.Int64: "int64",
    pl.Float32: "float32",
    pl.Float64: "float64",
    pl.Boolean: "bool",
    pl.Date: "date",
    pl.Datetime: "timestamp",
    pl.Binary: "binary",
    pl.Decimal: "float64",
}


@dataclass(frozen=True)
class Inferred:
    """``note`` says what is doubtful: how many values do not fit, and one of them."""

    dtype: str
    note: str = ""


def inferred(attribute: Attribute) -> Inferred:
    """The narrowest type that nearly all values fit; text where none does."""
    values = attribute.values.drop_nulls()
    if not values.len():
        return Inferred("string", "has no value in the sample")
    if not isinstance(values.dtype, pl.String):
        if values.dtype == pl.UInt64() and values.max() > _MOST_INT64:  # type: ignore[operator]
            return Inferred("string", _TOO_LARGE)
        return _of_typed(values.dtype)
    if "array" in attribute.said or "object" in attribute.said:
        return _of_nested(attribute, values)
    if attribute.said == {"string"}:  # digits in quotes are text to who wrote them
        return _of_times(values) or Inferred("string")
    found = _of_texts(values)
    return (
        replace(found, note=found.note or f"is written as {' and '.join(sorted(attribute.said))}")
        if len(attribute.said) > 1
        else found
    )


def _of_typed(dtype: pl.DataType) -> Inferred:
    if isinstance(dtype, pl.List | pl.Array):
        inner = dtype.inner
        item = _WIDER.get(type(inner)) if isinstance(inner, pl.DataType) else None
        item = "string" if isinstance(inner, pl.String) else item
        return Inferred(f"list[{item}]") if item else Inferred("string", "is nested: kept as JSON text")
    if dtype.is_nested():
        return Inferred("string", "is nested: kept as JSON text")
    return Inferred(_WIDER.get(type(dtype), "string"))


def _of_nested(attribute: Attribute, values: pl.Series) -> Inferred:
    if attribute.said != {"array"}:
        return Inferred("string", "is nested: kept as JSON text")
    if values.str.slice(1).str.contains(r"[{\[]").any():
        return Inferred("string", "holds arrays of objects: kept as JSON text")
    if (values.str.replace_all(r"\s", "") == "[]").all():
        return Inferred("list[string]", "holds no item in the sample")
    texts = values.to_frame("v")
    for item in ("int64", "float64"):
        column = Column(name="v", dtype=f"list[{item}]")
        if not texts.select(typed(column, pl.String())).to_series().null_count():
            return Inferred(column.dtype)
    return Inferred("list[string]")


def _of_texts(values: pl.Series) -> Inferred:
    """Of CSV and of numbers in JSON."""
    if values.str.to_lowercase().is_in(["true", "false"]).all():
        return Inferred("bool")
    if values.str.contains(_WHOLE).all() and values.str.len_chars().max() >= 19 and _share(values, "int64")[0] < 1.0:  # type: ignore[operator]
        return Inferred("string", _TOO_LARGE)
    best = Inferred("string")
    for dtype, what in (("int64", "whole numbers"), ("float64", "numbers")):
        share, odd = _share(values, dtype)
        if share == 1.0 and values.str.contains(_LEADING_ZERO).any() and not values.str.contains(r"\.").any():
            return Inferred("string", "has leading zeros, which numbers lose")
        if share >= _MOST_FIT:
            return Inferred(
                dtype, "" if share == 1.0 else f"{1 - share:.2%} are no {what}, as {odd!r}: they are refused"
            )
        if share > 0.5:
            best = Inferred("string", f"only {share:.0%} are {what} (not {odd!r}): kept as text")
    return _of_times(values) or best


def _of_times(values: pl.Series) -> Inferred | None:
    share, odd = _share(values, "timestamp")
    if share < _MOST_FIT:
        return Inferred("string", f"only {share:.0%} are times (not {odd!r}): kept as text") if share > 0.5 else None
    dtype = "date" if values.str.contains(_DATE_ALONE).all() else "timestamp"
    return Inferred(dtype, "" if share == 1.0 else f"{1 - share:.2%} are no times, as {odd!r}: they are refused")


def _share(values: pl.Series, dtype: str) -> tuple[float, str]:
    """How many of the values fit a type, and one that does not."""
    found = values.to_frame("v").select(scalar(pl.col("v"), dtype, pl.String())).to_series()
    missed = values.filter(found.is_null())
    return 1 - missed.len() / values.len(), str(missed[0])[:40] if missed.len() else ""
