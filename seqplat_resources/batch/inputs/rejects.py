"""Keep what was refused: replace the reject buckets that one build is responsible for."""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping

import polars as pl

from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.inputs.spans import by_day
from seqplat_resources.lake.files import FilePart
from seqplat_resources.lake.layout import DAY, UNDATED
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.release.runtime import Runtime

# The note beside undated rejects that says of how many rows they are.
ROWS_READ = "rows_read"


def keep_rejects(
    runtime: Runtime,
    source: str,
    stage: str,
    days: Iterable[dt.date],
    rejects: pl.DataFrame,
    *,
    reads: Callable[[str], bool] | None = None,
    read: int | None = None,
) -> None:
    """Store ``rejects`` as all there are of ``stage`` for ``days`` and, undated, for what it ``reads``.

    ``reads`` says of which source partitions these undated rejects are all there are. ``read`` is how many rows they
    have, whatever became of them, where no partition is left out; it is noted beside the undated rejects.
    Buckets that had no rejects and get none are not touched.
    """
    table = tables.rejects(runtime, source)
    present = table.buckets()
    rejects = rejects.with_columns(release=pl.lit(runtime.loaded.id))
    found = dict(by_day(rejects))
    undated = found.pop(UNDATED, rejects.clear())
    touched: dict[dt.date, Mapping[str, str | dt.date]] = {
        day: {"stage": stage, DAY: day} for day in days if day in found or (stage, day.isoformat()) in present
    }
    if touched:
        parts = ((touched[day], FilePart(rows)) for day, rows in found.items() if day in touched)
        table.replace_many(list(touched.values()), parts)
    if undated.height or (reads and (stage, UNDATED.isoformat()) in present):
        notes = {} if read is None else {ROWS_READ: str(read)}
        together = _with_others(table, stage, undated, reads or _nothing)
        table.replace({"stage": stage, DAY: UNDATED}, together, notes=lambda: notes)


def rows_read(table: LakeTable, stage: str) -> int | None:
    """How many rows the files have whose undated rejects ``table`` holds; None where no build says so."""
    noted = table.notes({"stage": stage, DAY: UNDATED}).get(ROWS_READ)
    return None if noted is None else int(noted)


def _nothing(_: str) -> bool:
    return False


def _with_others(
    table: LakeTable, stage: str, undated: pl.DataFrame, reads: Callable[[str], bool]
) -> Iterator[FilePart]:
    # NOTE: a generator, so that the others are read under the lease: runs of other days write this bucket as well.
    bucket = (pl.col("stage") == stage) & (pl.col(DAY) == UNDATED)
    stored = table.scan().filter(bucket).collect()
    left = [partition for partition in stored["source_partition"].unique() if not reads(partition)]
    others = stored.filter(pl.col("source_partition").is_in(left))
    yield FilePart(pl.concat([rows.select(list(table.schema)) for rows in (others, undated)]))
