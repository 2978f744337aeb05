"""Fields of raw rows where a source says they are: paths into JSON, into structs and arrays, and into text with JSON.

What no column takes whole stays beside the columns, so that nothing is lost; a path that leads nowhere gives null.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import TypeAlias

import msgspec
import polars as pl

from seqplat_resources.sources.formats.contract import beside
from seqplat_resources.sources.formats.objects import OBJECT, Ambiguous, Fields, check_names, say_names_once, text_of
from seqplat_resources.values.no_numbers import with_numbers_as_texts
from seqplat_resources.values.scalars import as_texts
from sequence_defs.schema import Column
from sequence_defs.schema.paths import Match, Path, Step, parse_path

_OBJECT_OR_NULL = msgspec.json.Decoder(Fields | None)
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_TEXT = msgspec.json.Decoder(str)
_BRACKETS = (b"{", b"[")

Inside: TypeAlias = Fields | list[msgspec.Raw] | None
Values: TypeAlias = list[msgspec.Raw | None]


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
    """Reads the columns of JSON objects. An object inside is decoded once, however many columns are in it."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._width, self._root = len(paths), _Node()
        for number, path in enumerate(paths):
            node = self._root
            for step in path:
                node = node.inside.setdefault(step, _Node())
            node.columns.append(number)

    def columns(self, objects: Sequence[Inside]) -> list[Values]:
        """Per path and object, the JSON there as it was written; None where there is nothing.

        Raises:
            Ambiguous: an object that a path leads into says a name twice.
        """
        found: list[Values] = [[None] * len(objects)] * self._width
        _read(self._root, objects, found)
        return found

    def values(self, one: Inside) -> list[msgspec.Raw | None]:
        """The same of one object."""
        return [value for (value,) in self.columns([one])]


def from_json(text: str | None, steps: Path) -> str | None:
    """What is at ``steps`` inside a text that holds JSON; None where that is nothing, or the text is no JSON.

    Raises:
        Ambiguous: an object on the way says a name twice.
    """
    try:
        return None if text is None else text_of(_reader(steps).values(_opened(text))[0])
    except Ambiguous:
        raise
    except ValueError:  # half a character
        return None


@lru_cache(maxsize=256)
def _reader(steps: Path) -> JsonReader:
    return JsonReader([steps])


def _read(node: _Node, insides: Sequence[Inside], found: list[Values]) -> None:
    """One step for all objects at once: most of what a step costs is that it is taken."""
    for step, child in node.inside.items():
        if isinstance(step, Match):
            values, opened = _matching(insides, step)
        else:
            values = _taken(insides, step)
            opened = _all_opened(values) if child.inside else ()
        for number in child.columns:
            found[number] = values
        if child.inside:
            _read(child, opened, found)


def _taken(insides: Sequence[Inside], step: str | int) -> Values:
    if isinstance(step, str):
        return [one.get(step) if isinstance(one, dict) else None for one in insides]
    return [one[step] if isinstance(one, list) and -len(one) <= step < len(one) else None for one in insides]


def _matching(insides: Sequence[Inside], step: Match) -> tuple[Values, Sequence[Inside]]:
    """The first object of each array that says so, as it was written and opened."""
    arrays = [one if isinstance(one, list) else () for one in insides]
    values: Values = []
    opened: list[Inside] = []
    of_items = iter(_together([item for items in arrays for item in items]) or ())
    for items in arrays:
        parts = list(islice(of_items, len(items))) or map(_opened, items)
        for item, part in zip(items, parts, strict=True):
            if isinstance(part, dict) and (key := part.get(step.name)) is not None and text_of(key) == step.value:
                values.append(item)
                opened.append(part)
                break
        else:
            values.append(None)
            opened.append(None)
    return values, opened


def _all_opened(values: Values) -> Sequence[Inside]:
    return _together(values) or [None if value is None else _opened(value) for value in values]


def _together(values: Sequence[msgspec.Raw | None]) -> Sequence[Inside] | None:
    """All of them opened where each is an object that says its names once, null or nothing; else None, which may
    mean nothing."""
    try:
        objects = [None if value is None else _OBJECT_OR_NULL.decode(value) for value in values]
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    some = [one for one in objects if one is not None]
    content = b"\n".join(value for value, one in zip(values, objects, strict=True) if one is not None)  # type: ignore[misc]
    return objects if say_names_once(content, some) else None


