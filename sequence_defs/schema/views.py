"""Views of events as tables: sessions of a user, and what a user did with an object on a day."""

from typing import Annotated, Literal

from pydantic import Field

from sequence_defs.schema.base import ColumnName, Definition, FieldName, Name, Part

AggregateKind = Literal["first", "last", "count", "distinct", "sum", "min", "max"]

# An action is a bit of a signed 64-bit number; the lowest says that there were others.
MAX_ACTIONS = 62


class Aggregate(Part):
    """One column of a view, from the events of one row, oldest first.

    ``first`` and ``last`` take the value of the earliest and latest event that has one; ``count`` counts events, or
    with ``column`` those that have it; ``distinct`` counts its different values; ``sum`` is 0 where there is none.
    ``event_types`` and ``where`` (SQL over the event's columns and ``event_type``) say which events count; without
    them all do.
    """

    name: ColumnName
    kind: AggregateKind
    column: FieldName | None = None
    event_types: tuple[Name, ...] = ()
    where: str | None = None


class SessionView(Definition):
    """What a user did in one go: events of ``event_types`` without a pause, as the table ``sessions/<name>``.

    An event begins a new session ``gap_s`` or more seconds after the one before, where it would make the session
    longer than ``cap_s``, and where ``boundary`` (SQL over the event's columns and ``event_type``) is true. With
    ``scope``, each value of that column has sessions of its own. ``columns`` are computed from a session's events.
    """

    event_types: tuple[str, ...] = Field(min_length=1)
    gap_s: int = Field(default=1800, ge=1, le=86_400)
    cap_s: int = Field(default=86_400, ge=1, le=7 * 86_400)
    scope: FieldName | None = None
    boundary: str | None = None
    columns: tuple[Aggregate, ...] = ()
    retention_days: int | None = Field(default=None, ge=1)


class ObjectView(Definition):
    """What a user did with each object on a day: events by the column ``key``, as the table ``objects/<name>``.

    ``action`` is the column that says what was done, the event type where it is left out; of ``actions`` each is a
    bit of the column ``actions``, the first one worth 2, the next 4; 1 says that there were others. Events without an
    object are left out.
    """

    event_types: tuple[str, ...] = Field(min_length=1)
    key: FieldName
    action: FieldName | None = None
    actions: Annotated[tuple[str, ...], Field(max_length=MAX_ACTIONS)] = ()
    columns: tuple[Aggregate, ...] = ()
    retention_days: int | None = Field(default=None, ge=1)


View = SessionView | ObjectView
