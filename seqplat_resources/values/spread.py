"""Put values computed for some rows back among all rows."""

import polars as pl


def spread(dense: pl.DataFrame, present: pl.Series) -> pl.DataFrame:
    """One row per element of ``present``: the next row of ``dense`` where it is true, nulls where it is false.

    ``dense`` has as many rows as ``present`` has true elements; ``present`` has no nulls.
    """
    places = pl.select(pl.when(present).then(present.cum_sum() - 1)).to_series()
    return dense.select(pl.all().gather(places))
