"""Small records in LMDB under a checksum: everything but blocks, which have their own, and digests, which if they are
damaged say that a block has changed.

A record is its value and the crc32 of key and value, so that it is of no use under another key either.
"""

import zlib
from collections.abc import Iterator

from seqplat_resources.online_store.errors import StoreDamagedError
from seqplat_resources.online_store.lmdb.environment import Readable, Transaction

_CHECKSUM_BYTES = 4
_WHAT = {
    b"e": "an epoch",
    b"h": "the number of the current epoch",
    b"l": "the lease of a bucket",
    b"v": "the last write version",
    b"m": "the days that are rolled up",
    b"s": "a schema",
    b"q": "the reach of a now batch",
    b"u": "the users of a now batch",
    b"y": "the count of a day's now batches",
    b"t": "the totals of a now view",
    b"x": "how far the current epoch covers the now view",
    b"p": "a stream position",
    b"c": "the last sequence number",
}
# What the next publication makes anew.
_EPOCHS = (b"e", b"h")
_PUBLISH = (
    "publish any of its days again (`seqplat materialize DAY DAY online`): all that are built are published with it; "
    "the sensor `mend_days` does so by itself"
)
_COPY = (
    "put a copy of the store's folder in its place, or delete the folder, publish all days again, and restart the "
    "streams"
)


def put(transaction: Transaction, key: bytes, value: bytes) -> None:
    transaction.put(key, value + _checksum(key, value))


def get(transaction: Readable, key: bytes) -> bytes | None:
    """
    Raises:
        StoreDamagedError: the record is not what was put there.
    """
    found = transaction.get(key)
    return None if found is None else opened(key, found)


def scan(transaction: Readable, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Records whose key begins with ``prefix``, in key order. Raises as ``get``. Nothing may be deleted meanwhile."""
    return ((key, opened(key, found)) for key, found in entries(transaction, prefix))


def entries(transaction: Readable, prefix: bytes, first: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
    """As ``scan``, as they are stored, sealed or not; from the key ``first`` on."""
    cursor = transaction.cursor()
    if not cursor.set_range(first or prefix):
        return
    for found, value in cursor.iternext():
        key = bytes(found)  # NOTE: of bytes this is the same object, of a view a copy
        if not key.startswith(prefix):
            return
        yield key, bytes(value)


def opened(key: bytes, found: bytes | memoryview) -> bytes:
    """The value of a record. Raises as ``get``."""
    value = bytes(found[:-_CHECKSUM_BYTES])
    if found[-_CHECKSUM_BYTES:] != _checksum(key, value):
        raise StoreDamagedError(
            f"{_WHAT.get(key[:1], 'a record')} does not match its checksum ({len(found)} bytes)",
            where=f"the online store, under {key!r}",
            fix=_PUBLISH if key[:1] in _EPOCHS else _COPY,
        )
    return value


def _checksum(key: bytes, value: bytes) -> bytes:
    return zlib.crc32(value, zlib.crc32(key)).to_bytes(_CHECKSUM_BYTES, "little")
