"""Source files to chunks of rows with their position. Knows formats, not types.

>>> [file.partition for file in find("orders/{day}.csv", shop.sources_root, source="orders", day=days[0])]
['orders/2024-05-01.csv']
>>> find("visits.csv", shop.sources_root, source="visits")
Traceback (most recent call last):
    ...
seqplat_resources.sources.files.SourceUnreadable: source 'visits': no file matches 'visits.csv' ...
"""

import datetime as dt
import fnmatch
import glob
import hashlib
import io
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import polars as pl

from seqplat_resources.engine.outcome import REJECTS_SCHEMA
from seqplat_resources.errors import Final
from seqplat_resources.home import object_store
from seqplat_resources.lake.layout import UNDATED
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
from seqplat_resources.times import FIRST_US, LAST_US, instant
from seqplat_resources.values.json_text import json_text
from sequence_defs.schema import Column, Csv, Source

# Rows decoded at once: bounds memory at about 100 bytes x columns x this.
CHUNK_ROWS = 1_000_000


_ARROW_NOTES = b"ARROW:schema"
_BLOCK_BYTES = 1 << 20
# Shown of a file that is refused whole.
_BEGINNING_BYTES = 1000
_SOMETHING = re.compile(rb"[^\s\xef\xbb\xbf]")
_DAY = re.compile(r"(?=([0-9]{4}-[0-9]{2}-[0-9]{2}))")


class SourceUnreadable(Final):
    """A source file that is missing, or that cannot be opened."""


class FileDamaged(SourceUnreadable):
    """A source file that is there, and truncated or not of its format."""


@dataclass(frozen=True)
class SourceFile:
    """One file: ``path`` to open, ``partition`` its stable name below the source root, ``modified_at`` UTC as told.

    ``mark`` differs where a file of that name is another one: its size and time, or what its store calls its version.
    ``table`` says which rows of which version, where ``path`` is that of a Delta table.
    """

    path: str
    partition: str
    modified_at: dt.datetime
    mark: str = ""
    table: delta.TableVersion | None = None


@dataclass(frozen=True)
class RowChunk:
    """Rows of one file as its format gives them, plus ``PLACE``; and what of it could not be read."""

    rows: pl.DataFrame
    rejects: pl.DataFrame
    origin: Origin


def find(location: str, root: str, *, source: str, day: dt.date | None = None) -> list[SourceFile]:
    """Files of a location, by name. ``{day}`` stands for the ISO date; where it is absent ``day`` plays no part.

    Raises:
        SourceUnreadable: a location without ``{day}`` matches nothing. (Of a day, what that means says the source.)
    """
    pattern = location.replace("{day}", day.isoformat() if day else "*")
    full = pattern if os.path.isabs(pattern) or "://" in pattern else f"{root}/{pattern}"
    found = _objects(full) if "://" in full else _local_files(pattern, root)
    if not found and "{day}" not in location:
        raise SourceUnreadable(
            f"source {source!r}: no file matches {location!r} below {root}; set SEQPLAT_SOURCES or mend `location`"
        )
    return [SourceFile(path, path.removeprefix(f"{root}/"), modified_at, mark) for path, modified_at, mark in found]


def find_days(location: str, root: str, *, source: str) -> dict[dt.date, list[SourceFile]]:
    """The files of every day that has any, of a location with ``{day}``; looked for once."""
    found: dict[dt.date, list[SourceFile]] = {}
    for file in find(location, root, source=source):
        for text in dict.fromkeys(_DAY.findall(file.partition)):
            with suppress(ValueError):
                if is_of_day(location, file.partition, day := dt.date.fromisoformat(text)):
                    found.setdefault(day, []).append(file)
    return dict(sorted(found.items()))


def fingerprint(files: Sequence[SourceFile]) -> str:
    """Another text where a file was added, taken away or replaced; empty for no files."""
    said = sorted(f"{file.partition} {file.mark}" for file in files)
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:32] if said else ""


def is_of_day(location: str, partition: str, day: dt.date) -> bool:
    """Whether a file of the location is the day's; of every day where ``{day}`` is not in it."""
    return "{day}" not in location or fnmatch.fnmatchcase(partition, location.replace("{day}", day.isoformat()))


def _local_files(pattern: str, root: str) -> list[tuple[str, dt.datetime, str]]:
    # Below a root, not joined to it: brackets in a folder's name are no pattern.
    paths = sorted(os.path.join(root, found) for found in glob.glob(pattern, root_dir=root, recursive=True))
    return [(path, *facts) for path in paths if (facts := _facts(path)) is not None]


