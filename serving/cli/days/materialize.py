"""``seqplat materialize``: build a range of days through Dagster; the one module here that reaches its package."""

import datetime as dt
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import click

from seqplat_resources.batch.days.existing import ranges_of
from seqplat_resources.batch.days.needs import Warn
from seqplat_resources.batch.days.troubles import DayTroubles
from seqplat_resources.commands import command
from seqplat_resources.lake.layout import SHADOW, SHADOW_SEQUENCES
from seqplat_resources.quality.guesses import guess
from seqplat_resources.quality.rejects import guessed
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shown_text import plain
from serving.cli.dagster_home import ensure_dagster_home
from serving.cli.durations import Day
from serving.cli.output import console, quoted, suggest

if TYPE_CHECKING:
    from seqplat_assets.repair.sensors import Span
    from seqplat_assets.run import RangeResult


@click.command()
@click.argument("start", type=Day())
@click.argument("end", type=Day(), required=False)
@click.argument("select", nargs=-1)
@click.option("--missing", is_flag=True, help="Only what is not there or not well, and what is made of that.")
def materialize(start: dt.date, end: dt.date | None, select: tuple[str, ...], missing: bool) -> None:
    """Build the days START to END, both included, of all assets or of those selected, and run their checks.

    SELECT is an asset (events/purchase) or a layer (raw, enrichments, events, sequences, online); with a leading +
    everything it is made from is built as well, with a trailing + everything that is made of it. A day that cannot be
    built costs only what is made of that day. The runs are in the Dagster UI afterwards. Ends with an error where
    something was not built, or some day did not pass a check.
    """
    if end is not None and end < start:
        raise click.UsageError(f"END {end} is before START {start}; the first day comes first")
    result = build(start, end or start, select, missing=missing)
    if not result.runs:
        console.print("nothing is missing: every day is built, none failed, waits or is held by a check")
    if not result.refused and result.passed:
        suggest("seqplat tables", "seqplat dev   # see the runs in the Dagster UI")
    suggest(*_verdicts(result.not_passed))
    if not result.passed:
        sys.exit(1)


def build(start: dt.date, end: dt.date, select: tuple[str, ...] = (), *, missing: bool = False) -> "RangeResult":
    """Build a range with a line of progress per finished step; then what failed, and where refused rows are."""
    console.print(f"[dim]looking at days {start} to {end} ...[/dim]")  # Dagster takes seconds to load
    runtime = Runtime.from_environment()
    ensure_dagster_home(runtime.home)
    from seqplat_assets.run import materialize_range

    def report(progress: object) -> None:
        console.print(f"  {plain(str(progress))}", markup=False, soft_wrap=True)

    result = materialize_range(start, end, select, runtime=runtime, report=report, missing=missing)
    for step, reason in result.failures.items():
        console.print(f"[red]failed[/red] {step}: {quoted(reason.split(' Next: ')[0])}", soft_wrap=True)
        layer, _, name = step.partition("__")
        if layer == "raw" and (hint := guess(runtime.release.sources[name], [(reason, b"")])):
            console.print(f"[yellow]{quoted(hint)}[/yellow]", soft_wrap=True)
    again = _again(runtime, start, end) if result.failures else []
    if again or result.refused:
        suggest(
            *again, *(_look_at(runtime, source, rows) for source, rows in _by_source(runtime, result.refused).items())
        )
    return result


def _again(runtime: Runtime, start: dt.date, end: dt.date) -> list[str]:
    """What builds what is missing of the days, once the cause is mended."""
    troubles = DayTroubles(runtime.home, runtime.clock)
    days = [day for asset in ranges_of(runtime) for day in troubles.of(asset) if start <= day <= end]
    return [f"seqplat materialize {min(days)} {max(days)} --missing   # when the cause is mended"] if days else []


def to_mend(runtime: Runtime, told: Warn, *, everything: bool) -> "list[Span]":
    """What is not well and due, or all of it that could be built: first day, last day, assets."""
    from seqplat_assets.repair.sensors import spans

    return spans(runtime, told, everything=everything)


def _verdicts(not_passed: Iterable[tuple[str, str]]) -> list[str]:
    """What says why a day is not legacy's, of each event type and sequence that was compared."""
    compared = sorted({asset for asset, _ in not_passed if asset.partition("/")[0] in (SHADOW, SHADOW_SEQUENCES)})
    names = [asset.removeprefix(f"{SHADOW}/").replace(SHADOW_SEQUENCES, "sequences") for asset in compared]
    return [f"{command('shadow', 'verdict', name)}   # what differs from legacy, and whose it is" for name in names]


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
