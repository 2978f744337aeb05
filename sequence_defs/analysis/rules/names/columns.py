"""Names of columns that are not there: in sources, enrichments, event types and sequences."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from sequence_defs.analysis.diagnostics import Finding, rule
from sequence_defs.analysis.scope import (
    SEQUENCE_KEYS,
    Attachment,
    attachments,
    event_scope,
    source_scope,
)
from sequence_defs.analysis.wording import instead, label, listed
from sequence_defs.compiler.project import Project
from sequence_defs.schema import (
    Column,
    Derived,
    EventType,
    Join,
    Location,
    Service,
    Snapshot,
    Source,
    Versioned,
)


@rule("SP121", "error", "fields of a source are among its columns")
def source_fields(project: Project) -> Iterator[Finding]:
    """``user_id``, ``rev``, ``op``, ``order`` and the columns of a join are typed by being declared in ``columns``.

    Rows are joined before anything is computed, so a join's columns are read ones. Each comes from one join, and none
    is a key of its own.
    """
    for source in project.sources.values():
        known = source_scope(project, source.name).columns
        named = [(source.declared_at, field, getattr(source, field)) for field in ("user_id", "rev", "op", "order")]
        for join in source.joins:
            named += [(join.declared_at, "join key", name) for name in join.on]
            named += [(join.declared_at, "join column", name) for name in join.columns]
            yield from _computed(source, join, known)
        yield from _brought_twice(source)
        for where, field, name in named:
            if name is not None and name not in known:
                yield Finding(
                    where,
                    f"{field} {name!r} is not a column of {label(source)}",
                    instead(name, known, f"declare Column(name={name!r}, ...) in the source"),
                )


@rule("SP122", "error", "keys and columns of an enrichment are in its source")
def enrichment_fields(project: Project) -> Iterator[Finding]:
    """A keyed enrichment takes key and columns from its source; ``missing`` names its own columns."""
    for enrichment in project.enrichments.values():
        if not isinstance(enrichment, Versioned | Snapshot):
            continue
        scope, own = source_scope(project, enrichment.source), [column.name for column in enrichment.columns]
        for key in enrichment.key:
            if scope.lacks(key):
                yield _not_in_source(enrichment.declared_at, f"key {key!r}", key, enrichment, scope.columns)
        yield from _taken_over(enrichment, project)
        for name in enrichment.missing:
            if name not in own:
                yield Finding(
                    enrichment.declared_at,
                    f"`missing` of {label(enrichment)} names {name!r}, which is not one of its columns",
                    instead(name, own, "drop it"),
                )


@rule("SP123", "error", "columns of an event type are in its source")
def event_fields(project: Project) -> Iterator[Finding]:
    """Without ``sql`` the declarative executor takes the source's column of that name; other executors make theirs."""
    for event_type in project.event_types.values():
        if event_type.executor == "declarative":
            yield from _taken_over(event_type, project)


@rule("SP124", "error", "an attached enrichment finds its keys")
def enrich_on(project: Project) -> Iterator[Finding]:
    """``on`` maps every key of the enrichment to a column the event has by then; equal names need no ``on``."""
    for event_type in project.event_types.values():
        for attachment in attachments(project, event_type):
            enrichment = attachment.enrichment
            if isinstance(enrichment, Derived) and attachment.use.on:
                yield Finding(
                    attachment.use.declared_at,
                    f"{label(event_type)} gives keys for {label(enrichment)}, which is derived and has none",
                    "drop `on`",
                )
            if isinstance(enrichment, Versioned | Snapshot):
                scope = source_scope(project, enrichment.source)
                if any(scope.lacks(key) for key in enrichment.key):
                    continue  # the enrichment's own key is wrong, which every attachment would repeat
            if isinstance(enrichment, Versioned | Snapshot | Service):
                yield from _keys(event_type, attachment, enrichment.key)


@rule("SP125", "error", "columns picked from an enrichment exist")
def enrich_columns(project: Project) -> Iterator[Finding]:
    """``Enrich.columns`` maps output names to columns of the enrichment."""
    for event_type in project.event_types.values():
        for use in event_type.enrichments:
            enrichment = project.enrichments.get(use.enrichment)
            known = [column.name for column in enrichment.columns] if enrichment else []
            for out, name in use.columns.items():
                if enrichment and name not in known:
                    yield Finding(
                        use.declared_at,
                        f"{label(event_type)} takes {out!r} from column {name!r}, which {label(enrichment)} lacks",
                        instead(name, known, f"add Column(name={name!r}, ...) to the enrichment"),
                    )


