"""Decode raw rows once: declared types, event time, receipt time; what does not fit is a reject, never an exception."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from seqplat_resources.clock import Clock, SystemClock
from seqplat_resources.engine.outcome import json_text, rejects_of
from seqplat_resources.engine.typing import problem, typed
from seqplat_resources.errors import Final
from seqplat_resources.ingest.files import SourceFile, find, read
from seqplat_resources.ingest.timing import timed
from seqplat_resources.lakehouse.layout import DAY, UNDATED, shard_of
from sequence_defs.compiler.sql import schema_of, storage_dtype
from sequence_defs.schema import Column, Join, Source

# What the reader of a file adds to each row.
_PLACE = ("_partition", "_offset", "_received")

# Columns of raw/<source> besides the source's own; sources cannot name a column with a leading underscore.
_RECEIPT: tuple[tuple[str, str, str], ...] = (
    ("_event_time", "timestamp", "when it happened, UTC"),
    ("_ingest_time", "timestamp", "first durable receipt, UTC"),
    ("_partition", "string", "file or log partition"),
    ("_offset", "int64", "position in it"),
    ("_extra", "string", "fields the source does not declare, as JSON"),
    ("_shard", "int16", "hash(user) % shards"),
)
RECEIPT_COLUMNS = tuple(
    # NOTE: built without validation because these are the only names that may start with an underscore.
    Column.model_construct(
        name=name, dtype=dtype, description=text, nullable=True, unit="", model="", pii=False, sql=None
    )
    for name, dtype, text in _RECEIPT
)


class SourceDrift(Final):
    """A file without a column that the source requires, or a joined file that repeats a key."""


@dataclass(frozen=True)
class Decoded:
    """``rows``: declared columns, receipt columns and ``day``; ``rejects``: as in ``REJECTS_SCHEMA``."""

    rows: pl.DataFrame
    rejects: pl.DataFrame
    unknown_fields: tuple[str, ...] = ()


def decode_files(
    source: Source, files: Sequence[SourceFile], root: str, *, clock: Clock = SystemClock()
) -> Iterator[Decoded]:
    """All chunks of all files. Memory holds one chunk at a time.

    Raises:
        SourceUnreadable, SourceDrift: nothing of the file can be trusted.
    """
    sides = [(join, _side(join, source, root)) for join in source.joins] if files else []
    for file in files:
        for chunk in read(source, file):
            rows = chunk.rows
            for join, side in sides:
                rows = _joined(rows, side, join, source, file)
            decoded = decode(rows, source, clock=clock)
            yield Decoded(decoded.rows, pl.concat([chunk.rejects, decoded.rejects]), decoded.unknown_fields)


def decode(frame: pl.DataFrame, source: Source, *, clock: Clock = SystemClock()) -> Decoded:
    """Type and time one chunk of rows.

    Shapes:
        In: any columns, plus ``_partition``, ``_offset`` and ``_received``: when the row's log or file says that it
        was received, UTC or null.
        Out: every input row is in ``rows`` or in ``rejects``, once. A reject whose time is sound carries its day,
        any other the undated bucket. A source without ``event_time`` gives rows without times, shard and day.
    Raises:
        SourceDrift: a required column is absent from all rows.
    """
    frame = _with_declared(frame, source)
    fields = [name for name in frame.columns if name not in _PLACE]
    unknown = tuple(name for name in fields if name not in schema_of(source.columns))
    required = [source.user_id] if source.user_id else []
    fitted = frame.select(typed(column, frame.schema[column.name]).alias(column.name) for column in source.columns)
    rows = frame.select(
        pl.col(_PLACE),
        _extra=json_text(unknown) if unknown and frame.height else pl.lit(None, pl.String),
        _reason=problem(source.columns, frame, required=required, after=fitted),
    )
    rows = fitted.hstack(rows)
    day = pl.lit(UNDATED)
    if source.event_time is not None and source.user_id is not None:
        rows = timed(rows, source, source.event_time, clock.now())
        day = pl.when(pl.col("_untimely").is_null()).then(pl.col("_event_time").dt.date()).otherwise(day)
        rows = rows.with_columns(
            shard_of(source.user_id, source.shards).alias("_shard"),
            day.alias(DAY),
            _reason=pl.coalesce("_reason", "_untimely"),
        ).drop("_untimely")
    else:
        rows = rows.with_columns(day.alias(DAY))
    bad = rows["_reason"].is_not_null()
    rejected = frame.filter(bad).with_columns(rows.filter(bad).select("_reason", _day=DAY))
    rejects = rejects_of(rejected, reason=pl.col("_reason"), day=pl.col("_day"), fields=fields)
    return Decoded(rows.filter(~bad).drop("_reason", "_received"), rejects, unknown)


def _with_declared(frame: pl.DataFrame, source: Source) -> pl.DataFrame:
    absent = [column for column in source.columns if column.name not in frame.columns]
    required = [column.name for column in absent if not column.nullable or column.name == source.user_id]
    if required and frame.height:
        raise SourceDrift(
            f"source {source.name!r}: {frame['_partition'][0]} has no column {required}; it has "
            f"{[n for n in frame.columns if not n.startswith('_')]}. Mend the file, or declare the column nullable"
        )
    return frame.with_columns(pl.lit(None, storage_dtype(column.dtype)).alias(column.name) for column in absent)


def _joined(rows: pl.DataFrame, side: pl.DataFrame, join: Join, source: Source, file: SourceFile) -> pl.DataFrame:
    try:
        return rows.join(side, on=list(join.on), how="left", maintain_order="left")
    except pl.exceptions.PolarsError as error:
        raise SourceDrift(
            f"source {source.name!r}: {join.location} cannot be joined to {file.partition} on {list(join.on)} "
            f"({str(error).splitlines()[0]}); give the key the same name and type in both"
        ) from error


def _side(join: Join, source: Source, root: str) -> pl.DataFrame:
    files = find(join.location, root, source=source.name)
    rows = pl.concat([chunk.rows for file in files for chunk in read(source, file)], how="diagonal_relaxed")
    if absent := [name for name in (*join.on, *join.columns) if name not in rows.columns]:
        present = [name for name in rows.columns if name not in _PLACE]
        raise SourceDrift(
            f"source {source.name!r}: {join.location} has no column {absent}; it has {present}. "
            "Mend the file, or the join that names them"
        )
    side = rows.select(*join.on, *join.columns)
    if side.select(pl.struct(join.on).is_duplicated().any()).item():
        raise SourceDrift(
            f"source {source.name!r}: {join.location} repeats a value of {list(join.on)}; "
            "a joined file must hold each key once"
        )
    return side
