"""Declared columns as fields of a Delta table: added, never changed.

A column that is declared with another type than it has in the table gets a field of its own beside the old one,
``amount@int64``, and says in its metadata which column it is. So nothing that is stored is touched, a build replaces
days under the new type, streams go on, and an earlier release finds its own field again.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import deltalake
import polars as pl

from seqplat_resources.errors import Final
from seqplat_resources.home import Home
from seqplat_resources.values.defaults import with_default
from seqplat_resources.values.scalars import scalar
from sequence_defs.compiler.sql import storage_dtype
from sequence_defs.schema import Column, parse_dtype
from sequence_defs.schema.dtypes import SCALARS

_COLUMN, _DTYPE = "seqplat.column", "seqplat.dtype"
_COMMIT = re.compile(r"_delta_log/\d{20}\.json$")
_NO_LETTER = re.compile(r"[^a-z0-9]+")


class SchemaMismatch(Final):
    """Rows or a definition that do not have the table's exact types."""


@dataclass(frozen=True)
class StoredFields:
    """Where a table has its declared columns: ``names`` of the fields that have each column's very type, and by column
    the ``others``, in which it has another one. Columns whose field is called like them are in neither.
    """

    names: Mapping[str, str]
    others: Mapping[str, tuple[tuple[str, str], ...]]

    @property
    def is_plain(self) -> bool:
        return not self.names and not self.others

    def field(self, column: str) -> str:
        """Name of the field that is written."""
        return self.names.get(column, column)

    def written(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows with the names of their fields."""
        return rows.rename(dict(self.names), strict=False) if self.names else rows

    def read(self, column: Column, present: pl.Schema) -> pl.Expr:
        """The column's values of rows with the fields ``present``. What was stored with another type is read as a value
        of this one where that can be told, and null where not: of vectors, lists, and what does not fit. Rows from
        before the column was declared, which have it in no type, have its default.
        """
        want, found, unread = storage_dtype(column.dtype), list[pl.Expr](), list[pl.Expr]()
        if (name := self.field(column.name)) in present:
            found.append(pl.col(name))
        for other, dtype in self.others.get(column.name, ()):
            if other in present:
                unread.append(pl.col(other).is_not_null())
            if other in present and {parse_dtype(column.dtype).kind, parse_dtype(dtype).kind} == {"scalar"}:
                found.append(scalar(pl.col(other), column.dtype, present[other]).cast(want))
        values = pl.coalesce(found) if found else pl.lit(None, want)
        return with_default(values, column, unread=unread).alias(column.name)


def stored_fields(columns: Sequence[Column], schema: deltalake.Schema | None) -> StoredFields:
    """Where a table of this schema has the columns; without a schema (no table yet) under their names."""
    by_column: dict[str, list[deltalake.Field]] = {}
    for field in schema.fields if schema is not None else ():
        by_column.setdefault(field.metadata.get(_COLUMN, field.name), []).append(field)
    names, others = {}, {}
    for column in columns:
        fields = by_column.get(column.name, [])
        mine = next((field.name for field in fields if _is_of(field, column)), None)
        rest = tuple((f.name, f.metadata.get(_DTYPE, column.dtype)) for f in fields if f.name != mine)
        if rest:
            names[column.name] = mine or f"{column.name}@{_NO_LETTER.sub('_', column.dtype).strip('_')}"
            others[column.name] = rest
    return StoredFields(names, others)


def stored_columns(schema: deltalake.Schema, partition_by: Sequence[str]) -> tuple[Column, ...]:
    """All fields of a table as columns of their own, so that rewriting its files loses none, declared or not."""
    found = []
    for field in schema.fields:
        if field.name not in partition_by:
            dtype = field.metadata.get(_DTYPE) or _dtype_of(field)
            found.append(Column.model_construct(name=field.name, dtype=dtype))
    return tuple(found)


def table_schema(columns: Sequence[Column], partition_by: Sequence[str]) -> deltalake.Schema:
    """The schema of a new table."""
    keys = [deltalake.Field(key, _partition_field_type(key), nullable=False) for key in partition_by]
    return deltalake.Schema([*(_field(column, column.name) for column in columns), *keys])


def missing_fields(columns: Sequence[Column], schema: deltalake.Schema) -> list[deltalake.Field]:
    """The fields of declared columns that a table does not have yet."""
    present, stored = {field.name for field in schema.fields}, stored_fields(columns, schema)
    wanted = ((column, stored.field(column.name)) for column in columns)
    return [_field(column, name) for column, name in wanted if name not in present]


def partition_dtype(key: str) -> pl.DataType:
    """The Polars type of a partition column."""
    return pl.Date() if key == "day" else pl.String()


def _partition_field_type(key: str) -> deltalake.schema.PrimitiveType:
    return deltalake.schema.PrimitiveType("date" if key == "day" else "string")


def _is_of(field: deltalake.Field, column: Column) -> bool:
    """Whether a field has the type of the column: vectors of any kind are bytes to Delta, so it says which it is."""
    said = field.metadata.get(_DTYPE)
    return said == column.dtype if said else bool(field.type == _type(column.dtype))


@lru_cache(256)
def _type(dtype: str) -> Any:
    return deltalake.Schema.from_arrow(pl.Schema({"field": storage_dtype(dtype)})).fields[0].type


def _dtype_of(field: deltalake.Field) -> str:
    """The portable type of a field that does not say it."""
    known = (*SCALARS, *(f"list[{item}]" for item in SCALARS))
    return next((dtype for dtype in known if _type(dtype) == field.type), "binary")


def _field(column: Column, name: str) -> deltalake.Field:
    notes = {
        _COLUMN: column.name if name != column.name else "",
        _DTYPE: column.dtype,
        "seqplat.unit": column.unit,
        "seqplat.model": column.model,
        "comment": column.description,
    }
    metadata = {key: value for key, value in notes.items() if value}
    return deltalake.Field(name, _type(column.dtype), nullable=True, metadata=metadata)


def newest_schema(home: Home, table: str) -> deltalake.Schema | None:
    """The schema of a table, from its newest commit that says one, or its checkpoint; None where neither does.

    Opening a table also lists its files, which of two years of days is nine tenths of the time.
    """
    paths = sorted(item["path"] for item in home.objects.list(f"{table}/_delta_log").collect())
    checkpoint = max((path for path in paths if path.endswith(".checkpoint.parquet")), default="")
    for path in reversed([path for path in paths if _COMMIT.search(path) and path > checkpoint]):
        for line in bytes(home.objects.get(path).bytes()).splitlines():
            if line.startswith(b'{"metaData":'):
                return deltalake.Schema.from_json(json.loads(line)["metaData"]["schemaString"])
    if not checkpoint:
        return None
    options = home.storage_options or None
    said = pl.read_parquet(home.uri(checkpoint), columns=["metaData"], storage_options=options)["metaData"].drop_nulls()
    return deltalake.Schema.from_json(said[0]["schemaString"]) if len(said) else None
