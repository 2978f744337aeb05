"""``seqplat demo``: definitions to an answered sequence, with the steps a person would take."""

import datetime as dt
import sys
import time

import click

from seqplat_resources.batch.partitions import Partitions
from seqplat_resources.runtime import DEFAULT_CHANNEL, Runtime
from serving.cli.definitions import DEFAULT_DEFINITIONS, publish_release
from serving.cli.get import get
from serving.cli.materialize import build
from serving.cli.output import console, suggest
from serving.cli.serve import PORT

SEQUENCE, HOUSEHOLD = "household_history", "1797"


@click.command()
@click.pass_context
def demo(ctx: click.Context) -> None:
    """Load the bundled grocery events: check and publish the definitions, build six weeks, print one household."""
    started = time.perf_counter()
    console.print("[bold]1. Definitions to a release[/bold]")
    publish_release(DEFAULT_DEFINITIONS, DEFAULT_CHANNEL, "demo")
    first, last = _days(Runtime.from_environment())
    console.print(f"\n[bold]2. {(last - first).days + 1} days of every asset, through Dagster[/bold]")
    if not build(first, last):
        sys.exit(1)
    console.print("\n[bold]3. One household's sequence, as the API answers it[/bold]")
    ctx.invoke(get, sequence=SEQUENCE, user=HOUSEHOLD, limit=14)
    console.print(
        f"\nDone in {time.perf_counter() - started:.0f} s. Data is in {Runtime.from_environment().home.root}."
    )
    suggest(
        "make dev (or: seqplat dev) starts the Dagster UI and the API and prints their addresses; then",
        f"curl 'http://127.0.0.1:{PORT}/v1/sequences/{SEQUENCE}/users/{HOUSEHOLD}?columns=event_time,product_id&limit=5'",
        "seqplat get purchase_vectors " + HOUSEHOLD,
        "seqplat tables",
    )


def _days(runtime: Runtime) -> tuple[dt.date, dt.date]:
    """First and last day any event type of the release has; the demo's are all bounded."""
    ranges = Partitions.of(runtime.release).event_types.values()
    ends = [days.end for days in ranges if days.end is not None]
    return min(days.start for days in ranges), max(ends) - dt.timedelta(days=1)
