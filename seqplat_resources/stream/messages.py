"""Messages of a log to raw rows of a source: one record each; what is none becomes a reject with its bytes.

>>> from seqplat_resources.sources.log.contract import Partition
>>> good = b'{"number": 1, "member": "ann", "at": "2024-05-03T07:00:00Z", "product": "tea", "amount": 1}'
>>> batch = LogBatch(Partition("clicks", 0), [7, 8], [0, 0], [good, b"no JSON"], 9)
>>> decoded = decode_messages(shop.release.sources["clicks"], [batch])
>>> decoded.rows.select("_offset", "member").rows()
[(7, 'ann')]
>>> decoded.rejects.select("offset", "reason").rows()
[(8, 'not JSON: JSON is malformed: invalid character (byte 4)')]
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from seqplat_resources.clock import Clock, SystemClock
from seqplat_resources.engine.outcome import REJECTS_SCHEMA
from seqplat_resources.lake.layout import UNDATED
from seqplat_resources.online_store.keys import MAX_USER_BYTES
from seqplat_resources.sources.chunks import read_columns
from seqplat_resources.sources.columns import typed_rows
from seqplat_resources.sources.decode import DecodedRows, decode
from seqplat_resources.sources.formats import json_lines
from seqplat_resources.sources.formats.contract import BrokenPiece, ParsedRows, sent_of
from seqplat_resources.sources.log import LogBatch
from seqplat_resources.sources.schema_registry import Framing
from seqplat_resources.sources.timing import stamps
from sequence_defs.schema import Source


def decode_messages(
    source: Source, batches: Sequence[LogBatch], *, clock: Clock = SystemClock(), framing: Framing | None = None
) -> DecodedRows:
    """Type and time the messages of some partitions; every message is in the rows or in the rejects, once.

    ``framing`` opens messages that a schema registry framed; None: they are JSON.

    Shapes:
        Out: as ``decode``, ``_partition`` being ``topic:number``. A field that no message has is null: producers
        change one by one, so its absence is never an error of the batch.
    Raises:
        RegistryAway: a schema could not be fetched now.
    """
    places = _places(batches)
    # One frame for all partitions: a frame costs the same few milliseconds, however few rows it has.
    values = [value for batch in batches for value in batch.values]
    if framing is None:
        parsed = json_lines.parse_records(range(len(values)), values, read_columns(source))
    else:
        parsed = _framed(source, values, framing)
    placed = places if parsed.offsets.len() == len(values) else places[parsed.offsets]
    decoded = decode(parsed.rows.hstack(placed), source, clock=clock, origin=parsed.origin).refusing(
        _unshowable(source)
    )
    broken = [(UNDATED, *places.row(piece.offset)[:2], piece.payload, piece.reason) for piece in parsed.broken]
    unreadable = pl.DataFrame(broken, schema=REJECTS_SCHEMA, orient="row")
    return replace(decoded, rejects=pl.concat([unreadable, decoded.rejects]))


def refused(batches: Sequence[LogBatch], reason: str) -> pl.DataFrame:
    """The rejects of messages that nothing can be made of, with their bytes."""
    rejects = [
        (UNDATED, str(batch.partition), offset, value or b"", reason)
        for batch in batches
        for offset, value in zip(batch.offsets, batch.values, strict=True)
    ]
    return pl.DataFrame(rejects, schema=REJECTS_SCHEMA, orient="row")


def users_named(source: Source, values: Sequence[bytes]) -> list[str | None]:
    """Whose each message is, read as the source says: from a field, a path, or computed; None where it names nobody."""
    if source.user_id is None:
        return [None] * len(values)
    read = [column for column in source.columns if column.sql is None]
    parsed = json_lines.parse_records(range(len(values)), values, read)
    users = typed_rows(parsed.rows, source)[0][source.user_id].cast(pl.String)
    found = dict(zip(parsed.offsets.to_list(), users.to_list(), strict=True))
    return [found.get(number) for number in range(len(values))]


def _framed(source: Source, values: Sequence[bytes | None], framing: Framing) -> ParsedRows:
    """Framed messages read as the JSON they say; what is refused keeps the bytes it was sent in."""
    opened = framing.opened(values)
    numbers = [number for number in range(len(values)) if number not in opened.refused]
    parsed = json_lines.parse_records(numbers, [opened.texts[number] for number in numbers], read_columns(source))
    origin = replace(parsed.origin, sent=sent_of(lambda row: values[parsed.offsets[row]] or b""))
    broken = [replace(piece, payload=values[piece.offset] or b"") for piece in parsed.broken]
    refused = [BrokenPiece(number, values[number] or b"", reason) for number, reason in opened.refused.items()]
    return replace(parsed, origin=origin, broken=tuple(sorted((*broken, *refused), key=lambda one: one.offset)))


def _places(batches: Sequence[LogBatch]) -> pl.DataFrame:
    """Where each message stood and when its log says that it was received, in the order of the batches."""
    lengths = pl.Series([len(batch) for batch in batches], dtype=pl.UInt32())
    names = pl.DataFrame({"_partition": [str(batch.partition) for batch in batches]}, schema={"_partition": pl.String})
    received = pl.Series([ms for batch in batches for ms in batch.timestamps_ms], dtype=pl.Int64())
    return names.select(pl.col("_partition").repeat_by(lengths).explode()).with_columns(
        _offset=pl.Series([offset for batch in batches for offset in batch.offsets], dtype=pl.Int64()),
        _received=stamps(received),
    )


def _unshowable(source: Source) -> pl.Expr:
    """Per row, why it cannot be shown, or null.

    A user that no store can name would stop the stream for good. What is older than the source keeps cannot get into
    its bucket any more: a reject, not a surprise next year.
    """
    reasons = []
    if source.user_id is not None:
        size = pl.col(source.user_id).cast(pl.String).str.len_bytes()
        text = f"column {source.user_id}: {{}} bytes, but a user id has 1 to {MAX_USER_BYTES}; hash longer ones"
        reasons.append(pl.when(~size.is_between(1, MAX_USER_BYTES)).then(pl.format(text, size)))
    if source.retention_days is not None:
        days = source.retention_days
        oldest = pl.col("_ingest_time") - pl.lit(dt.timedelta(days=days))
        old = pl.format("event_time: {} is older than the {} days kept", "_event_time", pl.lit(days))
        reasons.append(pl.when(pl.col("_event_time") < oldest).then(old))
    return pl.coalesce(*reasons, pl.lit(None, pl.String))
