"""What every measure returns, and the reads that several of them share."""

import datetime as dt
from collections.abc import Sequence

import polars as pl

from seqplat_resources.lake.layout import DAY
from seqplat_resources.lake.table import LakeTable

# Besides ``day``, every measure has these: the verdict, and why not, in words (empty where it passed).
PASSED = "passed"
DETAIL = "detail"
# A measure may have this one: the day has nothing although there was something, so nothing should be made of it.
EMPTY = "empty"
# And this one: False where nobody could look, so that the day is neither good nor bad.
JUDGED = "judged"
# And this one: the failure is one to act on, although it keeps nothing from being built.
RED = "red"
# And these two: the number that decides, and its limit, where no name of a column says which that is.
VALUE, LIMIT = "value", "limit"


def per_day(days: Sequence[dt.date], measured: pl.DataFrame) -> pl.DataFrame:
    """One row per day of ``days``, in their order; counts of a day that nothing was measured for are 0."""
    asked = pl.DataFrame({DAY: list(days)}, schema={DAY: pl.Date()})
    joined = asked.join(measured, on=DAY, how="left", maintain_order="left")
    return joined.with_columns(pl.col(pl.UInt32, pl.UInt64, pl.Int64).cast(pl.Int64).fill_null(0))


def files_of(table: LakeTable, days: Sequence[dt.date]) -> pl.DataFrame:
    """The files of the days' buckets, from the Delta log alone: ``day``, ``path`` below the table, ``rows``."""
    files = table.files().select(pl.col(DAY).str.to_date(), "path", "rows")
    return files.filter(pl.col(DAY).is_in(list(days)))
