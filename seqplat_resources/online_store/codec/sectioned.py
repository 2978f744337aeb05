"""Blocks of format 2: finding and checking the sections that are wanted, of a whole block or of fetched parts."""

import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from seqplat_resources.online_store.codec import layout
from seqplat_resources.online_store.codec.block import Block, BlockParts

ENTRY_BYTES = 9  # of a stream in the head: tag, end, checksum


class BlockDamage(Exception):
    """What is wrong with a block; its reader says which block it is."""


@dataclass(frozen=True)
class BlockHead:
    """A checked head: per stream its tag, where its section ends, and that section's checksum."""

    raw: bytes
    tags: Sequence[int]
    ends: Sequence[int]
    checksums: Sequence[int]

    def extent(self, stream: int) -> tuple[int, int]:
        """Begin and end of a section, counted from the end of the head."""
        return self.ends[stream - 1] if stream else 0, self.ends[stream]


def head_size(streams: int) -> int:
    return layout.HEADER.size + streams * ENTRY_BYTES + layout.CHECKSUM_BYTES


def open_head(block: Block, streams: int) -> BlockHead:
    """
    Raises:
        BlockDamage: the head is not that of a block with so many streams.
    """
    size, given = head_size(streams), block.head if isinstance(block, BlockParts) else block
    raw = bytes(given[:size])
    if len(raw) < size or not layout.is_intact(raw):
        raise BlockDamage(f"the head of {len(given)} bytes does not match its checksum")
    numbers = _entries(streams).unpack_from(raw, layout.HEADER.size)
    head = BlockHead(raw, numbers[:streams], numbers[streams : 2 * streams], numbers[2 * streams :])
    if sorted(head.ends) != list(head.ends) or head.ends[-1] > layout.MAX_PAYLOAD_BYTES:
        raise BlockDamage("the directory does not add up")
    if isinstance(block, BlockParts):
        if len(given) != size:
            raise BlockDamage("the head is longer than its schema says")
    elif len(block) != size + head.ends[-1]:
        raise BlockDamage("the directory does not add up to the block's size")
    return head


def section(block: Block, head: BlockHead, stream: int) -> bytes | memoryview:
    """One checked section.

    Raises:
        BlockDamage: its bytes are not those that were written, or are not there.
    """
    begin, end = head.extent(stream)
    if isinstance(block, BlockParts):
        found: bytes | memoryview | None = block.sections.get(stream)
        if found is None and begin == end:
            found = b""
        if found is None:
            raise BlockDamage(f"section {stream} is missing")
    else:
        found = memoryview(block)[len(head.raw) + begin : len(head.raw) + end]
    if len(found) != end - begin or zlib.crc32(found) != head.checksums[stream]:
        raise BlockDamage(f"section {stream} does not match its checksum")
    return found


def parts_of(block: bytes | memoryview, streams: int, only: Iterable[int] | None = None) -> BlockParts:
    """A whole block of format 2 apart, for stores that keep its sections apart; empty sections are left out.

    Raises:
        BlockDamage: it is damaged.
    """
    head = open_head(block, streams)
    wanted = range(streams) if only is None else only
    return BlockParts(head.raw, {k: bytes(found) for k in wanted if (found := section(block, head, k))})


@lru_cache
def _entries(streams: int) -> struct.Struct:
    return struct.Struct(f"<{streams}B{streams}I{streams}I")
