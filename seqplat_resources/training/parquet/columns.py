"""A series as Parquet stores it: its physical type, what it says of its meaning, and its values as PLAIN bytes.

>>> column = stored(pl.Series("price", [3, None, 5], pl.Int64))
>>> column.plain(np.array([0, 2])).hex(), column.valid.tolist()
('03000000000000000500000000000000', [True, False, True])
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from seqplat_resources.errors import Final
from seqplat_resources.training.parquet.thrift import I8, I32, Struct

Places = npt.NDArray[np.integer[Any]]
Flags = npt.NDArray[np.bool_]
Octets = npt.NDArray[np.uint8]

_LENGTH_BYTES = 4
_INTS: dict[type[pl.DataType], tuple[int, bool]] = {
    pl.Int8: (8, True),
    pl.Int16: (16, True),
    pl.Int32: (32, True),
    pl.UInt8: (8, False),
    pl.UInt16: (16, False),
    pl.UInt32: (32, False),
    pl.Int64: (64, True),
    pl.UInt64: (64, False),
}
_BOOLEAN, _INT32, _INT64, _FLOAT, _DOUBLE, _BYTE_ARRAY = 0, 1, 2, 4, 5, 6


class NotStorable(Final):
    """A column of a type, or of a size, that these files do not have."""


@dataclass(frozen=True)
class StoredColumn:
    """A column's rows, ready to be stored in parts. ``valid`` is None where nothing is null.

    ``fixed`` has the values of fixed width; of others, ``octets`` has each row's bytes from ``offsets[row]`` on, with
    the length before them.
    """

    name: str
    physical: int
    meaning: Struct  # fields of a schema element
    valid: Flags | None
    fixed: npt.NDArray[Any] | None = None
    octets: Octets | None = None
    offsets: Places | None = None

    @property
    def is_boolean(self) -> bool:
        return self.physical == _BOOLEAN

    @property
    def has_nulls(self) -> bool:
        return self.valid is not None

    def size_of(self, rows: int) -> int:
        """About how many bytes so many rows have."""
        if self.fixed is not None:
            return rows * self.fixed.itemsize
        assert self.octets is not None
        assert self.offsets is not None
        return rows * (self.octets.size // max(self.offsets.size - 1, 1))

    def plain(self, places: Places) -> bytes:
        """The values of some rows, which are not null."""
        if self.fixed is not None:
            found = self.fixed[places]
            return bytes(np.packbits(found, bitorder="little") if self.is_boolean else np.ascontiguousarray(found))
        assert self.octets is not None
        assert self.offsets is not None
        if places.size and places[-1] - places[0] == places.size - 1 and (np.diff(places) == 1).all():
            return self.octets[self.offsets[places[0]] : self.offsets[places[-1] + 1]].tobytes()
        sizes = np.diff(self.offsets)[places]
        ends = np.cumsum(sizes)
        at = np.arange(int(ends[-1]) if ends.size else 0)
        return bytes(self.octets[at + np.repeat(self.offsets[places] - (ends - sizes), sizes)])


def stored(values: pl.Series) -> StoredColumn:
    """
    Raises:
        NotStorable: the type is nested, or has no place in Parquet.
    """
    valid = values.is_not_null().to_numpy() if values.null_count() else None
    dtype, name = values.dtype, values.name
    if isinstance(dtype, pl.Categorical | pl.Enum):
        values, dtype = values.cast(pl.String), pl.String()
    if isinstance(dtype, pl.String | pl.Binary):
        meaning: Struct = {6: I32(0), 10: {1: {}}} if isinstance(dtype, pl.String) else {}
        octets, offsets = _prefixed(values)
        return StoredColumn(name, _BYTE_ARRAY, meaning, valid, octets=octets, offsets=offsets)
    physical, meaning, numbers = _fixed(values)
    return StoredColumn(name, physical, meaning, valid, fixed=numbers)


def _fixed(values: pl.Series) -> tuple[int, Struct, npt.NDArray[Any]]:
    dtype = values.dtype
    if isinstance(dtype, pl.Boolean):
        return _BOOLEAN, {}, values.fill_null(False).to_numpy()
    if isinstance(dtype, pl.Float32 | pl.Float64):
        return (_FLOAT if isinstance(dtype, pl.Float32) else _DOUBLE), {}, values.fill_null(0).to_numpy()
    if isinstance(dtype, pl.Date):
        return _INT32, {6: I32(6), 10: {6: {}}}, values.to_physical().fill_null(0).to_numpy()
    if isinstance(dtype, pl.Datetime):
        numbers = values.dt.cast_time_unit("us").to_physical().fill_null(0).to_numpy()
        is_utc = dtype.time_zone is not None
        return _INT64, {6: I32(10) if is_utc else None, 10: {8: {1: is_utc, 2: {2: {}}}}}, numbers
    if (said := _INTS.get(type(dtype))) is not None:
        bits, signed = said
        numbers = values.fill_null(0).to_numpy()
        logical = {10: {1: I8(bits), 2: signed}}
        converted = (15 if signed else 11) + (bits.bit_length() - 4)
        wide = numbers if bits >= 32 else numbers.astype(np.int32)
        return (_INT64 if bits == 64 else _INT32), {6: I32(converted), 10: logical}, wide
    raise NotStorable(
        f"column {values.name!r} is {dtype}, which a training set cannot hold; leave it out, or make it a number, "
        "text, bytes, a date or a time"
    )


def _prefixed(values: pl.Series) -> tuple[Octets, Places]:
    """Each row's bytes behind their length (4 bytes, little-endian), end to end; and their begins. Null is empty."""
    if values.dtype == pl.String:
        filled = values.fill_null("")
        joined, lengths = filled.str.join("").cast(pl.Binary).item(), filled.str.len_bytes()
    else:
        filled = values.fill_null(b"")
        joined, lengths = b"".join(filled.to_list()), filled.bin.size()
    sizes = lengths.to_numpy().astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(sizes + _LENGTH_BYTES)])
    octets = np.empty(int(offsets[-1]), np.uint8)
    is_data = np.ones(octets.size, np.bool_)
    prefix = sizes.astype("<u4").view(np.uint8).reshape(-1, _LENGTH_BYTES)
    for at in range(_LENGTH_BYTES):
        octets[offsets[:-1] + at] = prefix[:, at]
        is_data[offsets[:-1] + at] = False
    octets[is_data] = np.frombuffer(joined, np.uint8)
    return octets, offsets
