"""Source files to chunks of rows with their position. Knows formats, not types."""

import csv
import datetime as dt
import fnmatch
import glob
import io
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from seqplat_resources.engine.outcome import REJECTS_SCHEMA, no_rejects
from seqplat_resources.errors import Final
from seqplat_resources.home import object_store
from seqplat_resources.lakehouse.layout import UNDATED
from sequence_defs.schema import Source

# Rows decoded at once: bounds memory at about 100 bytes x columns x this.
CHUNK_ROWS = 1_000_000


class SourceUnreadable(Final):
    """A source file that is missing, truncated, or not of its format."""


@dataclass(frozen=True)
class SourceFile:
    """One file: ``path`` to open, ``partition`` its stable name below the source root, ``modified_at`` UTC."""

    path: str
    partition: str
    modified_at: dt.datetime


@dataclass(frozen=True)
class Chunk:
    """Rows of one file as its format gives them, plus ``_partition``, ``_offset``, ``_received``; and broken lines."""

    rows: pl.DataFrame
    rejects: pl.DataFrame


def find(location: str, root: str, *, source: str, day: dt.date | None = None) -> list[SourceFile]:
    """Files of a location, by name. ``{day}`` stands for the ISO date; where it is absent ``day`` plays no part.

    Raises:
        SourceUnreadable: a location without ``{day}`` matches nothing. (A day without files is an empty day.)
    """
    pattern = location.replace("{day}", day.isoformat() if day else "*")
    full = pattern if os.path.isabs(pattern) or "://" in pattern else f"{root}/{pattern}"
    found = _objects(full) if "://" in full else _local_files(full)
    if not found and "{day}" not in location:
        raise SourceUnreadable(
            f"source {source!r}: no file matches {location!r} below {root}; set SEQPLAT_SOURCES or mend `location`"
        )
    return [SourceFile(path, path.removeprefix(f"{root}/"), modified_at) for path, modified_at in found]


def _local_files(pattern: str) -> list[tuple[str, dt.datetime]]:
    paths = sorted(glob.glob(pattern, recursive=True))
    return [(path, dt.datetime.fromtimestamp(os.path.getmtime(path), dt.UTC)) for path in paths]


def _objects(pattern: str) -> list[tuple[str, dt.datetime]]:
    """Objects of a URL pattern. Listed below the part before the first wildcard, as stores cannot match by pattern."""
    bucket, key = _bucket_and_key(pattern)
    fixed = re.split(r"[*?\[]", key, maxsplit=1)[0]
    listed = object_store(bucket, os.environ).list(fixed.rpartition("/")[0] or None).collect()
    found = [(item["path"], item["last_modified"]) for item in listed if fnmatch.fnmatchcase(item["path"], key)]
    return sorted((f"{bucket}/{path}", modified_at) for path, modified_at in found)


def _bucket_and_key(url: str) -> tuple[str, str]:
    scheme, _, rest = url.partition("://")
    bucket, _, key = rest.partition("/")
    return f"{scheme}://{bucket}", key


def _content(file: SourceFile) -> bytes:
    if "://" not in file.path:
        return Path(file.path).read_bytes()
    bucket, key = _bucket_and_key(file.path)
    return bytes(object_store(bucket, os.environ).get(key).bytes())


def read(source: Source, file: SourceFile) -> Iterator[Chunk]:
    """The rows of one file, in file order, at most ``CHUNK_ROWS`` at a time.

    Lines that are no row of the format come back as rejects with their bytes; a file that cannot be opened as its
    format at all raises.

    Raises:
        SourceUnreadable: truncated or corrupt file; nothing of the partition has been written.
    """
    try:
        if source.format == "parquet":
            yield from _parquet(file)
        elif source.format == "ndjson":
            yield from _ndjson(file)
        else:
            yield from _csv(file)
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise SourceUnreadable(
            f"source {source.name!r}: {file.partition} is not readable {source.format} ({reason}); "
            "replace the file, or move it out of the source's location, and run the partition again"
        ) from error


