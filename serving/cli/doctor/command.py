"""``seqplat doctor``: every part of a deployment in a line, those that are not well with what to do.

>>> from click.testing import CliRunner
>>> CliRunner().invoke(doctor, ["--seconds", "soon"]).output.splitlines()[-1]
"Error: Invalid value for '--seconds': 'soon' is not a valid float range."
"""

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from serving.cli.doctor.findings import Diagnosis, Status

_COLOURS: "dict[Status, str]" = {"ok": "green", "warn": "yellow", "fail": "red"}
# Of what is slowest: Dagster takes ten seconds to be imported on a busy machine.
SECONDS = 30.0


@click.command()
@click.option("--definitions", envvar="SEQPLAT_DEFINITIONS", help="Package, file or folder of definitions.")
@click.option("--api", default="", help="Address of an API to ask whether it is ready: http://host:port.")
@click.option("--seconds", default=SECONDS, show_default=True, type=click.FloatRange(0.1, 600), help="To wait at most.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of lines.")
def doctor(definitions: str | None, api: str, seconds: float, as_json: bool) -> None:
    """Look at a deployment: versions, home, clock, disk, ports, definitions, channels, log, stores, Dagster, streams.

    It changes nothing but a small object that it makes in the home and deletes. What is broken costs no other part its
    line, and nothing is waited for longer than --seconds. Exits 1 if any part failed; warnings are no failure.
    """
    if not as_json:
        click.secho(f"seqplat in {os.environ.get('SEQPLAT_HOME') or '.seqplat'}, looking ...", dim=True)
    found: list[Diagnosis] = []
    for findings in _found(definitions, api, seconds):
        found += findings
        if not as_json:
            _say(findings)
    counts = Counter(each.status for each in found)
    if as_json:
        click.echo(json.dumps({"ok": not counts["fail"], "findings": [asdict(each) for each in found]}, indent=2))
    else:
        click.echo(", ".join(f"{counts[status]} {status}" for status in _COLOURS))
    sys.stdout.flush()
    os._exit(1 if counts["fail"] else 0)  # a part that hangs may hold threads that no exit would wait for to the end


def _found(definitions: str | None, api: str, seconds: float) -> Iterator[Sequence["Diagnosis"]]:
    # Imported late: the first line does not wait for them.
    from serving.cli.doctor import machine, releases, running, stores
    from serving.cli.doctor.findings import Deployment, looked
    from serving.cli.releases.changes import DEFAULT_DEFINITIONS

    deployment = Deployment(dict(os.environ), definitions or DEFAULT_DEFINITIONS, api)
    looks = {
        "versions": machine.versions,
        "home": machine.home,
        "disk": machine.disk,
        "ports": machine.ports,
        "definitions": releases.definitions,
        "channels": releases.channels,
        "log": stores.log,
        "online": stores.online,
        "dagster": running.dagster,
        "automation": running.automation,
        "streams": running.streams,
        "api": running.api,
    }
    yield from looked(looks, deployment, patience_s=seconds)


def _say(findings: Sequence["Diagnosis"]) -> None:
    from seqplat_resources.shown_text import plain

    for each in findings:
        mark = click.style(f"{each.status:4}", fg=_COLOURS[each.status])
        click.echo(f"{mark} {each.part:11} {plain(each.said)}")
        if each.fix:
            click.echo(f"{'':16} -> {plain(each.fix)}")
