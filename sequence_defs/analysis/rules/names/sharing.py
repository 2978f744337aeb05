"""What belongs to another tenant is taken only where its owner says so."""

import posixpath
from collections.abc import Iterator
from fnmatch import fnmatchcase

from sequence_defs.analysis.diagnostics import Finding, rule
from sequence_defs.analysis.expressions import expressions
from sequence_defs.analysis.scope import compared_scopes, of_event_types, parts, views
from sequence_defs.analysis.wording import define, instead, label
from sequence_defs.compiler.counterparts import counterparts, field_of
from sequence_defs.compiler.project import Project, labels_not_given, not_given
from sequence_defs.schema import (
    Blobs,
    Column,
    Definition,
    EventType,
    Sequence,
    SessionView,
    Shareable,
    Snapshot,
    Source,
    TrainingSet,
    Versioned,
)


@rule("SP108", "error", "what belongs to another tenant is shared by it")
def not_shared(project: Project) -> Iterator[Finding]:
    """An owner names in ``shared_with`` who may take a source, an enrichment or an event type. Personal data is shared
    column by column.
    """
    for definition in project.all:
        for part in [*parts(project, definition), *_of_sessions(project, definition)]:
            if not isinstance(part, Shareable) or part.is_open_to(definition.tenant):
                continue
            if {definition.tenant, part.tenant} <= project.tenants.keys():  # else another rule tells what is wrong
                yield Finding(
                    definition.declared_at,
                    f"{label(definition)} of tenant {definition.tenant!r} is made from {label(part)}, which tenant "
                    f"{part.tenant!r} does not share with it",
                    f"its owner writes shared_with={(*part.shared_with, definition.tenant)!r} at {part.declared_at}",
                )
    for definition, owner, column in _taken(project):
        if not {definition.tenant, owner.tenant} <= project.tenants.keys():
            continue
        what = "personal data, which" if column.pii else "which"
        yield Finding(
            definition.declared_at,
            f"{label(definition)} of tenant {definition.tenant!r} takes column {column.name!r} of {label(owner)}, "
            f"{what} tenant {owner.tenant!r} does not share with it",
            f"leave it out, or its owner writes shared_with=({definition.tenant!r},) in the column at "
            f"{column.declared_at}",
        )


@rule("SP109", "error", "a definition is shared with tenants there are")
def shared_with_nobody(project: Project) -> Iterator[Finding]:
    """A name that is misspelt shares nothing; and a tenant has what is its own."""
    for definition in project.all:
        if not isinstance(definition, Shareable):
            continue
        columns: tuple[Column, ...] = getattr(definition, "columns", ())
        said = [(definition.shared_with, definition.declared_at)]
        said += [(column.shared_with or (), column.declared_at) for column in columns]
        for names, where in said:
            for name in names:
                if name not in project.tenants:
                    yield Finding(
                        where,
                        f"{label(definition)} is shared with tenant {name!r}, which is not defined",
                        instead(name, project.tenants, define("Tenant", name)),
                    )


@rule("SP110", "error", "files of another tenant are shared by it")
def files_not_shared(project: Project) -> Iterator[Finding]:
    """A source that reads, or joins, what another tenant's source reads would take what is not given to it. The owner
    is whoever shares; where neither does, nobody knows whose files they are. Files of legacy sequences and of labels
    are files, too.
    """
    readers: list[Source | Sequence | TrainingSet] = [
        *project.sources.values(),
        *project.sequences.values(),
        *project.training.values(),
    ]
    for n, reader in enumerate(readers):
        for other in readers[:n]:
            if other.tenant == reader.tenant or _is_open(other, reader.tenant) or _is_open(reader, other.tenant):
                continue
            both = [place for place in _places(reader) if any(_overlap(place, theirs) for theirs in _places(other))]
            if both and {reader.tenant, other.tenant} <= project.tenants.keys():
                yield Finding(
                    reader.declared_at,
                    f"{label(reader)} of tenant {reader.tenant!r} reads {both[0]!r}, which {label(other)} of tenant "
                    f"{other.tenant!r} reads as well",
                    f"make its event types from what its owner shares, or whose files they are writes "
                    f"shared_with=({reader.tenant!r},) at {other.declared_at}",
                )


