"""All definitions of one project, by kind and name, plus what is known of the executors they may name."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from sequence_defs.compiler.sql import SqlError, names
from sequence_defs.schema import (
    Column,
    Definition,
    Derived,
    Enrich,
    Enrichment,
    EventType,
    ObjectView,
    Sequence,
    Service,
    SessionView,
    Shareable,
    Snapshot,
    Source,
    Tenant,
    TrainingSet,
    Versioned,
    View,
)
from sequence_defs.schema.sequences import STARTS

STATUS_SUFFIX = "__status"


@dataclass(frozen=True)
class Project:
    """Definitions as authored. ``all`` keeps declaration order and duplicates; the mappings hold the first of a name.

    ``executors`` maps executor names to code digests: passed in, because the code lives in a later layer.
    """

    all: tuple[Definition, ...]
    executors: Mapping[str, str] = field(default_factory=dict)
    tenants: Mapping[str, Tenant] = field(init=False)
    sources: Mapping[str, Source] = field(init=False)
    event_types: Mapping[str, EventType] = field(init=False)
    enrichments: Mapping[str, Enrichment] = field(init=False)
    sequences: Mapping[str, Sequence] = field(init=False)
    sessions: Mapping[str, SessionView] = field(init=False)
    objects: Mapping[str, ObjectView] = field(init=False)
    training: Mapping[str, TrainingSet] = field(init=False)

    def __post_init__(self) -> None:
        for name, kinds in (
            ("tenants", (Tenant,)),
            ("sources", (Source,)),
            ("event_types", (EventType,)),
            ("enrichments", (Versioned, Snapshot, Derived, Service)),
            ("sequences", (Sequence,)),
            ("sessions", (SessionView,)),
            ("objects", (ObjectView,)),
            ("training", (TrainingSet,)),
        ):
            object.__setattr__(self, name, _by_name(self.all, kinds))


def _by_name(definitions: Iterable[Definition], kinds: tuple[type, ...]) -> dict[str, Definition]:
    found: dict[str, Definition] = {}
    for definition in definitions:
        if isinstance(definition, kinds):
            found.setdefault(definition.name, definition)
    return found


def attached(use: Enrich, enrichment: Enrichment) -> dict[str, Column]:
    """Output columns one attachment adds to an event: output name -> the enrichment's column.

    Raises:
        KeyError: ``use.columns`` names a column the enrichment does not have.
    """
    by_name = {column.name: column for column in enrichment.columns}
    return {out: by_name[name] for out, name in (use.columns or {n: n for n in by_name}).items()}


def status_column(enrichment: str) -> str:
    """The column that says, per event, what became of one enrichment."""
    return enrichment + STATUS_SUFFIX


def event_columns(event_type: EventType, enrichments: Mapping[str, Enrichment]) -> dict[str, Column]:
    """Every user-visible column of an event, in table order: own columns, then each enrichment's and its status."""
    columns = {column.name: column for column in event_type.columns}
    for use in event_type.enrichments:
        enrichment = enrichments[use.enrichment]
        for out, column in attached(use, enrichment).items():
            columns[out] = column.model_copy(update={"name": out})
        status = status_column(use.enrichment)
        columns[status] = Column(name=status, dtype="int8", description=f"status of {use.enrichment}")
    return columns


def read_by(view: View) -> list[str]:
    """The columns of events that a view names, each once; SQL that does not parse names none."""
    named = [view.scope] if isinstance(view, SessionView) else [view.key, view.action]
    for each in view.columns:
        named += [each.column, *_named(each.where)]
    return list(
        dict.fromkeys(filter(None, [*named, *_named(view.boundary if isinstance(view, SessionView) else None)]))
    )


def labelled_by(definition: TrainingSet) -> list[tuple[str, str]]:
    """Whose events labels are made of, each once, as a release keys it: ``("event_types", "order")``."""
    first = [definition.moments.events] if definition.moments is not None else []
    return list(map(labelled_as, dict.fromkeys([*first, *(outcome.events for outcome in definition.outcomes)])))


