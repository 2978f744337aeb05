"""Definitions and channels: whether they compile, whether releases can be read, whether their code is installed."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from seqplat_resources.commands import command
from seqplat_resources.engine.registry import digests
from seqplat_resources.errors import SeqplatError
from seqplat_resources.home import Home
from seqplat_resources.release.runtime import DEFAULT_CHANNEL
from seqplat_resources.release.store import LoadedRelease, ReleaseStore
from serving.cli.doctor.findings import Deployment, Diagnosis
from serving.cli.releases.places import shared_warning


def definitions(deployment: Deployment) -> Iterator[Diagnosis]:
    """As ``seqplat check``, in numbers."""
    from sequence_defs.analysis.runner import analyse, load_findings
    from sequence_defs.compiler.discover import discover
    from sequence_defs.compiler.project import Project

    sys.path.insert(0, os.getcwd())
    found = discover(deployment.definitions)
    said = [*load_findings(found.errors), *analyse(Project(found.definitions, digests()))]
    errors = sum(each.severity == "error" for each in said)
    told = f"{deployment.definitions}: {len(found.definitions)} definitions"
    if not said:
        yield Diagnosis("definitions", "ok", told)
        return
    told = f"{told}, {errors} error(s), {len(said) - errors} warning(s)"
    yield Diagnosis("definitions", "fail" if errors else "warn", told, "seqplat check shows each with its fix")


def channels(deployment: Deployment) -> Iterator[Diagnosis]:
    """Every channel: its release, the code that makes its events, and whether its data is its own."""
    home = Home.from_environment(deployment.environment)
    mine = deployment.environment.get("SEQPLAT_CHANNEL") or DEFAULT_CHANNEL
    store, is_there = ReleaseStore(home), not home.is_local or Path(home.root).is_dir()
    names = store.channels() if is_there else []  # looking would make the folder
    if mine not in names:
        there = f"; there are {', '.join(names)}" if names else ""
        fix = f"{command('publish', channel=mine)}, or set SEQPLAT_CHANNEL"
        yield Diagnosis("channels", "fail", f"nothing is published to channel {mine!r}{there}", fix)
    for name in sorted(names, key=lambda each: each != mine):
        yield from _channel(store, name, is_mine=name == mine)


def _channel(store: ReleaseStore, name: str, *, is_mine: bool) -> Iterator[Diagnosis]:
    bad = "fail" if is_mine else "warn"
    try:
        loaded, place = store.load(name), store.home_of(name).place or "the root"
    except SeqplatError as error:
        yield Diagnosis("channels", bad, f"{name}: {error}")  # type: ignore[arg-type]
        return
    if wrong := _code(loaded):
        fix = f"{command('publish', channel=name)} with this code, or install the version that the release names"
        yield Diagnosis("channels", bad, f"{name}: {wrong}", fix)  # type: ignore[arg-type]
    elif is_mine and (shared := shared_warning(store, name)):
        told, _, fix = shared.partition("; to part them, ")
        yield Diagnosis("channels", "warn", told, fix)
    else:
        running = ", which this environment follows" if is_mine else ""
        yield Diagnosis("channels", "ok", f"{name}: release {loaded.id[:12]}, data at {place}{running}")


def _code(loaded: LoadedRelease) -> str:
    here = digests()
    wrong = [
        f"executor {name} {'has other code than the release' if name in here else 'is not installed'}"
        for name, digest in loaded.release.executors.items()
        if here.get(name) != digest
    ]
    return ", ".join(wrong)
