"""``seqplat check``, ``compile`` and ``publish``."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import click

from seqplat_resources.commands import command
from seqplat_resources.engine.registry import digests
from seqplat_resources.errors import SeqplatError
from seqplat_resources.home import Home
from seqplat_resources.planning.gate import Gated
from seqplat_resources.planning.publish import publish as publish_to
from seqplat_resources.release.runtime import DEFAULT_CHANNEL
from seqplat_resources.release.store import ReleaseStore
from seqplat_resources.stream.service import streamed_sources
from sequence_defs.analysis.diagnostics import Diagnostic
from sequence_defs.analysis.runner import analyse, load_findings
from sequence_defs.compiler.discover import discover
from sequence_defs.compiler.lower import lower
from sequence_defs.compiler.project import Project
from sequence_defs.compiler.release import Release, dump, json_schema, release_id
from serving.access.audit.readers import registry_of
from serving.cli.dagster_home import SETTINGS, older_settings
from serving.cli.output import console, quoted, suggest
from serving.cli.person import person
from serving.cli.releases.changes import (
    DEFAULT_DEFINITIONS,
    after_publishing,
    allowing_breaking,
    by_default,
    planning,
    reason_given,
    tell_changes,
    what_publish_says,
)
from serving.cli.releases.places import begins_empty, shared_warning

definitions_option = click.option(
    "--definitions",
    envvar="SEQPLAT_DEFINITIONS",
    default=DEFAULT_DEFINITIONS,
    show_default=True,
    help="Package, file or folder of definitions.",
)


@click.command()
@definitions_option
@click.option("--strict", is_flag=True, help="Fail on warnings, too.")
def check(definitions: str, strict: bool) -> None:
    """Analyse the definitions; print every finding with file, line and fix. Exits 1 if any is an error.

    Also said is where the settings of the Dagster instance that is here (dagster.yaml) are not those we ship now.
    """
    release = lower(_checked(definitions, strict=strict))
    home = _home_here()
    folder = Path(os.environ.get("DAGSTER_HOME") or f"{home.root}/dagster").absolute()
    for line in older_settings(folder):
        click.secho(f"dagster.yaml: {line}", fg="yellow", err=True)
    shortage = _shortage(release, folder)
    if shortage:
        click.secho(f"dagster.yaml: warning: {shortage}", fg="yellow", err=True)
        if strict:
            sys.exit(1)
    console.print(f"[green]ok[/green] {_summary(release)}")
    if said := what_publish_says(ReleaseStore(Home.from_environment()), release):
        console.print(said, soft_wrap=True)
        suggest(planning(definitions))
    else:
        suggest("seqplat publish" if definitions == by_default() else command("publish", definitions=definitions))


def _home_here() -> Home:
    """The channel's, where there is one on this machine; says so where others share it. Nothing remote is asked."""
    home, channel = Home.from_environment(), os.environ.get("SEQPLAT_CHANNEL") or DEFAULT_CHANNEL
    if not home.is_local or not os.path.isdir(home.root):
        return home
    store = ReleaseStore(home)
    if shared := shared_warning(store, channel):
        click.secho(f"warning: {shared}", fg="yellow", err=True)
    try:
        return store.home_of(channel)
    except SeqplatError:  # nothing was published to it, or its records are damaged: no fault of the definitions
        return home


def _shortage(release: Release, folder: Path) -> str:
    """What is wrong with the limits on runs of the Dagster instance in a folder, for the topics there are."""
    if not streamed_sources(release) or not (folder / SETTINGS).exists():
        return ""
    from seqplat_assets.streams.jobs import room_problem

    os.environ["DAGSTER_HOME"] = str(folder)
    try:
        return room_problem(release, os.environ)
    except Exception as error:  # a database that is away is no fault of the definitions
        return f"the limits on runs cannot be judged ({error})"


@click.command("compile")
@definitions_option
@click.option("--out", type=click.Path(path_type=Path), help="Write the release here instead of standard output.")
@click.option("--schema", is_flag=True, help="Write the JSON Schema of release documents instead.")
def compile_(definitions: str, out: Path | None, schema: bool) -> None:
    """Compile the definitions to the canonical JSON of a release."""
    if schema:
        import json

        data = json.dumps(json_schema(), indent=2).encode()
    else:
        data = dump(lower(_checked(definitions)))
    if out is None:
        sys.stdout.buffer.write(data + b"\n")
        return
    out.write_bytes(data)
    console.print(f"{out}: {'JSON Schema' if schema else f'release {release_id(data)[:12]}'}, {len(data)} bytes")


@click.command()
@definitions_option
@click.option("--channel", envvar="SEQPLAT_CHANNEL", default=DEFAULT_CHANNEL, show_default=True)
@click.option("--note", default="", help="Why, kept in the channel's history.")
@allowing_breaking
def publish(definitions: str, channel: str, note: str, allow_breaking: bool, reason: str) -> None:
    """Check, compile, store the release and point a channel at it. Nothing is published if there is an error.

    Nor is a release that breaks what the channel has stored: another type, unit, identity or user, or a column that
    readers have. Each such change is listed with its way out.
    """
    gated = publish_release(definitions, channel, note, allowed=reason_given(allow_breaking, reason))
    suggest(after_publishing(gated, definitions), command("releases", channel))


def publish_release(definitions: str, channel: str, note: str, *, allowed: str = "") -> Gated:
    """What ``publish`` does, and what the gate found; exits the process if a definition has an error."""
    release = compiled(definitions)
    store = ReleaseStore(Home.from_environment())
    is_new = channel not in store.channels()
    registry = registry_of(store.home, store.clock.now())
    found = publish_to(store, release, channel, by=person(), note=note, allowed=allowed, registry=registry)
    tell_changes(found.gated)
    name, number = found.move.release[:12], found.move.number
    console.print(f"[green]published[/green] {name} to channel {quoted(channel)} (move {number}): {_summary(release)}")
    for line in begins_empty(store, channel) if is_new else ():
        console.print(quoted(line), soft_wrap=True)
    return found.gated


def compiled(definitions: str) -> Release:
    """The release of definitions; exits the process if one has an error."""
    return lower(_checked(definitions))


def _checked(definitions: str, *, strict: bool = False) -> Project:
    sys.path.insert(0, os.getcwd())  # a package named by SEQPLAT_DEFINITIONS may live in the working directory
    found = discover(definitions)
    project = Project(found.definitions, digests())
    findings = [*load_findings(found.errors), *analyse(project)]
    for finding in findings:
        click.secho(str(_from_here(finding)), fg="red" if finding.severity == "error" else "yellow", err=True)
    errors = sum(finding.severity == "error" for finding in findings)
    warnings = len(findings) - errors
    if findings:
        click.echo(f"{errors} error(s), {warnings} warning(s)", err=True)
    if errors or (strict and warnings):
        sys.exit(1)
    return project


def _from_here(finding: Diagnostic) -> Diagnostic:
    """With the path as one would type it in the working directory."""
    file = Path(finding.where.file)
    if not file.is_relative_to(Path.cwd()):
        return finding
    return replace(finding, where=finding.where._replace(file=str(file.relative_to(Path.cwd()))))


def _summary(release: Release) -> str:
    kinds = {"sources": "sources", "enrichments": "enrichments", "event_types": "event types", "sequences": "sequences"}
    views = {"sessions": "session views", "objects": "object views", "training": "training sets"}
    counted = [(len(getattr(release, kind)), said) for kind, said in kinds.items()]
    counted += [(count, said) for kind, said in views.items() if (count := len(getattr(release, kind)))]
    return ", ".join(f"{count} {said}" for count, said in counted)
