"""Sequences: which events of a user, which columns, in which order, how many."""

from typing import Literal

from pydantic import Field

from sequence_defs.schema.base import ColumnName, Definition, FieldName, Part
from sequence_defs.schema.legacy import LegacySequence


class Pick(Part):
    """One output column whose source column differs by event type; a type that is not named yields null."""

    name: ColumnName
    columns: dict[str, FieldName]


class Sequence(Definition):
    """A user's events, newest first.

    A plain column name takes the column of that name from every event type that has it. ``length`` counts events,
    ``window_days`` bounds their age; null means no bound. A sequence with a PII column states ``pii``:
    ``granted`` serves it to readers with an explicit grant, ``drop`` leaves it out of answers.
    ``deprecated`` are the columns that readers are to leave; the catalogue says so. After 30 days of that, and 14 in
    which nobody asked for one, it may go.
    ``legacy`` is what it is compared with while it takes the place of an older system's.
    """

    event_types: tuple[str, ...] = Field(min_length=1)
    columns: tuple[ColumnName | Pick, ...] = Field(min_length=1)
    deprecated: tuple[ColumnName, ...] = ()
    length: int | None = Field(default=None, ge=1)
    window_days: int | None = Field(default=None, ge=1)
    pii: Literal["granted", "drop"] | None = None
    retention_days: int | None = Field(default=None, ge=1)
    legacy: LegacySequence | None = None
