"""Days that are built together: a small day costs more to commit than to compute."""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence

import polars as pl

from seqplat_resources.lake.files import FilePart
from seqplat_resources.lake.layout import DAY
from seqplat_resources.lake.table import Bucket, LakeTable

# Rows of one span: enough to hide what a commit and a plan of Polars cost, few enough to take some 100 MB.
ROWS_AT_ONCE = 200_000
# Whoever stops a long range, or loses it to a failure, repeats no more than this.
DAYS_AT_ONCE = 92


def rows_by_day(table: LakeTable) -> dict[dt.date, int]:
    """How many rows each day's bucket has, from the Delta log alone; a day that is not there was never built."""
    sums = table.files().group_by(DAY).agg(pl.col("rows").sum())
    return {dt.date.fromisoformat(day): rows for day, rows in sums.iter_rows()}


def spans(
    days: Sequence[dt.date],
    rows_of: Mapping[dt.date, int],
    *,
    alike: Callable[[dt.date], object] = lambda _: None,
) -> Iterator[list[dt.date]]:
    """Cut ``days``, in their order, into runs of at most ``ROWS_AT_ONCE`` rows whose days are all ``alike``.

    A day with more rows is alone.
    """
    span: list[dt.date] = []
    rows, kind = 0, None
    for day in days:
        more = rows_of.get(day, 0)
        if span and (rows + more > ROWS_AT_ONCE or len(span) >= DAYS_AT_ONCE or alike(day) != kind):
            yield span
            span, rows = [], 0
        span.append(day)
        rows, kind = rows + more, alike(day)
    if span:
        yield span


def parts_by_day(rows: pl.DataFrame, day: pl.Expr = pl.col(DAY), **within: str) -> Iterator[tuple[Bucket, FilePart]]:
    """Each day's rows as a part to append to its bucket; ``within`` are the bucket's other partition values."""
    for found, of_day in by_day(rows, day):
        yield {**within, DAY: found}, FilePart(of_day, label="log")


def by_day(rows: pl.DataFrame, day: pl.Expr = pl.col(DAY)) -> Iterator[tuple[dt.date, pl.DataFrame]]:
    """Each day's rows, in their order; a day without any is not there."""
    dated = rows.with_columns(_of_day=day)
    if dated.height and dated["_of_day"].min() == dated["_of_day"].max():
        yield dated["_of_day"][0], rows
        return
    for (found,), part in dated.partition_by("_of_day", maintain_order=True, as_dict=True).items():
        yield found, part.drop("_of_day")
