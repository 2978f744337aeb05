"""Source files to chunks of rows with their position. Knows formats, not types."""

import datetime as dt
import fnmatch
import glob
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from seqplat_resources.engine.outcome import REJECTS_SCHEMA, no_rejects
from seqplat_resources.errors import Final
from seqplat_resources.home import object_store
from seqplat_resources.ingest import csv_records, json_lines
from seqplat_resources.ingest.parsed import Parsed
from seqplat_resources.lakehouse.layout import UNDATED
from seqplat_resources.times import FIRST_US, LAST_US, instant
from sequence_defs.schema import Source

# Rows decoded at once: bounds memory at about 100 bytes x columns x this.
CHUNK_ROWS = 1_000_000


class SourceUnreadable(Final):
    """A source file that is missing, truncated, or not of its format."""


@dataclass(frozen=True)
class SourceFile:
    """One file: ``path`` to open, ``partition`` its stable name below the source root, ``modified_at`` UTC as told."""

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
    found = _objects(full) if "://" in full else _local_files(pattern, root)
    if not found and "{day}" not in location:
        raise SourceUnreadable(
            f"source {source!r}: no file matches {location!r} below {root}; set SEQPLAT_SOURCES or mend `location`"
        )
    return [SourceFile(path, path.removeprefix(f"{root}/"), modified_at) for path, modified_at in found]


def is_of_day(location: str, partition: str, day: dt.date) -> bool:
    """Whether a file of the location is the day's; of every day where ``{day}`` is not in it."""
    return "{day}" not in location or fnmatch.fnmatchcase(partition, location.replace("{day}", day.isoformat()))


def _local_files(pattern: str, root: str) -> list[tuple[str, dt.datetime]]:
    # Below a root, not joined to it: brackets in a folder's name are no pattern.
    paths = sorted(os.path.join(root, found) for found in glob.glob(pattern, root_dir=root, recursive=True))
    return [(path, _modified_at(path)) for path in paths]


def _modified_at(path: str) -> dt.datetime:
    # A file system may tell times that no calendar has; at its edge they are no more believed than there.
    return instant(min(max(os.stat(path).st_mtime_ns // 1000, FIRST_US), LAST_US))


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


def content(file: SourceFile) -> bytes:
    """The bytes of a file."""
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
        yield from _parquet(file) if source.format == "parquet" else _text(source, file)
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
        rows = scan.slice(start, CHUNK_ROWS).collect()
        offsets = pl.int_range(start, start + rows.height, dtype=pl.Int64(), eager=True)
        yield Chunk(_positioned(rows, file, offsets), no_rejects())


def _text(source: Source, file: SourceFile) -> Iterator[Chunk]:
    data = content(file)
    if source.format == "csv":
        chunks: Iterable[Parsed] = [csv_records.parse(data)]
    else:
        chunks = json_lines.parse(data, [column.name for column in source.columns], CHUNK_ROWS)
    for parsed in chunks:
        rejects = [(UNDATED, file.partition, piece.offset, piece.payload, piece.reason) for piece in parsed.broken]
        yield Chunk(
            _positioned(parsed.rows, file, parsed.offsets), pl.DataFrame(rejects, schema=REJECTS_SCHEMA, orient="row")
        )


def _positioned(frame: pl.DataFrame, file: SourceFile, offsets: pl.Series) -> pl.DataFrame:
    return frame.with_columns(
        offsets.alias("_offset"),
        _partition=pl.lit(file.partition),
        _received=pl.lit(file.modified_at).dt.cast_time_unit("us"),
    )
