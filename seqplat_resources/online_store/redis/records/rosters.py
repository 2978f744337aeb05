"""A bucket's users with the digests of their blocks: what the next publisher of the bucket compares with. Pure."""

import hashlib
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping

from seqplat_resources.online_store.redis.records.damage import reading

# User -> digest.
Roster = dict[bytes, bytes]

DIGEST_BYTES = 16
# Users of one field of a roster, about 2 MB: big values block a server while it sends them.
CHUNK_USERS = 1 << 16
_LENGTH = struct.Struct(">H")


def digest(block: bytes) -> bytes:
    """What tells a changed block from an unchanged one; 128 bits, so that a collision need not be thought about."""
    return hashlib.blake2b(block, digest_size=DIGEST_BYTES).digest()


def packed(roster: Mapping[bytes, bytes]) -> Iterator[bytes]:
    """Chunks that ``unpacked`` understands, at least one."""
    users = list(roster.items())
    for start in range(0, max(1, len(users)), CHUNK_USERS):
        parts = [_LENGTH.pack(len(user)) + user + fresh for user, fresh in users[start : start + CHUNK_USERS]]
        yield zlib.compress(b"".join(parts), 1)


def unpacked(chunks: Iterable[bytes]) -> Roster:
    roster: Roster = {}
    for chunk in chunks:
        with reading("the roster of a bucket", chunk):
            for user, end, listed in _users(zlib.decompress(chunk), DIGEST_BYTES):
                roster[user] = listed[end : end + DIGEST_BYTES]
    return roster


def packed_users(users: Iterable[bytes]) -> bytes:
    return zlib.compress(b"".join([_LENGTH.pack(len(user)) + user for user in users]), 1)


def unpacked_users(chunk: bytes) -> list[bytes]:
    with reading("a list of users", chunk):
        return [user for user, _, _ in _users(zlib.decompress(chunk), 0)]


def _users(listed: bytes, beside: int) -> Iterator[tuple[bytes, int, bytes]]:
    at = 0
    while at < len(listed):
        start = at + _LENGTH.size
        end = start + _LENGTH.unpack_from(listed, at)[0]
        yield listed[start:end], end, listed
        at = end + beside
