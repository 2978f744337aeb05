"""Upkeep of Delta tables: how large they are, and merging small files of a bucket.

>>> from sequence_defs.schema import Column
>>> visits = LakeTable(home, "lake/visits", (Column(name="page", dtype="string"),))
>>> parts = [FilePart(pl.DataFrame({"page": [page]})) for page in ("home", "cart")]
>>> commit = visits.replace({"day": days[0]}, parts)
>>> [commit.rows for commit in compact(visits, split_by=None, sort=lambda rows: rows.sort("page"))]
[2]
>>> facts(visits).files, facts(visits).rows
(1, 2)
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import polars as pl

from seqplat_resources.lake.fence import ConcurrentWrite
from seqplat_resources.lake.files import FilePart
from seqplat_resources.lake.table import BucketCommit, LakeTable
from seqplat_resources.records.lease import LeaseHeld
from seqplat_resources.records.log import RecordConflict


@dataclass(frozen=True)
class TableFacts:
    """Size of the current version of a table."""

    name: str
    version: int
    buckets: int
    files: int
    rows: int
    bytes: int
    first: str
    last: str


def facts(table: LakeTable) -> TableFacts | None:
    """Counts from the Delta log alone, no data read; None where nothing was committed."""
    if not table.exists():
        return None
    files = table.files()
    return TableFacts(
        table.name,
        table.version(),
        files.select(table.partition_by).n_unique(),
        files.height,
        int(files["rows"].sum()),
        int(files["bytes"].sum()),
        str(files["day"].min() or ""),
        str(files["day"].max() or ""),
    )


@dataclass(frozen=True)
class LeftBucket:
    """A bucket that was not compacted, because another process has it or was faster, and ``why`` in words."""

    table: str
    bucket: Mapping[str, str]
    why: str


def unless_lost(
    table: LakeTable, bucket: Mapping[str, str], needed: Collection[str], work: Callable[[], BucketCommit]
) -> BucketCommit | LeftBucket:
    """Do ``work`` on a bucket, which reads the files that are ``needed``; if they are somebody else's by now, drop it.

    Raises:
        FileNotFoundError: a file of the newest snapshot is missing, as opposed to one that another has replaced.
    """
    try:
        return work()
    except (LeaseHeld, ConcurrentWrite, RecordConflict) as error:
        return LeftBucket(table.name, bucket, str(error))
    except FileNotFoundError as error:
        # Paused so long that vacuum has deleted what was to be read.
        if set(needed) <= set(table.files()["path"]):
            raise
        return LeftBucket(table.name, bucket, str(error))


def compact(
    table: LakeTable, *, split_by: str | None, sort: Callable[[pl.DataFrame], pl.DataFrame], min_files: int = 2
) -> Iterator[BucketCommit | LeftBucket]:
    """Rewrite every bucket that has ``min_files`` or more files per value of ``split_by``, one atomic replace each.

    ``sort`` restores the order rows have within a file. Takes the same lease as a build, so the two never race.
    """
    if not table.exists():
        return
    table = table.with_all_fields()
    for values, files in table.files().group_by(table.partition_by, maintain_order=True):
        bucket = dict(zip(table.partition_by, (str(value) for value in values), strict=True))
        wanted = _rows_of(table, bucket).select(pl.n_unique(split_by)).collect().item() if split_by else 1
        if files.height >= min_files * max(1, wanted):
            merged = _merged(table, bucket, split_by, sort)
            work = partial(table.replace, bucket, merged, notes=partial(table.notes, bucket))
            yield unless_lost(table, bucket, files["path"].to_list(), work)


def _merged(
    table: LakeTable, bucket: Mapping[str, str], split_by: str | None, sort: Callable[[pl.DataFrame], pl.DataFrame]
) -> Iterator[FilePart]:
    # NOTE: a generator, so that the bucket is read under the lease: what a build wrote just before is not undone.
    rows = _rows_of(table, bucket).collect()
    for part in rows.partition_by(split_by, maintain_order=True) if split_by and rows.height else [rows]:
        yield FilePart(sort(part), f"s{part[split_by][0]:04d}" if split_by and part.height else "part")


def _rows_of(table: LakeTable, bucket: Mapping[str, str]) -> pl.LazyFrame:
    scan = table.scan()
    for key, value in bucket.items():
        scan = scan.filter(pl.col(key).cast(pl.String) == value)
    return scan.select(list(table.schema))
