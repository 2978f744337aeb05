"""Legacy sequences: how their events are read, and which of our event types each is of."""

from collections import Counter
from collections.abc import Iterator

from sequence_defs.analysis.diagnostics import Finding, rule
from sequence_defs.analysis.wording import instead, label, listed
from sequence_defs.compiler.project import Project
from sequence_defs.schema import Blobs, Column, LegacySequence, Sequence, parse_dtype
from sequence_defs.schema.paths import PathError, parse_path, quoted


@rule("SP821", "error", "fields of legacy's events are declared")
def legacy_fields(project: Project) -> Iterator[Finding]:
    """The id and the type of an event are among `fields`, which say how each is read and of which type it is."""
    for sequence, legacy in _compared(project):
        title = f"legacy of {label(sequence)}"
        known = {column.name: column for column in legacy.fields}
        for name, times in Counter(column.name for column in legacy.fields).items():
            if times > 1:
                last = [column for column in legacy.fields if column.name == name][-1]
                yield Finding(last.declared_at, f"fields of {title} names {name!r} {times} times", "keep one of them")
        for role, named in (("event_id", legacy.event_id), ("event_type", legacy.event_type)):
            if named is not None and named not in known:
                fix = instead(named, known, f"add Column(name={named!r}, ...) to fields")
                yield Finding(legacy.declared_at, f"{role} {named!r} of {title} is none of its fields", fix)
            elif named is not None and not _suits(role, known[named]):
                wanted = "'string'" if role == "event_type" else "'string' or 'int64'"
                yield Finding(
                    known[named].declared_at,
                    f"{role} {named!r} of {title} is {known[named].dtype}, which has no one text",
                    f"declare it {wanted}",
                )


@rule("SP822", "error", "legacy's event types are ours")
def legacy_types(project: Project) -> Iterator[Finding]:
    """`event_types` says what legacy calls each; two of ours that are called alike there could not be told apart."""
    for sequence, legacy in _compared(project):
        title = f"legacy of {label(sequence)}"
        for name in legacy.event_types:
            if name not in sequence.event_types:
                yield Finding(
                    legacy.declared_at,
                    f"event_types of {title} names {name!r}, which is not in the sequence",
                    instead(name, sequence.event_types, "drop it"),
                )
        if legacy.event_types and legacy.event_type is None:
            fix = "write event_type=<the field that says it>, or drop event_types="
            yield Finding(legacy.declared_at, f"{title} maps event_types, but says no event_type", fix)
        called = Counter(legacy.event_types.get(name, name) for name in dict.fromkeys(sequence.event_types))
        if twice := [value for value, times in called.items() if times > 1]:
            fix = "give each event type a value of its own"
            yield Finding(legacy.declared_at, f"event_types of {title} uses {listed(twice)} for several", fix)


@rule("SP823", "error", "legacy blobs can be read")
def blobs(project: Project) -> Iterator[Finding]:
    """Files have a place, paths lead somewhere, and a format holds what is in it: no bytes and no lists in CSV."""
    for sequence, legacy in _compared(project):
        for at in (each for each in (legacy.at, legacy.replay) if isinstance(each, Blobs)):
            for message, fix in _unreadable(at):
                yield Finding(at.declared_at, f"blobs of legacy of {label(sequence)} {message}", fix)


def _unreadable(at: Blobs) -> Iterator[tuple[str, str]]:
    if not at.location:
        yield "name no location", "write location='<path or glob>', with {day} where there is a file per day"
    for role, path in (("user_id", at.user_id), ("events", at.events)):
        try:
            parse_path(path if path or role == "user_id" else "events")
        except PathError as error:
            fix = f"write a.b, a[0] or a[key=value]; if it is called so, write {role}={quoted(path)!r}"
            yield f"read {role} at {path!r}, which is no path: {error}", fix
    if not at.events and at.encoding != "list":
        yield "do not say where the events are", "write events='<field>', or encoding='list' for a list per field"
    if at.encoding == "msgpack" and at.format != "parquet":
        yield f"are MessagePack in {at.format}, which holds texts only", "write encoding='json', or format='parquet'"
    if at.encoding == "list" and at.format == "csv":
        yield "are lists in csv, which has none", "write encoding='json' for lists that are written in a text"
    elif not at.events and at.encoding == "list" and at.format != "parquet":
        yield f"are a list per field in {at.format}, which is read in parquet only", "write events='<field>'"


def _compared(project: Project) -> Iterator[tuple[Sequence, LegacySequence]]:
    return ((sequence, sequence.legacy) for sequence in project.sequences.values() if sequence.legacy)


def _suits(role: str, column: Column) -> bool:
    kind, item, _ = parse_dtype(column.dtype)
    if role == "event_type":
        return kind == "scalar" and item == "string"
    return kind == "scalar" and not item.startswith("float") and item != "binary"
