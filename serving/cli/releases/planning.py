"""``seqplat plan`` and ``seqplat apply``: what a change of definitions does before it does it, and doing it."""

import json
import os
import sys
from dataclasses import replace
from functools import partial

import click

from seqplat_resources.clock import SystemClock
from seqplat_resources.commands import command
from seqplat_resources.home import Home
from seqplat_resources.planning.build import made
from seqplat_resources.planning.explain import change_lines, headline, markdown, reader_lines, step_lines
from seqplat_resources.planning.plan import Plan, PlanStore
from seqplat_resources.planning.run import Applied, apply
from seqplat_resources.release.runtime import DEFAULT_CHANNEL, Runtime, sources_root
from seqplat_resources.release.store import LoadedRelease, ReleaseCorrupt, ReleaseStore
from sequence_defs.compiler.release import Release
from serving.access.audit.readers import readers_of, registry_of
from serving.cli.dagster_home import ensure_dagster_home
from serving.cli.days.backfill import build_days
from serving.cli.output import console, quoted, suggest
from serving.cli.person import person
from serving.cli.releases.changes import STYLES, allowing_breaking, reason_given, tell_stale
from serving.cli.releases.definitions import compiled, definitions_option

# What `seqplat plan --exit-code` ends with, by the class of the changes; days that are not right count as semantic.
EXIT_CODES = {"none": 10, "compatible": 10, "semantic": 11, "breaking": 12}
NOT_ALL_BUILT, STOPPED = 1, 3

_channel = click.option("--channel", envvar="SEQPLAT_CHANNEL", default=DEFAULT_CHANNEL, show_default=True)


@click.command()
@definitions_option
@_channel
@click.option("--json", "as_json", is_flag=True, help="The plan as JSON.")
@click.option("--markdown", "as_markdown", is_flag=True, help="The plan as a comment for a pull request.")
@click.option("--exit-code", is_flag=True, help="0 nothing to do, 10 compatible, 11 semantic, 12 breaking changes.")
def plan(definitions: str, channel: str, as_json: bool, as_markdown: bool, exit_code: bool) -> None:
    """Say what publishing the definitions would change, for whom, and what building the days again takes.

    Nothing is published or built. The plan is kept under a name, by which `seqplat apply` carries it out.
    """
    found = planned(definitions, channel)
    if as_json:
        click.echo(json.dumps({"name": found.name, **found.said()}, indent=2, ensure_ascii=False))
    elif as_markdown:
        click.echo(markdown(found))
    else:
        _show(found)
    if exit_code and not found.is_empty:
        sys.exit(max(EXIT_CODES[found.kind], EXIT_CODES["semantic"] if found.work and not found.publishes else 0))


@click.command("apply")
@click.argument("name", metavar="[PLAN]", required=False)
@definitions_option
@_channel
@allowing_breaking
def apply_(name: str | None, definitions: str, channel: str, allow_breaking: bool, reason: str) -> None:
    """Carry out PLAN, by its name or the beginning of it; without one, what `seqplat plan` says now.

    It publishes the release, then builds the days, newest first. Stopped or killed, it goes on when it is applied
    again. Ends with 0 when all is done, 1 when it is refused or some day was not built, 3 when it was stopped,
    130 when Ctrl-C was pressed twice.
    """
    allowed = reason_given(allow_breaking, reason)
    store = ReleaseStore(Home.from_environment())
    wanted = PlanStore(store.home).get(name) if name else planned(definitions, channel)
    if wanted.is_empty:
        console.print(quoted(headline(wanted)), soft_wrap=True)
        return
    console.print(f"applying plan {wanted.name}: {quoted(headline(wanted))}", soft_wrap=True)
    try:
        registry = registry_of(store.home, SystemClock().now())
        done = apply(store, wanted, _fill, by=person(), allowed=allowed, registry=registry)
    except KeyboardInterrupt:
        console.print("stopped; what is built stays built")
        suggest(command("apply", wanted.name) + "   # goes on where it is")
        sys.exit(STOPPED)
    _tell(wanted, done)
    if not done.complete:
        suggest(command("apply", wanted.name) + "   # builds what is left")
        sys.exit(NOT_ALL_BUILT)


def planned(definitions: str, channel: str) -> Plan:
    """Make the plan of definitions as they are now, and keep it with its release."""
    release = compiled(definitions)
    store = ReleaseStore(Home.from_environment())
    loaded = store.get(store.put(release))
    now = SystemClock().now()
    readers, registry = partial(readers_of, store.home, now=now), registry_of(store.home, now)
    found = made(_running(store, channel), loaded, readers, registry)
    PlanStore(store.home).put(found)
    return found


def _running(store: ReleaseStore, channel: str) -> Runtime:
    """The channel as it runs now; one that is new runs nothing, and has nothing."""
    channels = store.channels()
    if channel in channels:
        loaded, home = _newest_readable(store, channel), store.home_of(channel)
    else:
        loaded, home = LoadedRelease("", Release()), store.home.part(f"at/{channel}" if channels else "")
    there = replace(home, environment={**store.home.environment, "SEQPLAT_CHANNEL": channel})
    return Runtime(there, loaded, sources_root(os.environ))


def _newest_readable(store: ReleaseStore, channel: str) -> LoadedRelease:
    """What the channel runs; of one whose release is damaged the gate says so, and nothing is known of its days."""
    try:
        return store.load(channel)
    except ReleaseCorrupt:
        return LoadedRelease("", Release())


def _show(found: Plan) -> None:
    for line in found.told:
        click.secho(f"warning: {line}", fg="yellow", err=True)
    console.print(f"[bold]plan {found.name}[/bold]  {quoted(headline(found))}", soft_wrap=True)
    if found.is_empty:
        return
    if found.base or not found.publishes:
        for kind, line in change_lines(found):
            style = STYLES[kind]
            label = f"{kind:<11}" if not line.startswith(" ") else " " * 11
            console.print(f"[{style}]{label}[/{style}]{quoted(line)}", soft_wrap=True)
    for line in (*reader_lines(found), *step_lines(found)):
        console.print(quoted(line), soft_wrap=True)
    if found.refused:
        console.print(f"[red]{len(found.refused)} change(s) would be refused[/red]: go the way out of each, or say why")
        suggest(f"{command('apply', found.name)} --allow-breaking --reason '<why>'")
    else:
        suggest(command("apply", found.name))


def _tell(wanted: Plan, done: Applied) -> None:
    where = f"channel {quoted(wanted.channel)} is at release {done.move.release[:12]} (move {done.move.number})"
    built = f", {wanted.days:,} day(s) of assets built" if wanted.work and done.complete else ""
    console.print(f"[green]applied[/green] plan {wanted.name}: {where}{built}", soft_wrap=True)
    if done.gated is not None and not wanted.work:
        tell_stale(done.gated)


def _fill(wanted: Plan) -> bool:
    """Build the days of a plan; whether all of them are there."""
    there = Runtime.from_environment({**os.environ, "SEQPLAT_CHANNEL": wanted.channel})
    runtime = replace(there, loaded=ReleaseStore(there.home).get(wanted.release))  # wherever the channel is by now
    os.environ["SEQPLAT_CHANNEL"] = wanted.channel  # runs are of the channel that the plan is of
    ensure_dagster_home(runtime.home)
    days = {each.asset: each.each_day() for each in wanted.work}
    columns = {each.asset.partition("/")[2]: each.columns for each in wanted.work if each.columns}
    return build_days(runtime, days, columns)
