"""A Parquet file as old Spark writes it: texts, and instants as INT96, which no library of ours writes any more."""

import datetime as dt
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

_MAGIC: Final = b"PAR1"
_INT96, _BYTES, _TEXT, _PLAIN, _RLE = 3, 6, 0, 0, 3
_JULIAN_DAY_OF_1970: Final = 2_440_588
_DAY_US: Final = 86_400_000_000

# A struct of Thrift's compact protocol: field number -> a number, a text, a struct, or a list of one of these.
Struct = Mapping[int, "int | bytes | Struct | Sequence[int | bytes | Struct]"]  # type: ignore[misc]
# Fields that are 64 bits wide by the struct's name are so written; the others have 32.


def write(path: Path, columns: Mapping[str, Sequence[str | dt.datetime]]) -> None:
    """Columns of equal length without nulls; an instant without a zone is UTC."""
    rows = len(next(iter(columns.values())))
    data, chunks = bytearray(_MAGIC), list[Struct]()
    for name, values in columns.items():
        kind = _INT96 if isinstance(values[0], dt.datetime) else _BYTES
        page = b"".join(map(_cell, values))
        header = _encoded({1: 0, 2: len(page), 3: len(page), 5: {1: rows, 2: _PLAIN, 3: _RLE, 4: _RLE}})
        size = len(header) + len(page)
        about: Struct = {
            1: kind,
            2: [_PLAIN],
            3: [name.encode()],
            4: 0,
            5: Wide(rows),
            6: Wide(size),
            7: Wide(size),
            9: Wide(len(data)),
        }
        chunks.append({2: Wide(len(data)), 3: about})
        data += header + page
    fields = [_field(name, values[0]) for name, values in columns.items()]
    root: Struct = {4: b"schema", 5: len(fields)}
    group: Struct = {1: chunks, 2: Wide(len(data)), 3: Wide(rows)}
    footer = _encoded({1: 1, 2: [root, *fields], 3: Wide(rows), 4: [group]})
    path.write_bytes(bytes(data) + footer + struct.pack("<I", len(footer)) + _MAGIC)


class Wide(int):
    """A number that is 64 bits wide in its struct."""


def _field(name: str, value: object) -> Struct:
    if isinstance(value, dt.datetime):
        return {1: _INT96, 3: 0, 4: name.encode()}
    return {1: _BYTES, 3: 0, 4: name.encode(), 6: _TEXT}


def _cell(value: str | dt.datetime) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", len(value.encode())) + value.encode()
    # An offset may lead out of Python's years, not out of INT96.
    since = value.replace(tzinfo=None) - dt.datetime(1970, 1, 1) - (value.utcoffset() or dt.timedelta())
    day, us = divmod(since // dt.timedelta(microseconds=1), _DAY_US)
    return struct.pack("<qi", us * 1000, day + _JULIAN_DAY_OF_1970)


def _encoded(fields: Struct) -> bytes:
    written, last = bytearray(), 0
    for number, value in fields.items():
        written += bytes([(number - last) << 4 | _type_of(value)]) + _value(value)
        last = number
    return bytes(written) + b"\0"


def _type_of(value: object) -> int:
    if isinstance(value, int):
        return 6 if isinstance(value, Wide) else 5
    return 8 if isinstance(value, bytes) else 12 if isinstance(value, Mapping) else 9


def _value(value: "int | bytes | Struct | Sequence[int | bytes | Struct]") -> bytes:
    if isinstance(value, int):
        return _varint(value << 1)
    if isinstance(value, bytes):
        return _varint(len(value)) + value
    if isinstance(value, Mapping):
        return _encoded(value)
    short = len(value) < 15
    head = bytes([(len(value) if short else 15) << 4 | _type_of(value[0])]) + (b"" if short else _varint(len(value)))
    return head + b"".join(map(_value, value))


def _varint(number: int) -> bytes:
    written = bytearray()
    while number > 127:
        written.append(number & 127 | 128)
        number >>= 7
    return bytes([*written, number])
