"""What a stored block is to a reader: bytes as they were encoded, or the parts of them that a store fetched."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class BlockParts:
    """A sectioned block (format 2) of which only some sections were fetched.

    ``head`` is whole; ``sections`` are by stream number (``BlockSchema.streams_of``), each whole. Decoding a column
    whose sections are not there is the store's mistake and raises KeyError.
    """

    head: bytes
    sections: Mapping[int, bytes]


# A memoryview lives as long as the snapshot it came from.
Block: TypeAlias = bytes | memoryview | BlockParts
