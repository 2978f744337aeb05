"""Events as an Arrow IPC stream whose schema carries metadata.

Polars writes streams in types that every Arrow library of the last years reads, but has no way to say metadata; arro3
has one, but gets newer types from Polars, such as string views. So arro3 writes the first message of the stream, which
is the schema, and Polars the others. pyarrow could do both, and is seven times as large as the two together; nanoarrow
writes a schema alone only by a private method.
"""

import io
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

import polars as pl
from arro3.core import RecordBatchReader, Schema
from arro3.io import read_ipc_stream, write_ipc_stream

MEDIA_TYPE = "application/vnd.apache.arrow.stream"

# Before a message: a mark, and how long its metadata is. A length of zero ends the stream.
_LENGTH = slice(4, 8)
_MESSAGE = 8
_END = b"\xff\xff\xff\xff\0\0\0\0"


def plain_stream(events: pl.DataFrame) -> bytes:
    """``events`` as a stream without metadata."""
    stream = io.BytesIO()
    events.write_ipc_stream(stream, compat_level=pl.CompatLevel.oldest())
    return stream.getvalue()


def with_metadata(plain: bytes, metadata: Mapping[str, bytes]) -> bytes:
    """A ``plain_stream`` whose schema has metadata: keys, and values in UTF-8."""
    schema_ends = _MESSAGE + int.from_bytes(plain[_LENGTH], "little")
    schema = _schema(plain[:schema_ends]).with_metadata({key.encode(): metadata[key] for key in metadata})
    head = io.BytesIO()
    write_ipc_stream(RecordBatchReader.from_batches(schema, []), head)
    return b"".join((head.getbuffer()[: -len(_END)], memoryview(plain)[schema_ends:]))


def stream_pieces(frames: Iterable[pl.DataFrame], metadata: Mapping[str, bytes]) -> Iterator[bytes]:
    """Frames of equal columns as one stream, a piece for each and more."""
    is_first = True
    for frame in frames:
        plain = plain_stream(frame)
        if is_first:
            yield with_metadata(plain, metadata)[: -len(_END)]
        else:
            schema_ends = _MESSAGE + int.from_bytes(plain[_LENGTH], "little")
            yield plain[schema_ends : -len(_END)]
        is_first = False
    yield _END


# One per set of columns that is asked for; reading it takes as long as writing it.
@lru_cache(256)
def _schema(message: bytes) -> Schema:
    return read_ipc_stream(io.BytesIO(message + _END)).schema
