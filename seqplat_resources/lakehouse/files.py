"""Data files of a lake table: written invisible, with the statistics by which readers skip them."""

import json
import re
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import obstore
import polars as pl
from deltalake.transaction import AddAction

from seqplat_resources.errors import Final
from seqplat_resources.home import Home
from seqplat_resources.lakehouse.fence import ConcurrentWrite
from seqplat_resources.times import milliseconds

# Small enough that one user's rows cost one or two groups, large enough to compress well.
ROW_GROUP_ROWS = 64 * 1024

# <label>-<token of the lease it was written under>-<random>.parquet
_NAME = re.compile(r"([^/]*)-(\d+)-[0-9a-f]{12}\.parquet$")

_OURS = "seqplat."  # prefix of our keys in a footer, beside those of Arrow


@dataclass(frozen=True)
class Part:
    """Rows of one file. ``stats`` columns of its table get min/max statistics, by which readers skip the file.

    ``label`` begins the file's name. ``copies`` says that any other part of the same label holds the same rows, so
    that the file need only be copied.
    """

    rows: pl.DataFrame
    label: str = "part"
    row_group_rows: int = ROW_GROUP_ROWS
    copies: bool = False


def label_of(path: str) -> str:
    """The label a file was written with."""
    found = _NAME.search(path)
    return found[1] if found else ""


def token_of(path: str) -> int:
    """The fencing token a file was written under; 0 for a file that is not ours."""
    found = _NAME.search(path)
    return int(found[2]) if found else 0


def notes_of(uri: str, storage_options: Mapping[str, str]) -> dict[str, str]:
    """The notes in a file's footer."""
    found = pl.read_parquet_metadata(uri, storage_options=dict(storage_options) or None)
    return {name.removeprefix(_OURS): text for name, text in found.items() if name.startswith(_OURS)}


@dataclass
class FileWriter:
    """Writes the files of one commit to a table; ``notes`` are kept in the footer of each."""

    home: Home
    table: str
    stats: Sequence[str]
    notes: Mapping[str, str] = field(default_factory=dict)
    _written: dict[str, AddAction] = field(default_factory=dict)

    def write(self, values: Mapping[str, str], part: Part, token: int) -> AddAction:
        """Write a file below its bucket's folder; nobody sees it before it is committed."""
        folder = "/".join(f"{key}={value}" for key, value in values.items())
        path = f"{folder}/{part.label}-{token}-{uuid.uuid4().hex[:12]}.parquet"
        if self.home.is_local:
            Path(self.home.uri(f"{self.table}/{folder}")).mkdir(parents=True, exist_ok=True)
        twin = self._written.get(part.label) if part.copies else None
        if twin is not None:
            obstore.copy(self.home.objects, f"{self.table}/{twin.path}", f"{self.table}/{path}")
            return _added(path, twin.size, values, twin.stats)
        part.rows.write_parquet(
            self.home.uri(f"{self.table}/{path}"),
            compression_level=1,
            row_group_size=part.row_group_rows,
            statistics=True,
            metadata={f"{_OURS}{name}": text for name, text in self.notes.items()} or None,
            storage_options=self.home.storage_options or None,
        )
        size = self._size(path)
        added = _added(path, size, values, json.dumps(_stats(part.rows, self.stats)))
        self._written[part.label] = added
        return added

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

    def _size(self, path: str) -> int:
        return int(self.home.objects.head(f"{self.table}/{path}")["size"])


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
