"""What legacy has of an event type, as an event type of its own: users who are not moved yet are answered with it."""

from collections.abc import Iterator, Mapping
from typing import Final

from sequence_defs.compiler.counterparts import Counterpart, counterparts
from sequence_defs.compiler.project import event_columns
from sequence_defs.schema import Column, Enrichment, EventType, Legacy, Source

SUFFIX: Final = "__legacy"
# The column of the arm that says who an event is; never one of a sequence.
ID_COLUMN: Final = "legacy_event_id"


def arm_name(event_type: str) -> str:
    """The name under which legacy's events of the type are built and published."""
    return event_type + SUFFIX


def arms_of(
    event_types: Mapping[str, EventType], sources: Mapping[str, Source], enrichments: Mapping[str, Enrichment]
) -> Iterator[EventType]:
    """The arm of every event type whose legacy is served. Expects definitions without error findings."""
    for event_type in event_types.values():
        if event_type.legacy is not None and event_type.legacy.serve:
            yield _arm(event_type, event_type.legacy, sources, enrichments)


def _arm(
    event_type: EventType, legacy: Legacy, sources: Mapping[str, Source], enrichments: Mapping[str, Enrichment]
) -> EventType:
    """With our columns, as far as legacy has them. Whoever may read the event type reads its arm; nobody else does.

    A source that is only compared with needs no start, and an end it may have: where it says none, those of ours are.
    """
    source, ours_from = sources[legacy.source], sources[event_type.source]
    ours = event_columns(event_type, enrichments)
    theirs = {column.name: column for column in source.columns}
    assert legacy.event_id is not None  # a rule sees to it
    return EventType(
        name=arm_name(event_type.name),
        tenant=event_type.tenant,
        owner=event_type.owner,
        description=f"{event_type.name!r} as legacy has it in {legacy.source!r}: for users who are not moved yet",
        lifecycle=event_type.lifecycle,
        source=legacy.source,
        columns=(
            Column(name=ID_COLUMN, dtype=theirs[legacy.event_id].dtype, nullable=False, sql=_quoted(legacy.event_id)),
            *(_taken(met) for met in counterparts(legacy, ours, theirs).values()),
        ),
        id_field=ID_COLUMN,
        identity_horizon_h=event_type.identity_horizon_h,
        start=event_type.start or (None if source.start else ours_from.start),
        end=event_type.end or (None if source.end else ours_from.end),
        retention_days=event_type.retention_days,
    )


def _taken(met: Counterpart) -> Column:
    """Our column, read from legacy's; legacy may have nothing there."""
    return met.ours.model_copy(
        update={"sql": _quoted(met.legacy.name), "field": None, "nullable": True, "default": None}
    )


def _quoted(name: str) -> str:
    return f'"{name}"'
