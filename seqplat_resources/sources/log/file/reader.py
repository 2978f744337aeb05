"""Reading one partition of a file log, beside its writer, without a word between the two."""

import os
from bisect import bisect_right
from pathlib import Path
from typing import Final

from seqplat_resources.sources.log.contract import LogBatch, Partition
from seqplat_resources.sources.log.errors import CorruptLog
from seqplat_resources.sources.log.file import frames
from seqplat_resources.sources.log.file.segments import headers, segment_path, segments

# What is fetched at once: several frames, so that little of it is cut off and read again.
_CHUNK_BYTES: Final = 1 << 20


class OffsetGone(Exception):
    """The first segment starts behind the offset."""


class PartitionReader:
    """Reads on from an offset, across segments, as far as whole frames go. One file is open at a time."""

    def __init__(self, folder: Path, partition: Partition, offset: int) -> None:
        self._folder, self._partition, self.next_offset = folder, partition, offset
        self._file = -1
        self._path = folder
        # A part of the file; the next frame starts at these places of the part and of the file.
        self._buffer, self._in_buffer, self._in_file = b"", 0, 0

    def read(self, max_rows: int, max_bytes: int) -> LogBatch | None:
        """The next messages: whole frames, so about as many as asked for, and at most about 1 MB; None at the end.

        Raises:
            OffsetGone: the segment with this offset was deleted.
            CorruptLog: a frame was changed after it was written.
        """
        if self._file < 0 and not self._locate():
            return None
        first_offset, size_bytes = self.next_offset, 0
        timestamps_ms: list[int] = []
        values: list[bytes | None] = []
        while len(values) < max_rows and size_bytes < max_bytes and (frame := self._next_frame(refill=not values)):
            skipped = self.next_offset - frame.offset
            if not 0 <= skipped < frame.rows:
                raise self._corrupt(f"a frame with offset {frame.offset} where {self.next_offset} belongs")
            found = frames.values(self._buffer, frame)
            values += found[skipped:] if skipped else found
            timestamps_ms += [frame.timestamp_ms] * (frame.rows - skipped)
            self.next_offset = frame.next_offset
            size_bytes += frame.size_bytes
            self._in_buffer += frame.size_bytes
            self._in_file += frame.size_bytes
        if not values:
            return None
        offsets = list(range(first_offset, self.next_offset))
        return LogBatch(self._partition, offsets, timestamps_ms, values, self.next_offset)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
        self._file = -1

    def _locate(self) -> bool:
        """Open the segment with the next offset, at its frame; False while there is nothing to open."""
        bases = segments(self._folder)
        at = bisect_right(bases, self.next_offset) - 1
        if at < 0:
            if bases:
                raise OffsetGone
            return False
        try:
            self._open(bases[at])
        except FileNotFoundError as error:
            raise OffsetGone from error
        if self.next_offset > bases[at]:
            for frame in headers(self._file, 0):
                if frame.next_offset > self.next_offset:
                    break
                self._in_file = frame.end
        return True

    def _open(self, base: int) -> None:
        path = segment_path(self._folder, base)
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.close()
        self._file, self._path = file, path
        self._buffer, self._in_buffer, self._in_file = b"", 0, 0

    def _next_frame(self, *, refill: bool) -> frames.Frame | None:
        """The next whole frame; with ``refill`` from the file if the buffer has none, or from the next segment."""
        if (frame := self._buffered()) or not refill:
            return frame
        if frame := self._refilled():
            return frame
        following = segment_path(self._folder, self.next_offset)
        if following == self._path or not following.exists():
            self._check_end()
            return None
        self._open(self.next_offset)  # it is made when the one before is finished
        return self._refilled()

    def _buffered(self) -> frames.Frame | None:
        try:
            return frames.whole(self._buffer, self._in_buffer)
        except frames.BadFrame:
            return None

    def _refilled(self) -> frames.Frame | None:
        self._fill(_CHUNK_BYTES)
        try:
            started = frames.header(self._buffer, 0)
        except frames.BadFrame:
            return None
        if started and started.size_bytes > _CHUNK_BYTES:
            self._fill(started.size_bytes)
        return self._buffered()

    def _fill(self, size_bytes: int) -> None:
        self._buffer, self._in_buffer = os.pread(self._file, size_bytes, self._in_file), 0

    def _check_end(self) -> None:
        """No whole frame follows: is it really the end?

        A part of a frame is an append under way, or what a crash left of one; whole frames behind it mean damage. A
        deleted segment can be read to its end while it is open, but nothing leads on from there.
        """
        rest = os.pread(self._file, os.fstat(self._file).st_size - self._in_file, self._in_file)
        if rest and not _starts_whole(rest) and frames.has_whole_after(rest, 0):
            raise self._corrupt("a frame that is not what was written")
        if not self._path.exists():
            self.close()
            self._locate()

    def _corrupt(self, what: str) -> CorruptLog:
        return CorruptLog(f"{what}, at byte {self._in_file}", where=f"{self._path} ({self._partition})")


def _starts_whole(data: bytes) -> bool:
    try:
        return frames.whole(data, 0) is not None
    except frames.BadFrame:
        return False
