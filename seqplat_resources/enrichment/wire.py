"""The wire format of enrichment services: keys to a request body, an answer's values to typed columns. Pure.

request   {"keys": [{"sku": 7}, {"sku": 8}, {"sku": 9}]}       every key with the names of its parts
answer    {"values": [{"score": 0.5}, null, {"score": "x"}]}   one per key, in order: VALUE, NULL, ERROR
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import polars as pl

from seqplat_resources.engine.status import CellStatus
from seqplat_resources.enrichment.http import ServiceFailed
from seqplat_resources.values.typing import problem, typed
from sequence_defs.compiler.sql import storage_dtype
from sequence_defs.schema import Column, parse_dtype

STATUS = "_status"


def request(keys: pl.DataFrame) -> bytes:
    """Times as ISO 8601, bytes as Base64."""
    return msgspec.json.encode({"keys": keys.to_dicts()})


@dataclass(frozen=True)
class ServiceAnswer:
    """What a service said, key by key: a status, and per declared column the JSON text or None."""

    statuses: list[int] = field(default_factory=list)
    texts: list[list[str | None]] = field(default_factory=list)

    @classmethod
    def pending(cls, count: int, columns: Sequence[Column]) -> "ServiceAnswer":
        """No answer for ``count`` keys."""
        return cls([CellStatus.PENDING] * count, [[None] * len(columns)] * count)

    @classmethod
    def parse(cls, body: bytes, count: int, columns: Sequence[Column]) -> "ServiceAnswer":
        """A value that is no object, or not of its column's kind, is an ERROR of its key alone.

        Raises:
            ServiceFailed: the answer as a whole is not one, so nothing can be said of any key.
        """
        try:
            values = _WHOLE.decode(body).values
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise ServiceFailed(f"an answer that is no JSON of values ({type(error).__name__})", passes=False) from None
        if len(values) != count:
            raise ServiceFailed(f"{len(values)} values for {count} keys", passes=False)
        allowed = [(column.name, _FIRST_BYTES[_kind(column)]) for column in columns]
        answer = cls()
        for raw in values:
            status, texts = _one(bytes(raw), allowed)
            answer.statuses.append(status)
            answer.texts.append(texts)
        return answer


def values_of(answers: Sequence[ServiceAnswer], columns: Sequence[Column]) -> pl.DataFrame:
    """All answers as one frame: the columns in their storage types, and ``_status``. Null unless it is VALUE."""
    texts = {column.name: pl.String() for column in columns}
    said = pl.DataFrame([row for answer in answers for row in answer.texts], schema=texts, orient="row")
    statuses = pl.Series(STATUS, [status for answer in answers for status in answer.statuses], dtype=pl.Int8())
    unfit = said.select(problem(columns, said).is_not_null()).to_series()
    status = pl.when((pl.col(STATUS) == CellStatus.VALUE) & unfit).then(int(CellStatus.ERROR)).otherwise(STATUS)
    found = said.with_columns(typed(column, pl.String()) for column in columns).with_columns(statuses)
    found = found.with_columns(status.cast(pl.Int8).alias(STATUS))
    return found.with_columns(
        pl.when(pl.col(STATUS) == CellStatus.VALUE)
        .then(pl.col(column.name).cast(storage_dtype(column.dtype)))
        .alias(column.name)
        for column in columns
    )


class _Whole(msgspec.Struct):
    values: list[msgspec.Raw]


_WHOLE = msgspec.json.Decoder(_Whole)
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TEXT = msgspec.json.Decoder(str)

# How the JSON of each kind of column begins. "7" is no number and 7 no text: a service knows its own types.
_FIRST_BYTES = {"text": b'"', "bool": b"tf", "number": b"-0123456789", "list": b"["}


def _kind(column: Column) -> str:
    parsed = parse_dtype(column.dtype)
    if parsed.kind != "scalar":
        return "list"
    if parsed.item in ("string", "binary", "date", "timestamp"):
        return "text"
    return "bool" if parsed.item == "bool" else "number"


def _one(raw: bytes, allowed: Sequence[tuple[str, bytes]]) -> tuple[CellStatus, list[str | None]]:
    nothing: list[str | None] = [None] * len(allowed)
    if raw == b"null":
        return CellStatus.NULL, nothing
    try:
        fields = _OBJECT.decode(raw)
        return CellStatus.VALUE, [_text(fields.get(name), first) for name, first in allowed]
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return CellStatus.ERROR, nothing


def _text(raw: msgspec.Raw | None, first: bytes) -> str | None:
    """The text ``typed`` reads: of JSON strings what they say, of everything else the JSON itself.

    Raises:
        ValueError: another kind of JSON.
    """
    value = bytes(raw) if raw is not None else b"null"
    if value == b"null":
        return None
    if value[:1] not in first:
        raise ValueError("another kind of JSON")
    return _TEXT.decode(value) if value[:1] == b'"' else value.decode()
