"""Append what a stream read to a lake table, exactly once: the positions it reached ride in the same commit.

>>> from sequence_defs.schema import Column
>>> clicks = LakeTable(home, "lake/clicks", (Column(name="page", dtype="string"),))
>>> part = ({"day": "2024-05-01"}, FilePart(pl.DataFrame({"page": ["home", "cart"]})))
>>> version = append(clicks, [part], {"clicks:0": (None, 7)}, metadata={}, begins={"clicks:0": 5})
>>> first_position(clicks, "clicks:0"), position(clicks, "clicks:0")
(5, 7)
>>> append(clicks, [part], {"clicks:0": (None, 7)}, metadata={})
Traceback (most recent call last):
    ...
seqplat_resources.lake.append.PositionMoved: lake/clicks holds clicks:0 up to offset 7, but the ...
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType

import polars as pl
from deltalake import DeltaTable, Transaction
from deltalake.transaction import RemoveAction

from seqplat_resources.errors import Retryable
from seqplat_resources.lake.compact import LeftBucket, unless_lost
from seqplat_resources.lake.fence import ConcurrentWrite
from seqplat_resources.lake.files import FilePart, notes_of
from seqplat_resources.lake.layout import DAY
from seqplat_resources.lake.table import Bucket, BucketCommit, LakeTable
from seqplat_resources.records.lease import hold
from seqplat_resources.times import milliseconds

# A file this large is not worth merging any more.
LARGE_FILE_BYTES = 64 << 20


class PositionMoved(Retryable):
    """Somebody else appended these messages; go on from ``stored``."""

    def __init__(self, table: str, partition: str, *, stored: int | None, start: int) -> None:
        self.partition, self.stored, self.start = partition, stored, start
        super().__init__(
            f"{table} holds {partition} up to offset {stored}, but the append starts at {start}: another writer was "
            "here; read the positions again and go on from there"
        )


def position(table: LakeTable, partition: str) -> int | None:
    """The offset up to which (exclusive) the table holds a source partition; None if it never held any of it."""
    found = table.delta().transaction_version(_application(partition)) if table.exists() else None
    return None if found is None else int(found)


def first_position(table: LakeTable, partition: str) -> int | None:
    """The offset at which the table's rows of a source partition begin; None where nobody said."""
    found = table.delta().transaction_version(_beginning(partition)) if table.exists() else None
    return None if found is None else int(found)


def append(
    table: LakeTable,
    parts: Iterable[tuple[Bucket, FilePart]],
    moves: Mapping[str, tuple[int | None, int]],
    *,
    metadata: Mapping[str, object],
    begins: Mapping[str, int] = MappingProxyType({}),
    notes: Mapping[str, str] = MappingProxyType({}),
) -> int:
    """Add files to buckets and move the positions of ``moves`` (partition -> from, to) in one commit; its version. The
    files keep ``notes`` of their making.

    A move from None is the first of its partition, which ``begins`` there. Without parts only positions move.
    Replacements and compactions of
    other buckets do not disturb; a bucket that streams append to is not one that batch replaces.
    Raises:
        PositionMoved: a stored position is not where the move starts; nothing was added.
        SchemaMismatch: as ``LakeTable.replace``.
    """
    writer = table.writer(notes)
    adds = [writer.write(table.text(bucket), table.checked(table.text(bucket), part), 0) for bucket, part in parts]

    def check(delta: DeltaTable) -> None:
        for partition, (start, _) in moves.items():
            if (stored := delta.transaction_version(_application(partition))) != start:
                raise PositionMoved(table.name, partition, stored=stored, start=start or 0)

    return table.commit(
        adds,
        check=check,
        written_ms=writer.verify(adds),
        metadata=metadata,
        transactions=[
            *(Transaction(_application(partition), end) for partition, (_, end) in moves.items()),
            *(Transaction(_beginning(partition), start) for partition, start in begins.items()),
        ],
    )


def by_day(rows: pl.DataFrame, time: str) -> Iterator[tuple[Bucket, FilePart]]:
    """Rows as the parts of an append: a file for each day (UTC) of their ``time``, which has no nulls."""
    days = rows.with_columns(pl.col(time).dt.date().alias(DAY)).partition_by(DAY, as_dict=True, include_key=False)
    for (day,), part in days.items():
        yield {DAY: day}, FilePart(part)


def _application(partition: str) -> str:
    return f"log:{partition}"


def _beginning(partition: str) -> str:
    return f"begin:{partition}"


def compact_appended(
    table: LakeTable, *, split_by: str | None, sort_by: Sequence[str], min_files: int
) -> Iterator[BucketCommit | LeftBucket]:
    """Merge the small files of a table that streams append to, while they go on appending.

    Only the very files that were read are replaced, so what is appended meanwhile stays. ``split_by`` is a column
    with statistics of which each file has one value, before and after; None, where files need not be told apart. Files
    that have grown large enough stay. Only files that note the same of their making are merged.
    """
    if not table.exists():
        return
    table = table.with_all_fields()
    told = [split_by] if split_by is not None else []
    files = table.files(stats=told).filter(pl.col("bytes") < LARGE_FILE_BYTES)
    for key, group in files.group_by([*table.partition_by, *(f"min.{name}" for name in told)], maintain_order=True):
        values = dict(zip(table.partition_by, map(str, key), strict=False))
        for notes, alike in _by_notes(table, group) if group.height >= min_files else ():
            if alike.height >= min_files:
                paths = alike["path"].to_list()
                yield unless_lost(table, values, paths, partial(_merge, table, values, alike, sort_by, notes))


def _by_notes(table: LakeTable, group: pl.DataFrame) -> Iterator[tuple[Mapping[str, str], pl.DataFrame]]:
    """Files that note the same. Cost: a footer of each, which are about to be read anyway."""
    uris, options = [table.home.uri(f"{table.name}/{path}") for path in group["path"]], table.home.storage_options
    noted = list[frozenset[tuple[str, str]]]()
    for uri in uris:
        try:
            noted.append(frozenset(notes_of(uri, options).items()))
        except (OSError, pl.exceptions.PolarsError):  # lost or damaged, as reading it with any others will tell
            noted.append(noted[-1] if noted else frozenset())
    for notes in dict.fromkeys(noted):
        yield dict(notes), group.filter(pl.Series([each == notes for each in noted]))


def _merge(
    table: LakeTable, values: Mapping[str, str], group: pl.DataFrame, sort_by: Sequence[str], notes: Mapping[str, str]
) -> BucketCommit:
    """Raises ConcurrentWrite where one of the files is no longer there when the merged one would take their place."""
    with hold(table.home, f"{table.name}/{'/'.join(values.values())}", clock=table.clock):
        rows = table.read(group["path"].to_list()).sort(sort_by, maintain_order=True)
        writer = table.writer(notes)
        merged = writer.write(values, table.checked(values, FilePart(rows, label="log")), 0)
        written_ms = writer.verify([merged])
        # As old as its newest part: the ledger asks when a late message came, not when its file was merged.
        merged.modification_time = int(group["written_ms"].to_numpy().max())

        def check(_: DeltaTable) -> None:
            if missing := set(group["path"]) - set(table.files()["path"]):
                raise ConcurrentWrite(f"{table.name} {dict(values)}: {len(missing)} file(s) were merged by another")

        now_ms = milliseconds(table.clock.now())
        removed = [
            RemoveAction(path, False, now_ms, size, dict(values)) for path, size in group["path", "bytes"].rows()
        ]
        version = table.commit([replace(merged, data_change=False), *removed], check=check, written_ms=written_ms)
    return BucketCommit(table.name, values, version, rows.height, merged.size, 1)
