"""``seqplat ingest``, ``dirty`` and ``reseal``: what came late, and building the buckets it belongs to again."""

import datetime as dt
import sys

import click

from seqplat_resources.batch.importing import import_files
from seqplat_resources.batch.ledger import Dirty, dirty_buckets, ranges
from seqplat_resources.runtime import Runtime
from serving.cli.materialize import build
from serving.cli.output import console, suggest, table


@click.command()
@click.argument("source")
@click.argument("files", nargs=-1, required=True)
def ingest(source: str, files: tuple[str, ...]) -> None:
    """Import raw FILES into the archive of SOURCE, each once, as if they had come through its log.

    For rows the log never got. They are visible when the buckets they belong to are built again.
    """
    runtime = Runtime.from_environment()
    rows = []
    for done in import_files(runtime, source, files):
        what = "imported before" if done.already else "imported"
        rows.append((done.partition, done.rows, done.rejected, done.days, what))
    table(f"archive/{source}", ["file", "rows", "rejected", "days", ""], rows, right=["rows", "rejected", "days"])
    suggest("seqplat dirty", "seqplat reseal")


@click.command()
def dirty() -> None:
    """Show built buckets that no longer hold what their raw rows give: late messages, corrections."""
    runtime = Runtime.from_environment()
    found = _dirty(runtime)
    if not found:
        console.print("no dirty bucket: every built day holds what its raw rows give")
        return
    now = runtime.clock.now()
    state = {True: "ripe", False: "waits for more"}
    shown = [(d.event_type, d.day, d.messages, d.moved, d.first_at, d.last_at, state[d.is_ripe(now)]) for d in found]
    headers = ["event type", "day", "new messages", "moved away", "first at (UTC)", "last at (UTC)", ""]
    table(f"{len(found)} dirty bucket(s)", headers, shown, right=["new messages", "moved away"])
    suggest("seqplat reseal          # the ripe ones", "seqplat reseal --all")


@click.command()
@click.option("--all", "everything", is_flag=True, help="Also those that still wait for more late messages.")
def reseal(everything: bool) -> None:
    """Build and publish dirty buckets again, and nothing else, through Dagster."""
    runtime = Runtime.from_environment()
    now = runtime.clock.now()
    chosen = [d for d in _dirty(runtime) if everything or d.is_ripe(now)]
    if not chosen:
        console.print("no bucket to build again")
        return
    by_type: dict[str, list[dt.date]] = {}
    for bucket in chosen:
        by_type.setdefault(bucket.event_type, []).append(bucket.day)
    passed = True
    for name, days in by_type.items():
        made_of = [s for s, definition in runtime.release.sequences.items() if name in definition.event_types]
        select = (f"events/{name}", *(f"sequences/{sequence}" for sequence in made_of), f"online/{name}")
        for first, last in ranges(days):
            console.print(f"[bold]{name} {first}{'' if first == last else f' to {last}'}[/bold]")
            result = build(first, last, select)
            passed = passed and result.passed
            if not result.success:
                sys.exit(1)
    if not passed:
        sys.exit(1)


def _dirty(runtime: Runtime) -> list[Dirty]:
    return [bucket for name in runtime.release.event_types for bucket in dirty_buckets(runtime, name)]
