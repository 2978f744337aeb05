"""One file to chunks of rows with their position. Knows formats, not types.

>>> from seqplat_resources.sources.files import find
>>> orders = shop.release.sources["orders"]
>>> [file] = find(orders.location, shop.sources_root, source="orders", day=days[0])
>>> [chunk.rows.select("_offset", "product").rows() for chunk in read(orders, file)]
[[(0, 'tea'), (1, 'jam')]]
"""

import io
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import cast

import polars as pl

from seqplat_resources.engine.outcome import REJECTS_SCHEMA
from seqplat_resources.lake.layout import UNDATED
from seqplat_resources.sources.files import (
    FileDamaged,
    SourceFile,
    SourceUnreadable,
    beginning,
    blocks,
    content,
    require_file,
)
from seqplat_resources.sources.formats import csv, delta, json_lines
from seqplat_resources.sources.formats.compression import (
    CompressionDamaged,
    as_read,
    as_sent,
    start_of,
    unpacked,
    unpacked_blocks,
    utf8,
    utf8_blocks,
)
from seqplat_resources.sources.formats.contract import PLACE, Origin, ParsedRows, Sent, beside, no_rows
from seqplat_resources.sources.formats.fields import located
from seqplat_resources.times import instant
from seqplat_resources.values.json_text import json_text
from sequence_defs.schema import Column, Csv, Source

# Rows decoded at once: bounds memory at about 100 bytes x columns x this.
CHUNK_ROWS = 1_000_000
_ARROW_NOTES = b"ARROW:schema"
_SOMETHING = re.compile(rb"[^\s\xef\xbb\xbf]")


@dataclass(frozen=True)
class RowChunk:
    """Rows of one file as its format gives them, plus ``PLACE``; and what of it could not be read."""

    rows: pl.DataFrame
    rejects: pl.DataFrame
    origin: Origin

    def is_like(self, other: "RowChunk") -> bool:
        """Whether both have the same columns, and fields besides them, so that they can be one chunk."""
        mine, theirs = self.origin, other.origin
        same = mine.unknown == theirs.unknown and (mine.extras is None) == (theirs.extras is None)
        return same and self.rows.schema == other.rows.schema

    @classmethod
    def together(cls, chunks: "Sequence[RowChunk]") -> "RowChunk":
        """Chunks that are alike, of any files, as one; at least one."""
        if len(chunks) == 1:
            return chunks[0]
        first, extras = chunks[0].origin, [each.origin.extras for each in chunks]
        origin = Origin(
            _sent_by([(each.rows.height, each.origin.sent) for each in chunks]),
            pl.concat([each for each in extras if each is not None]) if first.extras is not None else None,
            first.unknown,
        )
        return cls(pl.concat([c.rows for c in chunks]), pl.concat([c.rejects for c in chunks]), origin)


def read(
    source: Source, file: SourceFile, *, also: Sequence[str] = (), rows_at_once: int = CHUNK_ROWS
) -> Iterator[RowChunk]:
    """The rows of one file, in file order, at most ``rows_at_once`` at a time; of a CSV, a block. A file without a byte
    has no rows.

    Lines that are no row of the format come back as rejects with their bytes; a file that cannot be opened as its
    format at all raises. ``also`` names fields of JSON lines that get a column although the source has none for them.

    Raises:
        FileDamaged: its bytes are not of its format.
        SourceUnreadable: it is missing, or whoever keeps it did not give it.
    """
    columns = read_columns(source)
    try:
        require_file(file)
        if source.format == "ndjson":
            for parsed in _lines(file, columns, also, rows_at_once):
                yield _chunk(file, parsed)
            return
        for parsed in _csv(file, source.csv or Csv()) if source.format == "csv" else _typed(file, rows_at_once):
            rows, faults = located(parsed.rows, source.columns)
            yield _chunk(file, replace(parsed, rows=rows).without(faults))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, CompressionDamaged) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        # What the store of a remote file says cannot be told from what the file does, so it is not blamed on the file.
        is_away = isinstance(error, OSError) or "://" in file.path or file.table is not None
        is_at_fault = isinstance(error, CompressionDamaged) or not is_away
        raise (FileDamaged if is_at_fault else SourceUnreadable)(
            f"source {source.name!r}: {file.partition} is not readable {source.format} ({reason}); "
            "replace the file, or move it out of the source's location, and run the partition again"
        ) from error


