"""Legacy that is served: to users who are not moved yet, under a name of its own, with our columns."""

from collections.abc import Iterator

from sequence_defs.analysis.diagnostics import Finding, rule
from sequence_defs.analysis.scope import compared_scopes
from sequence_defs.analysis.widening import holds_column
from sequence_defs.analysis.wording import label
from sequence_defs.compiler.arms import arm_name
from sequence_defs.compiler.counterparts import counterparts
from sequence_defs.compiler.project import Project
from sequence_defs.schema import EventType, Legacy

# The longest name a definition may have.
_MAX_CHARS = 63


@rule("SP831", "error", "served legacy has ids of events")
def served_without_ids(project: Project) -> Iterator[Finding]:
    """An answer gives each event's id, and each event once; a key with a tolerance in time is no id."""
    for event_type, legacy in _served(project):
        if not legacy.event_id:
            yield Finding(
                legacy.declared_at,
                f"legacy of {label(event_type)} is served, but has no event_id",
                "name the column of its source that holds ids, or drop serve=True",
            )


@rule("SP832", "error", "served legacy has values of our types")
def served_of_other_type(project: Project) -> Iterator[Finding]:
    """A column has one type in all answers, whosever events they are; what is compared may be wider."""
    for event_type, legacy in _served(project):
        ours, theirs = compared_scopes(project, event_type)
        for name, met in counterparts(legacy, ours.columns, theirs.columns).items():
            if not holds_column(met.ours, met.legacy):
                yield Finding(
                    met.how.declared_at if name in legacy.columns else legacy.declared_at,
                    f"column {name!r} of {label(event_type)} is {met.ours.dtype}, and is served from "
                    f"{met.legacy.name!r} of legacy, which is {met.legacy.dtype}",
                    "convert it in the source with sql=, or leave it out of columns=",
                )


@rule("SP833", "error", "the name of served legacy is free")
def arm_name_taken(project: Project) -> Iterator[Finding]:
    """Legacy's events are built and published beside ours."""
    for event_type, _ in _served(project):
        name = arm_name(event_type.name)
        if name in project.event_types:
            yield Finding(
                project.event_types[name].declared_at,
                f"{name!r} is the name under which legacy of {label(event_type)} is served",
                "rename it",
            )
        elif len(name) > _MAX_CHARS:
            yield Finding(
                event_type.declared_at,
                f"legacy of {label(event_type)} is served as {name!r}, which is longer than {_MAX_CHARS} letters",
                "give the event type a shorter name",
            )


@rule("SP834", "error", "personal data of served legacy stays marked")
def served_pii_lost(project: Project) -> Iterator[Finding]:
    """Readers without a grant get the column of who is moved; they must not get personal data of who is not."""
    for event_type, legacy in _served(project):
        ours, theirs = compared_scopes(project, event_type)
        for name, met in counterparts(legacy, ours.columns, theirs.columns).items():
            if met.legacy.pii and not met.ours.pii:
                yield Finding(
                    met.how.declared_at if name in legacy.columns else legacy.declared_at,
                    f"column {name!r} of {label(event_type)} is not marked as personal data, but is served from "
                    f"{met.legacy.name!r} of legacy, which is",
                    f"declare pii=True in column {name!r}, or leave it out of columns=",
                )


def _served(project: Project) -> Iterator[tuple[EventType, Legacy]]:
    for event_type in project.event_types.values():
        if (legacy := event_type.legacy) and legacy.serve and legacy.source in project.sources:
            yield event_type, legacy
