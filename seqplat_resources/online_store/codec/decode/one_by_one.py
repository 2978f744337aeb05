"""A section at a time: the cheaper way to decode the few dozen of them that a request for one user reads.

``values`` takes all sections of a kind in a fixed number of vector passes, which cost as much for ten sections as for
a thousand. Both give the same values and refuse the same bytes; tests hold one against the other.
"""

import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

from seqplat_resources.online_store.codec import layout, ragged
from seqplat_resources.online_store.codec.block import Block, BlockParts
from seqplat_resources.online_store.codec.decode.directory import SchemaLookup, damaged, unknown
from seqplat_resources.online_store.codec.decode.values import MAX_INDEX_BITS, MOST_DECIMALS
from seqplat_resources.online_store.codec.layout import Flags, Ints, Octets
from seqplat_resources.online_store.codec.schema import (
    is_list,
    is_vector,
    item_dtype,
    polars_dtype,
    stream_kind,
    vector_shape,
)
from seqplat_resources.online_store.codec.sectioned import BlockDamage, open_head, section
from seqplat_resources.online_store.codec.series import masked, typed
from seqplat_resources.online_store.errors import ColumnTypeError

# Where the two ways cost about the same: 5 us a section, against 0.3 to 1.2 ms whatever their number.
MOST_SECTIONS, MOST_ROWS = 112, 1 << 13

_UNSIGNED: Mapping[int, np.dtype[Any]] = {
    1: np.dtype("<u1"),
    2: np.dtype("<u2"),
    4: np.dtype("<u4"),
    8: np.dtype("<u8"),
}
# As numbers that add up to int64; of 8 bytes the bits are the same.
_SIGNED_WHEN_WIDE: Mapping[int, np.dtype[Any]] = {**_UNSIGNED, 8: np.dtype("<i8")}
_TENS = [float(10**k) for k in range(MOST_DECIMALS + 1)]
_POWERS_OF_TWO: Ints = 1 << np.arange(MAX_INDEX_BITS, dtype=np.int64)
_STEPS_HEAD = struct.Struct("<qq")
_SPARE = bytes(8)
_ABSENT = (layout.EMPTY, b"")  # as a section whose rows are all null
# Up to so many numbers Python's own loops are faster than numpy's start.
_FEW = 64

_T = TypeVar("_T")


class _BlockSections(NamedTuple):
    """A checked block: its rows, and of each asked column tag and section (None where its schema lacks it)."""

    rows: int
    is_sectioned: bool
    sections: Sequence[tuple[int, bytes] | None]


class _Body(NamedTuple):
    """A section without its bitmap: ``length`` values."""

    tag: int
    data: bytes
    length: int
    is_sectioned: bool


def decode_few(
    blocks: Sequence[Block],
    schemas: SchemaLookup,
    columns: Mapping[str, str],
    *,
    arrays: bool,
    rows: Ints | None,
    where: str,
) -> pl.DataFrame | None:
    """As ``decode_blocks``; None where that has to do it: too much at once, or a list column."""
    if len(blocks) * len(columns) > MOST_SECTIONS or any(is_list(dtype) for dtype in columns.values()):
        return None
    opened = _few(blocks, _Schemas(schemas, columns, where), where)
    if opened is None:
        return None
    series, total = [], sum(block.rows for block in opened)
    for place, (name, dtype) in enumerate(columns.items()):
        column = _column(dtype, arrays, total)
        _fill(column, opened, place, where)
        series.append(column.series(rows).alias(name))
    return pl.DataFrame(series)


def few_texts(blocks: Sequence[Block], schemas: SchemaLookup, column: str, where: str) -> list[str | None] | None:
    """As ``texts``; None where that is too much at once."""
    if len(blocks) > MOST_SECTIONS:
        return None
    opened = _few(blocks, _Schemas(schemas, {column: "string"}, where), where)
    if opened is None:
        return None
    found = _Texts("string", sum(block.rows for block in opened))
    _fill(found, opened, 0, where)
    return found.values()


def _few(blocks: Sequence[Block], known: "_Schemas", where: str) -> list[_BlockSections] | None:
    """The blocks, opened; None where they have more than ``MOST_ROWS``."""
    opened: list[_BlockSections] = []
    total = 0
    for number, block in enumerate(blocks):
        try:
            found = _open(block, known)
        except BlockDamage as damage:
            raise damaged(str(damage), number, len(blocks), where) from damage
        total += found.rows
        if total > MOST_ROWS:
            return None
        opened.append(found)
    return opened


