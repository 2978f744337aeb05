"""``seqplat cutover readout``: what users with our events do, beside those with legacy's."""

import datetime as dt
import sys

import click

from seqplat_resources.commands import command
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.experiment.account import headline, tables
from seqplat_resources.shadow.experiment.readout import EXIT_CODES, newest
from serving.cli.output import console, quoted, suggest, table

_COLOURS = {"PASS": "green", "FAIL": "red", "HOLD": "yellow"}


@click.command()
@click.argument("event_type")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="Last day that counts; left out, today.")
@click.option("--json", "as_json", is_flag=True, help="Print the record itself.")
def readout(event_type: str, until: dt.datetime | None, as_json: bool) -> None:
    """Compare what users with our events do with what users with legacy's do, from what is in the lake now.

    Exit code 0: PASS, arms are as large as declared and every guardrail is proven to hold. 1: FAIL, arms are not, or a
    guardrail is proven to be broken. 2: HOLD, neither is proven yet. Whether to go on is for people to decide.
    """
    found = newest(Runtime.from_environment(), event_type, until.date() if until else None)
    if as_json:
        click.echo(found.record().decode())
        sys.exit(EXIT_CODES[found.state])
    console.print(f"[{_COLOURS[found.state]}]{quoted(headline(found))}[/]", soft_wrap=True)
    for each in tables(found):
        console.print()
        table(each.title, each.headers, each.rows, right=each.right)
    suggest(command("cutover", "status", event_type))
    sys.exit(EXIT_CODES[found.state])
