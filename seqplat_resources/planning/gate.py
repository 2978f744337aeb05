"""What publishing a release to a channel would do to what is stored there, and whether it may.

A change that breaks is refused where something that it reaches is stored: a column would mean two things. Where nothing
is stored it passes. What was removed and comes again is compared with the release that had it last; a type is judged
by what the tables hold, so that going back to it is no break.

>>> bought = shop.release.event_types["purchase"].model_copy(update={"id_field": None, "natural_key": ("number",)})
>>> types = {**shop.release.event_types, "purchase": bought}
>>> after = shop.release.model_copy(update={"event_types": types})
>>> releases = ReleaseStore(shop.home)
>>> [each.field for each in judge(releases, shop.channel, releases.get(releases.put(after))).refused]
['id_field', 'natural_key']
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Set
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Final

from seqplat_resources.planning.again import LAYERS, with_what_comes_again
from seqplat_resources.planning.deprecation import Farewells
from seqplat_resources.planning.flips import early_flip
from seqplat_resources.planning.readers import Registry, narrowed, not_counted
from seqplat_resources.planning.stored import Held, Moved, StoredParts, moved_days, stored_in
from seqplat_resources.release.store import ChannelMove, LoadedRelease, ReleaseCorrupt, ReleaseNotFound, ReleaseStore
from sequence_defs.compiler.release import Release
from sequence_defs.evolution.change import DefinitionChange, Kind, Reach, Ruling
from sequence_defs.evolution.columns import next_version
from sequence_defs.evolution.compare import as_json, changes, class_of
from sequence_defs.schema import Column

# An object with this tag changes its meaning only where somebody says why.
PROTECTED: Final = "protected"


@dataclass(frozen=True)
class Gated:
    """What publishing ``release`` to ``channel`` would change, as of its move number ``move`` (0: none yet).

    ``base`` is the release that it is compared with, empty without one. ``refused`` are the changes that break what is
    stored. ``stale`` says by event type which built days hold what the definitions of ``release`` would not give, and
    ``lacking`` which others are without some of its columns.
    ``told`` are words about what could not be compared.
    """

    channel: str
    release: str
    move: int
    base: str
    changes: tuple[DefinitionChange, ...]
    refused: tuple[DefinitionChange, ...]
    stale: Mapping[str, tuple[dt.date, ...]]
    told: tuple[str, ...] = ()
    lacking: Mapping[str, Mapping[dt.date, tuple[str, ...]]] = field(default_factory=dict)

    @property
    def kind(self) -> Kind:
        """The class of all changes together."""
        return class_of(self.changes)

    def of_kind(self, kind: Kind) -> list[DefinitionChange]:
        return [change for change in self.changes if change.kind == kind]


def judge(
    store: ReleaseStore,
    channel: str,
    loaded: LoadedRelease,
    seen: StoredParts | None = None,
    registry: Registry = not_counted,
) -> Gated:
    """Compare a release with what a channel runs and with what is stored for it, which somebody may have ``seen``:
    a plan, which finds what is stale by itself. ``registry`` says who reads which sequence.

    Raises:
        ChannelCorrupt: where the channel is, nobody knows. StoreAwayError: what is stored, nobody knows.
    """
    try:
        move = store.current(channel)
    except ReleaseNotFound:
        return Gated(channel, loaded.id, 0, "", tuple(changes(Release(), loaded.release)), (), {})
    base, told = _base(store, channel, move)
    if base is None:
        return Gated(channel, loaded.id, move.number, "", (), (), {}, told)
    before, again = with_what_comes_again(store, channel, base, loaded.release)
    with nullcontext(seen) if seen else stored_in(store.home_of(channel)) as stored:
        found = [_by_what_is_held(change, stored) for change in _changes(before, base.release, loaded.release, again)]
        held = {each.place: each for each in _held_otherwise(before, loaded.release, stored)}
        farewells = Farewells(store, channel, before, store.clock.now(), registry)
        found = [held.pop(each.place, each) for each in found] + list(held.values())
        found = [farewells.ruled(narrowed(each, before, registry)) for each in found]
        refused = [
            refusal
            for each in found
            if (refusal := _refusal(each, before, stored))
            or (refusal := early_flip(each, channel, before, loaded.release, stored))
        ]
        moved = {} if seen else _moved(before, loaded.release, stored)
    stale = {name: tuple(sorted(each.stale)) for name, each in moved.items() if each.stale}
    lacking = {name: each.missing for name, each in moved.items() if each.missing}
    return Gated(channel, loaded.id, move.number, base.id, tuple(found), tuple(refused), stale, told, lacking)


def _base(store: ReleaseStore, channel: str, move: ChannelMove) -> tuple[LoadedRelease | None, tuple[str, ...]]:
    """The release that a channel runs; where it is damaged, the newest before it that is not."""
    told: list[str] = []
    for each in [move, *store.history(channel)[1:]]:
        try:
            return store.get(each.release), tuple(told)
        except (ReleaseNotFound, ReleaseCorrupt) as error:
            if not told:
                told.append(f"{error}; it is compared with the newest release before it that can be read")
    return None, (*told, f"no release of channel {channel!r} can be read, so nothing can be compared")


def _changes(before: Release, base: Release, after: Release, again: Set[str]) -> Iterator[DefinitionChange]:
    """Those of what runs or is to run; of what comes again there is one more, which says so."""
    for key in sorted(again):
        yield DefinitionChange(key, "", None, "again", Ruling("compatible", "it comes again; it was removed before"))
    for change in changes(before, after):
        layer, _, name = change.object.partition("/")
        if layer not in LAYERS or name in getattr(base, layer) or name in getattr(after, layer):
            yield change


def _refusal(change: DefinitionChange, before: Release, stored: StoredParts) -> DefinitionChange | None:
    """The change as it is refused; None where it may pass."""
    if protected := _protected(change, before):
        return protected
    return change if change.kind == "breaking" and _is_stored(change, before, stored) else None


def _is_stored(change: DefinitionChange, before: Release, stored: StoredParts) -> bool:
    """Whether there is something that a change breaks: of the object itself, or of the event types it reaches."""
    return stored.holds(change.object, before) or any(map(stored.holds_events, change.reach.event_types))


_HELD = ("dtype", "unit", "model")


def _by_what_is_held(change: DefinitionChange, stored: StoredParts) -> DefinitionChange:
    """A change of a type that goes back to what the table holds is no break."""
    start, _, rest = change.field.partition(".")
    name, _, field = rest.rpartition(".")
    if change.kind != "breaking" or start != "columns" or field not in _HELD:
        return change
    for held in stored.held(change.object).get(name, ()):
        if held[_HELD.index(field)] == (change.after or ""):
            return replace(change, ruling=Ruling("semantic", f"back to what is stored: {_in_words(held)}"))
    return change


def _held_otherwise(before: Release, after: Release, stored: StoredParts) -> Iterator[DefinitionChange]:
    """Columns that come (again) under a name which a table has for something else."""
    for key, were, are in _columns_by_object(before, after):
        new = [column for name, column in are.items() if name not in were]
        held = stored.held(key) if new else {}
        for column in new:
            was = held.get(column.name, ())
            if was and (column.dtype, column.unit, column.model) not in was:
                why = f"there was such a column before, and what is stored of it is {_in_words(was[0])}"
                ruling = Ruling(
                    "breaking", why, f"give it a name that was never used: {next_version(column.name, held)!r}"
                )
                reach = Reach.of([key.partition("/")[2]] if key.startswith("event_types/") else ())
                yield DefinitionChange(key, f"columns.{column.name}", None, as_json(column), ruling, reach)


def _columns_by_object(
    before: Release, after: Release
) -> Iterator[tuple[str, Mapping[str, Column], Mapping[str, Column]]]:
    """Of each object that has a table, and whose definition moved: its columns before and after."""
    for name in after.event_types.keys() & before.event_types.keys():
        yield f"event_types/{name}", before.event_columns(name), after.event_columns(name)
    for layer in ("sources", "enrichments"):
        olds, news = getattr(before, layer), getattr(after, layer)
        for name in sorted(olds.keys() & news.keys()):
            if olds[name] != news[name]:
                yield (
                    f"{layer}/{name}",
                    {c.name: c for c in olds[name].columns},
                    {c.name: c for c in news[name].columns},
                )


def _in_words(held: Held) -> str:
    return " ".join(filter(None, held))


def _protected(change: DefinitionChange, before: Release) -> DefinitionChange | None:
    """The change as a refused one, where it moves what a protected object means."""
    if change.kind not in ("semantic", "breaking"):
        return None
    reach = change.reach
    keys = [
        change.object,
        *(f"event_types/{n}" for n in reach.event_types),
        *(f"sequences/{n}" for n in reach.sequences),
    ]
    found = [key for key in dict.fromkeys(keys) if _is_protected(key, before)]
    if not found:
        return None
    way_out = "say why: --allow-breaking --reason '<why>'; or take the tag away first, in a change of its own"
    return replace(
        change, ruling=Ruling(change.kind, f"{change.why}; {', '.join(found)} is protected by its tag", way_out)
    )


def _is_protected(key: str, release: Release) -> bool:
    layer, _, name = key.partition("/")
    definition = getattr(release, layer, {}).get(name)
    said = definition.tags.get(PROTECTED, "") if definition is not None and hasattr(definition, "tags") else ""
    return said.lower() not in ("", "no", "false", "0")


def _moved(before: Release, after: Release, stored: StoredParts) -> dict[str, Moved]:
    """Built days of event types that would be others by now, also those that an earlier release left so."""
    both = sorted(before.event_types.keys() & after.event_types.keys())
    return {name: moved_days(before, after, name, stored) for name in both}