def _fill(column: "_Column", opened: Sequence[_BlockSections], place: int, where: str) -> None:
    """With the sections at this place of the asked ones."""
    for number, block in enumerate(opened):
        try:
            column.add(block, block.sections[place])
        except BlockDamage as damage:
            raise damaged(str(damage), number, len(opened), where) from damage


Range: TypeAlias = tuple[Any, Any]


def told_ranges(
    blocks: Sequence[Block], schemas: SchemaLookup, columns: Mapping[str, str], where: str
) -> list[list[Range | None]]:
    """As ``ranges``: from sections, without a value being decoded where there is one only."""
    known = _Schemas(schemas, columns, where)
    found = []
    for number, block in enumerate(blocks):
        try:
            opened = _open(block, known)
            found.append([_range(*(section or _ABSENT), opened.rows) for section in opened.sections])
        except BlockDamage as damage:
            raise damaged(str(damage), number, len(blocks), where) from damage
    return found


def _range(tag: int, data: bytes, rows: int) -> Range | None:
    if tag == layout.CONST:
        text = _text(data)
        return text, text
    if tag & ~layout.WIDTH_MASK != layout.INTS:
        return None
    width = tag & layout.WIDTH_MASK
    if (rows == 1 and width < 8) or not width:  # as numpy would have it, without its start
        base = int.from_bytes(data[: len(data) - width], "little", signed=True)
        value = base + int.from_bytes(data[len(data) - width :], "little")
        return value, value
    values = _ints(tag, data, rows)
    return int(values.min()), int(values.max())


class _Schemas:
    """The schemas of the blocks, and by schema the streams of the asked columns; each looked up once."""

    def __init__(self, schemas: SchemaLookup, columns: Mapping[str, str], where: str) -> None:
        self._schemas, self._columns, self._where = schemas, columns, where
        self._found: dict[int, tuple[int, Sequence[int | None]]] = {}

    def of(self, schema_id: int) -> tuple[int, Sequence[int | None]]:
        """How many streams a block has, and of each asked column its stream."""
        if schema_id not in self._found:
            schema = self._schemas(schema_id)
            if schema is None:
                raise BlockDamage(unknown(schema_id))
            for name, dtype in self._columns.items():
                if (stored := schema.dtypes.get(name, dtype)) != dtype:
                    raise ColumnTypeError(name, stored=stored, asked=dtype, where=self._where)
            self._found[schema_id] = schema.stream_count, [schema.first_stream.get(name) for name in self._columns]
        return self._found[schema_id]


def _open(block: Block, known: _Schemas) -> _BlockSections:
    if isinstance(block, BlockParts) or layout.is_sectioned(block):
        count, streams = known.of(layout.schema_of_head(block))
        head = open_head(block, count)
        _, rows = _checked_head(head.raw, layout.SECTIONED_VERSION)
        sections = [None if k is None else (head.tags[k], bytes(section(block, head, k))) for k in streams]
        return _BlockSections(rows, True, sections)
    raw = bytes(block)
    if len(raw) < layout.HEADER.size + layout.CHECKSUM_BYTES or not layout.is_intact(raw):
        raise BlockDamage(f"{len(raw)} bytes do not match their checksum")
    schema_id, rows = _checked_head(raw, layout.FORMAT_VERSION)
    count, streams = known.of(schema_id)
    directory = _directory(count, raw[3])
    begin = layout.HEADER.size + directory.size
    room = len(raw) - begin - layout.CHECKSUM_BYTES
    if room < 0:
        raise BlockDamage("the directory does not fit into the block")
    entries = directory.unpack_from(raw, layout.HEADER.size)
    ends = (*entries[count:], 0)  # what ends before the first stream
    if ends[-2] != room or sorted(ends[:-1]) != list(ends[:-1]):
        raise BlockDamage("the directory does not add up to the block's size")
    sections = [None if k is None else (entries[k], raw[begin + ends[k - 1] : begin + ends[k]]) for k in streams]
    return _BlockSections(rows, False, sections)


def _checked_head(head: bytes, expected: int) -> tuple[int, int]:
    """Id of the schema, and how many rows."""
    magic, version, flags, schema_id, rows = layout.HEADER.unpack_from(head)
    if magic != layout.MAGIC or version != expected or flags > (version == layout.FORMAT_VERSION):
        raise BlockDamage("the header is not of a block format known here")
    if not 1 <= rows <= layout.MAX_ROWS:
        raise BlockDamage("the number of events is impossible")
    return schema_id, rows


