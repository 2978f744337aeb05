"""Days that are built together: a small day costs more to commit than to compute."""

import datetime as dt
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence

import polars as pl

from seqplat_resources.lake.files import FilePart
from seqplat_resources.lake.layout import DAY
from seqplat_resources.lake.table import Bucket, LakeTable
from seqplat_resources.times import instant_of_ms

# Rows of one span: enough to hide what a commit and a plan of Polars cost, few enough to take some 100 MB.
ROWS_AT_ONCE = 200_000
# Whoever stops a long range, or loses it to a failure, repeats no more than this.
DAYS_AT_ONCE = 92


def rows_by_day(table: LakeTable) -> dict[dt.date, int]:
    """How many rows each day's bucket has, from the Delta log alone; a day that is not there was never built."""
    sums = table.files().group_by(DAY).agg(pl.col("rows").sum())
    return {dt.date.fromisoformat(day): rows for day, rows in sums.iter_rows()}


def marks_of(table: LakeTable) -> dict[dt.date, int]:
    """By day, a number that is another one where the bucket was written anew; from the Delta log alone."""
    files = table.files().select(DAY, "path").sort(DAY, "path").group_by(DAY).agg("path")
    return {dt.date.fromisoformat(day): marked(paths) for day, paths in files.iter_rows()}


def written_at(table: LakeTable) -> dict[dt.date, dt.datetime]:
    """By day, when the newest file of its bucket was written."""
    files = table.files().group_by(DAY).agg(pl.col("written_ms").max())
    return {dt.date.fromisoformat(day): instant_of_ms(at) for day, at in files.iter_rows()}


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


def marked(texts: list[str]) -> int:
    """A number that is another one for other texts."""
    # 53 bits are exact in every JSON reader.
    return int.from_bytes(hashlib.sha256("\n".join(texts).encode()).digest()[:8]) >> 11
