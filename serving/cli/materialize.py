"""``seqplat materialize``: build a range of days through Dagster; the one module here that reaches its package."""

import datetime as dt
import sys

import click

from seqplat_resources.home import Home
from serving.cli.dagster_home import ensure_dagster_home
from serving.cli.durations import Day
from serving.cli.output import console, suggest


@click.command()
@click.argument("start", type=Day())
@click.argument("end", type=Day(), required=False)
@click.argument("select", nargs=-1)
def materialize(start: dt.date, end: dt.date | None, select: tuple[str, ...]) -> None:
    """Build the days START to END, both included, of all assets or of those selected, and run their checks.

    SELECT is an asset (events/purchase) or a layer (raw, enrichments, events, sequences, online); with a leading +
    everything it is made from is built as well. The runs are in the Dagster UI afterwards.
    """
    if end is not None and end < start:
        raise click.UsageError(f"END {end} is before START {start}; the first day comes first")
    if not build(start, end or start, select):
        sys.exit(1)
    suggest("seqplat tables", "seqplat dev   # see the runs in the Dagster UI")


def build(start: dt.date, end: dt.date, select: tuple[str, ...] = ()) -> bool:
    """Build a range with a line of progress per finished step; whether everything succeeded."""
    ensure_dagster_home(Home.from_environment())
    from seqplat_assets.run import materialize_range

    result = materialize_range(start, end, select, report=lambda progress: console.print(f"  {progress}", markup=False))
    for step, reason in result.failures.items():
        console.print(f"[red]failed[/red] {step}: {reason}")
    return result.success
