"""The segment files of one partition of a file log: named by their first offset, measured by headers alone."""

import os
from collections.abc import Iterator
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


def trim(folder: Path, before_offset: int) -> int:
    """Delete the segments that only hold older offsets, never the last one; returns the new start."""
    bases = segments(folder)
    for base, following in pairwise(bases):
        if following > before_offset:
            break
        segment_path(folder, base).unlink(missing_ok=True)
    return start_offset(folder)


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
