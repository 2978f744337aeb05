"""Declared columns as fields of a Delta table: exact types, added but never changed."""

from collections.abc import Sequence

import deltalake
import polars as pl

from seqplat_resources.errors import Final
from sequence_defs.compiler.sql import storage_dtype
from sequence_defs.schema import Column


class SchemaMismatch(Final):
    """Rows or a definition that do not have the table's exact types."""


def table_schema(columns: Sequence[Column], partition_by: Sequence[str]) -> deltalake.Schema:
    """The schema of a new table."""
    keys = [deltalake.Field(key, _partition_field_type(key), nullable=False) for key in partition_by]
    return deltalake.Schema([*map(_field, columns), *keys])


def missing_fields(table: str, columns: Sequence[Column], schema: deltalake.Schema) -> list[deltalake.Field]:
    """The declared columns that a table does not have yet.

    Raises:
        SchemaMismatch: one that it has is of another type.
    """
    present = {field.name: field for field in schema.fields}
    declared = {column.name: _field(column) for column in columns}
    if wrong := [name for name, field in declared.items() if name in present and present[name].type != field.type]:
        listed = ", ".join(f"{n} is {present[n].type} in the table, {declared[n].type} in the release" for n in wrong)
        raise SchemaMismatch(
            f"{table}: {listed}. A column's type never changes in place: declare a new column (name@2)"
        )
    return [field for name, field in declared.items() if name not in present]


def partition_dtype(key: str) -> pl.DataType:
    """The Polars type of a partition column."""
    return pl.Date() if key == "day" else pl.String()


def _partition_field_type(key: str) -> deltalake.schema.PrimitiveType:
    return deltalake.schema.PrimitiveType("date" if key == "day" else "string")


def _field(column: Column) -> deltalake.Field:
    arrow = deltalake.Schema.from_arrow(pl.Schema({column.name: storage_dtype(column.dtype)})).fields[0]
    notes = {
        "seqplat.dtype": column.dtype,
        "seqplat.unit": column.unit,
        "seqplat.model": column.model,
        "comment": column.description,
    }
    return deltalake.Field(column.name, arrow.type, nullable=True, metadata={k: v for k, v in notes.items() if v})
