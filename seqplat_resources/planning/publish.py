"""Point a channel at a release, through the gate; and back. Everything that publishes comes through here.

>>> releases = ReleaseStore(home)
>>> published = publish(releases, Release(), "dev", by="ann")
>>> published.move.number, published.gated.kind
(1, 'none')
"""

from dataclasses import dataclass

from seqplat_resources.errors import Final
from seqplat_resources.planning.gate import Gated, judge
from seqplat_resources.planning.readers import Registry, not_counted
from seqplat_resources.planning.wording import lines_of
from seqplat_resources.release.store import ChannelMove, ReleaseStore
from sequence_defs.compiler.release import Release


class BreakingChange(Final):
    """A release that breaks what a channel has stored, or changes what is protected; ``gated`` says which changes."""

    def __init__(self, gated: Gated) -> None:
        self.gated = gated
        listed = "\n".join(f"  {line}" for change in gated.refused for line in lines_of(change))
        super().__init__(
            f"{len(gated.refused)} change(s) break what channel {gated.channel!r} has stored, so nothing was "
            f"published:\n{listed}\nGo the way out of each; or publish it all the same, which leaves days that are "
            "built without these values until they are built again: --allow-breaking --reason '<why>'"
        )


@dataclass(frozen=True)
class Published:
    """The channel's move, and what the gate found."""

    move: ChannelMove
    gated: Gated


def publish(
    store: ReleaseStore,
    release: Release,
    channel: str,
    *,
    by: str,
    note: str = "",
    allowed: str = "",
    expected: int | None = None,
    registry: Registry = not_counted,
) -> Published:
    """Store a release, and point a channel at it unless that breaks what is stored.

    ``allowed`` is the reason why it may: it is kept in the channel's history. A release that the channel is on already
    is published again, which moves nothing. ``expected`` is the number of the move that was decided on; None takes it
    as it is. ``registry`` says who reads which sequence: what nobody needs may be
    narrowed, and may go when it was deprecated for a month.

    Raises:
        BreakingChange: it breaks something, and no reason is given.
        RecordConflict: the channel moved meanwhile; judge again.
    """
    name = store.put(release)
    gated = judge(store, channel, store.get(name), registry=registry)
    if gated.refused and not allowed:
        raise BreakingChange(gated)
    if gated.refused:
        note = f"{note + '; ' if note else ''}breaking ({len(gated.refused)} change(s)), because {allowed}"
    move = store.move(channel, name, by=by, note=note, expected=gated.move if expected is None else expected)
    return Published(move, gated)


def rollback(store: ReleaseStore, channel: str, *, by: str) -> Published:
    """Point a channel back at the release it had before. What is stored was made by it, so nothing is refused; days
    that were built meanwhile, by the newer definitions, are the ``stale`` ones.

    Raises:
        ReleaseNotFound: it never pointed anywhere else.
    """
    gated = judge(store, channel, store.get(store.before(channel).release))
    return Published(store.roll_back(channel, by=by), gated)
