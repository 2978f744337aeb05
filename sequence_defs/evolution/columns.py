"""What a change of one column does, by where the column stands and what its value decides."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sequence_defs.evolution.change import Ruling
from sequence_defs.evolution.classes import MEANING, TEXT
from sequence_defs.schema import Column

Place = Literal["source", "event type", "enrichment"]

NULLABLE = "declare it nullable=True"
_OR_DEFAULT = f"{NULLABLE}, or say what they have: default=..."


@dataclass(frozen=True)
class ColumnPlace:
    """Where a column stands: in a ``place`` of a kind, ``read_by`` sequences, in a ``table`` of the lake or in none.

    ``decides`` says what its value decides beyond itself: whose events they are, when, or which; empty else.
    ``shared_with`` are the tenants that its definition gives it to, before and after.
    """

    place: Place
    event_types: tuple[str, ...] = ()
    read_by: tuple[str, ...] = ()
    table: str = ""
    decides: str = ""
    shared_with: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset())
    taken: frozenset[str] = frozenset()


def added(column: Column, standing: ColumnPlace) -> Ruling:
    """A column that was not there. Rows that are stored have nothing to say of it."""
    if standing.place == "source" and not column.nullable:
        return Ruling("semantic", "a row without it is refused from now on; days that are built have such rows")
    if column.nullable or not standing.event_types:
        return Ruling("compatible", "null in days that are built, until they are built again")
    if column.default is not None:
        return Ruling("compatible", f"{column.default!r} in days that are built, until they are built again")
    return Ruling(
        "breaking",
        "its schema promises a value in every event, and stored events have none",
        f"{_OR_DEFAULT}; days that are built again have it then",
    )


def removed(column: Column, standing: ColumnPlace, added: Iterable[Column]) -> Ruling:
    """A column that is gone."""
    if not standing.read_by:
        return Ruling("compatible", "no sequence shows it; what is stored of it stays in the lake's tables")
    same = [other.name for other in added if _body(other) == _body(column)]
    if same:
        return Ruling(
            "breaking",
            f"a rename to {same[0]!r}: days that are built have it as {column.name!r}, so it would be null in them",
            f"keep {column.name!r} here, and name it anew where it is shown: "
            f"{_pick(same[0], column.name, standing.event_types)}",
        )
    return Ruling(
        "breaking",
        f"sequence(s) {', '.join(standing.read_by)} show it",
        f"set deprecated=(...) for it in {', '.join(standing.read_by)}; after 30 days of that, and 14 in which nobody "
        "asked for it, it may go, here and there",
    )


def changed(before: Column, after: Column, standing: ColumnPlace) -> Iterator[tuple[str, Any, Any, Ruling]]:
    """Each field of a column that moved: its name, its values and the ruling."""
    for name in Column.model_fields:
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            yield name, old, new, _judged(name, before, after, standing)


def _judged(field: str, before: Column, after: Column, standing: ColumnPlace) -> Ruling:
    if field in ("sql", "field"):
        return _computed(standing)
    if field in ("dtype", "unit", "model"):
        return _another_value(field, before, standing)
    if field == "nullable":
        return _nullable(before, standing)
    return {
        "pii": lambda: _personal(after),
        "shared_with": lambda: _shared(before, after, standing),
        "default": lambda: _default(before, after),
    }.get(field, lambda: TEXT)()


def _computed(standing: ColumnPlace) -> Ruling:
    if not standing.decides:
        return MEANING
    return Ruling(
        "breaking",
        f"it says {standing.decides}, and stored events say it as the earlier definition did",
        "declare a new event type beside it, build its days, then let the sequences take that one",
    )


def _another_value(field: str, column: Column, standing: ColumnPlace) -> Ruling:
    if standing.place == "source" and not standing.table:
        return MEANING  # nothing holds it: what is made of it says its own type
    held = f"{standing.table} holds it" if standing.table else "stored events hold it"
    said = getattr(column, field) or f"without {field}"
    return Ruling(
        "breaking",
        f"{held} as {said}; one column never means two things",
        version_beside(column, standing),
    )


def version_beside(column: Column, standing: ColumnPlace) -> str:
    """How to get another type or unit: a new version of the column, and its name given to that when it is built."""
    newer = next_version(column.name, standing.taken)
    if standing.place == "source":
        field = f", field={column.field or column.name!r}" if column.sql is None else ""
        return (
            f"leave it, and declare {newer!r} beside it (Column(name={newer!r}{field}, ...)); read that in new columns"
        )
    return (
        f"leave it, and declare {newer!r} beside it; when its days are built, show it under the old name: "
        f"{_pick(column.name, newer, standing.event_types)}"
    )


def next_version(name: str, taken: Iterable[str] = ()) -> str:
    """``amount@2`` for ``amount``; the first number that is not taken."""
    base, _, number = name.partition("@")
    version, known = int(number or 1) + 1, set(taken)
    while f"{base}@{version}" in known:
        version += 1
    return f"{base}@{version}"


def base_name(name: str) -> str:
    """``amount`` for ``amount@2``: versions of one column have one base."""
    return name.partition("@")[0]


def _pick(name: str, column: str, event_types: Iterable[str]) -> str:
    said = ", ".join(f'"{event_type}": "{column}"' for event_type in event_types) or f'"<event type>": "{column}"'
    return f'Pick(name="{name}", columns={{{said}}})'


def _nullable(before: Column, standing: ColumnPlace) -> Ruling:
    if standing.place == "source":
        which = "are taken from now on" if not before.nullable else "are refused from now on"
        return Ruling("semantic", f"rows without it {which}; days that are built were made by the earlier rule")
    if before.nullable:
        return Ruling(
            "breaking", "its schema would promise a value in every event, and stored events may have none", NULLABLE
        )
    return Ruling(
        "breaking",
        "readers were promised a value in every event",
        version_beside(before, standing),
    )


def _default(before: Column, after: Column) -> Ruling:
    if before.default is None:
        return Ruling("compatible", "nothing that is stored lacks it")
    now = "have none" if after.default is None else f"would say {after.default!r}"
    return Ruling(
        "breaking",
        f"events that were stored before the column say {before.default!r}, and {now}",
        "leave it as it is: days that are built again do not need it",
    )


def _personal(after: Column) -> Ruling:
    if not after.pii:
        return Ruling("compatible", "everybody who may read the sequence sees it from now on")
    return Ruling(
        "breaking",
        "readers without a grant lose it",
        "grant it first to whom needs it (seqplat keys grant); to close it at once, say so: --allow-breaking --reason",
    )


def _shared(before: Column, after: Column, standing: ColumnPlace) -> Ruling:
    lost = sorted(_given(before, standing.shared_with[0]) - _given(after, standing.shared_with[1]))
    if not lost:
        return Ruling("compatible", "more tenants may take it")
    return Ruling("breaking", f"tenant(s) {', '.join(lost)} may take it no more", "ask them to stop first")


def _given(column: Column, by_definition: frozenset[str]) -> frozenset[str]:
    if column.shared_with is not None:
        return frozenset(column.shared_with)
    return frozenset() if column.pii else by_definition


def _body(column: Column) -> Mapping[str, Any]:
    """What a column is but for its name; without ``sql`` the name says what is read."""
    said = column.model_dump(exclude={"name", "description"})
    return {**said, "sql": column.sql or column.name} if column.sql is None else said
