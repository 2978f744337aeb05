"""Writing one partition of a file log: one appender at a time, which first mends what a crashed one left behind."""

import fcntl
import logging
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from seqplat_resources.private_files import open_private
from seqplat_resources.sources.log.contract import Partition, Record
from seqplat_resources.sources.log.errors import CorruptLog, PartitionBusy
from seqplat_resources.sources.log.file import frames
from seqplat_resources.sources.log.file.segments import last_receipt_ms, segment_path, segments, sync_folder

_log = logging.getLogger(__name__)
# A frame is what is written and checked at once; a large one costs readers that want little, a small one costs a
# checksum and an fsync.
FRAME_BYTES: Final = 1 << 18


class PartitionAppender:
    """The one writer of a partition; it holds a lock until it is closed, or its process ends however it may.

    Opening cuts off what a crashed writer left unfinished. ``sync``: every frame is on disk before the next one is
    written; without it, when ``flush`` returns.
    Raises:
        PartitionBusy: another appender is open.
        CorruptLog: the last segment is damaged, not just unfinished.
    """

    def __init__(self, folder: Path, partition: Partition, *, segment_bytes: int, sync: bool) -> None:
        self._folder, self._segment_bytes, self._sync = folder, segment_bytes, sync
        with ExitStack() as undo:
            self._lock = _lock(folder, partition)
            undo.callback(os.close, self._lock)
            base = next(reversed(segments(folder)), 0)
            self._file = self._create_or_open(base)
            undo.callback(os.close, self._file)
            self._position, self.next_offset = _recovered(self._file, segment_path(folder, base), base)
            self._last_ms = last_receipt_ms(folder)
            undo.pop_all()

    def append(self, records: Sequence[Record], timestamp_ms: int) -> None:
        """Write records; a frame at a time, each there whole or not at all. Receipt times never go back."""
        self._last_ms = max(timestamp_ms, self._last_ms)
        for part in _parts(records):
            if self._position >= self._segment_bytes:
                self._roll()
            data = frames.encode(self.next_offset, self._last_ms, part)
            try:
                _write(self._file, data, self._position)
                if self._sync:
                    os.fsync(self._file)
            except OSError:
                os.ftruncate(self._file, self._position)  # a full disk must not leave half a frame to append to
                raise
            self._position += len(data)
            self.next_offset += len(part)

    def flush(self) -> None:
        os.fsync(self._file)

    def close(self) -> None:
        if self._lock < 0:
            return
        self.flush()
        os.close(self._file)
        os.close(self._lock)
        self._lock = -1

    def _roll(self) -> None:
        self.flush()
        following = self._create_or_open(self.next_offset)
        os.close(self._file)
        self._file, self._position = following, 0

    def _create_or_open(self, base: int) -> int:
        file = open_private(segment_path(self._folder, base), os.O_RDWR | os.O_CREAT)
        sync_folder(self._folder)
        return file


def _lock(folder: Path, partition: Partition) -> int:
    file = open_private(folder / "lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(file, 200, 0).decode(errors="replace").strip() or "another writer"
        os.close(file)
        raise PartitionBusy(partition, holder=holder, where=str(folder)) from None
    os.ftruncate(file, 0)
    os.pwrite(file, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
    return file


def _recovered(file: int, path: Path, base: int) -> tuple[int, int]:
    """Position and next offset behind the last whole frame; what follows it is cut off."""
    position, offset = 0, base
    data = os.pread(file, os.fstat(file).st_size, 0)
    try:
        while frame := frames.whole(data, position):
            position, offset = frame.end, frame.next_offset
    except frames.BadFrame:
        pass
    if position < len(data) and frames.has_whole_after(data, position):
        raise CorruptLog(f"a frame that is not what was written, at byte {position}", where=str(path))
    if position < len(data):
        _log.warning("%d bytes that a crashed writer left unfinished are cut off %s", len(data) - position, path)
        os.ftruncate(file, position)
        os.fsync(file)
    return position, offset


def _parts(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    """Cut what is appended at once into frames of about FRAME_BYTES."""
    start = size_bytes = 0
    for at, (key, value) in enumerate(records):
        if size_bytes > FRAME_BYTES:
            yield records[start:at]
            start, size_bytes = at, 0
        size_bytes += len(key or b"") + len(value or b"") + 8
    if start < len(records):
        yield records[start:]


def _write(file: int, data: bytes, position: int) -> None:
    rest = memoryview(data)
    while rest:
        written = os.pwrite(file, rest, position)
        rest, position = rest[written:], position + written