def _csv(file: SourceFile, written: Csv) -> Iterator[ParsedRows]:
    parsed = csv.parse_blocks(lambda: utf8_blocks(unpacked_blocks(blocks(file)), written.encoding), written)
    if written.encoding == "utf-8":
        yield from parsed
        return
    start = start_of(unpacked_blocks(blocks(file)))
    for piece in parsed:
        yield piece.sent_as(lambda payload: as_sent(payload, start, written.encoding))


def _lines(file: SourceFile, columns: Sequence[Column], also: Sequence[str], rows_at_once: int) -> Iterator[ParsedRows]:
    data = utf8(unpacked(content(file)))
    if _SOMETHING.search(data):
        yield from json_lines.parse(data, columns, rows_at_once, also=also)
    else:
        yield no_rows()


def _typed(file: SourceFile, rows_at_once: int) -> Iterator[ParsedRows]:
    """Rows whose columns have types of their own."""
    start = 0
    for chunk in (
        _parquet(file, rows_at_once) if file.table is None else delta.parse(file.path, file.table, rows_at_once)
    ):
        rows = _stored(chunk)
        offsets = pl.int_range(start, start + rows.height, dtype=pl.Int64(), eager=True)
        yield ParsedRows(rows, offsets, Origin(_as_json(rows)))
        start += rows.height


def _parquet(file: SourceFile, rows_at_once: int) -> Iterator[pl.DataFrame]:
    first = beginning(file)
    if not first:
        yield pl.DataFrame()
        return
    if not first.startswith(b"PAR1"):
        raise CompressionDamaged("it does not begin as Parquet does")
    scan, start = _scanned(file), 0
    # NOTE: not by the number of rows, which is another query: it takes as long as reading a small file.
    while (chunk := scan.slice(start, rows_at_once).collect()).height or not start:
        yield chunk  # an empty file is one empty chunk: it still has columns
        start += rows_at_once
        if chunk.height < rows_at_once:
            return


def _scanned(file: SourceFile) -> pl.LazyFrame:
    """Rows with INT96 times in microseconds: in nanoseconds Polars reads all before 1677 or after 2262 as one instant.

    Only INT96 may be asked for in another unit than the file says, so asking tells which columns are of that kind.
    """
    path, scan = _opened(file)
    schema = dict(scan.collect_schema())
    for name, dtype in scan.collect_schema().items():
        if (asked := _in_microseconds(dtype)) != dtype:
            try:
                pl.scan_parquet(path, glob=False, schema={**schema, name: asked}).select(name).head(1).collect()
            except pl.exceptions.SchemaError:
                continue
            schema[name] = asked
    return pl.scan_parquet(path, glob=False, schema=schema)


def _opened(file: SourceFile) -> tuple[str | io.BytesIO, pl.LazyFrame]:
    """The file as it can be scanned. Arrow's notes, which pandas and others add, may name a zone that Polars does not
    know (``+05:30``); instants are in UTC all the same, so that it is read without the notes then."""
    try:
        scan = pl.scan_parquet(file.path, glob=False)
        scan.collect_schema()
        return file.path, scan
    except pl.exceptions.PanicException as error:
        if "time zone" not in str(error):
            raise
    data = content(file)
    # The notes are in the footer, whose length stands before the last four bytes. In values the same text is kept.
    footer = max(0, len(data) - 8 - int.from_bytes(data[-8:-4], "little"))
    plain = io.BytesIO(data[:footer] + data[footer:].replace(_ARROW_NOTES, _ARROW_NOTES.lower()))
    return plain, pl.scan_parquet(plain)


