"""The little of Thrift's compact protocol that Parquet's headers and footer are written in.

>>> encoded({1: I32(3), 2: "ab", 5: [I32(1)]}).hex()
'15061802616239150200'
"""

from collections.abc import Mapping
from typing import Any, TypeAlias


class I8(int):
    """A number of 8 bits."""


class I32(int):
    """A number of 32 bits."""


class I64(int):
    """A number of 64 bits."""


# One of the above, a bool, text, bytes, a list of one kind, or a struct.
Value: TypeAlias = Any
# Fields by number, ascending; those that are None are left out.
Struct: TypeAlias = Mapping[int, Value]

_BOOL_TRUE, _BOOL_FALSE, _I8, _I32, _I64, _BINARY, _LIST, _STRUCT = 1, 2, 3, 5, 6, 8, 9, 12


def encoded(struct: Struct) -> bytes:
    """A struct as bytes."""
    out = bytearray()
    _write_struct(out, struct)
    return bytes(out)


def varint(number: int) -> bytes:
    """An unsigned number in groups of seven bits, lowest first."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _write_struct(out: bytearray, struct: Struct) -> None:
    before = 0
    for number, value in struct.items():
        if value is None:
            continue
        kind = _kind(value)
        delta = number - before
        out.append(delta << 4 | kind)  # no struct of Parquet skips more than 15 fields
        before = number
        if kind not in (_BOOL_TRUE, _BOOL_FALSE):
            _write(out, value)
    out.append(0)


def _write(out: bytearray, value: Value) -> None:
    if isinstance(value, I8):
        out.append(value & 0xFF)
    elif isinstance(value, int):
        out += varint(value << 1 ^ value >> 63)
    elif isinstance(value, str | bytes):
        data = value.encode() if isinstance(value, str) else value
        out += varint(len(data)) + data
    elif isinstance(value, Mapping):
        _write_struct(out, value)
    else:
        kind = _kind(value[0]) if value else _STRUCT
        out += bytes([len(value) << 4 | kind]) if len(value) < 15 else bytes([0xF0 | kind]) + varint(len(value))
        for item in value:
            _write(out, item)


_KINDS = ((I8, _I8), (I32, _I32), (I64, _I64), (str, _BINARY), (bytes, _BINARY), (Mapping, _STRUCT))


def _kind(value: Value) -> int:
    if isinstance(value, bool):
        return _BOOL_TRUE if value else _BOOL_FALSE
    return next((kind for of, kind in _KINDS if isinstance(value, of)), _LIST)
