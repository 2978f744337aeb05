"""``seqplat expire``: delete what definitions keep no longer (``retention_days``)."""

import sys

import click

from seqplat_resources.batch.upkeep.expiry import ExpiryReport, expiries
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shown_text import plain
from serving.cli.output import console, quoted, size, suggest, table


@click.command()
@click.option("--dry-run", is_flag=True, help="Only show what would go.")
@click.option("--everything", is_flag=True, help="Also what would lose all of its days.")
def expire(dry_run: bool, everything: bool) -> None:
    """Delete days that are older than the retention_days of their definition: lake, online store, file log.

    From the first step on no answer has them. Builds, streams and the API may run beside it; a day that is being
    written stays until the next time, and so does what would lose all of its days, for the clock may be wrong. Run it
    every day; broken off, the next run goes on. What has no retention_days is kept for ever.
    """
    done, found = "would go" if dry_run else "gone", list[ExpiryReport]()
    for each in expiries(Runtime.from_environment(), dry_run=dry_run, everything=everything):
        found.append(each)
        if not dry_run and each.gone.rows + each.gone.files:
            console.print(f"  {plain(_line(each))}", markup=False)
    some = [each for each in found if each.gone.rows + each.gone.files]
    if some:
        headers = ["what", "kept days", "days", "first", "last", "rows", "files", "size"]
        numbers = ["kept days", "days", "rows", "files", "size"]
        table(f"{done}: days before the retention of their definition", headers, map(_row, some), right=numbers)
    else:
        console.print("nothing has expired")
    if forever := [each.name for each in found if each.kept_days is None]:
        console.print(f"[dim]kept for ever, without retention_days: {quoted(', '.join(forever))}[/dim]", soft_wrap=True)
    for each in found:
        for why in each.left:
            console.print(
                f"[yellow]left for the next time:[/yellow] {quoted(each.name)}: {quoted(why)}", soft_wrap=True
            )
    if some and not any(each.left for each in found):  # else what to do is said beside what was left
        really = "seqplat expire --everything" if everything else "seqplat expire"
        suggest(really if dry_run else "seqplat vacuum --delete   # files of the lake that nothing needs")
    if any(each.left for each in found):
        sys.exit(1)


def _line(each: ExpiryReport) -> str:
    gone = each.gone
    days = f", {gone.first} to {gone.last}" if gone.first else ""
    return f"{each.name}: {gone.rows:,} row(s){days}"


def _row(each: ExpiryReport) -> tuple[object, ...]:
    gone = each.gone
    files = (gone.files, size(gone.bytes)) if gone.files else (None, None)
    return (each.name, each.kept_days, gone.days or None, gone.first, gone.last, f"{gone.rows:,}", *files)