def _facts(path: str) -> tuple[dt.datetime, str] | None:
    """When a file was changed, and its mark; of a link that leads nowhere those of the link. None if it is gone."""
    try:
        said = os.stat(path)
    except OSError:
        try:
            said = os.lstat(path)
        except OSError:
            return None
    # A file system may tell times that no calendar has; at its edge they are no more believed than there.
    modified_at = instant(min(max(said.st_mtime_ns // 1000, FIRST_US), LAST_US))
    return modified_at, f"{said.st_size} {said.st_mtime_ns}"


def _objects(pattern: str) -> list[tuple[str, dt.datetime, str]]:
    """Objects of a URL pattern. Listed below the part before the first wildcard, as stores cannot match by pattern."""
    bucket, key = _bucket_and_key(pattern)
    fixed = re.split(r"[*?\[]", key, maxsplit=1)[0]
    listed = object_store(bucket, os.environ).list(fixed.rpartition("/")[0] or None).collect()
    found = [item for item in listed if fnmatch.fnmatchcase(item["path"], key)]
    # Copied with all its bytes an object is another one only by its time, so what its store says of its content counts.
    marks = [f"{item['size']} {item['e_tag'] or item['last_modified']}" for item in found]
    return sorted((f"{bucket}/{o['path']}", o["last_modified"], mark) for o, mark in zip(found, marks, strict=True))


def _bucket_and_key(url: str) -> tuple[str, str]:
    scheme, _, rest = url.partition("://")
    bucket, _, key = rest.partition("/")
    return f"{scheme}://{bucket}", key


def content(file: SourceFile) -> bytes:
    """The bytes of a file."""
    if "://" not in file.path:
        return Path(file.path).read_bytes()
    bucket, key = _bucket_and_key(file.path)
    return bytes(object_store(bucket, os.environ).get(key).bytes())


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
        _require_file(file)
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


def _require_file(file: SourceFile) -> None:
    """
    Raises:
        OSError: it is a folder, or of a kind whose end nobody knows: a pipe without a writer is waited for for ever.
    """
    if "://" not in file.path and file.table is None and not stat.S_ISREG(os.stat(file.path).st_mode):
        raise OSError("it is no file, but a folder, a pipe or a device")


def beginning(file: SourceFile) -> bytes:
    """The first bytes of a file, by which people know it; a table has none."""
    if file.table is not None:
        return b""
    if "://" in file.path:
        bucket, key = _bucket_and_key(file.path)
        return bytes(object_store(bucket, os.environ).get_range(key, start=0, length=_BEGINNING_BYTES))
    with open(file.path, "rb") as stream:
        return stream.read(_BEGINNING_BYTES)


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
    scan = _scanned(file)
    height = scan.select(pl.len()).collect().item()
    for start in range(0, max(1, height), rows_at_once):  # an empty file is one empty chunk: it still has columns
        yield scan.slice(start, rows_at_once).collect()


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


def _csv(file: SourceFile, written: Csv) -> Iterator[ParsedRows]:
    parsed = csv.parse_blocks(lambda: utf8_blocks(unpacked_blocks(_blocks(file)), written.encoding), written)
    if written.encoding == "utf-8":
        yield from parsed
        return
    start = start_of(unpacked_blocks(_blocks(file)))
    for piece in parsed:
        yield piece.sent_as(lambda payload: as_sent(payload, start, written.encoding))


def records_of(source: Source, root: str, partition: str, payloads: Sequence[bytes]) -> ParsedRows:
    """Records of a CSV that was read before, by the bytes that were kept of them. Places are numbers among them.

    Raises:
        FileDamaged, SourceUnreadable: the file, which has the header, is not there or not what it was.
    """
    written = source.csv or Csv()
    file = SourceFile(partition if "://" in partition else os.path.join(root, partition), partition, instant(0))
    try:
        _require_file(file)
        start = start_of(unpacked_blocks(_blocks(file)))
        blocks = utf8_blocks(unpacked_blocks(_blocks(file)), written.encoding)
        parsed = csv.parse_alone(blocks, [as_read(one, start, written.encoding) for one in payloads], written)
    except (OSError, CompressionDamaged, UnicodeDecodeError) as error:
        raise SourceUnreadable(f"source {source.name!r}: {partition} cannot be read again: {error}") from error
    rows, faults = located(parsed.rows, source.columns)
    absent = (pl.lit(None, pl.String).alias(c.name) for c in read_columns(source) if c.name not in rows.columns)
    return replace(parsed, rows=rows.with_columns(absent)).without(faults)


def _blocks(file: SourceFile) -> Iterator[bytes]:
    """The bytes of a file, some at a time."""
    if "://" in file.path:
        bucket, key = _bucket_and_key(file.path)
        yield from map(bytes, object_store(bucket, os.environ).get(key).stream(min_chunk_size=_BLOCK_BYTES))
        return
    with open(file.path, "rb", buffering=0) as stream:
        while block := stream.read(_BLOCK_BYTES):
            yield block


def _lines(file: SourceFile, columns: Sequence[Column], also: Sequence[str], rows_at_once: int) -> Iterator[ParsedRows]:
    data = utf8(unpacked(content(file)))
    if _SOMETHING.search(data):
        yield from json_lines.parse(data, columns, rows_at_once, also=also)
    else:
        yield no_rows()


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