def _parquet(file: SourceFile) -> Iterator[Chunk]:
    scan = pl.scan_parquet(file.path, glob=False)
    height = scan.select(pl.len()).collect().item()
    for start in range(0, max(1, height), CHUNK_ROWS):  # an empty file is one empty chunk: it still has columns
        yield Chunk(_positioned(scan.slice(start, CHUNK_ROWS).collect(), file, start), no_rejects())


def _ndjson(file: SourceFile) -> Iterator[Chunk]:
    lines = _content(file).split(b"\n")
    for start in range(0, len(lines), CHUNK_ROWS):
        yield _ndjson_chunk(lines[start : start + CHUNK_ROWS], file, start)


def _ndjson_chunk(lines: list[bytes], file: SourceFile, start: int) -> Chunk:
    offsets = [start + n for n, line in enumerate(lines) if line.strip()]
    kept = [line for line in lines if line.strip()]
    rejects = no_rejects()
    try:
        frame = _parse_json_lines(kept)
    except pl.exceptions.PolarsError:
        # One broken line fails the whole chunk, so only then look at each.
        reasons = [_json_problem(line) for line in kept]
        rejects = _line_rejects(file, [(o, line, r) for o, line, r in zip(offsets, kept, reasons, strict=True) if r])
        offsets = [o for o, r in zip(offsets, reasons, strict=True) if not r]
        frame = _parse_json_lines([line for line, r in zip(kept, reasons, strict=True) if not r])
    return Chunk(_positioned(frame, file, 0, pl.Series("_offset", offsets, dtype=pl.Int64())), rejects)


def _parse_json_lines(lines: list[bytes]) -> pl.DataFrame:
    if not lines:
        return pl.DataFrame()
    return pl.read_ndjson(io.BytesIO(b"\n".join(lines)), infer_schema_length=None)


def _json_problem(line: bytes) -> str:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"not JSON: {error}"
    return "" if isinstance(value, dict) else f"not a JSON object: {type(value).__name__}"


def _csv(file: SourceFile) -> Iterator[Chunk]:
    try:
        frame = pl.read_csv(_content(file), infer_schema=False, truncate_ragged_lines=False)
        yield Chunk(_positioned(frame, file, 0), no_rejects())
    except pl.exceptions.PolarsError:
        yield _csv_by_record(file)


def _csv_by_record(file: SourceFile) -> Chunk:
    """The slow path: a record with too many fields, or bytes that are not UTF-8, becomes a reject."""
    rows: list[list[str | None]] = []
    offsets: list[int] = []
    broken: list[tuple[int, bytes, str]] = []
    content = io.BytesIO(_content(file))
    with io.TextIOWrapper(content, encoding="utf-8", errors="surrogateescape", newline="") as stream:
        records = csv.reader(stream)
        header = next(records, None)
        if header is None:
            raise pl.exceptions.NoDataError("empty file, not even a header")
        for offset, record in enumerate(records):
            text = ",".join(record)
            if any("\udc80" <= character <= "\udcff" for character in text):
                broken.append((offset, text.encode(errors="surrogateescape"), "not UTF-8"))
            elif len(record) > len(header):
                reason = f"{len(record)} fields, but the header has {len(header)}"
                broken.append((offset, text.encode(), reason))
            elif record:
                rows.append([value or None for value in record] + [None] * (len(header) - len(record)))
                offsets.append(offset)
    frame = pl.DataFrame(rows, schema=dict.fromkeys(header, pl.String()), orient="row")
    return Chunk(
        _positioned(frame, file, 0, pl.Series("_offset", offsets, dtype=pl.Int64())), _line_rejects(file, broken)
    )


def _positioned(frame: pl.DataFrame, file: SourceFile, start: int, offsets: pl.Series | None = None) -> pl.DataFrame:
    if offsets is None:
        offsets = pl.int_range(start, start + frame.height, dtype=pl.Int64, eager=True).alias("_offset")
    return frame.with_columns(
        offsets,
        _partition=pl.lit(file.partition),
        _received=pl.lit(file.modified_at).dt.cast_time_unit("us"),
    )


def _line_rejects(file: SourceFile, broken: list[tuple[int, bytes, str]]) -> pl.DataFrame:
    rows = [(UNDATED, file.partition, offset, payload, reason) for offset, payload, reason in broken]
    return pl.DataFrame(rows, schema=REJECTS_SCHEMA, orient="row")
