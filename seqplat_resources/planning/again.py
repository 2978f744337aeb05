"""What was removed from a channel and comes again: as the newest release of the channel defined it that had it.

What is stored under its name was made by that definition, so it is what a new one is compared with.
"""

from collections.abc import Iterator
from typing import Final

from seqplat_resources.release.store import LoadedRelease, ReleaseCorrupt, ReleaseNotFound, ReleaseStore
from sequence_defs.compiler.project import labelled_by
from sequence_defs.compiler.release import Release

LAYERS: Final = ("tenants", "sources", "enrichments", "event_types", "sequences", "sessions", "objects", "training")
# How many earlier moves are looked into.
_FAR_BACK = 50

_Objects = set[tuple[str, str]]


def with_what_comes_again(
    store: ReleaseStore, channel: str, base: LoadedRelease, after: Release
) -> tuple[Release, set[str]]:
    """The release that runs with everything added that it has no more and ``after`` has; and the keys of that."""
    found, missing, came = base.release, set(_missing(base.release, after)), set[str]()
    for earlier in releases_before(store, channel, base) if missing else ():
        again = {(layer, name) for layer, name in missing if name in getattr(earlier, layer)}
        if again:
            found, missing = _joined(found, earlier, again), missing - again
            came |= {f"{layer}/{name}" for layer, name in again}
        if not missing:
            break
    return found, came


def _missing(base: Release, after: Release) -> Iterator[tuple[str, str]]:
    for layer in LAYERS:
        yield from ((layer, name) for name in getattr(after, layer).keys() - getattr(base, layer).keys())


def releases_before(store: ReleaseStore, channel: str, base: LoadedRelease) -> Iterator[Release]:
    """Releases that the channel ran, newest first, each once; those that cannot be read are passed over."""
    seen = {base.id}
    for move in store.history(channel)[:_FAR_BACK]:
        if move.release not in seen:
            seen.add(move.release)
            try:
                yield store.get(move.release).release
            except (ReleaseNotFound, ReleaseCorrupt):
                continue


def _joined(found: Release, earlier: Release, again: _Objects) -> Release:
    """With some objects of an earlier release, and what these are made from where there is none of that any more."""
    wanted: _Objects = set()
    _follow(earlier, sorted(again), wanted)
    more: dict[str, dict[str, object]] = {layer: {} for layer in LAYERS}
    for layer, name in wanted:
        more[layer][name] = getattr(earlier, layer)[name]
    return found.model_copy(update={layer: {**new, **getattr(found, layer)} for layer, new in more.items()})


def _follow(release: Release, left: list[tuple[str, str]], wanted: _Objects) -> None:
    """Everything that the objects ``left`` are made from, and they themselves."""
    while left:
        layer, name = left.pop()
        if (layer, name) in wanted or name not in getattr(release, layer):
            continue
        wanted.add((layer, name))
        definition = getattr(release, layer)[name]
        if layer in ("event_types", "enrichments") and getattr(definition, "source", None):
            left.append(("sources", definition.source))
        if layer == "event_types":
            left += [("enrichments", use.enrichment) for use in definition.enrichments]
        if layer in ("sequences", "sessions", "objects"):
            left += [("event_types", each) for each in definition.event_types]
        if layer == "training":
            left += [("sequences", definition.sequence), *labelled_by(definition)]