@lru_cache
def _directory(streams: int, flags: int) -> struct.Struct:
    return struct.Struct(f"<{streams}B{streams}{'I' if flags & layout.WIDE else 'H'}")


class _Column(ABC):
    """One column of ``total`` rows, added block by block."""

    def __init__(self, total: int) -> None:
        self._total, self._end = total, 0
        self._valid: Flags | None = None

    def add(self, block: _BlockSections, found: tuple[int, bytes] | None) -> None:
        """
        Raises:
            BlockDamage: as ``values`` would refuse it.
        """
        start = self._end
        end = self._end = start + block.rows
        tag, data = found or _ABSENT
        if tag != layout.EMPTY and tag < layout.NULLS:
            self._put(slice(start, end), None, _Body(tag, data, block.rows, block.is_sectioned))
            return
        tag, data, count, valid = _without_bitmap(tag, data, block.rows)
        if self._valid is None:
            self._valid = np.ones(self._total, np.bool_)
        self._valid[start:end] = valid
        if count:
            self._put(slice(start, end), valid, _Body(tag, data, count, block.is_sectioned))

    def series(self, rows: Ints | None) -> pl.Series:
        """All rows, or some (ascending)."""
        found = self._series()
        # NOTE: ``gather`` would do as well, and take 30 us longer: it goes by way of an expression.
        return found if rows is None else found[pl.Series(rows.astype(np.uint32))]

    @abstractmethod
    def _put(self, rows: slice, valid: Flags | None, body: _Body) -> None:
        """Take the values of these rows, or of those of them that are valid."""

    @abstractmethod
    def _series(self) -> pl.Series:
        """All rows."""


class _Numbers(_Column):
    def __init__(self, dtype: str, total: int) -> None:
        super().__init__(total)
        self._dtype, self._bits = dtype, np.zeros(total, np.int64)

    def _put(self, rows: slice, valid: Flags | None, body: _Body) -> None:
        here = self._bits[rows]
        if valid is not None:
            here[valid] = _numbers(body)
        elif body.tag & layout.KIND_MASK == layout.INTS:  # nearly all: straight to where they belong
            _put_ints(here, body.tag, body.data)
        else:
            here[:] = _numbers(body)

    def _series(self) -> pl.Series:
        return masked(typed(self._bits, self._dtype), self._valid)


class _Texts(_Column):
    """Texts, or byte strings; only the values there are, in order."""

    def __init__(self, dtype: str, total: int) -> None:
        super().__init__(total)
        self._dtype = polars_dtype(dtype)
        self._decode: Callable[[_Body], list[Any]] = _texts if item_dtype(dtype) == "string" else _strings
        self._values: list[Any] = []

    def _put(self, rows: slice, valid: Flags | None, body: _Body) -> None:
        self._values += self._decode(body)

    def values(self) -> list[Any]:
        """One of each row, None where it is null."""
        if self._valid is None:
            return self._values
        found = iter(self._values)
        return [next(found) if is_valid else None for is_valid in self._valid.tolist()]

    def _series(self) -> pl.Series:
        valid = self._valid
        if valid is None:
            return pl.Series(self._values, dtype=self._dtype)
        # One value for each that is valid, none for the others.
        index = np.where(valid, valid.cumsum() - 1, len(self._values)).astype(np.uint32)
        return pl.Series([*self._values, None], dtype=self._dtype)[pl.Series(index)]


class _Vectors(_Column):
    def __init__(self, dtype: str, total: int) -> None:
        super().__init__(total)
        self._item, self._dimension = vector_shape(dtype)
        wide = np.int8 if self._item == np.int8 else np.float32
        self._matrix: npt.NDArray[Any] = np.zeros((total, self._dimension), wide)

    def _put(self, rows: slice, valid: Flags | None, body: _Body) -> None:
        self._matrix[rows][slice(None) if valid is None else valid] = _rows_of(body, self._item, self._dimension)

    def _series(self) -> pl.Series:
        return masked(pl.Series(self._matrix.ravel()).reshape((-1, self._dimension)), self._valid)


def _column(dtype: str, arrays: bool, total: int) -> _Column:
    if stream_kind(dtype) == "ints":
        return _Numbers(dtype, total)
    return _Vectors(dtype, total) if arrays and is_vector(dtype) else _Texts(dtype, total)