def _opened(value: msgspec.Raw | str) -> Inside:
    """The parts of an object or an array, also of one that is written in a text.

    Raises:
        Ambiguous: an object says a name twice.
    """
    try:
        text = value.encode() if isinstance(value, str) else bytes(value)
        if text[:1] not in _BRACKETS:
            if text[:1] == b'"' and not isinstance(value, str):
                text = _TEXT.decode(text).encode()
            text = with_numbers_as_texts(text.lstrip())
        if text[:1] == b"[":
            return _ARRAY.decode(text)
        if text[:1] != b"{":
            return None
        fields = OBJECT.decode(text)
        check_names(text, fields)
        return fields
    except Ambiguous:
        raise
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None


def located(rows: pl.DataFrame, columns: Sequence[Column]) -> tuple[pl.DataFrame, dict[int, str]]:
    """Rows of a file whose columns have types, with every declared column under its own name; and of the rows in
    which a path leads to two values, by number, why.

    A field that is not in the file gives no column. Other fields that are called like a column get another name.
    """
    moved = [column for column in columns if column.field is not None and column.sql is None]
    names = [column.name for column in columns if column.field is not None or column.sql is not None]
    faults: dict[int, str] = {}
    if not names:
        return rows, faults
    found = {column.name: _at(rows[path[0]], path[1:], faults) for column in moved if (path := _path_in(column, rows))}
    plain = {column.name for column in columns if column.name not in names}
    rest = rows.drop((read_whole(moved) - plain) & set(rows.columns))
    return beside(rest, names).with_columns(series.alias(name) for name, series in found.items()), faults


def _path_in(column: Column, rows: pl.DataFrame) -> tuple[str, *tuple[Step, ...]] | None:
    first, *steps = path_of(column)
    return (str(first), *steps) if first in rows.columns else None


def _at(values: pl.Series, steps: Path, faults: dict[int, str]) -> pl.Series:
    for number, step in enumerate(steps):
        values = as_texts(values)
        if isinstance(values.dtype, pl.String):
            return _in_texts(values, steps[number:], faults)
        found = _inside(values, step)
        if found is None:
            return pl.Series(values.name, [None] * values.len(), dtype=pl.String())
        values = found
    return values


def _in_texts(texts: pl.Series, steps: Path, faults: dict[int, str]) -> pl.Series:
    found: list[str | None] = []
    for row, text in enumerate(texts):
        try:
            found.append(from_json(text, steps))
        except Ambiguous as error:
            faults[row] = str(error)
            found.append(None)
    return pl.Series(texts.name, found, dtype=pl.String())


def _inside(values: pl.Series, step: Step) -> pl.Series | None:
    """One step into structs, lists or maps; None where their type has nothing there."""
    dtype = values.dtype
    if isinstance(dtype, pl.Map):
        values = values.cast(pl.List(pl.Struct({"key": dtype.key, "value": dtype.value})))
        found = _item(values, Match("key", step) if isinstance(step, str) else step)
        return _field(found, "value") if found is not None and isinstance(step, str) else found
    if isinstance(step, str):
        return _field(values, step)
    return _item(values.arr.to_list() if isinstance(dtype, pl.Array) else values, step)


def _field(values: pl.Series, name: str) -> pl.Series | None:
    if not isinstance(values.dtype, pl.Struct) or name not in {part.name for part in values.dtype.fields}:
        return None
    # NOTE: a part of a null struct is null, whatever its memory holds.
    return values.struct.field(name).to_frame("_").select(pl.when(values.is_not_null()).then("_")).to_series()


def _item(values: pl.Series, step: int | Match) -> pl.Series | None:
    if not isinstance(values.dtype, pl.List):
        return None
    if isinstance(step, int):
        return values.list.get(step, null_on_oob=True)
    inner = values.dtype.inner
    if not isinstance(inner, pl.Struct) or step.name not in {part.name for part in inner.fields}:
        return None
    key = pl.element().struct.field(step.name)
    is_bytes = isinstance(dict(inner)[step.name], pl.Binary)
    says = key == step.value.encode() if is_bytes else key.cast(pl.String, strict=False) == step.value
    return values.to_frame("_").select(pl.col("_").list.eval(pl.element().filter(says)).list.first()).to_series()
