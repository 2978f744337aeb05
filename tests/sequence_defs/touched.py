"""Which fields differ between two projects: ``Column.dtype``, by the model that has them."""

from collections.abc import Iterable, Iterator, Mapping

from sequence_defs.schema import Definition
from sequence_defs.schema.base import Part


def touched(before: Iterable[Definition], after: Iterable[Definition]) -> set[str]:
    """Fields of definitions that are in both; of one that is new all that it states."""
    known = {(type(each), each.name): each for each in before}
    found = set[str]()
    for each in after:
        other = known.pop((type(each), each.name), None)
        found |= set(_stated(each) if other is None else _different(other, each))
    for each in known.values():
        found |= set(_stated(each))
    return found


def _stated(part: Part) -> Iterator[str]:
    for name in part.model_fields_set:
        yield f"{type(part).__name__}.{name}"
        held = getattr(part, name)
        for each in held if isinstance(held, tuple) else [held]:
            if isinstance(each, Part):
                yield from _stated(each)


def _different(before: Part, after: Part) -> Iterator[str]:
    for name in type(after).model_fields:
        one, other = getattr(before, name), getattr(after, name)
        if one != other:
            inside = set(_inside(one, other))
            yield f"{type(after).__name__}.{name}"
            yield from inside


def _inside(one: object, other: object) -> Iterator[str]:
    if isinstance(one, Part) and type(one) is type(other):
        yield from _different(one, other)  # type: ignore[arg-type]
    elif isinstance(one, tuple) and isinstance(other, tuple):
        for a, b in zip(one, other, strict=False):
            yield from _inside(a, b)
        for extra in (*one[len(other) :], *other[len(one) :]):
            if isinstance(extra, Part):
                yield from _stated(extra)
    elif isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in one.keys() & other.keys():
            yield from _inside(one[key], other[key])
    elif isinstance(other, Part):
        yield from _stated(other)
