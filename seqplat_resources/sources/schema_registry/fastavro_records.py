"""Avro payloads to JSON, through fastavro (extra ``registry``).

Logical types become texts by readers of our own: fastavro's lose nanoseconds and depend on the range of Python's times.
They are registered under names of our own, so that nobody else's reading changes.
"""

import datetime as dt
import io
import json
import uuid
from collections.abc import Callable
from typing import Any, Final

import fastavro
from fastavro import _read_py, parse_schema

from seqplat_resources.sources.schema_registry.json_text import json_of
from seqplat_resources.sources.schema_registry.schema import Reader, RegisteredSchema
from seqplat_resources.times import DAY_S, EPOCH

_OURS: Final = "seqplat-"
_EPOCH: Final = EPOCH.replace(tzinfo=None)
_UNITS: Final = {"millis": 3, "micros": 6, "nanos": 9}


def reader(schema: RegisteredSchema) -> Reader:
    """Reads payloads of the schema.

    Raises:
        whatever fastavro raises on what is no schema.
    """
    named: dict[str, Any] = {}
    for _, reference in schema.all_references():
        parse_schema(_renamed(json.loads(reference.text)), named)
    # A record of one field is written as that field: whatever stands at the top has a name to be asked by.
    inside = {"name": "message", "type": _renamed(json.loads(schema.text))}
    parsed = parse_schema({"type": "record", "name": "SeqplatMessage", "fields": [inside]}, named)
    for part in (parsed, *named.values()):
        _refuse_endless(part, named)
    # NOTE: the compiled reader ends the process on values that are nested deep, which only a recursive schema allows.
    decode = _read_py.schemaless_reader if _is_recursive(parsed, named) else fastavro.schemaless_reader

    def read(payload: bytes) -> bytes:
        stream = io.BytesIO(payload)
        record: Any = decode(stream, parsed, None)
        if rest := len(payload) - stream.tell():
            raise ValueError(f"{rest} bytes are left behind its end")
        return json_of(record["message"])

    return read


def _renamed(schema: Any) -> Any:
    """The schema with its logical types under our names."""
    if isinstance(schema, list):
        return [_renamed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    parts = {name: _renamed(part) for name, part in schema.items()}
    if isinstance(kind := parts.get("logicalType"), str):
        parts["logicalType"] = _OURS + kind
    return parts


def _refuse_endless(schema: Any, named: dict[str, Any]) -> None:
    """Items without bytes: a few bytes could say that there are 2^60 of them."""
    if isinstance(schema, list):
        for part in schema:
            _refuse_endless(part, named)
    elif isinstance(schema, dict):
        if schema.get("type") == "array" and _is_empty(schema.get("items"), named):
            raise ValueError("an array whose items have no bytes")
        for name in ("type", "items", "values", "fields"):
            _refuse_endless(schema.get(name), named)


def _is_empty(schema: Any, named: dict[str, Any]) -> bool:
    if isinstance(schema, str):
        return schema == "null" or (schema in named and _is_empty(named[schema], named))
    if not isinstance(schema, dict):
        return False
    if schema.get("type") == "record":
        return all(_is_empty(part["type"], named) for part in schema["fields"])
    return schema.get("size") == 0 or _is_empty(schema.get("type"), named)


def _is_recursive(schema: Any, named: dict[str, Any]) -> bool:
    done: set[str] = set()

    def within(part: Any, above: tuple[str, ...]) -> bool:
        if isinstance(part, str):
            if part in above:
                return True
            if part not in named or part in done:
                return False
            part = named[part]
        if isinstance(part, list):
            return any(within(one, above) for one in part)
        if not isinstance(part, dict):
            return False
        if part.get("type") in ("record", "error"):
            name = str(part["name"])
            found = any(within(one["type"], (*above, name)) for one in part["fields"])
            done.add(name)
            return found
        return any(within(part.get(name), above) for name in ("type", "items", "values"))

    return within(schema, ())


def _digits(data: bytes, schema: Any, _: object = None) -> str:
    """A decimal as it would be written: all its digits, no exponent."""
    scale = int(schema.get("scale", 0))
    number = int.from_bytes(data, "big", signed=True)
    digits = str(abs(number)).rjust(scale + 1, "0")
    text = f"{digits[:-scale]}.{digits[-scale:]}" if scale else digits
    return f"-{text}" if number < 0 else text


def _date(days: int, *_: object) -> str:
    return (_EPOCH + dt.timedelta(days=days)).date().isoformat()


def _instant(places: int, zone: str) -> Callable[..., str]:
    def read(units: int, *_: object) -> str:
        seconds, part = divmod(units, 10**places)
        return f"{(_EPOCH + dt.timedelta(seconds=seconds)).isoformat()}.{part:0{places}d}{zone}"

    return read


def _time(places: int) -> Callable[..., str]:
    def read(units: int, *_: object) -> str:
        seconds, part = divmod(units, 10**places)
        if not 0 <= seconds < DAY_S:
            raise ValueError(f"{units} is no time of a day")
        return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{part:0{places}d}"

    return read


def _uuid(data: bytes, *_: object) -> str:
    return str(uuid.UUID(bytes=data))


_READERS: Final[dict[str, Callable[..., str]]] = {
    f"int-{_OURS}date": _date,
    f"int-{_OURS}time-millis": _time(3),
    f"long-{_OURS}time-micros": _time(6),
    f"bytes-{_OURS}decimal": _digits,
    f"fixed-{_OURS}decimal": _digits,
    f"fixed-{_OURS}uuid": _uuid,
    **{f"long-{_OURS}timestamp-{unit}": _instant(places, "Z") for unit, places in _UNITS.items()},
    **{f"long-{_OURS}local-timestamp-{unit}": _instant(places, "") for unit, places in _UNITS.items()},
}
fastavro.read.LOGICAL_READERS.update(_READERS)
