"""Events as JSON, and bodies compressed. No Python object per number, time or vector; only texts become objects."""

import datetime as dt
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import orjson
import polars as pl
import zstandard

from seqplat_resources.freshness import Freshness

Coding = Literal["zstd", "gzip", "identity"]

# Of smaller answers compressing saves no packet worth its time.
COMPRESS_FROM_BYTES = 4_096

# Times in UTC end with Z; what is not finite is null, as JSON has no word for it.
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z
# Levels whose time is a fraction of what making the answer takes.
_ZSTD_LEVEL, _GZIP_LEVEL = 1, 1

# orjson refuses later times in the form of numpy, not as objects: it leaves out 26 hours, as far as a zone may be.
_LAST_IN_NUMPY = np.datetime64("9999-12-30T21:59:59.999999", "us")

_Values = np.ndarray[Any, Any] | list[Any]


def answer_head(sequence: str, user: str, events: pl.DataFrame) -> bytes:
    """A ``SequenceAnswer`` up to its ``meta``, keys in its order and columns in that of ``events``."""
    columns = {column.name: _values(column) for column in events.get_columns()}
    return json_of({"sequence": sequence, "user_id": user, "length": events.height, "columns": columns})[:-1]


def with_meta(head: bytes, meta: Mapping[str, Any]) -> bytes:
    """The whole of it."""
    return b"".join((head, b',"meta":', json_of(meta), b"}"))


def batch_json(
    sequence: str,
    users: Sequence[str],
    lengths: Sequence[int],
    newest: Sequence[dt.datetime | None],
    partial: Sequence[bool],
    events: pl.DataFrame,
    meta: Mapping[str, Any],
) -> bytes:
    """A ``BatchAnswer`` of ``events``, the users' rows end to end."""
    columns = {column.name: _values(column) for column in events.get_columns()}
    found, start = [], 0
    for user, length, time, is_partial in zip(users, lengths, newest, partial, strict=True):
        end = start + length
        of_user = {name: values[start:end] for name, values in columns.items()}
        of_them = {"user_id": user, "length": length, "newest_event_time": time, "partial": is_partial}
        found.append({**of_them, "columns": of_user})
        start = end
    return json_of({"sequence": sequence, "users": found, "meta": meta})


def meta_of(fresh: Freshness) -> dict[str, Any]:
    """An ``AnswerMeta``, as orjson takes it."""
    return {
        "epoch": fresh.epoch,
        "release": fresh.release,
        "sealed_through": fresh.sealed_through,
        "newest_event_time": fresh.newest_event_time,
        "completeness": fresh.completeness,
        "degraded": fresh.degraded,
        "stream_lag_ms": fresh.stream_lag_ms,
    }


def json_of(value: Any) -> bytes:
    """As it would stand within an answer."""
    return orjson.dumps(value, option=_OPTIONS)


def compressed(body: bytes, coding: Coding) -> bytes:
    """``coding`` is one that ``negotiation`` chose."""
    if coding == "zstd":
        return zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(body)
    if coding == "gzip":
        return zlib.compress(body, _GZIP_LEVEL, wbits=31)
    return body


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
