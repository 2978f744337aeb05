"""``seqplat skew``: how far recorded answers are from what training sets are made of.

>>> from click.testing import CliRunner
>>> CliRunner().invoke(skew, ["basket", "--most", "2"]).output.splitlines()[-1]
"Error: Invalid value for '--most': 2.0 is not in the range 0<=x<=1."
"""

import datetime as dt
import sys
from dataclasses import asdict

import click
import msgspec

from seqplat_resources.release.runtime import Runtime
from seqplat_resources.times import instant, midnight
from seqplat_resources.training.answered.skew import skew as compared
from serving.cli.durations import Day
from serving.cli.output import console, quoted, table

_MEANS = {
    "missing": "known, not served",
    "extra": "served, not known",
    "revised": "served in another revision",
}


@click.command()
@click.argument("sequence")
@click.option("--since", type=Day(), help="First day of answers (UTC).")
@click.option("--until", type=Day(), help="Day that answers end before (UTC).")
@click.option("--most", type=click.FloatRange(0, 1), help="Exit with 1 where a larger share of answers differs.")
@click.option("--json", "as_json", is_flag=True, help="All of it, for programs.")
def skew(sequence: str, since: dt.date | None, until: dt.date | None, most: float | None, as_json: bool) -> None:
    """Compare recorded answers of SEQUENCE with what as_known says for the same users and times.

    With --most it exits with 0 where few enough differ, 1 where more do, 2 where there was nothing to compare.
    """
    runtime = Runtime.from_environment()
    first = midnight(since) if since else instant(0)
    found = compared(runtime, sequence, first, midnight(until) if until else runtime.clock.now())
    if as_json:
        click.echo(msgspec.json.encode({**asdict(found), "share": found.share}))
    else:
        rows = [
            (what, _MEANS[what], cause, f"{events:,}", f"{answers:,}")
            for what, causes in found.differences.items()
            for cause, (events, answers) in causes.items()
        ]
        if rows:
            table(f"skew of {sequence}", ["what", "", "cause", "events", "answers"], rows, right=["events", "answers"])
        console.print(
            f"{found.equal:,} of {found.answers:,} answers, of {found.events:,} events, are what as_known says",
            soft_wrap=True,
        )
        if found.reordered:
            console.print(f"[yellow]in another order:[/yellow] {found.reordered:,} answer(s)")
        for why, number in found.not_compared.items():
            console.print(f"[yellow]not compared:[/yellow] {number:,} answer(s) {quoted(why)}", soft_wrap=True)
        if found.dropped:
            console.print(f"[yellow]lost:[/yellow] {found.dropped:,} answer(s) that the API could not record")
        for each in found.examples:
            said = (
                f"{each['what']} {each['event_type']} {each['event_id']} in request {each['request']}: {each['cause']}"
            )
            console.print(f"[dim]{quoted(said)}[/dim]", soft_wrap=True)
    if most is not None:
        sys.exit(2 if not found.answers else int(found.share > most))
