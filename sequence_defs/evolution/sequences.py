"""What a change of a sequence's own choices does to who reads it: event types, columns, and which is shown as what."""

from collections.abc import Iterator, Mapping

from sequence_defs.compiler.release import Release
from sequence_defs.evolution.change import DefinitionChange, Reach, Ruling
from sequence_defs.evolution.columns import base_name
from sequence_defs.schema import Column, Pick, Sequence

_LOST = (
    "set deprecated=({0!r},) in the sequence; after 30 days of that, and 14 in which nobody asked for it, it may go; "
    "or declare another sequence without it"
)
_LOST_TYPE = (
    "set lifecycle='deprecated' in event type {0!r}, and deprecated=(...) for columns that only it has; after 30 days "
    "of that, and 14 in which nobody read the sequence, it may go; or declare another sequence without it"
)


def sequence_changes(key: str, before: Release, after: Release) -> Iterator[DefinitionChange]:
    """Of one sequence (``sequences/purchases``) that both releases have: its event types and its columns."""
    name = key.partition("/")[2]
    old, new = before.sequences[name], after.sequences[name]
    reach = Reach.of(sequences=[name])
    were, are = before.sequence_columns(name), after.sequence_columns(name)
    for each in sorted({*old.event_types} - {*new.event_types}):
        ruling = Ruling("breaking", "readers miss its events", _LOST_TYPE.format(each))
        yield DefinitionChange(key, f"event_types.{each}", each, None, ruling, Reach.of([each], sequences=[name]))
    for each in sorted({*new.event_types} - {*old.event_types}):
        yield DefinitionChange(key, f"event_types.{each}", None, each, _joined(each, old, were, are), reach)
    for out in sorted({*were, *are}):
        yield from _column(key, out, old, new, were.get(out), are.get(out), reach)
    if {*were} == {*are} and [*were] != [*are]:
        ruling = Ruling("compatible", "columns come in another order; readers know them by name")
        yield DefinitionChange(key, "columns", [*were], [*are], ruling, reach)


def _joined(
    event_type: str, old: Sequence, were: Mapping[str, Mapping[str, Column]], are: Mapping[str, Mapping[str, Column]]
) -> Ruling:
    """An event type more. A column that every event had, and this one lacks, is null where it never was."""
    lost = [
        out
        for out, by_type in were.items()
        if _promised(by_type, old) and out in are and (event_type not in are[out] or are[out][event_type].nullable)
    ]
    if not lost:
        return Ruling("compatible", "answers have its events as well")
    return Ruling(
        "breaking",
        f"readers were promised a value of {', '.join(lost)} in every event, and its events have none",
        "declare another sequence that takes both; or pick a column of it for each of these",
    )


def _promised(by_type: Mapping[str, Column], sequence: Sequence) -> bool:
    return by_type.keys() >= {*sequence.event_types} and not any(column.nullable for column in by_type.values())


def _column(
    key: str,
    out: str,
    old: Sequence,
    new: Sequence,
    was: Mapping[str, Column] | None,
    now: Mapping[str, Column] | None,
    reach: Reach,
) -> Iterator[DefinitionChange]:
    before, after = _taken(old, out, was), _taken(new, out, now)
    if was is None:
        yield DefinitionChange(
            key, f"columns.{out}", None, after, Ruling("compatible", "answers have it as well"), reach
        )
    elif now is None:
        ruling = Ruling("breaking", "readers that ask for it get an error", _LOST.format(out))
        yield DefinitionChange(key, f"columns.{out}", before, None, ruling, reach)
    elif _pick(old, out) != _pick(new, out):
        both = {*old.event_types} & {*new.event_types}
        moved = {t for t in both if before.get(t) != after.get(t)}
        if moved:
            yield DefinitionChange(key, f"columns.{out}", before, after, _flipped(out, moved, was, now), reach)


def _flipped(out: str, moved: set[str], was: Mapping[str, Column], now: Mapping[str, Column]) -> Ruling:
    """The name is given to another column of some event types."""
    if gone := sorted(t for t in moved if t in was and t not in now):
        return Ruling("breaking", f"it is null in events of {', '.join(gone)}, which had it", _LOST.format(out))
    others = [(was[t], now[t]) for t in sorted(moved) if t in was]
    if all(_shape(a) == _shape(b) and a.nullable >= b.nullable for a, b in others):
        return Ruling("semantic" if others else "compatible", "readers get the values of another column")
    if all(base_name(a.name) == base_name(b.name) for a, b in others):
        a, b = others[0]
        return Ruling(
            "semantic",
            f"the name is given to another version of the column: readers get {_named(b)} where they got {_named(a)}",
        )
    a, b = others[0]
    return Ruling(
        "breaking",
        f"readers get {_named(b)} where they got {_named(a)}",
        f"show it under a name of its own, beside it; or, of another version of one column, call that {a.name}@2",
    )


def _shape(column: Column) -> tuple[str, str, str]:
    return column.dtype, column.unit, column.model


def _named(column: Column) -> str:
    return " ".join(filter(None, [*_shape(column), "" if column.nullable else "not null"]))


def _pick(sequence: Sequence, out: str) -> str | Pick:
    return next(each for each in sequence.columns if out == (each if isinstance(each, str) else each.name))


def _taken(sequence: Sequence, out: str, by_type: Mapping[str, Column] | None) -> dict[str, str]:
    """Event type -> the column of it that is shown, as the sequence says it; those that have none are left out."""
    if by_type is None:
        return {}
    pick = _pick(sequence, out)
    return {name: pick if isinstance(pick, str) else pick.columns[name] for name in by_type}
