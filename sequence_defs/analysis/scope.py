"""Which columns can be named at each place of a project that may be broken: what does not resolve is left out."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sequence_defs.compiler.counterparts import EVENT_TIME, LEGACY_PREFIX, counterparts
from sequence_defs.compiler.project import Project, labelled_by, status_column
from sequence_defs.compiler.views import together
from sequence_defs.schema import (
    Column,
    Definition,
    Derived,
    Enrich,
    Enrichment,
    EventType,
    ObjectView,
    Sequence,
    SessionView,
    Snapshot,
    Source,
    TrainingSet,
    Versioned,
    View,
)

# As findings call what labels are made of.
_KIND = {"event_types": "event type", "sessions": "session view"}
# Always part of an answer, so a sequence may list them and need not.
EVENT_KEYS = ("event_time", "event_type", "event_id")
SEQUENCE_KEYS = frozenset({"user_id", *EVENT_KEYS})
SYSTEM_COLUMNS = SEQUENCE_KEYS | {
    "tenant",
    "ingest_time",
    "available_time",
    "rev",
    "op",
    "source_partition",
    "offset",
    "release",
    "day",
    "shard",
    "source_order",
}


@dataclass(frozen=True)
class Scope:
    """``is_complete`` is false where something named here does not resolve: an absent column then proves nothing."""

    columns: Mapping[str, Column] = field(default_factory=dict)
    is_complete: bool = True

    def lacks(self, name: str) -> bool:
        """Whether ``name`` is certainly not there."""
        return self.is_complete and name not in self.columns


NOTHING_KNOWN = Scope(is_complete=False)


@dataclass(frozen=True)
class Attachment:
    """One enrichment on one event type. ``before``: what it can name as key or in SQL; ``outputs``: what it adds."""

    use: Enrich
    enrichment: Enrichment | None
    before: Scope
    outputs: Mapping[str, Column]


def source_scope(project: Project, name: str) -> Scope:
    """Columns of a source."""
    source = project.sources.get(name)
    return Scope({column.name: column for column in source.columns}) if source else NOTHING_KNOWN


def read_scope(source: Source) -> Scope:
    """Columns of a source that are read, from which the others are computed."""
    return Scope({column.name: column for column in source.columns if column.sql is None})


def user_column(project: Project, event_type: EventType) -> Column | None:
    """The source column that holds the user id of an event type."""
    source = project.sources.get(event_type.source)
    if source is None or source.user_id is None:
        return None
    return source_scope(project, source.name).columns.get(source.user_id)


def attachments(project: Project, event_type: EventType) -> list[Attachment]:
    """The enrichments of an event type, in order."""
    columns = {column.name: column for column in event_type.columns}
    user = user_column(project, event_type)
    if user is not None:
        columns["user_id"] = user.model_copy(update={"name": "user_id"})
    columns["event_time"] = Column(name="event_time", dtype="timestamp", nullable=False)
    before = Scope(columns, user is not None)
    found = []
    for use in event_type.enrichments:
        enrichment = project.enrichments.get(use.enrichment)
        outputs = _outputs(use, enrichment) if enrichment else {}
        found.append(Attachment(use, enrichment, before, outputs))
        before = Scope({**before.columns, **outputs}, before.is_complete and enrichment is not None)
    return found


def event_scope(project: Project, event_type: EventType) -> Scope:
    """All user-visible columns of an event: its own, its enrichments' and their statuses."""
    columns = {column.name: column for column in event_type.columns}
    is_complete = True
    for attachment in attachments(project, event_type):
        columns |= attachment.outputs
        status = status_column(attachment.use.enrichment)
        columns[status] = Column.model_construct(name=status, dtype="int8")
        is_complete = is_complete and attachment.enrichment is not None
    return Scope(columns, is_complete)


def derived_scope(attachment: Attachment, enrichment: Derived, upto: int) -> Scope:
    """What the ``upto``-th column of a derived enrichment can name: the event so far and the columns before it."""
    earlier = {column.name: column for column in enrichment.columns[:upto]}
    return Scope({**attachment.before.columns, **earlier}, attachment.before.is_complete)


def sequence_columns(project: Project, sequence: Sequence) -> dict[str, dict[str, Column]]:
    """Output column -> event type -> the column it is taken from, as far as names resolve."""
    types = of_event_types(project, sequence)
    scopes = {event_type.name: event_scope(project, event_type).columns for event_type in types}
    found: dict[str, dict[str, Column]] = {}
    for pick in sequence.columns:
        out, wanted = (pick, dict.fromkeys(scopes, pick)) if isinstance(pick, str) else (pick.name, pick.columns)
        found[out] = {t: scopes[t][name] for t, name in wanted.items() if name in scopes.get(t, {})}
    return found


def views(project: Project) -> list[View]:
    """Sessions, then objects."""
    return [*project.sessions.values(), *project.objects.values()]


