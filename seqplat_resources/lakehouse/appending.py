"""Append what a stream read to a lake table, exactly once: the positions it reached ride in the same commit."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from deltalake import CommitProperties, PostCommitHookProperties, Transaction
from deltalake.exceptions import CommitFailedError

from seqplat_resources.errors import Retryable
from seqplat_resources.lakehouse.files import FileWriter, Part, rows_in
from seqplat_resources.lakehouse.table import COMMIT_ATTEMPTS, Bucket, ConcurrentWrite, LakeTable


class PositionMoved(Retryable):
    """Somebody else appended these messages; go on from ``stored``."""

    def __init__(self, table: str, partition: str, *, stored: int | None, start: int) -> None:
        self.partition, self.stored, self.start = partition, stored, start
        super().__init__(
            f"{table} holds {partition} up to offset {stored}, but the append starts at {start}: another writer was "
            "here; read the positions again and go on from there"
        )


@dataclass(frozen=True)
class Append:
    """What one append added; ``version`` is where it became visible."""

    version: int
    rows: int
    files: int


def position(table: LakeTable, partition: str) -> int | None:
    """The offset up to which (exclusive) the table holds a source partition; None if it never held any of it."""
    found = table.delta().transaction_version(_application(partition)) if table.exists() else None
    return None if found is None else int(found)


def append(
    table: LakeTable,
    parts: Iterable[tuple[Bucket, Part]],
    moves: Mapping[str, tuple[int | None, int]],
    *,
    metadata: Mapping[str, object],
) -> Append:
    """Add files to buckets and move the positions of ``moves`` (partition -> from, to) in one commit.

    A move from None is the first of its partition. Without parts only positions move. Replacements and compactions of
    other buckets do not disturb; a bucket that streams append to is not one that batch replaces.
    Raises:
        PositionMoved: a stored position is not where the move starts; nothing was added.
        SchemaMismatch: as ``LakeTable.replace``.
    """
    writer = FileWriter(table.home, table.name, table.stats)
    adds = [writer.write(table.text(bucket), table.checked(table.text(bucket), part), 0) for bucket, part in parts]
    writer.verify(adds)
    properties = CommitProperties(
        custom_metadata={"seqplat": json.dumps(metadata, sort_keys=True, default=str)},
        app_transactions=[Transaction(_application(partition), end) for partition, (_, end) in moves.items()],
    )
    for _ in range(COMMIT_ATTEMPTS):
        delta = table.prepared()
        for partition, (start, _) in moves.items():
            # On the snapshot that is committed to: Delta refuses the commit if anybody moved it since.
            if (stored := delta.transaction_version(_application(partition))) != start:
                raise PositionMoved(table.name, partition, stored=stored, start=start or 0)
        try:
            delta.create_write_transaction(
                list(adds),
                "append",
                delta.schema(),
                list(table.partition_by),
                commit_properties=properties,
                post_commithook_properties=PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False),
            )
        except CommitFailedError as error:
            refused = error
            continue
        delta.update_incremental()
        return Append(delta.version(), sum(map(rows_in, adds)), len(adds))
    raise ConcurrentWrite(
        f"{table.name}: {COMMIT_ATTEMPTS} attempts to append met other commits to the table; run it again ({refused})"
    )


def _application(partition: str) -> str:
    return f"log:{partition}"
