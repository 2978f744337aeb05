"""Fields of raw rows where a source says they are: paths into JSON, into structs and arrays, and into text with JSON.

What no column takes whole stays beside the columns, so that nothing is lost; a path that leads nowhere gives null.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import msgspec
import polars as pl

from seqplat_resources.ingest.json_object import Fields, text_of
from seqplat_resources.ingest.parsed import beside
from sequence_defs.schema import Column
from sequence_defs.schema.paths import Path, Step, parse_path

_OBJECT = msgspec.json.Decoder(Fields)
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_TEXT = msgspec.json.Decoder(str)
_BRACKETS = ("{", "[")

Inside = Fields | list[msgspec.Raw] | None


def path_of(column: Column) -> Path:
    """Where a column is read."""
    return (column.name,) if column.field is None else parse_path(column.field)


def read_whole(columns: Iterable[Column]) -> frozenset[str]:
    """Fields that a column takes as they are, so that nothing of them is left."""
    return frozenset(str(path[0]) for path in map(path_of, columns) if len(path) == 1)


def fields_read(columns: Iterable[Column]) -> frozenset[str]:
    """Fields that some column is read from."""
    return frozenset(str(path_of(column)[0]) for column in columns)


@dataclass
class _Node:
    """What is read at a place: the columns, by their numbers, and what is further inside."""

    columns: list[int] = field(default_factory=list)
    inside: dict[Step, "_Node"] = field(default_factory=dict)


class JsonReader:
    """Reads the columns of one JSON object. An object inside is decoded once, however many columns are in it."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._width, self._root = len(paths), _Node()
        for number, path in enumerate(paths):
            node = self._root
            for step in path:
                node = node.inside.setdefault(step, _Node())
            node.columns.append(number)

    def values(self, fields: Inside) -> list[msgspec.Raw | None]:
        """Per path, the JSON there as it was written; None where there is nothing."""
        row: list[msgspec.Raw | None] = [None] * self._width
        _read(self._root, fields, row)
        return row


def from_json(text: str | None, steps: Path) -> str | None:
    """What is at ``steps`` inside a text that holds JSON; None where that is nothing, or the text is no JSON."""
    try:
        return None if text is None else text_of(_reader(steps).values(_opened(text))[0])
    except ValueError:  # half a character
        return None


@lru_cache(maxsize=256)
def _reader(steps: Path) -> JsonReader:
    return JsonReader([steps])


def _read(node: _Node, inside: Inside, row: list[msgspec.Raw | None]) -> None:
    for step, child in node.inside.items():
        value = _taken(inside, step)
        if value is None:
            continue
        for number in child.columns:
            row[number] = value
        if child.inside:
            _read(child, _opened(value), row)


def _taken(inside: Inside, step: Step) -> msgspec.Raw | None:
    if isinstance(step, str):
        return inside.get(step) if isinstance(inside, dict) else None
    if not isinstance(inside, list):
        return None
    if isinstance(step, int):
        return inside[step] if -len(inside) <= step < len(inside) else None
    for item in inside:
        found = _taken(_opened(item), step.name)
        if found is not None and text_of(found) == step.value:
            return item
    return None


def _opened(value: msgspec.Raw | str) -> Inside:
    """The parts of an object or an array, also of one that is written in a text."""
    text = value if isinstance(value, str) else bytes(value)
    try:
        if isinstance(text, bytes):
            if text[:1] == b"{":
                return _OBJECT.decode(text)
            if text[:1] == b"[":
                return _ARRAY.decode(text)
            if text[:1] != b'"':
                return None
            text = _TEXT.decode(text)
        start = text.lstrip()[:1]
        if start not in _BRACKETS:
            return None
        return _OBJECT.decode(text.encode()) if start == "{" else _ARRAY.decode(text.encode())
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None


def located(rows: pl.DataFrame, columns: Sequence[Column]) -> pl.DataFrame:
    """Rows of a file whose columns have types, with every declared column under its own name.

    A field that is not in the file gives no column. Other fields that are called like a column get another name.
    """
    moved = [column for column in columns if column.field is not None and column.sql is None]
    names = [column.name for column in columns if column.field is not None or column.sql is not None]
    if not names:
        return rows
    found = {column.name: _at(rows[path[0]], path[1:]) for column in moved if (path := _path_in(column, rows))}
    plain = {column.name for column in columns if column.name not in names}
    rest = rows.drop((read_whole(moved) - plain) & set(rows.columns))
    return beside(rest, names).with_columns(series.alias(name) for name, series in found.items())


def _path_in(column: Column, rows: pl.DataFrame) -> tuple[str, *tuple[Step, ...]] | None:
    first, *steps = path_of(column)
    return (str(first), *steps) if first in rows.columns else None


def _at(values: pl.Series, steps: Path) -> pl.Series:
    for number, step in enumerate(steps):
        if isinstance(values.dtype, pl.String):
            rest = steps[number:]
            return pl.Series(values.name, [from_json(text, rest) for text in values], dtype=pl.String())
        found = _inside(values, step)
        if found is None:
            return pl.Series(values.name, [None] * values.len(), dtype=pl.String())
        values = found
    return values


def _inside(values: pl.Series, step: Step) -> pl.Series | None:
    """One step into structs or lists; None where their type has nothing there."""
    if isinstance(values.dtype, pl.Array):
        values = values.arr.to_list()
    dtype = values.dtype
    if isinstance(step, str):
        if not isinstance(dtype, pl.Struct) or step not in {part.name for part in dtype.fields}:
            return None
        # NOTE: a part of a null struct is null, whatever its memory holds.
        return values.struct.field(step).to_frame("_").select(pl.when(values.is_not_null()).then("_")).to_series()
    if not isinstance(dtype, pl.List):
        return None
    if isinstance(step, int):
        return values.list.get(step, null_on_oob=True)
    inner = dtype.inner
    if not isinstance(inner, pl.Struct) or step.name not in {part.name for part in inner.fields}:
        return None
    says = pl.element().struct.field(step.name).cast(pl.String, strict=False) == step.value
    return values.to_frame("_").select(pl.col("_").list.eval(pl.element().filter(says)).list.first()).to_series()
