"""Data files of a lake table: written invisible, with the statistics by which readers skip them.

A file's name ends with the checksum of its bytes. So the snapshot of a table says what each of its files must be,
whoever wrote it, and nothing else has to be kept or read for that.
"""

import json
import re
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, cast

import obstore
import polars as pl
from crc32c import crc32c
from deltalake.transaction import AddAction

from seqplat_resources.errors import Final
from seqplat_resources.home import Home
from seqplat_resources.lake.fence import ConcurrentWrite
from seqplat_resources.times import milliseconds

# Small enough that one user's rows cost one or two groups, large enough to compress well.
ROW_GROUP_ROWS = 64 * 1024

# <label>-<token of the lease it was written under>-<random>-<CRC-32C>.parquet; the oldest files say no checksum.
_NAME = re.compile(r"([^/]*)-(\d+)-[0-9a-f]{12}(?:-([0-9a-f]{8}))?\.parquet$")

# What is smaller is encoded with others; they hold so much together.
_SMALL_BYTES, _TOGETHER_BYTES = 1 << 20, 4 << 20

_OURS = "seqplat."  # prefix of our keys in a footer, beside those of Arrow


@dataclass(frozen=True)
class FilePart:
    """Rows of one file. ``stats`` columns of its table get min/max statistics, by which readers skip the file.

    ``label`` begins the file's name. ``copies`` says that any other part of the same label holds the same rows, so
    that the file need only be copied. ``encoded`` is the file, where it was made already.
    """

    rows: pl.DataFrame
    label: str = "part"
    row_group_rows: int = ROW_GROUP_ROWS
    copies: bool = False
    encoded: bytes | None = field(default=None, repr=False)


# Values of its bucket, the part, and the token of its lease.
_Placed: TypeAlias = tuple[Mapping[str, str], FilePart, int]


def label_of(path: str) -> str:
    """The label a file was written with."""
    found = _NAME.search(path)
    return found[1] if found else ""


def token_of(path: str) -> int:
    """The fencing token a file was written under; 0 for a file that is not ours."""
    found = _NAME.search(path)
    return int(found[2]) if found else 0


def checksum_of(path: str) -> int | None:
    """The CRC-32C of the bytes a file was written with; None for one that is older than checksums, or not ours."""
    found = _NAME.search(path)
    return int(found[3], 16) if found and found[3] else None


def notes_of(uri: str, storage_options: Mapping[str, str]) -> dict[str, str]:
    """The notes in a file's footer."""
    found = pl.read_parquet_metadata(uri, storage_options=dict(storage_options) or None)
    return {name.removeprefix(_OURS): text for name, text in found.items() if name.startswith(_OURS)}


