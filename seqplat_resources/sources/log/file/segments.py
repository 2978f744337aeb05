"""The segment files of one partition of a file log: named by their first offset, measured by headers alone."""

import os
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Final

from seqplat_resources.sources.log.file import frames

# Headers are looked up through a small window: most of what lies between them is skipped.
_WINDOW_BYTES: Final = 1 << 16


def segments(folder: Path) -> list[int]:
    """First offsets of the segments, ascending."""
    return sorted(int(name[:-4]) for name in os.listdir(folder) if name.endswith(".seg"))


def segment_path(folder: Path, base: int) -> Path:
    return folder / f"{base:020}.seg"


def start_offset(folder: Path) -> int:
    return next(iter(segments(folder)), 0)


def whole_before(folder: Path, offset: int) -> list[tuple[int, int]]:
    """The segments that only hold older offsets, as their first offset and the following one's; never the last one."""
    return [(base, following) for base, following in pairwise(segments(folder)) if following <= offset]


def headers(file: int, position: int) -> Iterator[frames.Frame]:
    """Frames of a segment by their headers, bodies unread, with positions in the file; stops before what is torn."""
    size = os.fstat(file).st_size
    window, window_at = b"", position
    while True:
        try:
            frame = frames.header(window, position - window_at) if position < window_at + len(window) else None
            if frame is None:
                window, window_at = os.pread(file, _WINDOW_BYTES, position), position
                frame = frames.header(window, 0)
        except frames.BadFrame:
            return
        if frame is None or position + frame.size_bytes > size:
            return
        yield frame._replace(position=position)
        position += frame.size_bytes


def offset_at(folder: Path, time_ms: int) -> int | None:
    """The first offset whose frame was received at or after a time; None if all are older. Receipt times ascend."""
    bases = segments(folder)
    # Binary search for the last segment that starts before the time; what is searched for is there, or right after it.
    first = bisect_right(bases, False, key=lambda base: _starts_at_or_after(folder, base, time_ms)) - 1
    for base in bases[max(first, 0) :]:
        with suppress(FileNotFoundError), open(segment_path(folder, base), "rb") as file:  # trimmed since: older
            for frame in headers(file.fileno(), 0):
                if frame.timestamp_ms >= time_ms and _is_whole(file.fileno(), frame):
                    return frame.offset
    return None


def last_receipt_ms(folder: Path) -> int:
    """When the last frame was received; 0 if there is none."""
    for base in reversed(segments(folder)):
        with open(segment_path(folder, base), "rb") as file:
            if newest := max((frame.timestamp_ms for frame in headers(file.fileno(), 0)), default=None):
                return newest
    return 0


class EndFinder:
    """Finds the end of a partition; each time it looks only at what was appended since."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._base, self._position, self._offset = -1, 0, 0

    def end_offset(self) -> int:
        bases = segments(self._folder)
        if not bases:
            return 0
        with open(segment_path(self._folder, bases[-1]), "rb") as file:
            if bases[-1] != self._base or os.fstat(file.fileno()).st_size < self._position:
                self._base, self._position, self._offset = bases[-1], 0, bases[-1]
            last = None
            for frame in headers(file.fileno(), self._position):
                if last:
                    self._position, self._offset = last.end, last.next_offset
                last = frame
            if last and _is_whole(file.fileno(), last):
                self._position, self._offset = last.end, last.next_offset
        return self._offset


def sync_folder(folder: Path) -> None:
    """Make new names in a folder survive a power cut."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _is_whole(file: int, frame: frames.Frame) -> bool:
    try:
        return frames.whole(os.pread(file, frame.size_bytes, frame.position), 0) is not None
    except frames.BadFrame:
        return False


def _starts_at_or_after(folder: Path, base: int, time_ms: int) -> bool:
    try:
        with open(segment_path(folder, base), "rb") as file:
            first = next(headers(file.fileno(), 0), None)
    except FileNotFoundError:
        return False  # trimmed since it was listed: older than what is left
    return first is None or first.timestamp_ms >= time_ms
