"""Decode raw rows once: declared types, event time, receipt time; what does not fit is a reject, never an exception.

>>> from seqplat_resources.sources.files import find
>>> orders = shop.release.sources["orders"]
>>> files = find(orders.location, shop.sources_root, source="orders", day=days[0])
>>> for chunk in decode_files(orders, files, shop.sources_root):
...     chunk.rows.select("number", "member", "_offset").rows(), chunk.rejects.height
...
([(1, 'ann', 0), (2, 'bob', 1)], 0)
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from seqplat_resources.clock import Clock, SystemClock
from seqplat_resources.engine.outcome import REJECTS_SCHEMA, WHOLE_FILE, no_rejects
from seqplat_resources.lake.layout import UNDATED, shard_of
from seqplat_resources.sources.chunks import RowChunk, read
from seqplat_resources.sources.columns import passing, typed_rows
from seqplat_resources.sources.files import FileDamaged, SourceFile, beginning
from seqplat_resources.sources.formats.contract import PLACE, Origin
from seqplat_resources.sources.formats.fields import fields_read
from seqplat_resources.sources.joins import Side, SourceDrift, meant, side_of
from seqplat_resources.sources.timing import timed
from seqplat_resources.values.json_text import json_text
from sequence_defs.compiler.sql import schema_of, storage_dtype
from sequence_defs.schema import Column, Source

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

# Small files are decoded so many rows at a time: a file of a few costs its plans of Polars, not its rows.
ROWS_TOGETHER = 200_000

# The bucket of a row.
EVENT_DAY = pl.col("_event_time").dt.date()


@dataclass(frozen=True)
class DecodedRows:
    """``rows``: declared columns and receipt columns; ``rejects``: as in ``REJECTS_SCHEMA``.

    By partition, ``unknown_fields`` are those that the source does not declare, where there are any, and ``filtered``
    says how many rows were none of the source's, where some were not. ``origin`` knows the bytes of the rows that were
    read; ``numbers`` says which of them each row is, None: all.
    """

    rows: pl.DataFrame
    rejects: pl.DataFrame
    unknown_fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    origin: Origin | None = None
    numbers: pl.Series | None = None
    filtered: Mapping[str, int] = field(default_factory=dict)

    def refusing(self, reason: pl.Expr, *, day: pl.Expr = pl.lit(UNDATED)) -> "DecodedRows":
        """Without the rows of which ``reason`` says something: they are rejects with the bytes they were sent in."""
        said = self.rows.with_columns(_reason=reason.cast(pl.String), _day=day)
        bad = said["_reason"].is_not_null()
        if not bad.any():
            return self
        numbers = _numbered(self.rows.height) if self.numbers is None else self.numbers
        refused = said.filter(bad)
        rejects = refused.select(
            day="_day",
            source_partition="_partition",
            offset="_offset",
            payload=self._payloads(refused, numbers.filter(bad)),
            reason="_reason",
        )
        return replace(
            self,
            rows=self.rows.filter(~bad),
            rejects=pl.concat([self.rejects, rejects]),
            numbers=numbers.filter(~bad),
        )

    def _payloads(self, rows: pl.DataFrame, numbers: pl.Series) -> pl.Series:
        if self.origin is not None:
            return self.origin.sent(numbers)
        return rows.select(json_text([n for n in rows.columns if n[0] != "_"]).cast(pl.Binary)).to_series()


def decode_files(
    source: Source, files: Sequence[SourceFile], root: str, *, clock: Clock = SystemClock()
) -> Iterator[DecodedRows]:
    """All chunks of all files, small ones of the same columns together. Memory holds one chunk at a time.

    A file of which nothing can be read, or that lacks a column, is one reject at ``WHOLE_FILE``; the others are read.

    Raises:
        SourceUnreadable: a file is missing or cannot be opened, or a joined file cannot be read.
        SourceDrift: a joined file lacks a column.
    """
    sides = [side_of(join, source, root) for join in source.joins] if files else []
    for side in sides:
        if side.rejects.height:
            yield replace(decode_nothing(source, clock), rejects=side.rejects)
    held = list[RowChunk]()
    for file in files:
        try:
            for chunk in _chunks(source, file, sides):
                if held and not (held[0].is_like(chunk) and _height(held) + chunk.rows.height <= ROWS_TOGETHER):
                    yield _decoded(source, held, sides, clock)
                    held = []
                held.append(chunk)
                if _height(held) >= ROWS_TOGETHER:  # nothing is gained by holding it while more is read
                    yield _decoded(source, held, sides, clock)
                    held = []
        except (FileDamaged, SourceDrift) as error:
            if held:
                yield _decoded(source, held, sides, clock)
                held = []
            refused = (UNDATED, file.partition, WHOLE_FILE, beginning(file), str(error))
            rejects = pl.DataFrame([refused], schema=REJECTS_SCHEMA, orient="row")
            yield replace(decode_nothing(source, clock), rejects=rejects)
    if held:
        yield _decoded(source, held, sides, clock)


def decode_file(
    source: Source, file: SourceFile, sides: Sequence[Side], *, clock: Clock = SystemClock()
) -> Iterator[DecodedRows]:
    """All chunks of one file, joined to ``sides``.

    Raises:
        SourceUnreadable, SourceDrift: nothing more of the file can be read.
    """
    for chunk in _chunks(source, file, sides):
        yield _decoded(source, [chunk], sides, clock)


def _chunks(source: Source, file: SourceFile, sides: Sequence[Side]) -> Iterator[RowChunk]:
    """The chunks of a file that has what the source requires. Raises as ``decode_file``."""
    joined = [name for side in sides for name in side.join.columns]
    for chunk in read(source, file, also=_keys_only(source, sides)):
        # An error page may be a header without rows.
        if chunk.rows.height or chunk.rejects.height or set(chunk.rows.columns) > set(PLACE):
            _check_required(list(dict.fromkeys([*chunk.rows.columns, *joined])), source, file.partition)
        yield chunk


def _keys_only(source: Source, sides: Sequence[Side]) -> list[str]:
    """Fields that joins are made by, and that are no columns of the source."""
    declared = schema_of(source.columns)
    return [name for side in sides for name in side.join.on if name not in declared]


def _decoded(source: Source, chunks: Sequence[RowChunk], sides: Sequence[Side], clock: Clock) -> DecodedRows:
    """Chunks that are alike, joined to ``sides``."""
    chunk = RowChunk.together(chunks)
    rows, faults = chunk.rows, [pl.lit(None, pl.String)]
    for side in sides:
        rows, doubts = side.joined(rows, source)
        faults.append(pl.lit(doubts))
    faulty = rows.select(pl.coalesce(faults)).to_series() if sides else None
    if chunk.origin.extras is not None:
        rows = rows.drop(_keys_only(source, sides))  # they are among the extras as they were sent
    decoded = decode(rows, source, clock=clock, origin=chunk.origin, faults=faulty)
    return replace(decoded, rejects=pl.concat([chunk.rejects, decoded.rejects]))


def _height(chunks: Sequence[RowChunk]) -> int:
    return sum(chunk.rows.height for chunk in chunks)


def decode_nothing(source: Source, clock: Clock) -> DecodedRows:
    """No rows, with all columns."""
    places = {"_partition": pl.String(), "_offset": pl.Int64(), "_received": pl.Datetime("us", "UTC")}
    return decode(pl.DataFrame(schema=places), source, clock=clock)


def decode(
    frame: pl.DataFrame,
    source: Source,
    *,
    clock: Clock = SystemClock(),
    origin: Origin | None = None,
    faults: pl.Series | None = None,
) -> DecodedRows:
    """Type and time one chunk of rows.

    Shapes:
        In: any columns, plus ``_partition``, ``_offset`` and ``_received``: when the row's log or file says that it
        was received, UTC or null. ``faults`` says per row what is wrong with it already, or null.
        Out: every input row is in ``rows`` or in ``rejects``, once, or counted as ``filtered``. Rejects have their
        bytes as ``origin`` knows them, or as JSON. A reject whose time is sound carries its day, any other the undated
        bucket. A source without ``event_time`` gives rows without times and shard.
    Raises:
        SourceDrift: a required column is absent from all rows.
    """
    origin = origin or Origin(lambda numbers: _as_json(frame[numbers]))
    fields = [name for name in frame.columns if name not in PLACE]
    declared = schema_of(source.columns)
    unknown = [name for name in fields if name not in declared]
    frame = _with_declared(frame, source)
    rows, reasons = typed_rows(frame, source)
    rows = rows.with_columns(frame.select(PLACE, _extra=_extra(unknown, origin.extras)))
    if faults is not None:
        reasons = faults.zip_with(faults.is_not_null(), reasons)
    numbers, filtered = None, dict[str, int]()
    if source.filter is not None:
        kept, reasons = passing(source, frame, rows, reasons)
        filtered = dict(frame["_partition"].filter(~kept).value_counts().iter_rows())
        rows, reasons, numbers = rows.filter(kept), reasons.filter(kept), _numbered(frame.height).filter(kept)
    reason, day = pl.lit(reasons), pl.lit(UNDATED)
    if source.event_time is not None and source.user_id is not None:
        rows = timed(rows, source, source.event_time, clock.now())
        day = pl.when(pl.col("_untimely").is_null()).then(EVENT_DAY).otherwise(day)
        reason = pl.coalesce(reason, "_untimely")
        rows = rows.with_columns(shard_of(source.user_id, source.shards).alias("_shard"))
    rows = rows.with_columns(_why=reason, _dated=day)
    names = {*unknown, *origin.unknown} - fields_read(source.columns)
    unknown_fields = dict.fromkeys(frame["_partition"].unique(), tuple(sorted(names))) if names else {}
    decoded = DecodedRows(rows, no_rejects(), unknown_fields, origin, numbers, filtered)
    decoded = decoded.refusing(pl.col("_why"), day=pl.col("_dated"))
    return replace(decoded, rows=decoded.rows.drop("_why", "_dated", "_received", "_untimely", strict=False))


def _with_declared(frame: pl.DataFrame, source: Source) -> pl.DataFrame:
    if frame.height:
        _check_required(frame.columns, source, frame["_partition"][0])
    absent = _absent(frame.columns, source)
    return frame.with_columns(pl.lit(None, storage_dtype(column.dtype)).alias(column.name) for column in absent)


def _absent(present: Collection[str], source: Source) -> list[Column]:
    return [column for column in source.columns if column.sql is None and column.name not in present]


def _check_required(columns: Collection[str], source: Source, partition: str) -> None:
    """Nothing, where a file that has something in it, be it broken, has the required columns."""
    names = [c.name for c in _absent(columns, source) if not c.nullable or c.name == source.user_id]
    if names:
        present = [name for name in columns if not name.startswith("_")]
        raise SourceDrift(
            f"source {source.name!r}: {partition} has no column {names}; it has "
            f"{present}. {meant(names, present)}Mend the file, or say with field= what a column is called there, or "
            "declare the column nullable"
        )


def _extra(unknown: Sequence[str], extras: pl.Series | None) -> pl.Expr:
    """What is not declared as one JSON object per row: columns, and what lines had besides."""
    columns = json_text(unknown) if unknown else pl.lit(None, pl.String)
    if extras is None:
        return columns
    lines = pl.lit(extras)
    both = pl.concat_str(columns.str.head(-1), pl.lit(","), lines.str.slice(1)) if unknown else columns
    return pl.coalesce(both, columns, lines)


def _as_json(rows: pl.DataFrame) -> pl.Series:
    return rows.select(json_text([n for n in rows.columns if n not in PLACE]).cast(pl.Binary)).to_series()


def _numbered(height: int) -> pl.Series:
    return pl.int_range(height, dtype=pl.UInt32(), eager=True)
