"""What vacuum says in a table's log before it deletes files, and every commit looks at: neither waits for the other.

A writer may be paused for any time between writing a file and committing it. So vacuum first commits how old a file
must be to go. Whoever then adds a file that old is refused, for it may be gone; whoever was faster is in the snapshot
that vacuum looks at.
"""

from deltalake import DeltaTable, Transaction

from seqplat_resources.errors import Retryable
from seqplat_resources.times import instant_of_ms

_APPLICATION = "vacuum"


class ConcurrentWrite(Retryable):
    """Somebody else committed the bucket while it was written, or the table all the time, or vacuum was there."""


def fence(before_ms: int) -> Transaction:
    """The note that uncommitted files written before ``before_ms`` (milliseconds since 1970) are being deleted."""
    return Transaction(_APPLICATION, before_ms)


def fenced_before_ms(delta: DeltaTable) -> int:
    """Which uncommitted files vacuum may have deleted, by when they were written; 0 for none."""
    return int(delta.transaction_version(_APPLICATION) or 0)


def refuse_vacuumed(table: str, delta: DeltaTable, written_ms: int | None) -> None:
    """
    Raises:
        ConcurrentWrite: vacuum may have deleted a file written at ``written_ms``.
    """
    if written_ms is not None and written_ms < (before_ms := fenced_before_ms(delta)):
        raise ConcurrentWrite(
            f"{table}: vacuum deleted uncommitted files from before {instant_of_ms(before_ms):%Y-%m-%d %H:%M:%S} UTC, "
            f"and this process, paused or slow, wrote its own at {instant_of_ms(written_ms):%H:%M:%S}; run it again"
        )
