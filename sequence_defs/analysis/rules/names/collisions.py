"""Names of columns that are taken: by the platform, by another column, or by an earlier mention."""

from collections import Counter
from collections.abc import Iterable, Iterator

from sequence_defs.analysis.diagnostics import Finding, rule
from sequence_defs.analysis.scope import SEQUENCE_KEYS, SYSTEM_COLUMNS, attachments
from sequence_defs.analysis.wording import label
from sequence_defs.compiler.project import Project, status_column
from sequence_defs.schema import (
    Column,
    Definition,
    Derived,
    EventType,
    Location,
    ObjectView,
    Pick,
    Sequence,
    Service,
    SessionView,
    Snapshot,
    Source,
    Versioned,
)

# Columns that the tables of keyed enrichments and of sequences have besides the declared ones.
_VERSION_COLUMNS = frozenset({"valid_from", "valid_to", "day"})
_SEGMENT_COLUMNS = frozenset({"length", "day"})


@rule("SP127", "error", "output columns do not collide")
def collision(project: Project) -> Iterator[Finding]:
    """A column may not take the name of a system column or of a column that is there already."""
    for event_type in project.event_types.values():
        yield from _event_collisions(project, event_type)
    for enrichment in project.enrichments.values():
        if isinstance(enrichment, Versioned | Snapshot):
            taken = dict.fromkeys(_VERSION_COLUMNS, "a column of its table") | dict.fromkeys(enrichment.key, "its key")
            for column in enrichment.columns:
                if column.name in taken:
                    yield _collides(column.declared_at, column.name, label(enrichment), taken[column.name])
    for sequence in project.sequences.values():
        for pick in sequence.columns:
            out, where = (pick, sequence.declared_at) if isinstance(pick, str) else (pick.name, pick.declared_at)
            if out in _SEGMENT_COLUMNS or (not isinstance(pick, str) and out in SEQUENCE_KEYS):
                yield _collides(where, out, label(sequence), "a column of its table")


@rule("SP128", "error", "a list names nothing twice")
def repeated(project: Project) -> Iterator[Finding]:
    """The second mention of a column, key or event type has no meaning of its own."""
    for definition in project.all:
        lists: dict[str, Iterable[str]] = {}
        if isinstance(definition, Source | EventType | Versioned | Snapshot | Derived | Service):
            lists["columns"] = [column.name for column in definition.columns]
        if isinstance(definition, Versioned | Snapshot | Service):
            lists["key"] = definition.key
        if isinstance(definition, EventType):
            lists["natural_key"] = definition.natural_key
        if isinstance(definition, Sequence | SessionView | ObjectView):
            lists["event_types"] = definition.event_types
        if isinstance(definition, Sequence):
            lists["columns"] = [pick if isinstance(pick, str) else pick.name for pick in definition.columns]
            lists["deprecated"] = definition.deprecated
        for field, names in lists.items():
            for name, count in Counter(names).items():
                if count > 1:
                    yield Finding(
                        _place(definition, field, name),
                        f"{field} of {label(definition)} names {name!r} {count} times",
                        "keep one of them",
                    )


def _place(definition: Definition, field: str, name: str) -> Location:
    """The last part of that name, which is the one that repeats; a plain string has its owner's place."""
    parts = [p for p in getattr(definition, field) if isinstance(p, Column | Pick) and p.name == name]
    return (parts[-1] if parts else definition).declared_at


def _event_collisions(project: Project, event_type: EventType) -> Iterator[Finding]:
    taken = dict.fromkeys(SYSTEM_COLUMNS, "a system column")
    for column in event_type.columns:
        if column.name in taken:
            yield _collides(column.declared_at, column.name, label(event_type), taken[column.name])
    taken |= {column.name: "a column of the event" for column in event_type.columns}
    for attachment in attachments(project, event_type):
        use = attachment.use
        for out in (*attachment.outputs, status_column(use.enrichment)):
            if out in taken:
                title = f"enrichment {use.enrichment!r} on {label(event_type)}"
                yield _collides(use.declared_at, out, title, taken[out])
            taken.setdefault(out, f"a column of enrichment {use.enrichment!r}")


def _collides(where: Location, name: str, owner: str, taken_by: str) -> Finding:
    return Finding(
        where,
        f"column {name!r} of {owner} has the name of {taken_by}",
        f"give it another name, e.g. '{name}_value'; an enrichment's with Enrich(columns={{new: {name!r}}})",
    )
