"""The ordered, typed columns of a block, and the id under which a store remembers them."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, Literal

import numpy as np
import polars as pl

StreamKind = Literal["ints", "bytes"]

_SCALARS: Mapping[str, pl.DataType] = {
    "bool": pl.Boolean(),
    "int8": pl.Int8(),
    "int16": pl.Int16(),
    "int32": pl.Int32(),
    "int64": pl.Int64(),
    "float32": pl.Float32(),
    "float64": pl.Float64(),
    "string": pl.String(),
    "binary": pl.Binary(),
    "date": pl.Date(),
    "timestamp": pl.Datetime("us", "UTC"),
}
_VECTOR_ITEMS = ("int8", "float16", "float32")


def item_dtype(dtype: str) -> str:
    """The scalar inside a column type: of a list its items, of a vector ``binary``, else the type itself.

    Raises:
        ValueError: the text is not a portable column type.
    """
    scalar = dtype[5:-1].strip() if is_list(dtype) else "binary" if dtype.startswith("vector[") else dtype
    if scalar not in _SCALARS:
        raise ValueError(
            f"{dtype!r} is not a column type that blocks can hold; "
            f"use one of {', '.join(_SCALARS)}, list[<scalar>] or vector[<item>,<dimension>]"
        )
    return scalar


def is_list(dtype: str) -> bool:
    return dtype.startswith("list[") and dtype.endswith("]")


def polars_dtype(dtype: str) -> pl.DataType:
    """The Polars type that carries a column type; vectors travel as Binary.

    Raises:
        ValueError: the text is not a portable column type.
    """
    scalar = _SCALARS[item_dtype(dtype)]
    return pl.List(scalar) if is_list(dtype) else scalar


def is_vector(dtype: str) -> bool:
    return dtype.startswith("vector[")


@lru_cache
def vector_shape(dtype: str) -> tuple[np.dtype[Any], int]:
    """Item type and dimension of a vector type.

    Raises:
        ValueError: as ``polars_dtype``.
    """
    item, _, dimension = dtype[7:-1].partition(",")
    if not (dtype.endswith("]") and item.strip() in _VECTOR_ITEMS and dimension.strip().isdecimal()):
        raise ValueError(f"{dtype!r} is not a vector type; use vector[<{'|'.join(_VECTOR_ITEMS)}>,<dimension>]")
    return np.dtype(item.strip()).newbyteorder("<"), int(dimension)


def vector_bytes(dtype: str) -> int:
    """Bytes of each value of a vector column."""
    item, dimension = vector_shape(dtype)
    return item.itemsize * dimension


def array_dtype(dtype: str) -> pl.DataType:
    """The fixed-size array that a vector column decodes to: half floats widen to float32, which every client reads."""
    item, dimension = vector_shape(dtype)
    return pl.Array(pl.Int8() if item == np.int8 else pl.Float32(), dimension)


@dataclass(frozen=True)
class BlockSchema:
    """Names and types of the columns of a block, in order.

    Two schemas that differ in any name, type or in order have different ids (up to hash collisions, which the
    store refuses). Adding a column makes a new schema; blocks written with the old one stay readable.
    ``meaning`` is what its rows were made by, as text, where blocks say it themselves; schemas of other meanings are
    others, too. ``hidden`` columns are stored and not looked at: to a reader they are not there.
    """

    columns: tuple[tuple[str, str], ...]
    meaning: str = ""
    hidden: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        names = [name for name, _ in self.columns]
        if not names or len(set(names)) != len(names):
            raise ValueError(f"a block needs at least one column and distinct names, not {names}; remove repeats")
        for _, dtype in self.columns:
            item_dtype(dtype)

    @classmethod
    def of(cls, columns: Mapping[str, str], meaning: str = "") -> "BlockSchema":
        """From name -> type, keeping the mapping's order."""
        return cls(tuple(columns.items()), meaning)

    @classmethod
    def from_json(cls, text: str | bytes) -> "BlockSchema":
        found = json.loads(text)
        columns, meaning = (found["columns"], found["meaning"]) if isinstance(found, dict) else (found, "")
        return cls(tuple((name, dtype) for name, dtype in columns), meaning)

    def to_json(self) -> str:
        """Canonical: equal schemas give equal text. Without a meaning as ever, so that ids stay what they are."""
        said = {"columns": self.columns, "meaning": self.meaning} if self.meaning else self.columns
        return json.dumps(said, ensure_ascii=False, separators=(",", ":"))

    def fitting(self, asked: Mapping[str, str]) -> "BlockSchema":
        """The schema in which all columns that have another type than is ``asked`` are hidden; as a rule itself."""
        stored = self.dtypes
        unfit = frozenset(name for name, dtype in asked.items() if stored.get(name, dtype) != dtype)
        return replace(self, hidden=self.hidden | unfit) if unfit else self

    @cached_property
    def schema_id(self) -> int:
        """Unsigned 32 bit, from the canonical JSON."""
        return int.from_bytes(hashlib.sha256(self.to_json().encode()).digest()[:4], "little")

    @cached_property
    def dtypes(self) -> Mapping[str, str]:
        """Of the columns that are not hidden."""
        return {name: dtype for name, dtype in self.columns if name not in self.hidden}

    @cached_property
    def first_stream(self) -> Mapping[str, int]:
        """Where each column's streams begin in the directory: a scalar has one, a list two (lengths, items)."""
        first, places = 0, {}
        for name, dtype in self.columns:
            if name not in self.hidden:
                places[name] = first
            first += 2 if is_list(dtype) else 1
        return places

    def streams_of(self, columns: Iterable[str]) -> list[int]:
        """Numbers of the streams of these columns, as far as the schema has them; see ``BlockParts``."""
        streams: list[int] = []
        for name in columns:
            if name in self.dtypes:
                first = self.first_stream[name]
                streams += (first, first + 1) if is_list(self.dtypes[name]) else (first,)
        return streams

    @cached_property
    def stream_count(self) -> int:
        return sum(2 if is_list(dtype) else 1 for _, dtype in self.columns)


def stream_kind(dtype: str) -> StreamKind:
    """Whether the scalars of a column are kept as numbers or as byte strings."""
    return "bytes" if item_dtype(dtype) in ("string", "binary") else "ints"
