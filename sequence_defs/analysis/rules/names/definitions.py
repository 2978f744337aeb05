"""Names of definitions: taken twice, resolving to nothing, or used by nobody."""

from collections.abc import Iterator

from sequence_defs.analysis.diagnostics import Finding, rule
from sequence_defs.analysis.scope import references, views
from sequence_defs.analysis.wording import define, instead, kind_of, label
from sequence_defs.compiler.project import Project
from sequence_defs.schema import (
    Definition,
    EventType,
    ObjectView,
    Sequence,
    SessionView,
    Snapshot,
    Tenant,
    TrainingSet,
    Versioned,
)

# What people read, or what holds others: nothing need be made from it.
_READ = Tenant | Sequence | SessionView | ObjectView | TrainingSet
_IN_USE = ("shadow", "live")


@rule("SP101", "error", "one name, one definition")
def duplicate_name(project: Project) -> Iterator[Finding]:
    """Two definitions of one kind cannot share a name: a release keys objects by it."""
    first: dict[tuple[str, str], Definition] = {}
    for definition in project.all:
        other = first.setdefault((kind_of(definition), definition.name), definition)
        if other is not definition:
            yield Finding(
                definition.declared_at,
                f"{label(definition)} is already defined at {other.declared_at}",
                "rename one of them, or delete the one that is not meant",
            )


@rule("SP102", "error", "tenant exists")
def unknown_tenant(project: Project) -> Iterator[Finding]:
    """Every definition belongs to a declared tenant; a tenant belongs to itself."""
    for definition in project.all:
        if isinstance(definition, Tenant):
            if definition.tenant != definition.name:
                yield Finding(
                    definition.declared_at,
                    f"{label(definition)} says that its tenant is {definition.tenant!r}, but a tenant is its own",
                    f"write tenant={definition.name!r}",
                )
        elif definition.tenant not in project.tenants:
            yield Finding(
                definition.declared_at,
                f"tenant {definition.tenant!r} of {label(definition)} is not defined",
                instead(
                    definition.tenant,
                    project.tenants,
                    define("Tenant", definition.tenant),
                ),
            )


@rule("SP103", "error", "source exists")
def unknown_source(project: Project) -> Iterator[Finding]:
    """Event types and keyed enrichments are made from a declared source."""
    for definition in project.all:
        if isinstance(definition, EventType | Versioned | Snapshot) and definition.source not in project.sources:
            yield Finding(
                definition.declared_at,
                f"source {definition.source!r} of {label(definition)} is not defined",
                instead(definition.source, project.sources, define("Source", definition.source)),
            )


@rule("SP104", "error", "executor is installed")
def unknown_executor(project: Project) -> Iterator[Finding]:
    """The code that maps an event type must be there when its digest is recorded."""
    for event_type in project.event_types.values():
        if event_type.executor not in project.executors:
            yield Finding(
                event_type.declared_at,
                f"executor {event_type.executor!r} of {label(event_type)} is not installed",
                instead(event_type.executor, project.executors, "install the package that provides it"),
            )


@rule("SP105", "error", "attached enrichment exists")
def unknown_enrichment(project: Project) -> Iterator[Finding]:
    """``Enrich`` names a declared enrichment."""
    for event_type in project.event_types.values():
        for use in event_type.enrichments:
            if use.enrichment not in project.enrichments:
                yield Finding(
                    use.declared_at,
                    f"{label(event_type)} attaches enrichment {use.enrichment!r}, which is not defined",
                    instead(use.enrichment, project.enrichments, "define it"),
                )


@rule("SP106", "error", "event type of a sequence or view exists")
def unknown_event_type(project: Project) -> Iterator[Finding]:
    """Sequences and views name declared event types, and a ``Pick`` names event types of its sequence."""
    for taker in (*project.sequences.values(), *views(project)):
        for name in taker.event_types:
            if name not in project.event_types:
                yield Finding(
                    taker.declared_at,
                    f"{label(taker)} takes events of type {name!r}, which is not defined",
                    instead(name, project.event_types, define("EventType", name)),
                )
    for sequence in project.sequences.values():
        for pick in sequence.columns:
            if isinstance(pick, str):
                continue
            for name in pick.columns:
                if name not in sequence.event_types:
                    yield Finding(
                        pick.declared_at,
                        f"column {pick.name!r} of {label(sequence)} picks from event type {name!r}, "
                        "which is not in the sequence",
                        instead(name, sequence.event_types, f"add {name!r} to event_types"),
                    )


@rule("SP107", "warning", "every definition is used")
def unused(project: Project) -> Iterator[Finding]:
    """A live source, enrichment or event type that no sequence or view is made from costs storage and serves nobody."""
    users = [definition for definition in project.all if definition.lifecycle != "retired"]
    used = {reference for definition in users for reference in references(definition)}
    if used - {(kind_of(definition), definition.name) for definition in project.all}:
        return  # a name resolves to nothing, so what seems unused may be what it meant, or be used by it
    for definition in project.all:
        if isinstance(definition, _READ) or definition.lifecycle not in _IN_USE:
            continue
        if (kind_of(definition), definition.name) not in used:
            yield Finding(
                definition.declared_at,
                f"{label(definition)} is {definition.lifecycle} but nothing is made from it",
                "add it to a sequence" if isinstance(definition, EventType) else "use it, or set lifecycle='draft'",
            )
