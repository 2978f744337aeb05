"""``seqplat releases`` and ``rollback``."""

import click

from seqplat_resources.commands import command
from seqplat_resources.home import Home
from seqplat_resources.planning.publish import rollback as roll_back
from seqplat_resources.release.runtime import DEFAULT_CHANNEL
from seqplat_resources.release.store import ReleaseStore
from serving.cli.output import console, suggest, table
from serving.cli.person import person
from serving.cli.releases.changes import tell_stale

_channel = click.argument("channel", envvar="SEQPLAT_CHANNEL", default=DEFAULT_CHANNEL)


@click.command()
@_channel
def releases(channel: str) -> None:
    """Show what a channel points at, and every move before, newest first."""
    store = ReleaseStore(Home.from_environment())
    store.current(channel)
    moves = store.history(channel)
    table(
        f"channel {channel}",
        ["move", "release", "at (UTC)", "by", "note"],
        [
            (m.number, m.release[:12] + (" <- now" if m == moves[0] else ""), m.moved_at, m.moved_by, m.note)
            for m in moves
        ],
        right=["move"],
    )
    if len({move.release for move in moves}) > 1:  # else there is nothing to go back to
        suggest(command("rollback", channel))


@click.command()
@_channel
def rollback(channel: str) -> None:
    """Point a channel back at the release it had before. What it had stored is answered as before.

    Days that were built by the newer definitions since are listed.
    """
    found = roll_back(ReleaseStore(Home.from_environment()), channel, by=person())
    move = found.move
    console.print(f"channel {channel} is back at release {move.release[:12]} (move {move.number}: {move.note})")
    tell_stale(found.gated)
