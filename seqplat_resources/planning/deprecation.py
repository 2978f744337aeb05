"""What may go: an event type or a sequence that was deprecated for long enough, and that nobody reads any more.

>>> two = [("2024-05-02", "deprecated"), ("2024-05-01", "live")]
>>> uninterrupted([("2024-06-01", "deprecated"), *two])
'2024-05-02'
"""

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from seqplat_resources.release.store import ReleaseCorrupt, ReleaseNotFound, ReleaseStore
from sequence_defs.evolution.change import DefinitionChange, Ruling

DEPRECATED_FOR: Final = dt.timedelta(days=30)
DEPRECATED: Final = "deprecated"

# Whether it is known that nobody read a sequence for two weeks. Where nobody counted, it is not.
Unread = Callable[[str], bool]
Instant = TypeVar("Instant")


def not_known(_: str) -> bool:
    """Nobody counted who reads."""
    return False


@dataclass(frozen=True)
class Farewells:
    """Judges what is removed from a channel at an instant ``now``."""

    store: ReleaseStore
    channel: str
    now: dt.datetime
    unread: Unread = not_known

    def ruled(self, change: DefinitionChange) -> DefinitionChange:
        """The change as one that breaks nobody, where the object was deprecated long enough and is read no more; else
        the way out says what is still to come.
        """
        layer, _, name = change.object.partition("/")
        if change.field or change.after is not None or change.kind != "breaking" or change.before != DEPRECATED:
            return change
        since = self._since(layer, name)
        if since is None or self.now - since < DEPRECATED_FOR:
            # A move that a wrong clock dates into the future says nothing of when.
            due = since + DEPRECATED_FOR if since and since <= self.now else None
            when = f"on {due:%Y-%m-%d}, {DEPRECATED_FOR.days} days after that" if due else "in 30 days"
            return replace(change, ruling=replace(change.ruling, way_out=f"it is deprecated: let it go {when}"))
        read = [each for each in change.reach.sequences if not self.unread(each)]
        if read:
            way_out = f"it may go once nobody has read {', '.join(read)} for 14 days: seqplat plan says who does"
            return replace(change, ruling=replace(change.ruling, way_out=way_out))
        why = f"it is deprecated since {since:%Y-%m-%d}, and nobody reads it"
        return replace(change, ruling=Ruling("compatible", f"{why}; what is stored of it stays until it expires"))

    def _since(self, layer: str, name: str) -> dt.datetime | None:
        """When the channel began to say without a break that the object is deprecated."""
        return uninterrupted(self._stages(layer, name))

    def _stages(self, layer: str, name: str) -> Iterable[tuple[dt.datetime, str]]:
        for move in self.store.history(self.channel):
            try:
                definition = getattr(self.store.get(move.release).release, layer).get(name)
            except (ReleaseNotFound, ReleaseCorrupt):  # what it said nobody knows
                return
            yield move.moved_at, definition.lifecycle if definition else ""


def uninterrupted(stages: Iterable[tuple[Instant, str]]) -> Instant | None:
    """Of stages, newest first, when the newest run of deprecated ones began."""
    since = None
    for at, stage in stages:
        if stage != DEPRECATED:
            break
        since = at
    return since
