"""Changes of definitions on the terminal: what publishing does, and the flags that let something break."""

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from seqplat_resources.commands import command, in_channel
from seqplat_resources.errors import SeqplatError
from seqplat_resources.planning.gate import Gated, judge
from seqplat_resources.planning.wording import days_in_words, lines_of, moved
from seqplat_resources.release.runtime import DEFAULT_CHANNEL
from seqplat_resources.release.store import LoadedRelease, ReleaseStore
from sequence_defs.compiler.release import Release, dump, release_id
from sequence_defs.evolution.change import KINDS
from serving.access.audit.readers import registry_of
from serving.cli.output import console, quoted

DEFAULT_DEFINITIONS = "sequence_defs.definitions"

Command = TypeVar("Command", bound=Callable[..., Any])

_MEANS = {
    "breaking": "breaking, and nothing that it breaks is stored",
    "semantic": "semantic: built days hold what the earlier definitions gave, until they are built again",
    "compatible": "compatible",
}
STYLES = {"breaking": "red", "semantic": "yellow", "compatible": "green", "none": "dim"}
# More lines than these nobody reads; `seqplat plan` has all.
_MOST = 20


def allowing_breaking(function: Command) -> Command:
    """The flags of every command that publishes."""
    flag = click.option("--allow-breaking", is_flag=True, help="Publish what breaks stored data all the same.")
    reason = click.option("--reason", default="", help="Why it may break; kept in the channel's history.")
    return flag(reason(function))


def reason_given(allow_breaking: bool, reason: str) -> str:
    """The reason why something may break, empty where nothing may.

    Raises:
        UsageError: one of the two flags without the other.
    """
    if allow_breaking != bool(reason.strip()):
        raise click.UsageError("--allow-breaking and --reason '<why>' come together")
    return reason.strip()


def tell_changes(gated: Gated) -> None:
    """What a publication changed, the worst first; of what changes no value only the number."""
    for line in gated.told:
        click.secho(f"warning: {line}", fg="yellow", err=True)
    if not gated.base:
        return
    for kind in reversed(KINDS[1:]):
        found = gated.of_kind(kind)
        if found:
            console.print(f"[{STYLES[kind]}]{len(found)} change(s) {_title(kind, gated)}[/{STYLES[kind]}]")
        for change in found[:_MOST]:
            for line in lines_of(change) if kind != "compatible" else [f"{change.place}: {moved(change)}"]:
                console.print(f"  {quoted(line)}", soft_wrap=True)
        if len(found) > _MOST:
            console.print(f"  and {len(found) - _MOST} more")
    tell_stale(gated)


def tell_stale(gated: Gated) -> None:
    """Which built days are of other definitions, and what builds them again."""
    for name, days in gated.stale.items():
        console.print(
            f"[yellow]{days_in_words(days)} of {quoted(name)} hold what other definitions gave[/yellow]; "
            f"build them again: seqplat materialize {days[0]} {days[-1]} +events/{quoted(name)}+",
            soft_wrap=True,
        )
    for name, missing in gated.lacking.items():
        columns = sorted({column for of_day in missing.values() for column in of_day})
        said = f"{days_in_words(missing)} of {name} are without {', '.join(columns)}: null until they are built again"
        console.print(quoted(said), soft_wrap=True)


def after_publishing(gated: Gated, definitions: str) -> str:
    """The command that works next: the plan of building days that are not there, or not as the definitions are."""
    said = "what building these days takes" if gated.stale or gated.lacking else "which days are to be built"
    return f"{in_channel(gated.channel, planning(definitions))}   # {said}; seqplat apply builds them"


def planning(definitions: str) -> str:
    """The command that plans the publication of some definitions."""
    return "seqplat plan" if definitions == by_default() else command("plan", definitions=definitions)


def by_default() -> str:
    """The definitions of a command that names none."""
    return os.environ.get("SEQPLAT_DEFINITIONS") or DEFAULT_DEFINITIONS


def what_publish_says(store: ReleaseStore, release: Release) -> str:
    """One line: what publishing to the channel would do. Empty where there is no channel yet, nothing to compare, or
    the home is not on this machine: nothing remote is asked.
    """
    channel = os.environ.get("SEQPLAT_CHANNEL") or DEFAULT_CHANNEL
    if not store.home.is_local or not os.path.isdir(store.home.root):
        return ""
    try:
        registry = registry_of(store.home, store.clock.now())
        gated = judge(store, channel, LoadedRelease(release_id(dump(release)), release), registry=registry)
    except SeqplatError as error:
        return f"[yellow]what publish to channel {quoted(channel)} would do cannot be told: {quoted(error)}[/yellow]"
    if not gated.base:
        return ""
    if gated.refused:
        places = ", ".join(change.place for change in gated.refused[:3])
        more = f" and {len(gated.refused) - 3} more" if len(gated.refused) > 3 else ""
        return f"[red]publish to channel {quoted(channel)} would be refused[/red]: {quoted(places)}{more}"
    counts = [f"{len(gated.of_kind(kind))} {kind}" for kind in reversed(KINDS) if gated.of_kind(kind)]
    stale = sum(map(len, gated.stale.values()))
    days = f", which makes {stale} built day(s) stale" if stale else ""
    said = f"would pass: {', '.join(counts)} change(s){days}" if counts else "would change nothing"
    return f"publish to channel {quoted(channel)} {said}"


def _title(kind: str, gated: Gated) -> str:
    if kind == "breaking" and gated.refused:
        return "breaking, published because somebody gave a reason"
    return _MEANS[kind]
