"""Messages that were fetched and not handed out yet: what a poll takes from, fairly and within its bounds.

Clients deliver in portions of their own choosing; the bounds of ``LogSource.poll`` are kept here, once.

>>> clicks = Partition("clicks", 0)
>>> backlog = Backlog({clicks: 7})
>>> backlog.add(LogBatch(clicks, [7, 8, 9], [0, 0, 0], [b"a", b"b", b"c"], 10))
>>> backlog.take(max_rows=2, max_bytes=1_000)[0].offsets, backlog.positions
([7, 8], {Partition(topic='clicks', number=0): 9})
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Mapping
from itertools import accumulate

from seqplat_resources.sources.log.contract import LogBatch, Partition


class Backlog:
    """Fetched runs of messages per partition, in offset order."""

    def __init__(self, positions: Mapping[Partition, int]) -> None:
        # Also the order of turns: whoever was served moves to the end.
        self._next = dict(positions)
        self._runs: dict[Partition, deque[LogBatch]] = {partition: deque() for partition in positions}
        self.rows = self.size_bytes = 0

    @property
    def positions(self) -> dict[Partition, int]:
        """The offset each partition hands out next."""
        return dict(self._next)

    def rows_of(self, partition: Partition) -> int:
        return sum(map(len, self._runs[partition]))

    def fetched_to(self, partition: Partition) -> int:
        """The offset to fetch next."""
        runs = self._runs[partition]
        return runs[-1].next_offset if runs else self._next[partition]

    def add(self, run: LogBatch) -> None:
        """Append messages that were fetched."""
        self._runs[run.partition].append(run)
        self.rows += len(run)
        self.size_bytes += run.size_bytes

    def skip_to(self, partition: Partition, offset: int) -> None:
        """The log holds nothing between what was fetched and ``offset``."""
        runs = self._runs[partition]
        if runs:
            last = runs[-1]
            if offset > last.next_offset:
                runs[-1] = _run(last, 0, len(last), next_offset=offset)
        else:
            self._next[partition] = max(offset, self._next[partition])

    def covers(self, max_rows: int, max_bytes: int) -> bool:
        """Is there enough to answer a poll?"""
        return self.rows >= max_rows or self.size_bytes >= max_bytes

    def rows_to_fetch(self, max_rows: int, max_bytes: int, *, at_most: int) -> int:
        """How many more messages fill a poll, guessing their size from those here; few while there are none."""
        missing = min(max_rows - self.rows, at_most)
        if not self.rows:
            return min(missing, 500)
        mean_bytes = max(1, self.size_bytes // self.rows)
        return max(1, min(missing, (max_bytes - self.size_bytes) // mean_bytes + 1))

    def take(self, max_rows: int, max_bytes: int) -> list[LogBatch]:
        """Hand out messages within the bounds, one batch per partition.

        Each round gives every waiting partition an equal share of what is left of the bounds. One message comes out
        even if it alone is larger than ``max_bytes``.
        """
        taken: dict[Partition, list[LogBatch]] = {}
        rows_left, bytes_left = max_rows, max_bytes
        while rows_left > 0 and bytes_left >= 0 and (waiting := [p for p, runs in self._runs.items() if runs]):
            before = rows_left
            share_rows, share_bytes = max(1, rows_left // len(waiting)), bytes_left // len(waiting)
            for partition in waiting:
                if rows_left <= 0 or bytes_left < 0:
                    break
                # The first message of all may be too large; later ones only for their share.
                smallest = bytes_left if taken else None
                if piece := self._cut(partition, share_rows, min(share_bytes, bytes_left), smallest):
                    taken.setdefault(partition, []).append(piece)
                    rows_left -= len(piece)
                    bytes_left -= piece.size_bytes
            if rows_left == before:
                break
        for partition in taken:
            self._next[partition] = self._next.pop(partition)
            self._runs[partition] = self._runs.pop(partition)
        return [_joined(pieces) for pieces in taken.values()]

    def _cut(self, partition: Partition, rows: int, size_bytes: int, one_up_to: int | None) -> LogBatch | None:
        """Up to ``rows`` and ``size_bytes`` from the first run, or one message up to ``one_up_to`` (None: any)."""
        runs = self._runs[partition]
        if not runs:
            return None
        run = runs[0]
        if len(run) <= rows and run.size_bytes <= size_bytes:
            piece, count = run, len(run)
        else:
            sizes = [len(value or b"") for value in run.values[:rows]]
            count = bisect_right(list(accumulate(sizes)), size_bytes)
            if count == 0 and (one_up_to is None or sizes[0] <= one_up_to):
                count = 1
            if count == 0:
                return None
            piece = _run(run, 0, count)
        runs.popleft()
        if count < len(run):
            runs.appendleft(_run(run, count, len(run)))
        self.rows -= len(piece)
        self.size_bytes -= piece.size_bytes
        self._next[partition] = piece.next_offset
        return piece


def _run(run: LogBatch, start: int, stop: int, *, next_offset: int | None = None) -> LogBatch:
    """Part of a run; where it is cut, the next offset is that of the next message."""
    if next_offset is None:
        next_offset = run.offsets[stop] if stop < len(run) else run.next_offset
    return LogBatch(
        run.partition, run.offsets[start:stop], run.timestamps_ms[start:stop], run.values[start:stop], next_offset
    )


def _joined(pieces: list[LogBatch]) -> LogBatch:
    if len(pieces) == 1:
        return pieces[0]
    offsets: list[int] = []
    timestamps_ms: list[int] = []
    values: list[bytes | None] = []
    for piece in pieces:
        offsets += piece.offsets
        timestamps_ms += piece.timestamps_ms
        values += piece.values
    return LogBatch(pieces[0].partition, offsets, timestamps_ms, values, pieces[-1].next_offset)
