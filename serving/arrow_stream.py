"""Events as an Arrow IPC stream whose schema carries metadata.

Polars has types that not every Arrow library of the last years reads, such as string views, and its stream has no
metadata. So arro3 writes the stream, in the types that Polars itself would choose for older readers: letting Polars
convert them wakes its threads, which takes longer than all the rest. pyarrow could do both, and is seven times as large
as the two together; nanoarrow writes a schema alone only by a private method.
"""

import io
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import polars as pl
from arro3.core import DataType, RecordBatchReader, Schema, Table
from arro3.io import read_ipc_stream, write_ipc_stream

MEDIA_TYPE = "application/vnd.apache.arrow.stream"

# Before a message: a mark, and how long its metadata is. A length of zero ends the stream.
_LENGTH = slice(4, 8)
_MESSAGE = 8
_END = b"\xff\xff\xff\xff\0\0\0\0"


def plain_stream(events: pl.DataFrame) -> bytes:
    """``events`` as a stream without metadata."""
    table, known = Table.from_arrow(events), _older(tuple(events.schema.items()))
    if known.casts:
        columns = table.columns
        for number, dtype in known.casts:
            columns[number] = columns[number].cast(dtype)
        table = Table.from_arrays(columns, schema=known.schema)
    stream = io.BytesIO()
    write_ipc_stream(table, stream, compression=None)
    return stream.getvalue()


def with_metadata(plain: bytes, metadata: Mapping[str, bytes]) -> bytes:
    """A ``plain_stream`` whose schema has metadata: keys, and values in UTF-8."""
    schema_ends = _MESSAGE + int.from_bytes(plain[_LENGTH], "little")
    schema = _schema(plain[:schema_ends]).with_metadata({key.encode(): metadata[key] for key in metadata})
    head = io.BytesIO()
    write_ipc_stream(RecordBatchReader.from_batches(schema, []), head)
    return b"".join((head.getbuffer()[: -len(_END)], memoryview(plain)[schema_ends:]))


# One per set of columns that is asked for; reading it takes as long as writing it.
@lru_cache(256)
def _schema(message: bytes) -> Schema:
    return read_ipc_stream(io.BytesIO(message + _END)).schema


class _Older(NamedTuple):
    """A schema in types that every reader knows, and which columns have to become others for it."""

    schema: Schema
    casts: Sequence[tuple[int, DataType]]


@lru_cache(256)
def _older(schema: tuple[tuple[str, pl.DataType], ...]) -> _Older:
    events, stream = pl.DataFrame(schema=dict(schema)), io.BytesIO()
    events.write_ipc_stream(stream, compat_level=pl.CompatLevel.oldest())
    stream.seek(0)
    given, older = Table.from_arrow(events).schema, read_ipc_stream(stream).schema
    types = [(given.field(number).type, older.field(number).type) for number in range(len(schema))]
    return _Older(older, [(number, after) for number, (before, after) in enumerate(types) if before != after])
