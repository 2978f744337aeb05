"""Events as JSON, and bodies compressed. No Python object per number, time or vector; only texts become objects."""

import datetime as dt
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal

import numpy as np
import orjson
import polars as pl
import zstandard

from seqplat_resources.read.freshness import Freshness

Coding = Literal["zstd", "gzip", "identity"]

# Of smaller answers compressing saves no packet worth its time.
COMPRESS_FROM_BYTES = 4_096

# Rows written at a time: while they are, a millisecond or two, nothing else of the process runs. Of vectors fewer.
ROWS_AT_ONCE = 2_048

# Times in UTC end with Z; what is not finite is null, as JSON has no word for it.
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z
# Levels whose time is a fraction of what making the answer takes.
_ZSTD_LEVEL, _GZIP_LEVEL = 1, 1

# orjson refuses later times in the form of numpy, not as objects: it leaves out 26 hours, as far as a zone may be.
_LAST_IN_NUMPY = np.datetime64("9999-12-30T21:59:59.999999", "us")

_Values = np.ndarray[Any, Any] | list[Any]


def answer_head(sequence: str, user: str, events: pl.DataFrame) -> bytes:
    """A ``SequenceAnswer`` up to its ``meta``, keys in its order and columns in that of ``events``."""
    said = {"sequence": sequence, "user_id": user, "length": events.height}
    if events.height <= ROWS_AT_ONCE:
        return json_of({**said, "columns": {column.name: _values(column) for column in events.get_columns()}})[:-1]
    return b"".join((json_of(said)[:-1], b',"columns":', *_columns_json(events)))


def with_meta(head: bytes, meta: Mapping[str, Any]) -> bytes:
    """The whole of it."""
    return b"".join((head, b',"meta":', json_of(meta), b"}"))


def batch_pieces(
    sequence: str,
    users: Sequence[str],
    lengths: Sequence[int],
    newest: Sequence[dt.datetime | None],
    partial: Sequence[bool],
    events: pl.DataFrame,
    meta: Mapping[str, Any],
    arms: Sequence[Mapping[str, str]] = (),
) -> Iterator[bytes]:
    """A ``BatchAnswer`` of ``events``, the users' rows end to end, in pieces of some ``ROWS_AT_ONCE`` rows each."""
    yield b'{"sequence":%b,"users":[' % json_of(sequence)
    first, rows, start = 0, 0, 0
    for number, length in enumerate(lengths):
        rows += length
        if rows < ROWS_AT_ONCE and number + 1 < len(users):
            continue
        those = slice(first, number + 1)
        if first:
            yield b","
        some = events.slice(start, rows)
        yield from _users_json(users[those], lengths[those], newest[those], partial[those], some, arms[those])
        first, start, rows = number + 1, start + rows, 0
    yield b'],"meta":%b}' % json_of(meta)


def _users_json(
    users: Sequence[str],
    lengths: Sequence[int],
    newest: Sequence[dt.datetime | None],
    partial: Sequence[bool],
    events: pl.DataFrame,
    arms: Sequence[Mapping[str, str]],
) -> Iterator[bytes]:
    """Items of a ``BatchAnswer``, with commas between them."""
    heads: list[dict[str, Any]] = [
        {"user_id": user, "length": length, "newest_event_time": time, "partial": is_partial}
        for user, length, time, is_partial in zip(users, lengths, newest, partial, strict=True)
    ]
    if any(arms):
        heads = [{**head, "arms": each} for head, each in zip(heads, arms, strict=True)]
    if events.height > 2 * ROWS_AT_ONCE:  # one of them has as many
        start = 0
        for number, (head, length) in enumerate(zip(heads, lengths, strict=True)):
            yield b"%b%b,%b" % (b"," if number else b"", json_of(head)[:-1], b'"columns":')
            yield from _columns_json(events.slice(start, length))
            yield b"}"
            start += length
        return
    columns = {column.name: _values(column) for column in events.get_columns()}
    found, start = [], 0
    for head, length in zip(heads, lengths, strict=True):
        of_user = {name: values[start : start + length] for name, values in columns.items()}
        found.append({**head, "columns": of_user})
        start += length
    yield json_of(found)[1:-1]


def _columns_json(events: pl.DataFrame) -> Iterator[bytes]:
    """One list per column, in pieces."""
    yield b"{"
    for number, column in enumerate(events.get_columns()):
        yield b"%b%b:[" % (b"," if number else b"", json_of(column.name))
        for start in range(0, len(column), ROWS_AT_ONCE):
            yield b"%b%b" % (b"," if start else b"", json_of(_values(column.slice(start, ROWS_AT_ONCE)))[1:-1])
        yield b"]"
    yield b"}"


def meta_of(fresh: Freshness) -> dict[str, Any]:
    """An ``AnswerMeta``, as orjson takes it."""
    said: dict[str, Any] = {
        "epoch": fresh.epoch,
        "release": fresh.release,
        "sealed_through": fresh.sealed_through,
        "newest_event_time": fresh.newest_event_time,
        "completeness": fresh.completeness,
        "degraded": fresh.degraded,
        "stream_lag_ms": fresh.stream_lag_ms,
    }
    if fresh.arms:
        said["arms"] = fresh.arms
    if fresh.definitions:
        said["definitions"] = definitions_of(fresh)
    return said


def definitions_of(fresh: Freshness) -> dict[str, list[dict[str, Any]]]:
    """By event type, its ``EarlierDefinition``s."""
    return {name: [asdict(each) for each in found] for name, found in fresh.definitions.items()}


def json_of(value: Any) -> bytes:
    """As it would stand within an answer."""
    return orjson.dumps(value, option=_OPTIONS)


def compressed_pieces(pieces: Sequence[bytes], coding: Coding) -> Iterator[bytes]:
    """A body in pieces, compressed as it comes. ``coding`` is one that ``negotiation`` chose."""
    if coding == "identity":
        yield from pieces
        return
    if coding == "zstd":
        zstd = zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compressobj(size=sum(map(len, pieces)))
        yield from (*map(zstd.compress, pieces), zstd.flush())
    else:
        gzip = zlib.compressobj(_GZIP_LEVEL, wbits=31)
        yield from (*map(gzip.compress, pieces), gzip.flush())


def _values(column: pl.Series) -> _Values:
    """What orjson writes as the column's JSON, and what can be cut by rows."""
    dtype = column.dtype
    if isinstance(dtype, pl.Array):
        return _vectors(column)
    if isinstance(dtype, pl.List):
        return _lists(column, dtype.inner)
    if dtype == pl.Binary:
        return column.bin.encode("base64").to_list()
    # Texts and dates have no form in numpy that orjson writes as they are wanted; and only floats have one for null.
    if dtype in {pl.String, pl.Date} or (column.null_count() and not dtype.is_float()):
        return column.to_list()
    values = column.to_numpy()
    is_late = values.dtype.kind == "M" and values.size > 0 and values.max() > _LAST_IN_NUMPY
    return column.to_list() if is_late else values


def _vectors(column: pl.Series) -> _Values:
    if not column.null_count():
        return column.to_numpy()
    dense = column.drop_nulls().to_numpy()
    found: list[Any] = [None] * len(column)
    for row, vector in zip(column.is_not_null().arg_true().to_list(), dense, strict=True):
        found[row] = vector
    return found


def _lists(column: pl.Series, inner: Any) -> list[Any]:
    if inner == pl.Binary:
        column = column.list.eval(pl.element().bin.encode("base64"))
    return column.to_list()
