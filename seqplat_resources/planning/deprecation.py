"""What may go: an event type, a sequence, or a column of one, that was deprecated for a month and is read by nobody.

>>> two = [("2024-05-02", True), ("2024-05-01", False)]
>>> uninterrupted([("2024-06-01", True), *two])
'2024-05-02'
"""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from seqplat_resources.planning.readers import Readership, Registry, in_words, not_counted
from seqplat_resources.release.store import ReleaseCorrupt, ReleaseNotFound, ReleaseStore
from sequence_defs.compiler.release import Release
from sequence_defs.evolution.change import DefinitionChange, Ruling

DEPRECATED_FOR: Final = dt.timedelta(days=30)
DEPRECATED: Final = "deprecated"

Instant = TypeVar("Instant")


@dataclass(frozen=True)
class _Leaving:
    """A thing that readers lose: whether a release says that it is deprecated, and of each sequence that shows it
    which of its columns show it (None: all of the sequence is meant).
    """

    name: str
    is_deprecated: Callable[[Release], bool]
    shown: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True)
class Farewells:
    """Judges what is removed from a channel, which ran ``before``, at an instant ``now``."""

    store: ReleaseStore
    channel: str
    before: Release
    now: dt.datetime
    registry: Registry = not_counted

    def ruled(self, change: DefinitionChange) -> DefinitionChange:
        """The change as one that breaks nobody, where what goes was deprecated long enough and is read no more; else
        the way out says what is still to come.
        """
        leaving = _leaving(change, self.before) if change.kind == "breaking" else ()
        if not leaving or not all(each.is_deprecated(self.before) for each in leaving):
            return change
        since = [self._since(each) for each in leaving]
        known = [at for at in since if at is not None and at <= self.now]
        if len(known) < len(since) or self.now - max(known) < DEPRECATED_FOR:
            # A move that a wrong clock dates into the future says nothing of when.
            due = max(known) + DEPRECATED_FOR if len(known) == len(since) else None
            when = f"on {due:%Y-%m-%d}, {DEPRECATED_FOR.days} days after that" if due else "in 30 days"
            return _still(change, f"it is deprecated: let it go {when}")
        shown = dict.fromkeys(place for each in leaving for place in each.shown)
        if unknown := [name for name, _ in shown if self.registry(name) is None]:
            way_out = (
                f"it may go once nobody has read {unknown[0]} for 14 days; readers are not counted for as long yet"
            )
            return _still(change, way_out)
        if readers := list(self._readers(shown)):
            names = ", ".join(dict.fromkeys(name for name, _ in shown))
            way_out = f"it may go once nobody has read it in {names} for 14 days: {in_words(readers)} did"
            return _still(change, way_out)
        why = f"it is deprecated since {max(known):%Y-%m-%d}, and nobody reads it"
        return replace(change, ruling=Ruling("compatible", f"{why}; what is stored of it stays until it expires"))

    def _readers(self, shown: Iterable[tuple[str, str | None]]) -> Iterator[Readership]:
        for sequence, column in shown:
            yield from (r for r in self.registry(sequence) or () if column is None or r.reads(column))

    def _since(self, leaving: _Leaving) -> dt.datetime | None:
        """When the channel began to say without a break that it is deprecated."""
        return uninterrupted(self._stages(leaving))

    def _stages(self, leaving: _Leaving) -> Iterator[tuple[dt.datetime, bool]]:
        for move in self.store.history(self.channel):
            try:
                release = self.store.get(move.release).release
            except (ReleaseNotFound, ReleaseCorrupt):  # what it said nobody knows
                return
            yield move.moved_at, leaving.is_deprecated(release)


def _still(change: DefinitionChange, way_out: str) -> DefinitionChange:
    return replace(change, ruling=replace(change.ruling, way_out=way_out))


def _leaving(change: DefinitionChange, before: Release) -> tuple[_Leaving, ...]:
    """What readers lose by a change; nothing where it takes nothing away, or what nobody can deprecate."""
    layer, _, name = change.object.partition("/")
    is_gone = not change.field and change.after is None
    if is_gone or (change.field, change.after) == ("lifecycle", "retired"):
        return (_object(layer, name, change.reach.sequences),)
    start, _, item = change.field.partition(".")
    if layer == "sequences" and start == "event_types":
        return (_object("event_types", item, (name,)),)
    if layer == "sequences" and start == "columns":
        return (_column(name, item),)
    if change.after is not None or start not in ("columns", "enrichments"):
        return ()
    return tuple(
        _column(sequence, out)
        for sequence in change.reach.sequences
        for out, by_type in before.sequence_columns(sequence).items()
        if any(f"{event_type}.{column.name}" in change.reach.columns for event_type, column in by_type.items())
    )


def _object(layer: str, name: str, sequences: Iterable[str]) -> _Leaving:
    def is_deprecated(release: Release) -> bool:
        definition = getattr(release, layer).get(name)
        return definition is not None and definition.lifecycle == DEPRECATED

    return _Leaving(name, is_deprecated, tuple((each, None) for each in sequences))


def _column(sequence: str, out: str) -> _Leaving:
    def is_deprecated(release: Release) -> bool:
        definition = release.sequences.get(sequence)
        return definition is not None and out in definition.deprecated

    return _Leaving(out, is_deprecated, ((sequence, out),))


def uninterrupted(stages: Iterable[tuple[Instant, bool]]) -> Instant | None:
    """Of stages, newest first, when the newest run of deprecated ones began."""
    since = None
    for at, is_deprecated in stages:
        if not is_deprecated:
            break
        since = at
    return since
