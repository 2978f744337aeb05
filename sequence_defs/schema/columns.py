"""Columns and times: the typed leaves of every definition."""

from typing import Literal

from sequence_defs.schema.base import FieldName, Name, Part
from sequence_defs.schema.dtypes import Dtype

EpochUnit = Literal["s", "ms", "us", "ns"]


class Column(Part):
    """One typed column.

    ``sql`` computes it from the source's columns, in a derived enrichment from the event's (Polars SQL dialect, one
    row at a time); without ``sql`` the column of the same name is taken over. In a source, ``sql`` computes it from
    the columns that are read, and ``field`` says which field is read, if not the one of that name: a path as
    ``payload.after.member``, ``items[0].sku``, ``params[key=page].value`` or ``"event.name"``. A path leads into text
    that holds JSON, too, and to null where there is nothing. ``unit`` is free text compared literally (``USD``,
    ``seconds``). ``model`` names the embedding space of a vector: two vectors of different models never share a
    column. ``shared_with`` are the tenants that may take it; left out, those of the definition, unless it is personal
    data. ``default`` is what rows say that were stored before a column of an event type that is never null was
    declared, until their days are built again.
    """

    name: FieldName
    dtype: Dtype
    description: str = ""
    nullable: bool = True
    unit: str = ""
    model: str = ""
    pii: bool = False
    sql: str | None = None
    field: str | None = None
    shared_with: tuple[Name, ...] | None = None
    default: str | int | float | bool | None = None


class Time(Part):
    """An instant read from a source.

    ``sql`` yields a timestamp, a date or an integer of ``epoch_unit``. A value without a zone is local time in
    ``timezone``: ``America/New_York`` dates become that city's midnights. At a clock change the earlier of two
    equal local times is taken, and a local time that does not exist is a reject. ``timezone_column`` names a column
    with each row's zone instead; a row that names no zone is a reject.
    """

    sql: str
    timezone: str = "UTC"
    timezone_column: FieldName | None = None
    epoch_unit: EpochUnit = "us"
