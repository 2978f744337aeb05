"""Care: owner, text, retention, privacy and stage of definitions."""

import re
from collections.abc import Iterator

from sequence_defs.analysis.diagnostics import Finding, rule
from sequence_defs.analysis.scope import parts, sequence_columns, source_scope
from sequence_defs.analysis.wording import label, listed
from sequence_defs.compiler.project import Project
from sequence_defs.schema import Definition, EventType, Location, Sequence, Snapshot, Source, Tenant, Versioned

_OWNER = re.compile(r"^(team:[A-Za-z0-9_-]+|[^@\s]+@[^@\s]+\.[^@\s]+)$")
_IN_SERVICE = ("live", "deprecated")
_NOT_IN_SERVICE = ("draft", "retired")


@rule("SP501", "error", "a definition has an owner")
def owner_missing(project: Project) -> Iterator[Finding]:
    """Someone is told when it breaks. A tenant is an owner itself."""
    for definition in project.all:
        if isinstance(definition, Tenant):
            continue
        if not definition.owner:
            yield Finding(
                definition.declared_at,
                f"{label(definition)} has no owner",
                f"write owner='team:{definition.tenant}' or an e-mail address",
            )
        elif not _OWNER.match(definition.owner):
            yield Finding(
                definition.declared_at,
                f"owner {definition.owner!r} of {label(definition)} is neither team:<name> nor an e-mail address",
                f"write owner='team:{re.sub(r'[^A-Za-z0-9_-]+', '-', definition.owner)}'",
            )


@rule("SP502", "warning", "a definition is described")
def description_missing(project: Project) -> Iterator[Finding]:
    """The catalogue shows it to people who did not write it."""
    for definition in project.all:
        if not definition.description and not isinstance(definition, Tenant):
            yield Finding(
                definition.declared_at,
                f"{label(definition)} has no description",
                "say in a sentence what one row of it means",
            )


@rule("SP503", "error", "events state how long they are kept")
def retention_missing(project: Project) -> Iterator[Finding]:
    """Keeping personal data for ever is a decision nobody makes by leaving a field out."""
    sources = [source for source in project.sources.values() if source.event_time is not None]
    holders: list[Source | EventType] = [*sources, *project.event_types.values()]
    for definition in holders:
        if definition.retention_days is None:
            yield Finding(
                definition.declared_at,
                f"{label(definition)} holds events but states no retention_days",
                "write retention_days=<days>",
            )


@rule("SP504", "warning", "events are not kept longer than what they are made from")
def retention_beyond_source(project: Project) -> Iterator[Finding]:
    """Days whose raw rows are gone cannot be built again, and those whose enrichments are only without them."""
    for event_type in project.event_types.values():
        source = project.sources.get(event_type.source)
        mine, theirs = event_type.retention_days, source.retention_days if source else None
        if source is not None and mine is not None and theirs is not None and mine > theirs:
            yield Finding(
                event_type.declared_at,
                f"{label(event_type)} is kept {mine} days, but {label(source)} only {theirs}",
                f"write retention_days={theirs} or less, or keep the source for {mine}",
            )
        for use in event_type.enrichments:
            enrichment = project.enrichments.get(use.enrichment)
            kept = enrichment.retention_days if isinstance(enrichment, Versioned | Snapshot) else None
            if enrichment is not None and mine is not None and kept is not None and mine > kept:
                yield Finding(
                    use.declared_at,
                    f"{label(event_type)} is kept {mine} days, but {label(enrichment)} only {kept}: a day older than "
                    "that, built again, has none of its values",
                    f"write retention_days={mine} in {label(enrichment)}, or leave it out",
                )


@rule("SP505", "warning", "a window does not reach beyond what is kept")
def window_beyond_retention(project: Project) -> Iterator[Finding]:
    """A sequence promises the events of its window; those past retention are deleted."""
    for sequence in project.sequences.values():
        for name in dict.fromkeys(sequence.event_types):
            event_type = project.event_types.get(name)
            kept = event_type.retention_days if event_type else None
            if kept is not None and sequence.window_days is not None and sequence.window_days > kept:
                yield Finding(
                    sequence.declared_at,
                    f"{label(sequence)} looks back {sequence.window_days} days, but event type {name!r} keeps {kept}",
                    f"write window_days={kept}, or retention_days={sequence.window_days} in event type {name!r}",
                )


@rule("SP506", "error", "a sequence with personal data says who may read it")
def pii_without_policy(project: Project) -> Iterator[Finding]:
    """``pii`` is a decision of the sequence's owner: readers with a grant, or nobody."""
    for sequence in project.sequences.values():
        if sequence.pii is None and (personal := _pii_columns(project, sequence)):
            yield Finding(
                sequence.declared_at,
                f"{label(sequence)} has personal data in {listed(personal)} but no pii policy",
                "write pii='granted' to serve it to readers with a grant, or pii='drop' to leave it out",
            )


@rule("SP507", "error", "personal data stays marked")
def pii_lost(project: Project) -> Iterator[Finding]:
    """A column taken over from a PII column of the source is PII too; only SQL can make something else of it."""
    for definition in (*project.event_types.values(), *project.enrichments.values()):
        if not isinstance(definition, EventType | Versioned | Snapshot):
            continue
        known = source_scope(project, definition.source).columns
        for column in definition.columns:
            found = known.get(column.name)
            if column.sql is None and found is not None and found.pii and not column.pii:
                yield Finding(
                    column.declared_at,
                    f"column {column.name!r} of {label(definition)} is not marked as personal data, "
                    f"but in source {definition.source!r} it is",
                    "declare pii=True",
                )


@rule("SP508", "error", "what is in service is not made from drafts or retired parts")
def stage_order(project: Project) -> Iterator[Finding]:
    """A draft changes without notice, and a retired definition is no longer built."""
    for definition in project.all:
        for part in parts(project, definition) if definition.lifecycle in _IN_SERVICE else []:
            if part.lifecycle in _NOT_IN_SERVICE:
                yield Finding(
                    _place(definition, part.name),
                    f"{label(definition)} is {definition.lifecycle} but uses {label(part)}, which is {part.lifecycle}",
                    f"set lifecycle='live' in {label(part)} at {part.declared_at}, or stop using it",
                )


def _place(definition: Definition, part: str) -> Location:
    uses = definition.enrichments if isinstance(definition, EventType) else ()
    return next((use.declared_at for use in uses if use.enrichment == part), definition.declared_at)


def _pii_columns(project: Project, sequence: Sequence) -> list[str]:
    columns = sequence_columns(project, sequence)
    return [out for out, by_type in columns.items() if any(column.pii for column in by_type.values())]