def _is_open(reader: Definition, tenant: str) -> bool:
    return isinstance(reader, Source) and reader.is_open_to(tenant)


def _places(reader: Source | Sequence | TrainingSet) -> list[str]:
    if isinstance(reader, TrainingSet):
        return [reader.labels] if reader.labels else []
    if isinstance(reader, Source):
        return [place for place in (reader.location, *(join.location for join in reader.joins)) if place]
    legacy = reader.legacy
    return [each.location for each in (legacy.at, legacy.replay) if isinstance(each, Blobs)] if legacy else []


def _overlap(one: str, other: str) -> bool:
    """Whether two locations name the same files, or one of them all of the other's."""
    first, second = (place if "://" in place else posixpath.normpath(place) for place in (one, other))
    first, second = first.replace("{day}", "*"), second.replace("{day}", "*")
    return fnmatchcase(first, second) or fnmatchcase(second, first)


def _taken(project: Project) -> Iterator[tuple[Definition, Shareable, Column]]:
    """Who takes which column of whose definition, and may not."""
    for taker in (*project.sequences.values(), *views(project)):
        for found in not_given(taker, taker.tenant, project.event_types, project.enrichments):
            if found.origin is not None and found.column is not None:
                yield taker, found.origin, found.column
    for each in project.training.values():
        for found in labels_not_given(each, project.event_types, project.sessions, project.enrichments):
            if found.origin is not None and found.column is not None:
                yield each, found.origin, found.column
    for definition in (*project.event_types.values(), *project.enrichments.values()):
        of_source = _of_source(project, definition) if isinstance(definition, EventType | Versioned | Snapshot) else ()
        of_enrichments = _of_enrichments(project, definition) if isinstance(definition, EventType) else ()
        of_legacy = _of_legacy(project, definition) if isinstance(definition, EventType) else ()
        for owner, column in (*of_source, *of_enrichments, *of_legacy):
            if owner.is_open_to(definition.tenant) and not owner.gives(column, definition.tenant):
                yield definition, owner, column


def _of_sessions(project: Project, definition: Definition) -> list[Definition]:
    """The event types of other tenants' sessions that labels are made of: views themselves are not shared."""
    made_of = parts(project, definition) if isinstance(definition, TrainingSet) else []
    views_of = [each for each in made_of if isinstance(each, SessionView) and each.tenant != definition.tenant]
    return [each for view in views_of for each in of_event_types(project, view)]


def _of_source(project: Project, definition: EventType | Versioned | Snapshot) -> Iterator[tuple[Shareable, Column]]:
    source = project.sources.get(definition.source)
    if source is None or source.tenant == definition.tenant:
        return
    columns = {column.name: column for column in source.columns}
    named = [column.name for column in definition.columns if column.sql is None]
    named += [name for found in expressions(project) if found.of is definition for name in found.named()]
    named += definition.natural_key if isinstance(definition, EventType) else definition.key
    for name in dict.fromkeys(named):
        if name in columns:
            yield source, columns[name]


def _of_enrichments(project: Project, event_type: EventType) -> Iterator[tuple[Shareable, Column]]:
    for use in event_type.enrichments:
        enrichment = project.enrichments.get(use.enrichment)
        if enrichment is not None and enrichment.tenant != event_type.tenant:
            by_name = {column.name: column for column in enrichment.columns}
            for name in (use.columns or {each: each for each in by_name}).values():
                if name in by_name:
                    yield enrichment, by_name[name]


def _of_legacy(project: Project, event_type: EventType) -> Iterator[tuple[Shareable, Column]]:
    """The columns of its legacy source that an event type is compared with."""
    legacy = event_type.legacy
    source = project.sources.get(legacy.source) if legacy else None
    if legacy is None or source is None or source.tenant == event_type.tenant:
        return
    ours, theirs = compared_scopes(project, event_type)
    met = counterparts(legacy, ours.columns, theirs.columns)
    read = {legacy.event_id or "", *(field_of(legacy, name) for name in legacy.natural_key)}
    for name in sorted({*read, *(each.legacy.name for each in met.values())} & theirs.columns.keys()):
        yield source, theirs.columns[name]
