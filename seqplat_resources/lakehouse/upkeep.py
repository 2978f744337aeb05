"""Upkeep of Delta tables: merge small files of a bucket, delete files no version needs."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import polars as pl

from seqplat_resources.lakehouse.files import Part
from seqplat_resources.lakehouse.table import BucketCommit, LakeTable

# Time travel and running readers need old files for a while; a week is also Delta's own default.
RETENTION_HOURS = 7 * 24


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


def compact(
    table: LakeTable, *, split_by: str | None, sort: Callable[[pl.DataFrame], pl.DataFrame], min_files: int = 2
) -> Iterator[BucketCommit]:
    """Rewrite every bucket that has ``min_files`` or more files per value of ``split_by``, one atomic replace each.

    ``sort`` restores the order rows have within a file. Takes the same lease as a build, so the two never race.
    """
    for values, files in table.files().group_by(table.partition_by, maintain_order=True):
        bucket = dict(zip(table.partition_by, (str(value) for value in values), strict=True))
        wanted = _rows_of(table, bucket).select(pl.n_unique(split_by)).collect().item() if split_by else 1
        if files.height >= min_files * max(1, wanted):
            kept = partial(table.notes, bucket)
            yield table.replace(bucket, _merged(table, bucket, split_by, sort), notes=kept)


def vacuum(table: LakeTable, *, retention_hours: int = RETENTION_HOURS, dry_run: bool = True) -> list[str]:
    """Files that no version younger than ``retention_hours`` uses, orphans of crashed writes included.

    Deletes them unless ``dry_run``. Below the default retention a reader of an old version may lose its files.
    """
    if not table.exists():
        return []
    enforce = retention_hours >= RETENTION_HOURS
    return list(table.delta().vacuum(retention_hours, dry_run=dry_run, enforce_retention_duration=enforce, full=True))


def _merged(
    table: LakeTable, bucket: Mapping[str, str], split_by: str | None, sort: Callable[[pl.DataFrame], pl.DataFrame]
) -> Iterator[Part]:
    # NOTE: a generator, so that the bucket is read under the lease: what a build wrote just before is not undone.
    rows = _rows_of(table, bucket).collect()
    for part in rows.partition_by(split_by, maintain_order=True) if split_by and rows.height else [rows]:
        yield Part(sort(part), f"s{part[split_by][0]:04d}" if split_by and part.height else "part")


def _rows_of(table: LakeTable, bucket: Mapping[str, str]) -> pl.LazyFrame:
    scan = table.scan()
    for key, value in bucket.items():
        scan = scan.filter(pl.col(key).cast(pl.String) == value)
    return scan.select(list(table.schema))
