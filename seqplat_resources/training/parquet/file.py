"""One file of rows with scalar columns and list columns, written row group by row group.

Lists of a row group point into rows that it stores once: Parquet's own dictionary encoding, with the same indexes for
every column. So lists that overlap cost their indexes, which are compressed once, and any reader gives back lists.
Where lists hardly overlap, values are stored one after the other.

>>> prices = stored(pl.Series("price", [3, 5]))
>>> group = RowGroup(pl.DataFrame({"user": ["ann"]}), [prices], np.array([1, 0]), np.array([2]))
>>> with open(folder / "lists.parquet", "wb") as file:
...     lists = ListFile(file)
...     lists.add(1, pages_of(group))
...     lists.close()
>>> pl.read_parquet(folder / "lists.parquet").rows()
[('ann', [5, 3])]
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np
import polars as pl
import zstandard

from seqplat_resources.training.parquet.columns import Flags, NotStorable, Places, StoredColumn, stored
from seqplat_resources.training.parquet.thrift import I32, I64, Struct, Value, encoded, varint

_MAGIC = b"PAR1"
_ZSTD, _LEVEL = 6, 1
_PLAIN, _RLE, _DICTIONARY = 0, 3, 8
_REQUIRED, _OPTIONAL, _REPEATED = 0, 1, 2
_LIST_CONVERTED = 3
# Indexes cost as much as a short value, so rows that are not pointed at twice are better stored one after the other.
_WORTH_A_DICTIONARY = 2
# A header says in 31 bits how large its page is.
LARGEST_PAGE = (1 << 31) - 1


@dataclass(frozen=True)
class RowGroup:
    """``scalars``: one value a row. ``places``: the rows of ``lists``' columns that each row's lists have, end to end;
    ``counts`` of each.
    """

    scalars: pl.DataFrame
    lists: Sequence[StoredColumn]
    places: Places
    counts: Places


@dataclass(frozen=True)
class ColumnPages:
    """A column chunk: its pages with headers, and what the footer says of it."""

    column: StoredColumn
    path: tuple[str, ...]
    pages: list[bytes]
    encodings: Sequence[int]
    values: int
    uncompressed: int


def pages_of(group: RowGroup) -> list[ColumnPages]:
    """A row group, compressed; needs no file, so several threads may do it.

    Raises:
        NotStorable: a column's values take more than a page can have.
    """
    found = [_scalar(stored(values)) for values in group.scalars]
    return found + list(_lists(group))


@dataclass
class ListFile:
    """Writes a file.

    Row groups must have the same columns. ``close`` writes the footer; without it no reader opens the file.
    """

    file: BinaryIO
    metadata: Mapping[str, str] = field(default_factory=dict)
    size: int = 0
    rows: int = 0

    def __post_init__(self) -> None:
        self._groups, self._schema = list[Value](), list[Value]()
        self._write(_MAGIC)

    def add(self, rows: int, columns: Sequence[ColumnPages]) -> None:
        """Write a row group of so many rows."""
        self._schema = self._schema or _schema(columns)
        chunks = [self._chunk(column) for column in columns]
        total = sum(column.uncompressed for column in columns)
        self._groups.append({1: chunks, 2: I64(total), 3: I64(rows)})
        self.rows += rows

    def close(self) -> None:
        """Write the footer."""
        said = [{1: key, 2: text} for key, text in self.metadata.items()]
        footer = encoded(
            {1: I32(1), 2: self._schema, 3: I64(self.rows), 4: self._groups, 5: said or None, 6: "seqplat"}
        )
        self._write(footer + len(footer).to_bytes(4, "little") + _MAGIC)

    def _chunk(self, column: ColumnPages) -> Value:
        start, first_data = self.size, self.size
        for page in column.pages:
            first_data = self.size  # the data page is the last one
            self._write(page)
        return {
            2: I64(start),
            3: {
                1: I32(column.column.physical),
                2: [I32(each) for each in column.encodings],
                3: list(column.path),
                4: I32(_ZSTD),
                5: I64(column.values),
                6: I64(column.uncompressed),
                7: I64(self.size - start),
                9: I64(first_data),
                11: I64(start) if first_data != start else None,
            },
        }

    def _write(self, data: bytes) -> None:
        self.file.write(data)
        self.size += len(data)


def _schema(columns: Sequence[ColumnPages]) -> list[Value]:
    found: list[Value] = [{4: "schema", 5: I32(len(columns))}]
    for chunk in columns:
        column = chunk.column
        element = {1: I32(column.physical), 3: I32(_OPTIONAL), 4: chunk.path[-1], **column.meaning}
        if len(chunk.path) > 1:
            found += [
                {3: I32(_REQUIRED), 4: chunk.path[0], 5: I32(1), 6: I32(_LIST_CONVERTED), 10: {3: {}}},
                {3: I32(_REPEATED), 4: chunk.path[1], 5: I32(1)},
            ]
        found.append(element)
    return found


def _scalar(column: StoredColumn) -> ColumnPages:
    """One value a row: optional, so that a column with nulls in one file is the same in all."""
    rows = column.valid.size if column.valid is not None else _height(column)
    places = np.arange(rows) if column.valid is None else np.flatnonzero(column.valid)
    levels = _one_run(1, rows) if column.valid is None else _bits(column.valid)
    page, size = _data_page(column, rows, _PLAIN, [levels], column.plain(places))
    return ColumnPages(column, (column.name,), [page], (_PLAIN, _RLE), rows, size)


def _height(column: StoredColumn) -> int:
    if column.fixed is not None:
        return int(column.fixed.size)
    assert column.offsets is not None
    return int(column.offsets.size) - 1


def _lists(group: RowGroup) -> Iterator[ColumnPages]:
    """The list columns; those without nulls have one data page in common."""
    counts, places = group.counts, group.places
    sizes = np.maximum(counts, 1)
    entries, starts = int(sizes.sum()), np.cumsum(sizes) - sizes
    repeated = np.ones(entries, np.bool_)
    repeated[starts] = False
    is_there: Flags | None = None
    if (empty := starts[counts == 0]).size:
        is_there = np.ones(entries, np.bool_)
        is_there[empty] = False
    repetition = _bits(repeated)
    used, indexes = _dictionary(places)
    in_common: tuple[bytes, int] | None = None
    for column in group.lists:
        indexed = used is not None and not column.is_boolean
        kept, filled = indexes if indexed else places, None
        if column.valid is not None and not (filled := column.valid[places]).all():
            kept = kept[filled]
        else:
            filled = None
        levels = [repetition, _definition(entries, is_there, filled)]
        if indexed and filled is None:
            in_common = in_common or _data_page(column, entries, _DICTIONARY, levels, _packed(kept))
            page, size = in_common
        elif indexed:
            page, size = _data_page(column, entries, _DICTIONARY, levels, _packed(kept))
        else:
            page, size = _data_page(column, entries, _PLAIN, levels, column.plain(kept))
        pages, encodings = [page], [_PLAIN, _RLE]
        if indexed:
            assert used is not None
            first, more = _dictionary_page(column, used)
            pages, size, encodings = [first, page], size + more, [_PLAIN, _RLE, _DICTIONARY]
        yield ColumnPages(column, (column.name, "list", "element"), pages, encodings, entries, size)


def _dictionary(places: Places) -> tuple[Places | None, Places]:
    """The rows that are pointed at, and the indexes into them; None where a dictionary is not worth it."""
    if not places.size:
        return None, places
    low, high = int(places.min()), int(places.max()) + 1
    are_used = np.zeros(high - low, np.bool_)
    are_used[places - low] = True
    used = np.flatnonzero(are_used) + low
    if used.size * _WORTH_A_DICTIONARY > places.size:
        return None, places
    if used.size == high - low:
        return used, places - low
    numbers = np.cumsum(are_used) - 1
    return used, numbers[places - low]


def _packed(indexes: Places) -> bytes:
    """Indexes in bytes of their own, as one run of packed numbers: of 8, 16 or 32 bits, which need no packing."""
    bits = 8 * np.min_scalar_type(int(indexes.max(initial=0))).itemsize
    padded = np.zeros(-(-indexes.size // 8) * 8, f"<u{bits // 8}")
    padded[: indexes.size] = indexes
    return bytes([bits]) + varint(padded.size // 8 << 1 | 1) + padded.tobytes()


def _definition(entries: int, is_there: Flags | None, filled: Flags | None) -> bytes:
    """Levels: 0 an empty list, 1 a null, 2 a value."""
    if is_there is None and filled is None:
        return _one_run(2, entries)
    levels = np.full(entries, 2, np.uint8)
    if filled is not None:
        levels[np.flatnonzero(is_there) if is_there is not None else slice(None)] = 1 + filled
    if is_there is not None:
        levels[~is_there] = 0
    return _bits(np.stack([levels & 1, levels >> 1], axis=1).ravel(), width=2)


def _one_run(level: int, entries: int) -> bytes:
    return varint(entries << 1) + bytes([level])


def _bits(levels: Flags, width: int = 1) -> bytes:
    """Levels as one run of packed numbers; ``levels`` has ``width`` bits of each, lowest first."""
    packed = np.packbits(levels, bitorder="little")
    groups = -(-levels.size // (8 * width))
    return varint(groups << 1 | 1) + packed.tobytes().ljust(groups * width, b"\0")


def _data_page(
    column: StoredColumn, entries: int, encoding: int, levels: Sequence[bytes], values: bytes
) -> tuple[bytes, int]:
    body = b"".join([*(len(each).to_bytes(4, "little") + each for each in levels), values])
    return _page(column, {5: {1: I32(entries), 2: I32(encoding), 3: I32(_RLE), 4: I32(_RLE)}}, 0, body)


def _dictionary_page(column: StoredColumn, used: Places) -> tuple[bytes, int]:
    return _page(column, {7: {1: I32(used.size), 2: I32(_PLAIN)}}, 2, column.plain(used))


def _page(column: StoredColumn, said: Struct, kind: int, body: bytes) -> tuple[bytes, int]:
    """A page with its header; and how large it is when read, header included."""
    if len(body) > LARGEST_PAGE:
        raise NotStorable(
            f"column {column.name!r} of a row group takes {len(body):,} bytes, a page {LARGEST_PAGE:,} at most; "
            "say a smaller --row-group, or fewer events with --length"
        )
    packed = zstandard.ZstdCompressor(level=_LEVEL).compress(body)
    header = encoded({1: I32(kind), 2: I32(len(body)), 3: I32(len(packed)), **said})
    return header + packed, len(header) + len(body)