def labelled_as(events: str) -> tuple[str, str]:
    """What a training set calls ``order`` or ``sessions_visit``, as a release keys it."""
    return ("sessions" if events.startswith(STARTS) else "event_types", events.removeprefix(STARTS))


def read_for_labels(definition: TrainingSet, events: str) -> list[str]:
    """The columns of ``events`` that labels are made of, each once; SQL that does not parse names none."""
    moments = [definition.moments.where] if definition.moments and definition.moments.events == events else []
    outcomes = [each for each in definition.outcomes if each.events == events]
    named = [name for where in (*moments, *(each.where for each in outcomes)) for name in _named(where)]
    return list(dict.fromkeys([*named, *(each.column for each in outcomes if each.column)]))


def _named(sql: str | None) -> list[str]:
    try:
        return names(sql) if sql is not None else []
    except SqlError:
        return []


class NotGiven(NamedTuple):
    """What a sequence or view takes that an owner does not share: an event type, or of one the origin of a column,
    ``out``."""

    event_type: EventType
    out: str = ""
    origin: Shareable | None = None
    column: Column | None = None


def not_given(
    taker: Sequence | View, to: str, event_types: Mapping[str, EventType], enrichments: Mapping[str, Enrichment]
) -> Iterator[NotGiven]:
    """What tenant ``to`` may not have of a sequence or view, as the owners of its event types say. Names that resolve
    to nothing are passed over.
    """
    picks = taker.columns if isinstance(taker, Sequence) else read_by(taker)
    for name in dict.fromkeys(taker.event_types):
        if event_type := event_types.get(name):
            named = [(p, p) if isinstance(p, str) else (p.name, p.columns.get(name, "")) for p in picks]
            yield from _not_given_of(event_type, dict(named), to, enrichments)


def labels_not_given(
    taker: TrainingSet,
    event_types: Mapping[str, EventType],
    sessions: Mapping[str, SessionView],
    enrichments: Mapping[str, Enrichment],
) -> Iterator[NotGiven]:
    """What the tenant of a training set may not have of that which its labels are made of. Where they are of sessions
    of another tenant, that is all that says which sessions there are, and what is in them.
    """
    for layer, name in labelled_by(taker):
        view = sessions.get(name) if layer == "sessions" else None
        if view is not None and view.tenant != taker.tenant:
            yield from not_given(view, taker.tenant, event_types, enrichments)
        elif layer == "event_types" and name in event_types:
            named = {each: each for each in read_for_labels(taker, name)}
            yield from _not_given_of(event_types[name], named, taker.tenant, enrichments)


def _not_given_of(
    event_type: EventType, named: Mapping[str, str], to: str, enrichments: Mapping[str, Enrichment]
) -> Iterator[NotGiven]:
    """``named``: the columns taken, by the name they get."""
    if event_type.tenant == to:
        return
    if not event_type.is_open_to(to):
        yield NotGiven(event_type)
        return
    origins = _origins(event_type, enrichments)
    for out, taken in named.items():
        if taken in origins and not event_type.passes_on(*origins[taken], to):
            yield NotGiven(event_type, out, *origins[taken])


def _origins(event_type: EventType, enrichments: Mapping[str, Enrichment]) -> dict[str, tuple[Shareable, Column]]:
    """Every column of an event: whose it is, and as what."""
    found: dict[str, tuple[Shareable, Column]] = {column.name: (event_type, column) for column in event_type.columns}
    for use in event_type.enrichments:
        if enrichment := enrichments.get(use.enrichment):
            by_name = {column.name: column for column in enrichment.columns}
            wanted = use.columns or {name: name for name in by_name}
            found |= {out: (enrichment, by_name[name]) for out, name in wanted.items() if name in by_name}
        status = status_column(use.enrichment)
        found[status] = (event_type, Column(name=status, dtype="int8"))
    return found
