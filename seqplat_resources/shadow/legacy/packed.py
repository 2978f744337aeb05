"""The events of one user, packed in JSON or MessagePack, as one JSON object each."""

import base64
import datetime as dt
import json
import re
from collections.abc import Iterable

import msgspec
import polars as pl

from seqplat_resources.values.no_numbers import with_numbers_as_texts
from sequence_defs.schema import Column, parse_dtype

_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_PACKED = msgspec.msgpack.Decoder(list[object])
# A float that is no number, or may be one: such a one has no JSON, and would be written as null.
_NO_NUMBER = re.compile(rb"\xcb[\x7f\xff][\xf0-\xff]|\xca[\x7f\xff][\x80-\xff]", re.DOTALL)


def json_objects(blob: bytes) -> list[bytes]:
    """The items of an array, as they are written; ``NaN`` and infinities as texts.

    Raises:
        ValueError, RecursionError: it is no array.
    """
    return [bytes(item) for item in _ARRAY.decode(with_numbers_as_texts(blob))]


def packed_objects(blob: bytes) -> list[bytes]:
    """The items of an array in MessagePack. Times are ISO 8601, bytes Base64.

    Raises:
        ValueError, RecursionError: it is no array.
    """
    events = _PACKED.decode(blob)
    try:
        if not _NO_NUMBER.search(blob):
            return [msgspec.json.encode(event) for event in events]
        return [_json_of_numbers(event) for event in events]
    except TypeError as error:
        raise ValueError(str(error)) from error


def with_bytes(rows: pl.DataFrame, columns: Iterable[Column]) -> pl.DataFrame:
    """Columns of bytes and vectors, whose texts are those that ``packed_objects`` writes of bytes, as bytes."""
    found = {}
    for column in columns:
        if column.name in rows.columns and (column.dtype == "binary" or parse_dtype(column.dtype).kind == "vector"):
            texts = rows[column.name]
            decoded = texts.str.decode("base64", strict=False)
            if decoded.null_count() == texts.null_count():  # else they are lists of numbers, or texts
                found[column.name] = decoded
    return rows.with_columns(**found)


def _json_of_numbers(event: object) -> bytes:
    return with_numbers_as_texts(json.dumps(event, default=_written, ensure_ascii=False).encode())


def _written(value: object) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dt.datetime):
        return value.isoformat()
    raise TypeError(f"a value of MessagePack's type {type(value).__name__} is none of JSON's")
