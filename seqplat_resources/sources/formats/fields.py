"""Fields of raw rows where a source says they are: paths into JSON, into structs and arrays, and into text with JSON.

What no column takes whole stays beside the columns, so that nothing is lost; a path that leads nowhere gives null.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import msgspec
import polars as pl

from seqplat_resources.sources.formats.contract import beside
from seqplat_resources.sources.formats.objects import Ambiguous, Fields, check_names, text_of
from seqplat_resources.values.scalars import as_texts
from sequence_defs.schema import Column
from sequence_defs.schema.paths import Match, Path, Step, parse_path

_OBJECT = msgspec.json.Decoder(Fields)
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_TEXT = msgspec.json.Decoder(str)
_BRACKETS = (b"{", b"[")

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
    """Reads the columns of one JSON object. An object inside is decoded once, however many columns are in it.

    ``is_trusted`` says that names are known to stand once in each object inside, but for those within texts.
    """

    def __init__(self, paths: Sequence[Path], *, is_trusted: bool = False) -> None:
        self._width, self._root, self._is_trusted = len(paths), _Node(), is_trusted
        for number, path in enumerate(paths):
            node = self._root
            for step in path:
                node = node.inside.setdefault(step, _Node())
            node.columns.append(number)

    def values(self, fields: Inside) -> list[msgspec.Raw | None]:
        """Per path, the JSON there as it was written; None where there is nothing.

        Raises:
            Ambiguous: an object that a path leads into says a name twice.
        """
        row: list[msgspec.Raw | None] = [None] * self._width
        _read(self._root, fields, row, self._is_trusted)
        return row


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


def _read(node: _Node, inside: Inside, row: list[msgspec.Raw | None], is_trusted: bool) -> None:
    for step, child in node.inside.items():
        value = _taken(inside, step, is_trusted)
        if value is None:
            continue
        for number in child.columns:
            row[number] = value
        if child.inside:
            _read(child, _opened(value, is_trusted), row, is_trusted)


def _taken(inside: Inside, step: Step, is_trusted: bool) -> msgspec.Raw | None:
    if isinstance(step, str):
        return inside.get(step) if isinstance(inside, dict) else None
    if not isinstance(inside, list):
        return None
    if isinstance(step, int):
        return inside[step] if -len(inside) <= step < len(inside) else None
    for item in inside:
        found = _taken(_opened(item, is_trusted), step.name, is_trusted)
        if found is not None and text_of(found) == step.value:
            return item
    return None


def _opened(value: msgspec.Raw | str, is_trusted: bool = False) -> Inside:
    """The parts of an object or an array, also of one that is written in a text.

    Raises:
        Ambiguous: an object says a name twice, which is not looked for where it ``is_trusted``.
    """
    try:
        text = value.encode() if isinstance(value, str) else bytes(value)
        if text[:1] not in _BRACKETS:
            if text[:1] == b'"' and not isinstance(value, str):
                text = _TEXT.decode(text).encode()
            text, is_trusted = text.lstrip(), False
        if text[:1] == b"[":
            return _ARRAY.decode(text)
        if text[:1] != b"{":
            return None
        fields = _OBJECT.decode(text)
        if not is_trusted:
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
