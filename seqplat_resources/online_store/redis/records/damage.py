"""Records that are not what was written: a checksum where this code writes them, and one kind of error for all."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from seqplat_resources.online_store.errors import StoreDamagedError

_UNREADABLE = (ValueError, KeyError, IndexError, TypeError, OverflowError, struct.error, zlib.error)


@contextmanager
def reading(what: str, record: bytes) -> Iterator[None]:
    """What goes wrong inside is the record's fault.

    Raises:
        StoreDamagedError: it cannot be read.
    """
    try:
        yield
    except _UNREADABLE as error:
        raise StoreDamagedError(
            f"{what} is not what was written ({record[:60]!r})",
            where="the online store's server",
            fix="restore the server from a copy of its data, or publish all days again under another prefix and "
            "restart the streams",
        ) from error


def checksum(*parts: bytes) -> bytes:
    """Of a record's parts, as text that has no spaces."""
    return b"%08x" % zlib.crc32(b" ".join(parts))


def check(expected: bytes, *parts: bytes) -> None:
    """
    Raises:
        ValueError: these are not the parts that it is the checksum of.
    """
    if checksum(*parts) != expected:
        raise ValueError("the checksum is another")
