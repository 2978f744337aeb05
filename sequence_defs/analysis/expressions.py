"""Every SQL text of a project, with the columns it may name, so that each SQL rule is one loop."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import polars as pl

from sequence_defs.analysis.scope import (
    NOTHING_KNOWN,
    Scope,
    attachments,
    both_sides,
    derived_scope,
    event_scope,
    read_scope,
    source_scope,
    view_scope,
    views,
)
from sequence_defs.analysis.wording import label
from sequence_defs.compiler.probe import probe
from sequence_defs.compiler.project import Project
from sequence_defs.compiler.sql import SqlError, infer, names, schema_of
from sequence_defs.schema import (
    Column,
    Definition,
    Derived,
    EventType,
    Followed,
    LegacySequence,
    Location,
    Moments,
    Sequence,
    SessionView,
    Snapshot,
    Source,
    Time,
    Versioned,
)

Use = Literal["filter", "column", "time"]


@dataclass(frozen=True)
class Expression:
    """One SQL text. ``title`` is how findings call it; ``derived`` ones may look at other rows through windows."""

    where: Location
    title: str
    sql: str
    use: Use
    scope: Scope
    column: Column | None = None
    time: Time | None = None
    derived: bool = False
    of: Definition | None = None

    @property
    def schema(self) -> dict[str, pl.DataType]:
        return schema_of(self.scope.columns.values())

    def named(self) -> list[str]:
        """Columns it reads; none if it does not parse, which another rule reports."""
        try:
            return names(self.sql)
        except SqlError:
            return []

    def outcome(self) -> pl.DataType | str | None:
        """Its type, what is wrong with it, or None where other rules report why nothing can be said."""
        try:
            columns = [self.scope.columns[name] for name in names(self.sql)]
        except (SqlError, KeyError):
            return None
        return _outcome(self.sql, tuple(schema_of(columns).items()))

    def dtype(self) -> pl.DataType | None:
        """Its type, if it has one."""
        found = self.outcome()
        return found if isinstance(found, pl.DataType) else None


def expressions(project: Project) -> Iterator[Expression]:
    """All SQL texts: sources, then enrichments by definition, then event types with what is derived on them."""
    for source in project.sources.values():
        scope = source_scope(project, source.name)
        yield from _of(source, read_scope(source))
        if source.filter is not None:
            yield Expression(source.declared_at, f"filter of {label(source)}", source.filter, "filter", scope)
        yield from _times(source, scope)
    for enrichment in project.enrichments.values():
        if isinstance(enrichment, Versioned | Snapshot):
            yield from _of(enrichment, source_scope(project, enrichment.source))
            yield from _times(enrichment, source_scope(project, enrichment.source))
    for event_type in project.event_types.values():
        yield from _of(event_type, source_scope(project, event_type.source))
    yield from _derived(project)
    yield from _legacy(project)
    yield from _of_views(project)
    yield from _of_labels(project)


def _of(definition: Source | EventType | Versioned | Snapshot, scope: Scope) -> Iterator[Expression]:
    is_custom = isinstance(definition, EventType) and definition.executor != "declarative"
    if definition.filter is not None and not isinstance(definition, Source):  # a source's sees computed columns, too
        yield Expression(
            definition.declared_at, f"filter of {label(definition)}", definition.filter, "filter", scope, of=definition
        )
    for column in definition.columns:
        if column.sql is not None:
            title = f"column {column.name!r} of {label(definition)}"
            # Code may add columns before the expressions run, so a name that is not in the source proves nothing.
            seen = Scope(scope.columns, is_complete=False) if is_custom else scope
            yield Expression(column.declared_at, title, column.sql, "column", seen, column=column, of=definition)


def _times(definition: Source | Versioned | Snapshot, scope: Scope) -> Iterator[Expression]:
    for field in ("event_time", "ingest_time", "valid_from", "valid_to", "day"):
        time = getattr(definition, field, None)
        if time is not None:
            yield Expression(
                time.declared_at, f"{field} of {label(definition)}", time.sql, "time", scope, time=time, of=definition
            )


def _derived(project: Project) -> Iterator[Expression]:
    """A derived column is typed once per event type it is attached to; one that is attached nowhere only parses."""
    attached: set[str] = set()
    for event_type in project.event_types.values():
        for attachment in attachments(project, event_type):
            if isinstance(attachment.enrichment, Derived):
                attached.add(attachment.enrichment.name)
                for index, column in enumerate(attachment.enrichment.columns):
                    scope = derived_scope(attachment, attachment.enrichment, index)
                    yield from _derived_column(attachment.enrichment, column, scope, f" on {label(event_type)}")
    for enrichment in project.enrichments.values():
        if isinstance(enrichment, Derived) and enrichment.name not in attached:
            for column in enrichment.columns:
                yield from _derived_column(enrichment, column, NOTHING_KNOWN, "")


def _derived_column(enrichment: Derived, column: Column, scope: Scope, on: str) -> Iterator[Expression]:
    if column.sql is not None:
        title = f"column {column.name!r} of {label(enrichment)}{on}"
        yield Expression(column.declared_at, title, column.sql, "column", scope, column=column, derived=True)


def _legacy(project: Project) -> Iterator[Expression]:
    """Fields and times of legacy sequences, and what is expected to differ."""
    compared: list[EventType | Sequence] = [*project.event_types.values(), *project.sequences.values()]
    for definition in compared:
        legacy, of = definition.legacy, f"of legacy of {label(definition)}"
        if isinstance(legacy, LegacySequence):
            fields = {column.name: column for column in legacy.fields}
            read = {name: column for name, column in fields.items() if column.sql is None}
            for column in legacy.fields:
                if column.sql is not None:
                    yield Expression(
                        column.declared_at,
                        f"field {column.name!r} {of}",
                        column.sql,
                        "column",
                        Scope(read),
                        column=column,
                    )
            time = legacy.event_time
            yield Expression(time.declared_at, f"event_time {of}", time.sql, "time", Scope(fields), time=time)
        for expected in legacy.explained if legacy else ():
            title = f"explained difference {of}"
            yield Expression(expected.declared_at, title, expected.where, "filter", both_sides(project, definition))


def _of_views(project: Project) -> Iterator[Expression]:
    """Where sessions begin, and which events an aggregate is of."""
    for view in views(project):
        scope = view_scope(project, view)
        if isinstance(view, SessionView) and view.boundary is not None:
            yield Expression(view.declared_at, f"boundary of {label(view)}", view.boundary, "filter", scope)
        for each in view.columns:
            if each.where is not None:
                title = f"condition of column {each.name!r} of {label(view)}"
                yield Expression(each.declared_at, title, each.where, "filter", scope)


def _of_labels(project: Project) -> Iterator[Expression]:
    """Which events labels are of, and which ones follow them; what sessions have is told when labels are made."""
    for each in project.training.values():
        first: list[tuple[Moments | Followed, str]] = [(each.moments, "moments")] if each.moments is not None else []
        for part, what in (*first, *((outcome, f"outcome {outcome.name!r}") for outcome in each.outcomes)):
            event_type = project.event_types.get(part.events)
            if part.where is not None and event_type is not None:
                scope, title = event_scope(project, event_type), f"condition of {what} of {label(each)}"
                yield Expression(part.declared_at, title, part.where, "filter", scope)


@lru_cache(maxsize=4096)
def _outcome(sql: str, schema: tuple[tuple[str, pl.DataType], ...]) -> pl.DataType | str:
    # Several rules ask for the same type; the answer depends on these arguments only.
    try:
        dtype = infer(sql, dict(schema))
        probe(sql, dict(schema))
        return dtype
    except SqlError as error:
        return str(error)


def texts(project: Project) -> Iterator[Expression]:
    """Every SQL text once, for rules that look at the text alone."""
    seen: set[tuple[Location, str, str]] = set()
    for found in expressions(project):
        key = (found.where, found.sql, found.column.name if found.column else found.use)
        if key not in seen:
            seen.add(key)
            yield found
