"""What changed between two releases, each change once, at its origin, with its class and what it reaches. Pure.

>>> bought = shop.release.event_types["purchase"]
>>> types = {**shop.release.event_types, "purchase": bought.model_copy(update={"filter": "amount > 1"})}
>>> after = shop.release.model_copy(update={"event_types": types})
>>> [(each.object, each.field, each.kind) for each in changes(shop.release, after)]
[('event_types/purchase', 'filter', 'semantic')]
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from sequence_defs.compiler.arms import SUFFIX
from sequence_defs.compiler.release import Release
from sequence_defs.evolution.attachments import attachment_changes
from sequence_defs.evolution.change import KINDS, DefinitionChange, Kind, Reach, Ruling, worst
from sequence_defs.evolution.classes import MEANING, is_item, judged
from sequence_defs.evolution.columns import ColumnPlace, added, changed, removed
from sequence_defs.evolution.reach import Reaching, fed_by, identity, when
from sequence_defs.evolution.sequences import sequence_changes
from sequence_defs.schema import Column, Definition, Enrichment, EventType, Sequence, Shareable, Source
from sequence_defs.schema.base import Part

# In dependency order: what is made of something comes after it.
OBJECTS: Final = ("tenants", "sources", "enrichments", "event_types", "sequences", "sessions", "objects", "training")


def changes(before: Release, after: Release) -> list[DefinitionChange]:
    """Every change of a definition, in the order of what is made of what.

    A change that only repeats one of what it is made from (a source's column and the event's of the same name) is part
    of that one. Of an object that is new, or gone, there is one change, whose ``field`` is empty.
    """
    found: list[DefinitionChange] = []
    for layer in OBJECTS:
        old, new = getattr(before, layer), getattr(after, layer)
        for name in sorted({*old, *new}):
            found += _of_object(f"{layer}/{name}", old.get(name), new.get(name), before, after)
    reaching = Reaching(before)
    said = [*_said_once(found, before), *_of_code(before, after)]
    # Of training sets nothing is made, so what reaches them is looked for last.
    return [replace(each, reach=reaching.of_training(each)) for each in said]


def class_of(found: Iterable[DefinitionChange]) -> Kind:
    """The class of several changes together."""
    return worst(change.kind for change in found)


def _of_object(
    key: str, old: Definition | None, new: Definition | None, before: Release, after: Release
) -> Iterator[DefinitionChange]:
    if old is None and new is not None:
        yield DefinitionChange(key, "", None, new.lifecycle, Ruling("compatible", "it is new"))
    elif old is not None and new is None:
        yield _gone(key, old, before)
    elif old is not None and new is not None and old != new:
        yield from _fields(key, old, new, before, after)


def _gone(key: str, old: Definition, before: Release) -> DefinitionChange:
    reach = _reach_of(key, before)
    if old.lifecycle in ("draft", "retired"):
        ruling = Ruling("compatible", f"it was {old.lifecycle}; what is stored of it stays until it expires")
    elif isinstance(old, EventType | Sequence):
        of = f"sequence(s) {', '.join(reach.sequences)} show it, and what is stored is" if reach.sequences else "it is"
        ruling = Ruling(
            "breaking",
            f"{of if isinstance(old, EventType) else 'readers of it are'} answered no more",
            "set lifecycle='deprecated' first; after 30 days of that, and 14 without a reader, it may go",
        )
    else:
        ruling = Ruling("compatible", "nothing is made of it any more; what is stored of it stays")
    return DefinitionChange(key, "", old.lifecycle, None, ruling, reach)


def _fields(key: str, old: Definition, new: Definition, before: Release, after: Release) -> Iterator[DefinitionChange]:
    reach = _reach_of(key, before)
    if type(old) is not type(new):  # an enrichment of another kind
        yield DefinitionChange(key, "kind", type(old).__name__.lower(), type(new).__name__.lower(), MEANING, reach)
    for field in type(new).model_fields:
        was, now = getattr(old, field, None), getattr(new, field)
        if was == now or field == "kind" or field not in type(old).model_fields:
            continue
        if not is_item(type(new), field):
            ruling = judged(type(new), field, was, now)
            yield from (
                DefinitionChange(key, path, first, last, ruling, _reached(ruling, reach))
                for path, first, last in _within(field, was, now)
            )
        elif field == "enrichments":
            yield from attachment_changes(key, before, after)
        elif isinstance(new, Sequence):
            if field == "columns" or "columns" not in _moved(old, new):
                yield from sequence_changes(key, before, after)
        else:
            yield from _columns(key, old, new, before, after)


def _moved(old: Part, new: Part) -> set[str]:
    return {field for field in type(new).model_fields if getattr(old, field) != getattr(new, field)}


def _reached(ruling: Ruling, reach: Reach) -> Reach:
    """Nothing is reached by what changes no value."""
    return reach if ruling.kind != "none" else Reach()


def _within(path: str, was: Any, now: Any) -> Iterator[tuple[str, Any, Any]]:
    """The fields of a part that moved, or the value as a whole."""
    if isinstance(was, Part) and isinstance(now, Part) and type(was) is type(now):
        for field in sorted(_moved(was, now)):
            yield from _within(f"{path}.{field}", getattr(was, field), getattr(now, field))
    else:
        yield path, as_json(was), as_json(now)


def as_json(value: Any) -> Any:
    """A value of a definition as the release has it, without what is left at its default."""
    if isinstance(value, Part):
        return value.model_dump(mode="json", exclude_defaults=True)
    if isinstance(value, Mapping):
        return {str(key): as_json(each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return [as_json(each) for each in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _columns(key: str, old: Definition, new: Definition, before: Release, after: Release) -> Iterator[DefinitionChange]:
    were: dict[str, Column] = {column.name: column for column in old.columns}  # type: ignore[attr-defined]
    are: dict[str, Column] = {column.name: column for column in new.columns}  # type: ignore[attr-defined]
    come = [column for name, column in are.items() if name not in were]
    taken = frozenset({*were, *are})
    for name in sorted({*were, *are}):
        reach = _reach_of_column(key, name, before) if name in were else _reach_of(key, before)
        standing = replace(_standing(key, name, old, new, before, reach), taken=taken)
        if name not in were:
            shown = replace(standing, event_types=_visible_in(key, before, after))
            yield DefinitionChange(key, f"columns.{name}", None, as_json(are[name]), added(are[name], shown), Reach())
        elif name not in are:
            ruling = removed(were[name], standing, come)
            yield DefinitionChange(key, f"columns.{name}", as_json(were[name]), None, ruling, reach)
        else:
            for field, was, now, ruling in changed(were[name], are[name], standing):
                path = f"columns.{name}.{field}"
                yield DefinitionChange(key, path, as_json(was), as_json(now), ruling, _reached(ruling, reach))


def _standing(key: str, column: str, old: Definition, new: Definition, before: Release, reach: Reach) -> ColumnPlace:
    name = key.partition("/")[2]
    shared = (_tenants(old), _tenants(new))
    if isinstance(old, Source):
        is_key = any(column in getattr(e, "key", ()) for e in before.enrichments.values() if _source_of(e) == name)
        table = f"raw/{name}" if old.event_time is not None else "its table" if is_key else ""
        return ColumnPlace("source", reach.event_types, reach.sequences, table, _decides(name, column, before), shared)
    if isinstance(old, EventType):
        decides = "which event is which" if column in identity(old) else ""
        return ColumnPlace("event type", (name,), reach.sequences, f"events/{name}", decides, shared)
    table = f"enrichments/{name}" if _source_of(old) else ""
    return ColumnPlace("enrichment", reach.event_types, reach.sequences, table, "", shared)


def _decides(source: str, column: str, before: Release) -> str:
    """What a column of a source says of an event beyond its own value."""
    definition = before.sources[source]
    fed = fed_by(definition, column)
    if definition.user_id in fed:
        return "whose events they are"
    if fed & when(definition):
        return "when events happened"
    return "which event is which" if Reaching(before).identity_columns(source, column) else ""


def _tenants(definition: Definition) -> frozenset[str]:
    return frozenset(definition.shared_with) if isinstance(definition, Shareable) else frozenset()


def _source_of(enrichment: Definition | Enrichment) -> str:
    return getattr(enrichment, "source", "")


def _visible_in(key: str, before: Release, after: Release) -> tuple[str, ...]:
    """Event types, there before, in which a new column of this object is seen without being named."""
    layer, _, name = key.partition("/")
    if layer == "event_types":
        return (name,)
    uses = {
        event_type: use
        for event_type, definition in after.event_types.items()
        for use in definition.enrichments
        if use.enrichment == name and not use.columns and event_type in before.event_types
    }
    return tuple(sorted(uses)) if layer == "enrichments" else ()


def _reach_of(key: str, release: Release) -> Reach:
    layer, _, name = key.partition("/")
    reaching = Reaching(release)
    if layer == "sources":
        return reaching.of_source(name)
    if layer == "enrichments":
        return reaching.of_enrichment(name)
    if layer == "event_types":
        return reaching.of_event_type(name)
    return reaching.of_sequence(name) if layer == "sequences" else Reach()


def _reach_of_column(key: str, column: str, release: Release) -> Reach:
    layer, _, name = key.partition("/")
    reaching = Reaching(release)
    if layer == "sources":
        return reaching.of_source_column(name, column)
    if layer == "enrichments":
        return reaching.of_enrichment_column(name, column)
    if column in identity(release.event_types[name]):
        return reaching.of_event_type(name)
    return reaching.of_event_columns(name, [column])


def _of_code(before: Release, after: Release) -> Iterator[DefinitionChange]:
    """Executors whose code is another."""
    for name in sorted(before.executors.keys() & after.executors.keys()):
        was, now = before.executors[name], after.executors[name]
        if was != now:
            yield DefinitionChange(f"executors/{name}", "code", was, now, MEANING, Reaching(before).of_executor(name))


def _said_once(found: list[DefinitionChange], before: Release) -> list[DefinitionChange]:
    """Without those that only repeat a change of what they are made from, of the same class or a worse one."""
    by_place = {(change.object, change.field): change for change in found}

    def repeats(change: DefinitionChange) -> bool:
        return any(
            (origin := by_place.get((key, change.field))) is not None
            and (origin.before, origin.after) == (change.before, change.after)
            and KINDS.index(origin.kind) >= KINDS.index(change.kind)
            for key in _made_from(change.object, before)
        )

    return [change for change in found if not (change.field and repeats(change))]


def _made_from(key: str, release: Release) -> list[str]:
    """Where a change that is seen at an object may have begun: its source, the type it is the arm of."""
    layer, _, name = key.partition("/")
    if layer == "enrichments" and name in release.enrichments:
        return [f"sources/{_source_of(release.enrichments[name])}"]
    if layer != "event_types" or name not in release.event_types:
        return []
    event_type = release.event_types[name]
    base = [f"event_types/{name.removesuffix(SUFFIX)}"] if name.endswith(SUFFIX) else []
    return [f"sources/{event_type.source}", *base]