def _without_bitmap(tag: int, data: bytes, rows: int) -> tuple[int, bytes, int, Flags]:
    """Of a section with nulls: tag and bytes of its values, how many there are, and which rows have one."""
    if tag == layout.EMPTY:
        if data:
            raise BlockDamage("a section without values is not empty")
        return tag, data, 0, np.zeros(rows, np.bool_)
    size = (rows + 7) >> 3
    if size > len(data):
        raise BlockDamage("a validity bitmap is longer than its section")
    octets = np.frombuffer(data, np.uint8, size)
    valid = np.unpackbits(octets, count=rows, bitorder="little").view(np.bool_)
    count = int(np.count_nonzero(valid))
    if not count:
        raise BlockDamage("a section has values for no rows")
    tag ^= layout.NULLS
    if tag == layout.EMPTY:
        raise BlockDamage("a section has values of no kind")
    return tag, data[size:], count, valid


def _numbers(body: _Body) -> Ints:
    kind = body.tag & layout.KIND_MASK
    if kind < layout.DICT:
        return _ints(body.tag, body.data, body.length)
    if not body.is_sectioned:
        raise BlockDamage("a tag is not of format 1")
    if kind == layout.DICT:
        index, tag, data, distinct = _dictionary(body)
        return _ints(tag, data, distinct)[index]
    return _steps(body) if kind == layout.STEPS else _decimals(body)


def _ints(tag: int, data: bytes, count: int) -> Ints:
    if tag & layout.KIND_MASK != layout.INTS:
        raise BlockDamage("a tag is not of a number")
    found = np.zeros(count, np.int64)
    _put_ints(found, tag, data)
    return found


def _put_ints(out: Ints, tag: int, data: bytes) -> None:
    """Fill ``out`` with the numbers of a section INTS."""
    width, count = tag & layout.WIDTH_MASK, out.size
    base_width = len(data) - count * width
    if width > 8:
        raise BlockDamage("a tag is not of a number")
    if not 0 <= base_width <= 8:
        raise BlockDamage("the size of a number section does not fit its values")
    base = int.from_bytes(data[:base_width], "little", signed=True)
    if not width:
        out.fill(base)
    # NOTE: sums wrap around, as the encoder's differences do.
    elif dtype := _SIGNED_WHEN_WIDE.get(width):
        np.add(np.frombuffer(data, dtype, count, base_width), np.int64(base), out=out)
    else:
        np.add(_unsigned(data, base_width, count, width), np.int64(base), out=out)


def _unsigned(data: bytes, at: int, count: int, width: int) -> Ints:
    """``count`` numbers of ``width`` bytes (1 to 8), as int64 of the same bits."""
    if dtype := _UNSIGNED.get(width):
        return np.frombuffer(data, dtype, count, at).astype(np.int64)  # of 8 bytes the same bits
    words = np.zeros((count, 8), np.uint8)
    words[:, :width] = np.frombuffer(data, np.uint8, count * width, at).reshape(count, width)
    found: Ints = words.view(np.int64)[:, 0]
    return found


def _steps(body: _Body) -> Ints:
    tag, data, count, _ = body
    nibbles = (count + 1) >> 1
    said = _STEPS_HEAD.size + nibbles
    if tag & layout.WIDTH_MASK or said > len(data):
        raise BlockDamage("a section of steps is too short")
    base, unit = _STEPS_HEAD.unpack_from(data)
    octets = np.frombuffer(data + _SPARE, np.uint8)
    pairs = octets[_STEPS_HEAD.size : said]
    widths = np.empty(2 * nibbles, np.int64)
    widths[0::2], widths[1::2] = pairs & 15, pairs >> 4
    widths = widths[:count]
    ends = widths.cumsum()
    if (int(ends[-1]) + 1) >> 1 != len(data) - said:
        raise BlockDamage("steps do not add up to their section")
    words = ragged.read_units(octets, 2 * said + ends - widths, widths, 4)
    signed = (words >> np.uint64(1)).view(np.int64) ^ -(words & np.uint64(1)).view(np.int64)
    total = np.cumsum(signed * np.int64(unit))
    return np.asarray(total + (np.int64(base) - total[:1]), np.int64)


def _decimals(body: _Body) -> Ints:
    places = body.tag & layout.WIDTH_MASK
    if not body.data or places > MOST_DECIMALS:
        raise BlockDamage("a section of decimals is too short")
    tag = body.data[0]
    if tag & layout.KIND_MASK != layout.INTS:
        raise BlockDamage("decimals are not of whole numbers")
    found: Ints = (_ints(tag, body.data[1:], body.length) / _TENS[places]).view(np.int64)
    return found


