"""Delete the days of a table that are kept no longer, and remember in the table itself up to where.

How far a table has expired rides in the very commit that removes the files, so that neither is there without the other.
The files leave storage by vacuum, like all that no version needs.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import polars as pl
from deltalake import DeltaTable, Transaction
from deltalake.transaction import RemoveAction

from seqplat_resources.lake.compact import LeftBucket
from seqplat_resources.lake.fence import ConcurrentWrite
from seqplat_resources.lake.layout import DAY, UNDATED
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.records.lease import LeaseHeld, hold
from seqplat_resources.records.log import RecordConflict
from seqplat_resources.times import date_of, midnight, milliseconds, number_of

_APPLICATION = "expired"
# Buckets whose leases are held at once, and what a crash repeats.
AT_ONCE = 32


@dataclass(frozen=True)
class ExpiredDays:
    """Buckets that go, or went. ``first`` and ``last`` are days; None where only rows without a day are among them."""

    days: int = 0
    first: dt.date | None = None
    last: dt.date | None = None
    rows: int = 0
    files: int = 0
    bytes: int = 0

    @classmethod
    def of(cls, files: pl.DataFrame) -> "ExpiredDays":
        """Of files, as ``LakeTable.files`` tells them."""
        days = files[DAY].str.to_date().unique().sort()
        dated = days.filter(days != UNDATED)
        first, last = (dated[0], dated[-1]) if dated.len() else (None, None)
        return cls(days.len(), first, last, int(files["rows"].sum()), files.height, int(files["bytes"].sum()))

    def __add__(self, other: "ExpiredDays") -> "ExpiredDays":
        first = min(filter(None, (self.first, other.first)), default=None)
        last = max(filter(None, (self.last, other.last)), default=None)
        rows, files = self.rows + other.rows, self.files + other.files
        return ExpiredDays(self.days + other.days, first, last, rows, files, self.bytes + other.bytes)


def expired_before(table: LakeTable) -> dt.date | None:
    """The first day that was kept when the table last expired; None if it never did."""
    found = table.delta().transaction_version(_APPLICATION) if table.exists() else None
    return date_of(int(found)) if found is not None else None


def expired_files(table: LakeTable, before: dt.date) -> pl.DataFrame:
    """The files of days before ``before``; of rows without a day, those that were written before it."""
    files, day = table.files(), pl.col(DAY).str.to_date()
    is_old = pl.col("written_ms") < milliseconds(midnight(before))
    return files.filter(pl.when(day == UNDATED).then(is_old).otherwise(day < before))


def expire(table: LakeTable, before: dt.date) -> Iterator[ExpiredDays | LeftBucket]:
    """Remove the days before ``before``, oldest first and some in a commit; what went, or stays for now and why.

    A bucket that somebody writes stays until the next time. A crash leaves whole commits done, and the rest to the next
    time. Days that were removed for an earlier ``before`` do not come back by themselves.
    """
    buckets = expired_files(table, before).select(table.partition_by).unique().sort(DAY, *table.partition_by).rows()
    for start in range(0, len(buckets), AT_ONCE):
        yield from _removed(table, before, buckets[start : start + AT_ONCE])
    if table.exists() and not buckets and (said := expired_before(table)) is not None and said > before:
        _commit(table, before, [])  # kept for longer than when it last expired


def _removed(
    table: LakeTable, before: dt.date, buckets: Sequence[tuple[str, ...]]
) -> Iterator[ExpiredDays | LeftBucket]:
    with ExitStack() as leases:
        held = list[tuple[str, ...]]()
        for key in buckets:
            try:
                leases.enter_context(hold(table.home, f"{table.name}/{'/'.join(key)}", clock=table.clock))
                held.append(key)
            except (LeaseHeld, RecordConflict) as error:
                yield LeftBucket(table.name, dict(zip(table.partition_by, key, strict=True)), str(error))
        # Read under the leases: what a build wrote just before goes as well.
        mine = pl.DataFrame(held, schema=dict.fromkeys(table.partition_by, pl.String()), orient="row")
        files = expired_files(table, before).join(mine, on=list(table.partition_by), how="semi")
        if not files.height:
            return
        now_ms = milliseconds(table.clock.now())
        removed = [
            RemoveAction(path, True, now_ms, size, dict(zip(table.partition_by, key, strict=True)))
            for path, size, *key in files.select("path", "bytes", *table.partition_by).iter_rows()
        ]
        try:
            _commit(table, before, removed)
        except ConcurrentWrite as error:
            yield LeftBucket(table.name, dict(zip(table.partition_by, held[0], strict=True)), str(error))
            return
    yield ExpiredDays.of(files)


def _commit(table: LakeTable, before: dt.date, removed: Sequence[RemoveAction]) -> None:
    paths = {action.path for action in removed}
    table.commit(
        removed,
        check=partial(_still_there, table, paths),
        written_ms=None,
        metadata={"expired_before": before},
        transactions=[Transaction(_APPLICATION, number_of(before))],
    )


def _still_there(table: LakeTable, paths: set[str], _: DeltaTable) -> None:
    if missing := paths - set(table.files()["path"]):
        raise ConcurrentWrite(f"{table.name}: {len(missing)} file(s) were replaced meanwhile")
