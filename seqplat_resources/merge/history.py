"""Reading one user's published days: newest first, as far as needed, and the rare older day that matters as well."""

import heapq
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import numpy as np

from seqplat_resources.online_store import BucketVersion, Epoch, HistoryBlock, Snapshot, decode_blocks
from seqplat_resources.online_store.codec import row_count

Blocks = dict[str, list[HistoryBlock]]


class History:
    """A user's blocks of several event types, day by day. Useless after its snapshot."""

    def __init__(self, view: Snapshot, user: str, epochs: Mapping[str, Epoch | None], since_day: str | None) -> None:
        def tagged(event_type: str) -> Iterator[tuple[HistoryBlock, str]]:
            return ((block, event_type) for block in view.blocks(event_type, user, since_day=since_day))

        self._left = heapq.merge(*(tagged(name) for name in epochs), key=lambda found: found[0].day, reverse=True)
        self._next = next(self._left, None)
        self._since_day = since_day or ""

    @property
    def unread(self) -> str | None:
        """The newest day that has blocks still to read; None when all are read."""
        return self._next[0].day if self._next else None

    def unread_of(self, days: Iterable[str]) -> list[str]:
        """Those of ``days`` whose blocks were not given out, also because they are before the window."""
        unread = self.unread or ""
        return [day for day in days if day <= unread or day < self._since_day]

    def read(self, rows: int | None) -> Blocks:
        """By event type the blocks of whole days until they hold ``rows`` more, or until the end; newest day first.

        Retractions count as rows, so the days may hold fewer events.
        """
        found: Blocks = {}
        count, last_day = 0, ""
        while self._next and (rows is None or count < rows or self._next[0].day == last_day):
            block, event_type = self._next
            found.setdefault(event_type, []).append(block)
            count, last_day = count + row_count(block.payload), block.day
            self._next = next(self._left, None)
        return found


def has_corrections(blocks: Mapping[str, Sequence[HistoryBlock]], epochs: Mapping[str, Epoch | None]) -> bool:
    """Whether any of these days holds retractions or revisions, of whichever user."""
    for event_type, found in blocks.items():
        epoch = epochs[event_type]
        if epoch and epoch.corrected_days and any(block.day in epoch.corrected_days for block in found):
            return True
    return False


def outranking_days(epoch: Epoch, unread: Sequence[str], *, of_days: Iterable[str], streamed: bool) -> list[str]:
    """The ``unread`` days with revisions that may outrank rows of ``of_days``, because they moved an event there.

    Batch leaves an event out of a day when it has read that a higher rev moved it. So a day needs no look if each of
    ``of_days`` has read all that it has. A ``streamed`` row may be any old copy: then every revised day needs a look.
    """
    if streamed:
        return list(unread)
    built = [epoch.buckets[day] for day in of_days if day in epoch.buckets]
    return [day for day in unread if not all(_has_read(bucket, epoch.buckets[day]) for bucket in built)]


def revised_blocks(view: Snapshot, event_type: str, user: str, days: Collection[str]) -> list[HistoryBlock]:
    """A user's blocks of these days that hold a row with a rev above 0."""
    if not days:
        return []
    between = view.blocks(event_type, user, since_day=min(days), until_day=max(days))
    blocks = [block for block in between if block.day in set(days)]
    if not blocks:
        return []
    payloads = [block.payload for block in blocks]
    revs = decode_blocks(payloads, view.schema, {"rev": "int64"}, where=f"online/{event_type}")["rev"].to_numpy()
    starts = np.cumsum([0, *map(row_count, payloads[:-1])])
    return [block for block, rev in zip(blocks, np.maximum.reduceat(revs, starts), strict=True) if rev > 0]


def _has_read(bucket: BucketVersion, other: BucketVersion) -> bool:
    """Whether the input of ``bucket`` holds all that ``other`` consumed."""
    return all(bucket.covers(partition, mark - 1) for partition, mark in other.high_water.items())
