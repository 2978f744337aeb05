"""Messages of a log to raw rows of a source: one JSON object each; what is none becomes a reject with its bytes."""

import datetime as dt
from collections.abc import Sequence

import polars as pl

from seqplat_resources.engine.outcome import REJECTS_SCHEMA, rejects_of
from seqplat_resources.ingest import json_lines
from seqplat_resources.ingest.decode import Decoded, decode
from seqplat_resources.lakehouse.layout import DAY, UNDATED
from seqplat_resources.logs import LogBatch
from sequence_defs.schema import Source


def decode_messages(source: Source, batches: Sequence[LogBatch]) -> Decoded:
    """Type and time the messages of some partitions; every message is in the rows or in the rejects, once.

    Shapes:
        Out: as ``decode``, ``_partition`` being ``topic:number``. A field that no message has is null: producers
        change one by one, so its absence is never an error of the batch.
    """
    names = [column.name for column in source.columns]
    decoded = [_of_partition(source, batch, names) for batch in batches]
    unknown = dict.fromkeys(name for part in decoded for name in part.unknown_fields)
    rows = pl.concat([part.rows for part in decoded]) if decoded else pl.DataFrame()
    return Decoded(rows, pl.concat([part.rejects for part in decoded]), tuple(unknown))


def _of_partition(source: Source, batch: LogBatch, names: Sequence[str]) -> Decoded:
    partition = str(batch.partition)
    parsed = json_lines.parse_records(batch.offsets, batch.values, names)
    received = pl.DataFrame(
        {
            "_offset": pl.Series(batch.offsets, dtype=pl.Int64()),
            "_received": pl.Series(batch.timestamps_ms, dtype=pl.Int64()).cast(pl.Datetime("ms")),
        }
    ).with_columns(pl.col("_received").dt.cast_time_unit("us").dt.replace_time_zone("UTC"))
    if parsed.offsets.len() == received.height:
        frame = parsed.rows.with_columns(received)
    else:
        placed = pl.DataFrame({"_offset": parsed.offsets}).join(received, on="_offset", maintain_order="left")
        frame = parsed.rows.with_columns(placed)
    decoded = decode(frame.with_columns(_partition=pl.lit(partition)), source)
    rows, old = _within_retention(decoded.rows, source)
    broken = [(UNDATED, partition, piece.offset, piece.payload, piece.reason) for piece in parsed.broken]
    unreadable = pl.DataFrame(broken, schema=REJECTS_SCHEMA, orient="row")
    return Decoded(rows, pl.concat([unreadable, decoded.rejects, old]), decoded.unknown_fields)


def _within_retention(rows: pl.DataFrame, source: Source) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What is older than the source keeps cannot get into its bucket any more: a reject, not a surprise next year."""
    if source.retention_days is None:
        return rows, rejects_of(rows.clear(), reason=pl.lit(""), day=pl.col(DAY))
    oldest = pl.col("_ingest_time") - pl.lit(dt.timedelta(days=source.retention_days))
    reason = pl.format("event_time: {} is older than the {} days kept", "_event_time", pl.lit(source.retention_days))
    kept = pl.col("_event_time") >= oldest
    return rows.filter(kept), rejects_of(rows.filter(~kept), reason=reason, day=pl.lit(UNDATED))
