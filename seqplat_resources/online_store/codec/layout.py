"""Bytes of a history block. All numbers are little-endian.

Format 1, for blocks of up to 8 KiB of payload: read and checked as a whole.

    0      2   magic ``SB``
    2      1   format version, 1
    3      1   flags: bit 0 set = section ends are u32, else u16
    4      4   schema id
    8      4   rows n
    12     S   one tag per stream (a scalar column is one stream, a list column two: lengths, then items)
    12+S   2S or 4S   end of each stream's section, counted from the start of the payload
    ...        payload: the sections, in stream order
    -4     4   crc32 of everything before it

A section is ``[validity bitmap] body``. The bitmap (bit 1 = value, lowest bit first) is there when the tag says so;
the body holds only the m values that are not null. Tag = kind | width (low nibble) | NULLS:

    EMPTY      no value at all; section of zero bytes
    INTS|w     base, then m unsigned deltas of w bytes (0..8). The base takes the bytes that are left, sign-extended;
               w = 0 is a constant. Floats are stored as their bit pattern, so nothing is rounded
    CONST      one byte string, for all m values
    FIXED      m byte strings of equal length (vectors, uuids)
    VAR|w      m lengths of w bytes (1..4), then the byte strings

The body's own length is never stored: what can be derived cannot contradict. A block's bytes depend on its own
events only, never on who else was in the bucket; change detection relies on it.

Format 2, *sectioned*, for larger blocks: a reader touches its head and the sections of the columns it wants, each
checked by itself.

    0      12  as in format 1, with version 2 and no flags
    12     S   tags
    12+S   4S  section ends, u32
    12+5S  4S  crc32 of each section
    12+9S  4   crc32 of everything before it: the head ends here
    ...        the sections

Only its sections may also be, where that is fewer bytes:

    DICT       the bits of an index (1 byte), m such indexes into the distinct values, closely packed, lowest bit
               first, up to a whole byte; then these values: one tag of format 1 and its body. There are as many as
               the largest index says
    STEPS      for numbers in some order, such as times: the first one (8 bytes) and a unit (8 bytes); then of each of
               the m the difference to the one before, in units, zigzag coded, in as few nibbles as hold it: first m
               nibbles that say how many (the first is 0), up to a whole byte, then the nibbles, lowest first
    DECIMALS|k for float64 such as prices: each is exactly a whole number over 10**k. A tag INTS|w and its body
"""

import struct
import zlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from seqplat_resources.online_store.codec.block import Block, BlockParts
from seqplat_resources.online_store.errors import CorruptBlockError

MAGIC = b"SB"
FORMAT_VERSION = 1
SECTIONED_VERSION = 2
_SECTIONED = bytes([SECTIONED_VERSION])
# Payload from which a block is sectioned. Below, its head (9 bytes a stream, where format 1 has 3) costs more than
# reading the sections nobody asked for.
SECTIONED_FROM_BYTES = 8 << 10
WIDE = 0x01
HEADER = struct.Struct("<2sBBII")
HEADER_DTYPE = np.dtype([("magic", "S2"), ("version", "u1"), ("flags", "u1"), ("schema", "<u4"), ("rows", "<u4")])
CHECKSUM_BYTES = 4
# crc32 of any message followed by its own little-endian crc32 is this number, so a check needs no slicing.
CHECKSUM_RESIDUE = 0x2144DF1C

EMPTY, INTS, CONST, FIXED, VAR = 0x00, 0x10, 0x20, 0x30, 0x40
DICT, STEPS, DECIMALS = 0x50, 0x60, 0x70
NULLS, KIND_MASK, WIDTH_MASK = 0x80, 0x70, 0x0F

# Events of one user in one block, and items of one list column in one block. Bounds what damaged or hostile bytes
# can make a reader allocate; 4 M events a day are 48 a second, which no person does.
MAX_ROWS = 1 << 22
# Far below LMDB's 2 GiB per value.
MAX_PAYLOAD_BYTES = 1 << 30

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]
Octets = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]


def row_count(block: Block) -> int:
    """Events in a block, from its header alone; the checksum is not looked at.

    Raises:
        CorruptBlockError: this is not a block of a known format.
    """
    return _header(block)[1]


def schema_id(block: Block) -> int:
    """Id of the schema a block was written with, from its header alone.

    Raises:
        CorruptBlockError: this is not a block of a known format.
    """
    return _header(block)[0]


def is_sectioned(block: bytes | memoryview) -> bool:
    """Whether a block says of itself that it has format 2."""
    return len(block) >= HEADER.size and block[2] == SECTIONED_VERSION


def seal(body: memoryview) -> int:
    """The checksum that ends a block."""
    return zlib.crc32(body)


def is_intact(block: bytes | memoryview) -> bool:
    return zlib.crc32(block) == CHECKSUM_RESIDUE


def fingerprint(blocks: Iterable[bytes]) -> str:
    """What other blocks, or the same in another order, hardly ever have: 32 bits of each."""
    # NOTE: the crc32 of a whole block of format 1 is the same for all of them, because they end with their own.
    return b"".join(
        [zlib.crc32(block).to_bytes(4) if block[2:3] == _SECTIONED else block[-CHECKSUM_BYTES:] for block in blocks]
    ).hex()


def schema_of_head(block: Block) -> int:
    """As ``schema_id``, of a block whose head is checked later; 0 where there are too few bytes for one."""
    head = block.head if isinstance(block, BlockParts) else block
    return HEADER.unpack_from(head)[3] if len(head) >= HEADER.size else 0


def _header(block: Block) -> tuple[int, int]:
    if isinstance(block, BlockParts):
        block = block.head
    if len(block) < HEADER.size + CHECKSUM_BYTES:
        raise CorruptBlockError(f"{len(block)} bytes are too few for a block", where="its header")
    magic, version, _, schema, rows = HEADER.unpack_from(block)
    if magic != MAGIC or version not in (FORMAT_VERSION, SECTIONED_VERSION):
        raise CorruptBlockError(f"{magic!r} version {version} is not a block format known here", where="its header")
    return schema, rows
