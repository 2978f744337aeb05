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
    return data


def utf8(data: bytes, encoding: str = "utf-8") -> bytes:
    """A text in UTF-8. Bytes that are no characters of ``encoding`` stay what they are, which is no UTF-8.

    Raises:
        Damaged: it is UTF-16 and not said to be, or the other way round.
    """
    is_utf16 = data.startswith(_UTF16)
    if is_utf16 and encoding != "utf-16":
        raise Damaged("it is UTF-16; write it as UTF-8, or CSV with csv=Csv(encoding='utf-16')")
    if encoding == "utf-8" or not data:
        return data
    if encoding == "utf-16" and not is_utf16:
        raise Damaged("it is not UTF-16 with a byte order mark, as csv= says")
    try:
        # Half a character is kept as what UTF-8 does not have, so that it costs its own row.
        errors = "surrogatepass" if encoding == "utf-16" else "surrogateescape"
        return data.decode(encoding, errors).encode(errors=errors)
    except UnicodeDecodeError as error:
        raise Damaged(f"it is not {encoding}, as csv= says: {error}") from error


def _zstd(data: bytes) -> bytes:
    parts = []
    while data:
        frame = zstandard.ZstdDecompressor().decompressobj()
        parts.append(frame.decompress(data))
        if not frame.eof:
            raise zstandard.ZstdError("it ends within a frame")
        data = frame.unused_data
    return b"".join(parts)