def _in_microseconds(dtype: pl.DataType) -> pl.DataType:
    """The type with microseconds in place of nanoseconds, at any depth."""
    if isinstance(dtype, pl.Datetime) and dtype.time_unit == "ns":
        return pl.Datetime("us", dtype.time_zone)
    if isinstance(dtype, pl.List):
        return pl.List(_in_microseconds(cast(pl.DataType, dtype.inner)))
    if isinstance(dtype, pl.Map):
        return pl.Map(_in_microseconds(cast(pl.DataType, dtype.key)), _in_microseconds(cast(pl.DataType, dtype.value)))
    if isinstance(dtype, pl.Struct):
        return pl.Struct({field.name: _in_microseconds(cast(pl.DataType, field.dtype)) for field in dtype.fields})
    return dtype


def _stored(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with columns of Arrow's extension types (JSON, UUID) as what they are stored as."""
    named = [name for name, dtype in rows.schema.items() if isinstance(dtype, pl.datatypes.BaseExtension)]
    return rows.with_columns(rows[name].ext.storage() for name in named) if named else rows


def _as_json(rows: pl.DataFrame) -> Sent:
    return lambda numbers: rows[numbers].select(json_text(rows.columns).cast(pl.Binary)).to_series()


def _sent_by(pieces: Sequence[tuple[int, Sent]]) -> Sent:
    """The bytes of rows that stand one piece after the other, each of so many rows; by ascending numbers."""

    def sent(numbers: pl.Series) -> pl.Series:
        found, start = [pl.Series(dtype=pl.Binary())], 0
        for height, of_piece in pieces:
            if (mine := numbers.filter(numbers.is_between(start, start + height, closed="left"))).len():
                found.append(of_piece(mine - start))
            start += height
        return pl.concat(found)

    return sent


def records_of(source: Source, root: str, partition: str, payloads: Sequence[bytes]) -> ParsedRows:
    """Records of a CSV that was read before, by the bytes that were kept of them. Places are numbers among them.

    Raises:
        FileDamaged, SourceUnreadable: the file, which has the header, is not there or not what it was.
    """
    written = source.csv or Csv()
    file = SourceFile(partition if "://" in partition else os.path.join(root, partition), partition, instant(0))
    try:
        require_file(file)
        start = start_of(unpacked_blocks(blocks(file)))
        texts = utf8_blocks(unpacked_blocks(blocks(file)), written.encoding)
        parsed = csv.parse_alone(texts, [as_read(one, start, written.encoding) for one in payloads], written)
    except (OSError, CompressionDamaged, UnicodeDecodeError) as error:
        raise SourceUnreadable(f"source {source.name!r}: {partition} cannot be read again: {error}") from error
    rows, faults = located(parsed.rows, source.columns)
    absent = (pl.lit(None, pl.String).alias(c.name) for c in read_columns(source) if c.name not in rows.columns)
    return replace(parsed, rows=rows.with_columns(absent)).without(faults)


def read_columns(source: Source) -> list[Column]:
    """The declared columns that its own rows bring; others come from joined files, or are computed."""
    joined = {name for join in source.joins for name in join.columns}
    return [column for column in source.columns if column.name not in joined and column.sql is None]


def _chunk(file: SourceFile, parsed: ParsedRows) -> RowChunk:
    rejects = [(UNDATED, file.partition, piece.offset, piece.payload, piece.reason) for piece in parsed.broken]
    rows = beside(parsed.rows, PLACE).with_columns(
        parsed.offsets.alias("_offset"),
        _partition=pl.lit(file.partition),
        _received=pl.lit(file.modified_at).dt.cast_time_unit("us"),
    )
    return RowChunk(rows, pl.DataFrame(rejects, schema=REJECTS_SCHEMA, orient="row"), parsed.origin)