@rule("SP126", "error", "columns of a sequence exist")
def sequence_fields(project: Project) -> Iterator[Finding]:
    """A plain column is in at least one event type of the sequence, a picked one in each it is picked from; what is
    deprecated is a column of the sequence.
    """
    for sequence in project.sequences.values():
        types = [project.event_types[name] for name in sequence.event_types if name in project.event_types]
        scopes = {event_type.name: event_scope(project, event_type) for event_type in types}
        all_resolve = len(types) == len(sequence.event_types)
        outs = {pick if isinstance(pick, str) else pick.name for pick in sequence.columns}
        for name in [name for name in sequence.deprecated if name not in outs]:
            yield Finding(
                sequence.declared_at,
                f"deprecated of {label(sequence)} names {name!r}, which is no column of it",
                instead(name, outs, "leave it out of deprecated"),
            )
        for pick in sequence.columns:
            if isinstance(pick, str):
                if pick not in SEQUENCE_KEYS and all_resolve and all(s.lacks(pick) for s in scopes.values()):
                    known = {name for scope in scopes.values() for name in scope.columns}
                    yield Finding(
                        sequence.declared_at,
                        f"no event type of {label(sequence)} has a column {pick!r}",
                        instead(pick, known, f"add it to one of {listed(scopes)}"),
                    )
                continue
            for name, column in pick.columns.items():
                if name in scopes and scopes[name].lacks(column):
                    yield Finding(
                        pick.declared_at,
                        f"column {pick.name!r} of {label(sequence)} picks {column!r}, which event type {name!r} lacks",
                        instead(column, scopes[name].columns, f"add the column to event type {name!r}"),
                    )


def _taken_over(definition: EventType | Versioned | Snapshot, project: Project) -> Iterator[Finding]:
    scope = source_scope(project, definition.source)
    for column in definition.columns:
        if column.sql is None and scope.lacks(column.name):
            yield _not_in_source(column.declared_at, f"column {column.name!r}", column.name, definition, scope.columns)


def _not_in_source(
    where: Location,
    what: str,
    name: str,
    definition: EventType | Versioned | Snapshot,
    known: Iterable[str],
) -> Finding:
    return Finding(
        where,
        f"{what} of {label(definition)} is not a column of source {definition.source!r}",
        instead(name, known, "compute it with sql=..., or declare it in the source"),
    )


def _keys(event_type: EventType, attachment: Attachment, keys: tuple[str, ...]) -> Iterator[Finding]:
    use, known = attachment.use, attachment.before
    for key in use.on:
        if key not in keys:
            yield Finding(
                use.declared_at,
                f"{label(event_type)} maps {key!r}, which is not a key of enrichment {use.enrichment!r}",
                instead(key, keys, "drop it"),
            )
    for key in keys:
        if use.on and key not in use.on:
            yield Finding(
                use.declared_at,
                f"{label(event_type)} does not say which column is key {key!r} of enrichment {use.enrichment!r}",
                f"add it to `on`, e.g. on={{..., {key!r}: <event column>}}",
            )
            continue
        column = use.on.get(key, key)
        if known.lacks(column):
            yield Finding(
                use.declared_at,
                f"key {key!r} of enrichment {use.enrichment!r} is to be {column!r}, which {label(event_type)} lacks",
                instead(column, known.columns, f"map the key with on={{{key!r}: <event column>}}"),
            )


def _brought_twice(source: Source) -> Iterator[Finding]:
    brought: set[str] = set()
    for join in source.joins:
        for name, times in Counter(join.columns).items():
            what = f"join column {name!r} of {label(source)}"
            if name in join.on:
                yield Finding(join.declared_at, f"{what} is a key of the join", f"leave {name!r} out of columns")
            elif name in brought or times > 1:
                yield Finding(join.declared_at, f"{what} is joined twice", f"take {name!r} from one file only")
        brought.update(join.columns)


def _computed(source: Source, join: Join, known: Mapping[str, Column]) -> Iterator[Finding]:
    for name in (*join.keys, *join.columns):
        if name in known and known[name].sql is not None:
            yield Finding(
                join.declared_at,
                f"join with {join.location!r} of {label(source)} uses {name!r}, which is computed after it",
                "join on a column that is read, or compute it in the event type",
            )
