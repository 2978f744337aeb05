"""Legacy events: from which source, whose they are, and which of ours each of them is."""

from collections.abc import Iterator

from sequence_defs.analysis.diagnostics import Finding, rule
from sequence_defs.analysis.scope import compared_scopes, source_scope, user_column
from sequence_defs.analysis.widening import alike
from sequence_defs.analysis.wording import define, instead, label
from sequence_defs.compiler.counterparts import field_of
from sequence_defs.compiler.project import Project
from sequence_defs.schema import EventType, Legacy, Source, parse_dtype
from sequence_defs.schema.dtypes import DAY_US

# Events of a day are looked for among those of the days beside it.
MAX_WITHIN_S = DAY_US // 1_000_000


@rule("SP801", "error", "legacy events have a source of their own")
def legacy_source(project: Project) -> Iterator[Finding]:
    """An event type is compared with what somebody else made of the same events, which a declared source reads."""
    for event_type, legacy in _compared(project):
        if legacy.source not in project.sources:
            yield Finding(
                legacy.declared_at,
                f"legacy source {legacy.source!r} of {label(event_type)} is not defined",
                instead(legacy.source, project.sources, define("Source", legacy.source)),
            )
        elif legacy.source == event_type.source:
            yield Finding(
                legacy.declared_at,
                f"{label(event_type)} is compared with source {legacy.source!r}, which it is made from: with itself",
                "name the source of what the older pipeline wrote",
            )


@rule("SP802", "error", "legacy rows are events of our users")
def legacy_rows(project: Project) -> Iterator[Finding]:
    """A row has a time and a user; users are told apart as ours are, so `7` and `'7'` are two. It stands as it is, so
    the older pipeline's corrections are part of what it wrote.
    """
    for event_type, legacy, source in _read(project):
        title, user, ours = f"legacy source {source.name!r} of {label(event_type)}", None, None
        if source.event_time is None or source.user_id is None or not source.location:
            lacks = [name for name in ("location", "event_time", "user_id") if not getattr(source, name)]
            yield Finding(legacy.declared_at, f"{title} states no {' and no '.join(lacks)}", "state it in the source")
        elif source.topic:
            fix = "drop topic=: a message that the older pipeline sent is an event where it has written it down"
            yield Finding(legacy.declared_at, f"{title} has a topic, but only files are compared", fix)
        elif source.rev or source.op:
            stated = "rev" if source.rev else "op"
            yield Finding(
                legacy.declared_at,
                f"{title} states {stated}={getattr(source, stated)!r}, but its rows are compared as they stand",
                f"drop {stated}=, and with filter= keep only what the older pipeline would serve",
            )
        else:
            user, ours = (
                source_scope(project, source.name).columns.get(source.user_id),
                user_column(project, event_type),
            )
        if user and ours and not alike(ours.dtype, user.dtype):
            yield Finding(
                legacy.declared_at,
                f"users of {title} are {user.dtype}, but {ours.dtype} in source {event_type.source!r}",
                f"declare column {user.name!r} {ours.dtype!r} in source {source.name!r}, which then reads it as that",
            )


@rule("SP803", "error", "a legacy event is found in one way")
def legacy_match(project: Project) -> Iterator[Finding]:
    """By our id, if the older pipeline has it, or by what both say of the event and how near in time."""
    for event_type, legacy, source in _read(project):
        column = source_scope(project, source.name).columns.get(legacy.event_id or "")
        where, title = legacy.declared_at, f"legacy of {label(event_type)}"
        if bool(legacy.event_id) == bool(legacy.natural_key):
            both = "states event_id and natural_key" if legacy.event_id else "states neither event_id nor natural_key"
            yield Finding(
                where,
                f"{title} {both}, one of which says which event a row is",
                "keep event_id if the older pipeline has our ids, else natural_key=(<our columns>, ...)",
            )
        elif legacy.event_id and column is None:
            yield Finding(
                where,
                f"event_id {legacy.event_id!r} of {title} is not a column of source {source.name!r}",
                instead(legacy.event_id, source_scope(project, source.name).columns, "declare it in the source"),
            )
        elif column is not None and not _identifies(column.dtype):
            yield Finding(
                where,
                f"event_id {column.name!r} of {title} is {column.dtype}, which has no one text",
                "declare it string or int64 in the source",
            )
        if legacy.within_s > MAX_WITHIN_S or (legacy.within_s and not legacy.natural_key):
            why = f"is more than {MAX_WITHIN_S}, a day" if legacy.natural_key else "counts for a natural_key only"
            yield Finding(where, f"within_s={legacy.within_s:g} of {title} {why}", "write less, or drop within_s=")


@rule("SP804", "error", "both sides have the key of a legacy event")
def legacy_key(project: Project) -> Iterator[Finding]:
    """Parts of a key are the same on both sides or not: no floats or lists, nothing that is nearly equal."""
    for event_type, legacy, source in _read(project):
        ours, theirs = compared_scopes(project, event_type)
        for name in legacy.natural_key:
            field, how = field_of(legacy, name), legacy.columns.get(name)
            mine, other = ours.columns.get(name), theirs.columns.get(field)
            title = f"natural_key {name!r} of legacy of {label(event_type)}"
            if mine is None and ours.lacks(name):
                fix = instead(name, ours.columns, "name a column of the event type")
                yield Finding(legacy.declared_at, f"{title} is not a column of the event type", fix)
            elif mine is not None and other is None:
                yield Finding(
                    legacy.declared_at,
                    f"{title} is to be {field!r}, which source {source.name!r} lacks",
                    instead(field, theirs.columns, f"write columns={{{name!r}: Compared(field=<its column>)}}"),
                )
            elif mine and other and not (_identifies(mine.dtype) and alike(mine.dtype, other.dtype)):
                yield Finding(
                    legacy.declared_at,
                    f"{title} is {mine.dtype}, and {other.dtype} in source {source.name!r}",
                    "take integers, texts, dates or times of one type on both sides",
                )
            elif how is not None and (how.absolute is not None or how.relative is not None):
                fix = "drop the tolerance; how far apart times may be says within_s="
                yield Finding(how.declared_at, f"{title} is part of a key, but states a tolerance", fix)


@rule("SP805", "warning", "an event type in shadow is compared")
def shadow_without_legacy(project: Project) -> Iterator[Finding]:
    """In this stage it is built beside an older pipeline's to be compared with it; without, no verdict will come."""
    for event_type in project.event_types.values():
        if event_type.lifecycle == "shadow" and event_type.legacy is None:
            yield Finding(
                event_type.declared_at,
                f"{label(event_type)} is in stage shadow, but does not say what it is compared with",
                "write legacy=Legacy(source=<the older pipeline's>, event_id=...), or lifecycle='draft' or 'live'",
            )


def _compared(project: Project) -> Iterator[tuple[EventType, Legacy]]:
    return ((each, each.legacy) for each in project.event_types.values() if each.legacy)


def _read(project: Project) -> Iterator[tuple[EventType, Legacy, Source]]:
    for event_type, legacy in _compared(project):
        if (source := project.sources.get(legacy.source)) and source.name != event_type.source:
            yield event_type, legacy, source


def _identifies(dtype: str) -> bool:
    parsed = parse_dtype(dtype)
    return parsed.kind == "scalar" and not parsed.item.startswith("float") and parsed.item != "binary"
