"""The bytes of a file log: frames of records with one checksum each, so that an append is there whole or not at all.

A frame is a header (magic, body size, CRC-32 of everything after it, first offset, receipt time, number of records),
then the value sizes, the key sizes (int32, -1: none), the values, the keys. All numbers are little-endian.
"""

import struct
import zlib
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Final, NamedTuple

from seqplat_resources.sources.log.contract import Record

MAGIC: Final = b"sqf1"
_HEADER: Final = struct.Struct("<4sIIqqI")
HEADER_BYTES: Final = _HEADER.size
_AFTER_CRC: Final = 12


class Frame(NamedTuple):
    """Where a frame lies in a buffer and what its header says."""

    position: int
    size_bytes: int
    offset: int
    timestamp_ms: int
    rows: int

    @property
    def end(self) -> int:
        return self.position + self.size_bytes

    @property
    def next_offset(self) -> int:
        return self.offset + self.rows


class BadFrame(Exception):
    """The bytes at a position are not a frame, or not the one that was written."""


def encode(offset: int, timestamp_ms: int, records: Sequence[Record]) -> bytes:
    """One frame."""
    keys, values = [key for key, _ in records], [value for _, value in records]
    sizes = [-1 if part is None else len(part) for part in (*values, *keys)]
    body = b"".join(
        (
            struct.pack(f"<{len(sizes)}i", *sizes),
            *(v for v in values if v is not None),
            *(k for k in keys if k is not None),
        )
    )
    rest = struct.pack("<qqI", offset, timestamp_ms, len(records))
    crc = zlib.crc32(body, zlib.crc32(rest))
    return MAGIC + struct.pack("<II", len(body), crc) + rest + body


def header(buffer: bytes, position: int) -> Frame | None:
    """The frame that starts here, its body unread; None if the buffer ends before its header does.

    Raises:
        BadFrame: no frame starts here.
    """
    if len(buffer) - position < HEADER_BYTES:
        return None
    magic, body_bytes, _, offset, timestamp_ms, count = _HEADER.unpack_from(buffer, position)
    if magic != MAGIC or body_bytes < 8 * count or count == 0:
        raise BadFrame
    return Frame(position, HEADER_BYTES + body_bytes, offset, timestamp_ms, count)


def whole(buffer: bytes, position: int) -> Frame | None:
    """The frame that starts here, checked; None if the buffer ends before it does.

    Raises:
        BadFrame: no frame starts here, or its checksum is wrong.
    """
    frame = header(buffer, position)
    if frame is None or frame.end > len(buffer):
        return None
    (crc,) = struct.unpack_from("<I", buffer, position + _AFTER_CRC - 4)
    if zlib.crc32(memoryview(buffer)[position + _AFTER_CRC : frame.end]) != crc:
        raise BadFrame
    return frame


def values(buffer: bytes, frame: Frame) -> list[bytes | None]:
    """The values of a whole frame."""
    count, first = frame.rows, frame.position + HEADER_BYTES
    sizes = struct.unpack_from(f"<{count}i", buffer, first)
    start = first + 8 * count
    if min(sizes) >= 0:
        return [buffer[a:b] for a, b in pairwise(accumulate(sizes, initial=start))]
    ends = accumulate((max(size, 0) for size in sizes), initial=start)
    return [None if size < 0 else buffer[a:b] for size, (a, b) in zip(sizes, pairwise(ends), strict=True)]


def has_whole_after(buffer: bytes, position: int) -> bool:
    """Does any whole frame start after this position? Then what is bad there is not the end of a crashed writer."""
    while (position := buffer.find(MAGIC, position + 1)) >= 0:
        try:
            if whole(buffer, position):
                return True
        except BadFrame:
            pass
    return False
