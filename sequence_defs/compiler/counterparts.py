"""Which column of legacy each of our columns is compared with, for a project as for a release."""

from collections.abc import Mapping
from dataclasses import dataclass

from sequence_defs.schema import Column, Compared, Legacy, LegacySequence

EVENT_TIME = "event_time"
# What legacy's side of an event is called where both sides are in one row.
LEGACY_PREFIX = "legacy_"

_EXACTLY = Compared()


@dataclass(frozen=True)
class Counterpart:
    """One of our columns, the column of legacy that says the same, and how near is equal."""

    ours: Column
    legacy: Column
    how: Compared


def field_of(legacy: Legacy | LegacySequence, column: str) -> str:
    """What legacy calls one of our columns."""
    return legacy.columns.get(column, _EXACTLY).field or column


def counterparts(
    legacy: Legacy | LegacySequence, ours: Mapping[str, Column], theirs: Mapping[str, Column]
) -> dict[str, Counterpart]:
    """By our name, the columns that are compared: those of ``columns``; if it says none, all that both sides have.

    Columns that one side lacks are left out. The event time is compared in any case, and none of these.
    """
    named = legacy.columns if set(legacy.columns) - {EVENT_TIME} else dict.fromkeys(ours, _EXACTLY)
    return {
        name: Counterpart(ours[name], theirs[field], how)
        for name, how in named.items()
        if name in ours and (field := how.field or name) in theirs and name != EVENT_TIME
    }
