"""Files as they were before gzip or zstd packed them, whatever their names say."""

import gzip
import zlib

import zstandard

GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_OTHERS = {b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"PK\x03\x04": "zip", b"\x04\x22\x4d\x18": "lz4"}
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


class Damaged(ValueError):
    """Packed bytes that cannot be unpacked whole."""


def unpacked(data: bytes) -> bytes:
    """``data``, or what gzip or zstd made ``data`` of; several members or frames are one text.

    Raises:
        Damaged: it ends too early, its checksum is wrong, or it is packed or encoded in another way.
    """
    try:
        if data.startswith(GZIP):
            return gzip.decompress(data)
        if data.startswith(ZSTD):
            return _zstd(data)
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise Damaged(f"compressed, and cannot be unpacked: {error}") from error
    for magic, name in _OTHERS.items():
        if data.startswith(magic):
            raise Damaged(f"it is compressed with {name}; gzip and zstd are read, and plain text")
    if data.startswith(_UTF16):
        raise Damaged("it is UTF-16; write it as UTF-8")
    return data


def _zstd(data: bytes) -> bytes:
    parts = []
    while data:
        frame = zstandard.ZstdDecompressor().decompressobj()
        parts.append(frame.decompress(data))
        if not frame.eof:
            raise zstandard.ZstdError("it ends within a frame")
        data = frame.unused_data
    return b"".join(parts)