@lru_cache(100_000)  # a file of the lake never changes, and sensors ask again every minute
def known_notes(uri: str, storage_options: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    """As ``notes_of``, read once by a process: for files of which there is one a day."""
    return notes_of(uri, dict(storage_options))


@lru_cache(100_000)
def fields_in(uri: str, storage_options: tuple[tuple[str, str], ...]) -> Mapping[str, pl.DataType]:
    """The fields of a file, from its footer."""
    options = dict(storage_options) or None
    return pl.scan_parquet(uri, glob=False, hive_partitioning=False, storage_options=options).collect_schema()


@dataclass
class FileWriter:
    """Writes the files of one commit to a table; ``notes`` are kept in the footer of each."""

    home: Home
    table: str
    stats: Sequence[str]
    notes: Mapping[str, str] = field(default_factory=dict)
    _written: dict[str, AddAction] = field(default_factory=dict)

    def write(self, values: Mapping[str, str], part: FilePart, token: int) -> AddAction:
        """Write a file below its bucket's folder; nobody sees it before it is committed."""
        folder = "/".join(f"{key}={value}" for key, value in values.items())
        stem = f"{folder}/{part.label}-{token}-{uuid.uuid4().hex[:12]}"
        if self.home.is_local:
            Path(self.home.uri(f"{self.table}/{folder}")).mkdir(parents=True, exist_ok=True)
        twin = self._written.get(part.label) if part.copies else None
        if twin is not None:
            path = _named(stem, checksum_of(twin.path) or 0)
            obstore.copy(self.home.objects, f"{self.table}/{twin.path}", f"{self.table}/{path}")
            return _added(path, twin.size, values, twin.stats)
        path, size = self._stored(stem, part)
        added = _added(path, size, values, json.dumps(_stats(part.rows, self.stats)))
        self._written[part.label] = added
        return added

    def write_all(self, parts: Iterable[_Placed]) -> Iterator[tuple[Mapping[str, str], AddAction]]:
        """``write`` of many parts with their bucket and token, in their order; small ones are encoded together, which
        takes half the time. Memory holds the part that is read, and small ones of some megabytes.
        """
        held, held_bytes = list[_Placed](), 0
        for values, part, token in parts:
            size = int(part.rows.estimated_size())
            is_small = size <= _SMALL_BYTES and not part.copies
            if held and (not is_small or held_bytes + size > _TOGETHER_BYTES):
                yield from self._together(held)
                held, held_bytes = [], 0
            if is_small:
                held.append((values, part, token))
                held_bytes += size
            else:
                yield values, self.write(values, part, token)
        yield from self._together(held)

    def _together(self, few: Sequence[_Placed]) -> Iterator[tuple[Mapping[str, str], AddAction]]:
        memories = [BytesIO() for _ in few]
        sinks = [
            part.rows.lazy().sink_parquet(memory, lazy=True, **self._how(part))
            for memory, (_, part, _) in zip(memories, few, strict=True)
        ]
        if sinks:
            pl.collect_all(sinks)
        for memory, (values, part, token) in zip(memories, few, strict=True):
            yield values, self.write(values, replace(part, encoded=memory.getvalue()), token)

    def _stored(self, stem: str, part: FilePart) -> tuple[str, int]:
        """Write the rows; the file's path and size. What cannot be written to the end leaves nothing."""
        if not self.home.is_local:
            # An object cannot be renamed, so it is made in memory, where the rows it is made of are as well.
            with BytesIO() as memory:
                summed = self._encoded(part, memory)
                path = _named(stem, summed.checksum)
                obstore.put(self.home.objects, f"{self.table}/{path}", memory.getvalue())
            return path, summed.size
        draft = Path(self.home.uri(f"{self.table}/{stem}.parquet"))
        try:
            with open(draft, "xb") as file:
                summed = self._encoded(part, file)
            path = _named(stem, summed.checksum)
            draft.rename(self.home.uri(f"{self.table}/{path}"))
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        return path, summed.size

    def _encoded(self, part: FilePart, file: BinaryIO) -> "_ChecksumFile":
        summed = _ChecksumFile(file)
        if part.encoded is not None:
            summed.write(part.encoded)
        else:
            part.rows.write_parquet(cast(BinaryIO, summed), **self._how(part))
        return summed

    def _how(self, part: FilePart) -> dict[str, Any]:
        notes = {f"{_OURS}{name}": text for name, text in self.notes.items()}
        return {
            "compression_level": 1,
            "row_group_size": part.row_group_rows,
            "statistics": True,
            "metadata": notes or None,
        }

    def verify(self, adds: Sequence[AddAction]) -> int | None:
        """Look at every file: Delta accepts an add of one that is not there.

        Returns when the oldest was written, in milliseconds since 1970 by the clock of the storage; None without any.

        Raises:
            Final: a file is not what was written. ConcurrentWrite: one is not there any more.
        """
        try:
            heads = [self.home.objects.head(f"{self.table}/{add.path}") for add in adds]
        except FileNotFoundError as error:
            raise ConcurrentWrite(
                f"{self.table}: a file was deleted before it was committed ({error}); run it again"
            ) from error
        for add, head in zip(adds, heads, strict=True):
            if head["size"] != add.size:
                raise Final(f"{self.table}/{add.path} changed size while it was written; write the bucket again")
        return min((milliseconds(head["last_modified"]) for head in heads), default=None)


@dataclass
class _ChecksumFile:
    """A file that is written once from its beginning, and adds up what goes through."""

    _file: BinaryIO
    checksum: int = 0
    size: int = 0

    def write(self, data: bytes) -> int:
        self.checksum = crc32c(data, self.checksum)
        self.size += len(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


def _named(stem: str, checksum: int) -> str:
    return f"{stem}-{checksum:08x}.parquet"


def rows_in(add: AddAction) -> int:
    """Rows of a file that is about to be committed."""
    return int(json.loads(add.stats)["numRecords"])


def _added(path: str, size: int, values: Mapping[str, str], stats: str) -> AddAction:
    return AddAction(path, size, dict(values), int(time.time() * 1000), True, stats)


def _stats(rows: pl.DataFrame, columns: Sequence[str]) -> dict[str, object]:
    stats: dict[str, dict[str, object]] = {"minValues": {}, "maxValues": {}, "nullCount": {}}
    for name in columns if rows.height else ():
        stats["minValues"][name] = rows[name].min()
        stats["maxValues"][name] = rows[name].max()
        stats["nullCount"][name] = rows[name].null_count()
    return {"numRecords": rows.height, **stats}
