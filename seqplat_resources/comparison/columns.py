"""Whether two values of a column differ, by the column's rule. Exact comparison first: rules look at what is left."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import polars as pl

from seqplat_resources.comparison.contract import DIFFERS, LEGACY, ColumnRule

_US = 1_000_000


class ColumnTypesError(ValueError):
    """Values of two types that cannot be compared, or of one that the column's rule says nothing about."""

    def __init__(self, column: str, what: str, how: str) -> None:
        self.column = column
        super().__init__(f"column {column!r} {what}: {how}")


def with_differences(pairs: pl.DataFrame, rules: Mapping[str, ColumnRule]) -> pl.DataFrame:
    """Add ``differs_<column>`` for each column of ``rules``; true or false, never null.

    Shapes:
        In: one row per pair, with each column of ours and as ``legacy_<column>`` that of legacy, of the same type;
        vectors may be arrays or lists, of any length.
    Raises:
        ColumnTypesError: as the name says.
    Cost:
        One pass over all values, and a second one over rows that are not exactly equal in a column with tolerance.
    """
    pairs = _aligned(pairs, rules)
    exactly = [pl.col(name).ne_missing(pl.col(f"{LEGACY}{name}")).alias(f"{DIFFERS}{name}") for name in rules]
    differs = pairs.select(exactly)
    near = []
    for name, rule in rules.items():
        found = differs[f"{DIFFERS}{name}"]
        if not rule.is_exact and found.any():
            left = pairs.select(name, f"{LEGACY}{name}").filter(found)
            apart = found.to_numpy().copy()
            apart[apart] = ~are_near(left[name], left[f"{LEGACY}{name}"], rule).to_numpy()
            near.append(pl.Series(found.name, apart))
    return pairs.hstack(differs.with_columns(near).get_columns())


def are_near(ours: pl.Series, legacy: pl.Series, rule: ColumnRule) -> pl.Series:
    """Row by row, whether two values are equal by a rule with a tolerance; the two are of one type."""
    if rule.as_set:
        return _are_sets(ours, legacy)
    if not isinstance(ours.dtype, pl.List | pl.Array):
        return _are_close(ours, legacy, rule)
    return _are_close_vectors(ours, legacy, rule)


def _aligned(pairs: pl.DataFrame, rules: Mapping[str, ColumnRule]) -> pl.DataFrame:
    """Arrays of two lengths, and an array beside a list, as lists."""
    casts = []
    for name in rules:
        one, other = pairs.schema[name], pairs.schema[f"{LEGACY}{name}"]
        if one == other:
            continue
        inner = [getattr(each, "inner", None) for each in (one, other)]
        if inner[0] is None or inner[0] != inner[1]:
            raise ColumnTypesError(name, f"is {one} on our side and {other} on legacy's", "read both as the same type")
        casts += [pl.col(each).cast(pl.List(inner[0])) for each in (name, f"{LEGACY}{name}")]
    return pairs.with_columns(casts)


def _are_sets(ours: pl.Series, legacy: pl.Series) -> pl.Series:
    if not isinstance(ours.dtype, pl.List | pl.Array):
        raise ColumnTypesError(ours.name, f"is {ours.dtype}, which is no set", "drop `as_set` of it")
    lists = [each.cast(pl.List(each.dtype.inner)) for each in (ours, legacy)]  # type: ignore[attr-defined]
    one, other = (each.list.unique().list.sort() for each in lists)
    return one.eq_missing(other)


def _are_close(ours: pl.Series, legacy: pl.Series, rule: ColumnRule) -> pl.Series:
    """Numbers and times. Integers are subtracted as wider ones, so that none wraps around."""
    dtype, absolute = ours.dtype, rule.absolute
    one, other = pl.lit(ours), pl.lit(legacy)
    if dtype in (pl.Date, pl.Datetime) and rule.relative is None and rule.cosine is None:
        one, other = (each.cast(pl.Datetime("us")).to_physical() for each in (one, other))
        absolute = None if absolute is None else absolute * _US
    elif not dtype.is_numeric() or rule.cosine is not None:
        raise ColumnTypesError(
            ours.name, f"is {dtype}, which has no such distance", f"compare it exactly, not by {rule}"
        )
    wide = pl.Float64() if dtype.is_float() else pl.Int128()
    one, other = one.cast(wide), other.cast(wide)
    apart = (one - other).abs().cast(pl.Float64)
    near = [apart <= limit for limit in (absolute,) if limit is not None]
    if rule.relative is not None:
        near.append(apart <= rule.relative * pl.max_horizontal(one.abs(), other.abs()).cast(pl.Float64))
    finite = one.is_finite() & other.is_finite() if dtype.is_float() else pl.lit(True)
    close = (finite & pl.any_horizontal(near)).fill_null(False)
    return pl.select(close | pl.lit(ours).eq_missing(pl.lit(legacy))).to_series()


def _are_close_vectors(ours: pl.Series, legacy: pl.Series, rule: ColumnRule) -> pl.Series:
    """Item by item, or by the angle between; of the same length that is not zero."""
    lists = [each.cast(pl.List(each.dtype.inner)) for each in (ours, legacy)]  # type: ignore[attr-defined]
    lengths = [each.list.len() for each in lists]
    same = ((lengths[0] == lengths[1]) & (lengths[0] > 0)).fill_null(False)
    near = np.zeros(len(ours), np.bool_)
    if same.any():
        one, other = (each.filter(same).explode().rename(ours.name) for each in lists)
        length = lengths[0].filter(same).cast(pl.Int64).to_numpy()
        starts = np.cumsum(length) - length
        if rule.cosine is not None:
            near[same.to_numpy()] = _cosines(one, other, starts, length) >= rule.cosine
        else:
            near[same.to_numpy()] = np.logical_and.reduceat(_are_close(one, other, rule).to_numpy(), starts)
    return pl.Series(near)


def _cosines(
    one: pl.Series, other: pl.Series, starts: npt.NDArray[np.int64], length: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Of vectors one after the other; NaN where one is all zero or has an item without a finite value."""
    if not one.dtype.is_numeric():
        raise ColumnTypesError(one.name, f"has items of type {one.dtype}, which have no angle", "drop `cosine` of it")
    items = [each.cast(pl.Float64).fill_null(np.nan).to_numpy() for each in (one, other)]
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        # Scaled by the largest item, so that no square is lost to the edge of the type.
        a, b = (each / np.repeat(np.maximum.reduceat(np.abs(each), starts), length) for each in items)
        dot, squares = (np.add.reduceat(each, starts) for each in (a * b, a * a))
        cosine: npt.NDArray[np.float64] = dot / np.sqrt(squares * np.add.reduceat(b * b, starts))
    # Rounding puts the cosine of two vectors of one direction a little above or below 1.
    return np.where(np.abs(cosine) > 1 - 1e-12, np.sign(cosine), cosine)