def of_event_types(project: Project, taker: Sequence | View) -> list[EventType]:
    """The event types that a sequence or view is made of, as far as they exist."""
    return [project.event_types[name] for name in taker.event_types if name in project.event_types]


def view_scope(project: Project, view: View) -> Scope:
    """What a view can name of its events: the columns of all its event types."""
    types = of_event_types(project, view)
    scopes = [event_scope(project, each) for each in types]
    is_complete = len(types) == len(view.event_types) and all(scope.is_complete for scope in scopes)
    return Scope(together(scope.columns for scope in scopes), is_complete)


def compared_scopes(project: Project, definition: EventType | Sequence) -> tuple[Scope, Scope]:
    """What of an event can be compared with legacy, and what legacy has; without what every event has."""
    if isinstance(definition, EventType):
        is_known = definition.legacy is not None and definition.legacy.source != definition.source
        source = definition.legacy.source if definition.legacy and is_known else ""
        return event_scope(project, definition), source_scope(project, source)
    fields = definition.legacy.fields if definition.legacy else ()
    types = of_event_types(project, definition)
    is_complete = len(types) == len(definition.event_types) and all(event_scope(project, t).is_complete for t in types)
    found = sequence_columns(project, definition).items()
    firsts = {out: next(iter(of.values())) for out, of in found if of and out not in SEQUENCE_KEYS}
    ours = {out: column.model_copy(update={"name": out}) for out, column in firsts.items()}
    return Scope(ours, is_complete), Scope({field.name: field for field in fields})


def both_sides(project: Project, definition: EventType | Sequence) -> Scope:
    """What an expected difference can name: an event as we have it, and what legacy says of it."""
    ours, theirs = compared_scopes(project, definition)
    columns = {name: Column(name=name, dtype="string") for name in ("event_id", "event_type")}
    for name in (EVENT_TIME, "ingest_time", LEGACY_PREFIX + EVENT_TIME, LEGACY_PREFIX + "ingest_time"):
        columns[name] = Column(name=name, dtype="timestamp")
    first = definition if isinstance(definition, EventType) else _first_type(project, definition)
    user = user_column(project, first) if first else None
    if user is not None:
        columns["user_id"] = user.model_copy(update={"name": "user_id"})
    met = counterparts(definition.legacy, ours.columns, theirs.columns) if definition.legacy else {}
    for name, each in met.items():
        columns[LEGACY_PREFIX + name] = each.ours.model_copy(update={"name": LEGACY_PREFIX + name})
    named = set(definition.legacy.columns) - {EVENT_TIME} if definition.legacy else set()
    is_complete = ours.is_complete and theirs.is_complete and user is not None and named <= met.keys()
    return Scope({**ours.columns, **columns}, is_complete)


def references(definition: Definition) -> list[tuple[str, str]]:
    """Kind and name of everything a definition is made from, compared with or measured by, whether it exists or not."""
    if isinstance(definition, EventType):
        attached = [("enrichment", use.enrichment) for use in definition.enrichments]
        legacy = [definition.legacy.source, definition.legacy.replay] if definition.legacy else []
        measured = [("event type", name) for name in _measured(definition) if name != definition.name]
        sources = [("source", name) for name in (definition.source, *legacy) if name]
        return [*sources, *attached, *measured]
    if isinstance(definition, Sequence | SessionView | ObjectView):
        return [("event type", name) for name in definition.event_types]
    if isinstance(definition, TrainingSet):
        return [("sequence", definition.sequence), *((_KIND[of], name) for of, name in labelled_by(definition))]
    if isinstance(definition, Versioned | Snapshot):
        return [("source", definition.source)]
    return []


def parts(project: Project, definition: Definition) -> list[Definition]:
    """The definitions that one is made from, as far as they exist."""
    kinds: dict[str, Mapping[str, Definition]] = {
        "source": project.sources,
        "enrichment": project.enrichments,
        "event type": project.event_types,
        "sequence": project.sequences,
        "session view": project.sessions,
    }
    return [kinds[kind][name] for kind, name in references(definition) if name in kinds[kind]]


def _measured(event_type: EventType) -> list[str]:
    """The event types that its experiment counts."""
    metrics = event_type.experiment.metrics if event_type.experiment else ()
    return list(dict.fromkeys(metric.event_type for metric in metrics))


def _first_type(project: Project, sequence: Sequence) -> EventType | None:
    return next((project.event_types[name] for name in sequence.event_types if name in project.event_types), None)


def _outputs(use: Enrich, enrichment: Enrichment) -> dict[str, Column]:
    by_name = {column.name: column for column in enrichment.columns}
    wanted = use.columns or {name: name for name in by_name}
    return {out: by_name[name].model_copy(update={"name": out}) for out, name in wanted.items() if name in by_name}
