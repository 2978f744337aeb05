"""Identity: an event is known by values its producer gave it, and the same ones at every replay."""

from collections.abc import Iterator

from sequence_defs.analysis.diagnostics import Finding, rule
from sequence_defs.analysis.scope import source_scope
from sequence_defs.analysis.wording import instead, label
from sequence_defs.compiler.project import Project
from sequence_defs.compiler.sql import SqlError, names
from sequence_defs.schema import Column, EventType, Source, parse_dtype

# Names under which logs carry positions and receipt times. They change on replay, so they order but never identify.
POSITION_NAMES = frozenset(
    {
        "offset",
        "kafka_offset",
        "partition",
        "source_partition",
        "row_number",
        "rownum",
        "line_number",
        "ingest_time",
        "ingested_at",
        "received_at",
        "available_time",
    }
)


@rule("SP301", "error", "a source of events states time and user")
def source_without_time_or_user(project: Project) -> Iterator[Finding]:
    """An event without time has no bucket and no place in a sequence; without user it belongs to none."""
    fed: dict[str, EventType] = {}
    for event_type in project.event_types.values():
        fed.setdefault(event_type.source, event_type)
    for source in project.sources.values():
        for field, example in (("event_time", "Time(sql='ts')"), ("user_id", "'user_id'")):
            if source.name in fed and getattr(source, field) is None:
                yield Finding(
                    source.declared_at,
                    f"{label(source)} feeds {label(fed[source.name])} but states no {field}",
                    f"write {field}={example}, naming its own column",
                )


@rule("SP302", "error", "an event type has one identity")
def identity_count(project: Project) -> Iterator[Finding]:
    """Exactly one of ``id_field`` and ``natural_key`` says which rows are the same event."""
    for event_type in project.event_types.values():
        if event_type.id_field and event_type.natural_key:
            yield Finding(
                event_type.declared_at,
                f"{label(event_type)} has two identities: id_field={event_type.id_field!r} and "
                f"natural_key={event_type.natural_key!r}",
                "keep id_field if the producer makes it unique per user, else natural_key",
            )
        elif not event_type.id_field and not event_type.natural_key:
            yield Finding(
                event_type.declared_at,
                f"{label(event_type)} has no identity, so a row that arrives twice counts twice",
                "write id_field='<column>', or natural_key=(...) with the columns that tell two events of a user apart",
            )


@rule("SP303", "error", "identity is made of event columns")
def identity_unknown(project: Project) -> Iterator[Finding]:
    """Key columns are declared columns of the event type; the user id is part of every identity anyway."""
    for event_type in project.event_types.values():
        known = {column.name for column in event_type.columns}
        for name in _identity(event_type):
            if name not in known:
                yield Finding(
                    event_type.declared_at,
                    f"identity of {label(event_type)} names {name!r}, which is not one of its columns",
                    "drop it: identities are unique within a user"
                    if name == "user_id"
                    else instead(name, known, f"add Column(name={name!r}, ..., nullable=False)"),
                )


@rule("SP304", "error", "identity is not made of floats")
def identity_inexact(project: Project) -> Iterator[Finding]:
    """Two roundings of one number, or two layouts of one list, would be two events."""
    for event_type in project.event_types.values():
        for column in _identity_columns(event_type):
            for part in (column, *_inputs(project, event_type, column)):
                if _is_inexact(part.dtype):
                    of = "" if part is column else f" computed from {part.name!r},"
                    yield Finding(
                        column.declared_at,
                        f"identity of {label(event_type)} uses {column.name!r},{of} which is {part.dtype}",
                        "use an integer or a string that the producer wrote",
                    )
                    break
    for source in project.sources.values():
        user = source_scope(project, source.name).columns.get(source.user_id or "")
        if user is not None and _is_inexact(user.dtype):
            yield Finding(
                user.declared_at,
                f"user_id {user.name!r} of {label(source)} is {user.dtype}",
                "declare it as an integer or a string",
            )


@rule("SP305", "error", "identity is never null")
def identity_nullable(project: Project) -> Iterator[Finding]:
    """A null part would make different events equal; with ``nullable=False`` such rows are rejects, visibly."""
    for event_type in project.event_types.values():
        for column in _identity_columns(event_type):
            if column.nullable:
                yield Finding(
                    column.declared_at,
                    f"identity of {label(event_type)} uses {column.name!r}, which may be null",
                    "declare nullable=False",
                )


@rule("SP306", "error", "identity survives a replay")
def identity_from_position(project: Project) -> Iterator[Finding]:
    """Offsets and receipt times are given by the transport: a replay gives others, and every event twice."""
    for event_type in project.event_types.values():
        source = project.sources.get(event_type.source)
        receipt = _receipt_columns(source) if source else set()
        for column in _identity_columns(event_type):
            for name in dict.fromkeys([column.name, *_names(column.sql or column.name)]):
                if name.startswith("_") or name.lower() in POSITION_NAMES or name in receipt:
                    what = "the receipt time" if name in receipt else "a position or receipt time"
                    yield Finding(
                        column.declared_at,
                        f"identity of {label(event_type)} uses {column.name!r}, made of {name!r}, {what}",
                        "use what the producer wrote into the event",
                    )
                    break


def _identity(event_type: EventType) -> tuple[str, ...]:
    return ((event_type.id_field,) if event_type.id_field else ()) + event_type.natural_key


def _identity_columns(event_type: EventType) -> list[Column]:
    wanted = _identity(event_type)
    return [column for column in event_type.columns if column.name in wanted]


def _receipt_columns(source: Source) -> set[str]:
    """Columns that only the receipt time is made of; one that the event time shares came from the producer."""
    received = set(_names(source.ingest_time.sql)) if source.ingest_time else set()
    return received - set(_names(source.event_time.sql) if source.event_time else ())


def _inputs(project: Project, event_type: EventType, column: Column) -> list[Column]:
    known = source_scope(project, event_type.source).columns
    return [known[name] for name in _names(column.sql or column.name) if name in known]


def _names(sql: str) -> list[str]:
    try:
        return names(sql)
    except SqlError:
        return []


def _is_inexact(dtype: str) -> bool:
    parsed = parse_dtype(dtype)
    return parsed.kind != "scalar" or parsed.item.startswith("float")
