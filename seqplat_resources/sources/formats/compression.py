"""Files as they were before gzip or zstd packed them, whatever their names say."""

import codecs
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain

import zstandard

GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
# Frames that hold nothing of the text, such as an index; some writers begin with one.
_ZSTD_SKIPPED = tuple(bytes([number]) + b"\x2a\x4d\x18" for number in range(0x50, 0x60))
_OTHERS = {b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"PK\x03\x04": "zip", b"\x04\x22\x4d\x18": "lz4"}
_GZIP_WINDOW = 16 + zlib.MAX_WBITS
# At least so much is looked at to tell what a file is, and at most so much is unpacked at once.
_TELLING_BYTES, _UNPACKED_BYTES, _ZSTD_BYTES = 6, 1 << 22, 1 << 16
_UTF16 = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}


class CompressionDamaged(ValueError):
    """Packed bytes that cannot be unpacked whole."""


def unpacked(data: bytes) -> bytes:
    """``data``, or what gzip or zstd made ``data`` of; several members or frames are one text.

    Raises:
        CompressionDamaged: it ends too early, its checksum is wrong, or it is packed or encoded in another way.
    """
    return b"".join(unpacked_blocks([data]))


def unpacked_blocks(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The same block by block, of a file that is never in memory whole. Raises as ``unpacked``, on the way."""
    begun = _begun(blocks)
    first = next(begun, b"")
    for magic, name in _OTHERS.items():
        if first.startswith(magic):
            raise CompressionDamaged(f"it is compressed with {name}; gzip and zstd are read, and plain text")
    every = chain([first], begun)
    try:
        yield from (
            _gzip(every)
            if first.startswith(GZIP)
            else _zstd(every)
            if first.startswith((ZSTD, *_ZSTD_SKIPPED))
            else every
        )
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise CompressionDamaged(f"compressed, and cannot be unpacked: {error}") from error


def utf8(data: bytes, encoding: str = "utf-8") -> bytes:
    """A text in UTF-8. Bytes that are no characters of ``encoding`` stay what they are, which is no UTF-8.

    Raises:
        CompressionDamaged: it is UTF-16 and not said to be, or the other way round.
    """
    return b"".join(utf8_blocks([data], encoding))


def utf8_blocks(blocks: Iterable[bytes], encoding: str = "utf-8") -> Iterator[bytes]:
    """The same block by block. Raises as ``utf8``, on the way."""
    begun = _begun(blocks)
    first = next(begun, b"")
    is_utf16 = first[:2] in _UTF16
    if is_utf16 and encoding != "utf-16":
        raise CompressionDamaged("it is UTF-16; write it as UTF-8, or CSV with csv=Csv(encoding='utf-16')")
    if encoding == "utf-8" or not first:
        yield from chain([first], begun)
        return
    if encoding == "utf-16" and not is_utf16:
        raise CompressionDamaged("it is not UTF-16 with a byte order mark, as csv= says")
    errors = _errors(encoding)
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    try:
        for block in chain([first], begun):
            yield decoder.decode(block).encode(errors=errors)
        yield decoder.decode(b"", final=True).encode(errors=errors)
    except UnicodeDecodeError as error:
        raise CompressionDamaged(f"it is not {encoding}, as csv= says: {error}") from error


def _begun(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The blocks, of which the first is long enough to tell what a file is."""
    first = b""
    for block in (every := iter(blocks)):
        first = first + block if first else block
        if len(first) >= _TELLING_BYTES:
            break
    if first:
        yield first
    yield from every


def _gzip(blocks: Iterable[bytes]) -> Iterator[bytes]:
    member = zlib.decompressobj(_GZIP_WINDOW)
    for block in blocks:
        rest = block
        while rest:
            if member.eof:
                rest = rest.lstrip(b"\0")  # what some writers fill the last block of a tape with
                if not rest:
                    break
                member = zlib.decompressobj(_GZIP_WINDOW)
            yield member.decompress(rest, _UNPACKED_BYTES)
            rest = member.unused_data if member.eof else member.unconsumed_tail
    while not member.eof:
        rest = member.decompress(b"", _UNPACKED_BYTES)
        if not rest and not member.eof:
            raise EOFError("it ends before its end mark")
        yield rest


def _zstd(blocks: Iterable[bytes]) -> Iterator[bytes]:
    frame = zstandard.ZstdDecompressor().decompressobj()
    # It unpacks all it is given at once, so it is given little.
    for part in (block[at : at + _ZSTD_BYTES] for block in blocks for at in range(0, len(block), _ZSTD_BYTES)):
        rest = part
        while rest:
            if frame.eof:
                frame = zstandard.ZstdDecompressor().decompressobj()
            yield frame.decompress(rest)
            rest = frame.unused_data if frame.eof else b""
    if not frame.eof:
        raise zstandard.ZstdError("it ends within a frame")


def start_of(blocks: Iterable[bytes]) -> bytes:
    """Enough of the first bytes to tell what a file is."""
    return next(_begun(blocks), b"")


def as_sent(part: bytes, start: bytes, encoding: str) -> bytes:
    """A part of what ``utf8`` made of a file that begins with ``start``, as it stands in the file."""
    written = _UTF16[start[:2]] if encoding == "utf-16" else encoding
    return part.decode(errors=_errors(encoding)).encode(written, _errors(encoding))


def as_read(part: bytes, start: bytes, encoding: str) -> bytes:
    """The other way round: a part as it stands in the file, in UTF-8."""
    if encoding == "utf-8":
        return part
    written = _UTF16[start[:2]] if encoding == "utf-16" else encoding
    return part.decode(written, _errors(encoding)).encode(errors=_errors(encoding))


def _errors(encoding: str) -> str:
    # Half a character is kept as what UTF-8 does not have, so that it costs its own row.
    return "surrogatepass" if encoding == "utf-16" else "surrogateescape"
