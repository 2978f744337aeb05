"""``seqplat materialize``: build a range of days through Dagster; the one module here that reaches its package."""

import datetime as dt
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from seqplat_resources.commands import command
from seqplat_resources.home import Home
from seqplat_resources.quality.guesses import guess
from seqplat_resources.quality.rejects import guessed
from seqplat_resources.runtime import Runtime
from serving.cli.dagster_home import ensure_dagster_home
from serving.cli.durations import Day
from serving.cli.output import console, plain, quoted, suggest

if TYPE_CHECKING:
    from seqplat_assets.run import RangeResult


@click.command()
@click.argument("start", type=Day())
@click.argument("end", type=Day(), required=False)
@click.argument("select", nargs=-1)
def materialize(start: dt.date, end: dt.date | None, select: tuple[str, ...]) -> None:
    """Build the days START to END, both included, of all assets or of those selected, and run their checks.

    SELECT is an asset (events/purchase) or a layer (raw, enrichments, events, sequences, online); with a leading +
    everything it is made from is built as well. The runs are in the Dagster UI afterwards. Ends with an error where
    something was not built, or some day did not pass a check.
    """
    if end is not None and end < start:
        raise click.UsageError(f"END {end} is before START {start}; the first day comes first")
    result = build(start, end or start, select)
    if not result.refused and result.passed:
        suggest("seqplat tables", "seqplat dev   # see the runs in the Dagster UI")
    if not result.passed:
        sys.exit(1)


def build(start: dt.date, end: dt.date, select: tuple[str, ...] = ()) -> "RangeResult":
    """Build a range with a line of progress per finished step; then what failed, and where refused rows are."""
    ensure_dagster_home(Home.from_environment())
    from seqplat_assets.run import materialize_range

    runtime = Runtime.from_environment()

    def report(progress: object) -> None:
        console.print(f"  {plain(str(progress))}", markup=False)

    result = materialize_range(start, end, select, runtime=runtime, report=report)
    for step, reason in result.failures.items():
        console.print(f"[red]failed[/red] {step}: {quoted(reason)}")
        layer, _, name = step.partition("__")
        if layer == "raw" and (hint := guess(runtime.release.sources[name], [(reason, b"")])):
            console.print(f"[yellow]{quoted(hint)}[/yellow]", soft_wrap=True)
    if result.refused:
        suggest(*(_look_at(runtime, source, rows) for source, rows in _by_source(runtime, result.refused).items()))
    return result


def _by_source(runtime: Runtime, refused: Mapping[str, int]) -> dict[str, int]:
    """Rows of each source that were refused, while they were ingested or when events were made of them."""
    found: dict[str, int] = {}
    for asset, rows in refused.items():
        layer, _, name = asset.partition("/")
        source = runtime.release.event_types[name].source if layer == "events" else name
        found[source] = found.get(source, 0) + rows
    return found


def _look_at(runtime: Runtime, source: str, rows: int) -> str:
    said = ", ".join(filter(None, [f"{rows:,} row(s) refused", guessed(runtime, source)]))
    return f"{command('rejects', source)}   # {said}"