def _dictionary(body: _Body) -> tuple[Ints, int, bytes, int]:
    """Which of the distinct values each is; their tag, their body, and how many there are."""
    if not body.data:
        raise BlockDamage("a section of indexes is too short")
    width, count = body.data[0], body.length
    listed = 1 + ((count * width + 7) >> 3)
    if body.tag & layout.WIDTH_MASK or not 1 <= width <= MAX_INDEX_BITS or listed >= len(body.data):
        raise BlockDamage("a section of indexes is too short")
    octets = np.frombuffer(body.data, np.uint8, listed - 1, 1)
    bits = np.unpackbits(octets, count=count * width, bitorder="little").reshape(count, width)
    index: Ints = bits @ _POWERS_OF_TWO[:width]
    distinct = int(index.max()) + 1
    if distinct > count:
        raise BlockDamage("an index is impossible")
    tag = body.data[listed]
    if tag & layout.KIND_MASK > layout.VAR or tag & layout.NULLS:
        raise BlockDamage("a dictionary's tag is unknown")
    if tag == layout.EMPTY:
        raise BlockDamage("a dictionary is empty")
    return index, tag, body.data[listed + 1 :], distinct


def _pool(body: _Body) -> tuple[Ints | None, int, bytes, int]:
    """The byte strings a body is made of: which one each value is (None: in order), tag, data, how many."""
    if body.tag & layout.KIND_MASK < layout.DICT:
        return None, body.tag, body.data, body.length
    if body.tag & layout.KIND_MASK != layout.DICT:
        raise BlockDamage("a tag is not of a byte string")
    if not body.is_sectioned:
        raise BlockDamage("a tag is not of format 1")
    return _dictionary(body)


def _cuts(tag: int, data: bytes, count: int) -> tuple[int, Sequence[int]]:
    """Where byte strings begin, and where each ends, counted from there; one where all are equal."""
    kind, width = tag & layout.KIND_MASK, tag & layout.WIDTH_MASK
    if kind == layout.VAR and 1 <= width <= 4:
        said = count * width
        if said > len(data):
            raise BlockDamage("the lengths are longer than their section")
        if width == 1 and count <= _FEW:
            ends = list(accumulate(data[:count]))
        else:
            ends = _unsigned(data, 0, count, width).cumsum().tolist()
        if ends[-1] != len(data) - said:
            raise BlockDamage("lengths do not add up to their section")
        return said, ends
    if width == 0 and kind == layout.FIXED:
        if len(data) % count:
            raise BlockDamage("equal lengths do not divide a section")
        step = len(data) // count
        return 0, range(step, len(data) + 1, step) if step else [0] * count
    if width == 0 and kind == layout.CONST:
        return 0, [len(data)]
    raise BlockDamage("a tag is not of a byte string")


def _texts(body: _Body) -> list[str]:
    if body.tag == layout.CONST:  # as most are of one row
        return [_text(body.data)] * body.length
    try:
        index, tag, data, count = _pool(body)
        begin, ends = _cuts(tag, data, count)
        whole = data[begin:].decode()
        if len(whole) == len(data) - begin:  # only ASCII, so characters are bytes
            found = [whole[a:b] for a, b in zip([0, *ends], ends, strict=False)]
        else:
            found = [data[begin + a : begin + b].decode() for a, b in zip([0, *ends], ends, strict=False)]
    except UnicodeDecodeError as error:
        raise BlockDamage("a string is not UTF-8") from error
    return _each(found, index, count)


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise BlockDamage("a string is not UTF-8") from error


def _strings(body: _Body) -> list[bytes]:
    index, tag, data, count = _pool(body)
    begin, ends = _cuts(tag, data, count)
    return _each([data[begin + a : begin + b] for a, b in zip([0, *ends], ends, strict=False)], index, count)


def _each(found: list[_T], index: Ints | None, count: int) -> list[_T]:
    if len(found) < count:  # all are equal
        found *= count
    return found if index is None else [found[k] for k in index.tolist()]


def _rows_of(body: _Body, dtype: np.dtype[Any], dimension: int) -> npt.NDArray[Any]:
    """Vectors as they are stored, as rows; one where all are equal."""
    index, tag, data, count = _pool(body)
    begin, ends = _cuts(tag, data, count)
    width = dtype.itemsize * dimension
    if ends != range(width, len(data) + 1, width) and any(
        b - a != width for a, b in zip([0, *ends], ends, strict=False)
    ):
        raise BlockDamage(f"a vector is not of {width} bytes")
    packed: Octets = np.frombuffer(data, np.uint8, len(ends) * width, begin)
    found = packed.view(dtype).reshape(len(ends), dimension)
    return found if index is None or len(ends) == 1 else found[index]
