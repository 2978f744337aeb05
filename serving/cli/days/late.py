"""``seqplat ingest``, ``dirty`` and ``reseal``: what came late, and building the buckets it belongs to again."""

import datetime as dt
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import click

from seqplat_resources.batch.builds.imports import import_files
from seqplat_resources.batch.days.ledger import Dirty, dirty_buckets, ranges
from seqplat_resources.batch.days.needs import Need, Warn, alone
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.sequences.stale import every_need
from serving.cli.days.materialize import build, to_mend
from serving.cli.output import console, quoted, suggest, table


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
    """Show days to build again: late messages, corrections, other files or definitions; failed, held, awaited."""
    runtime = Runtime.from_environment()
    now = runtime.clock.now()
    with _blind_spots() as unseen:
        found, waiting = _dirty(runtime, unseen), every_need(runtime, unseen)
        if waiting:
            _show(waiting, now)
        if found:
            _show_late(found, now)
            suggest("seqplat reseal          # the ripe ones", "seqplat reseal --all")
        elif waiting:
            suggest("seqplat reseal          # those that are due", "seqplat reseal --all")
    if not found and not waiting:
        console.print(
            "no dirty bucket: every built day holds what its raw rows give, and no day failed, waits or is held"
        )


def _show_late(found: Sequence[Dirty], now: dt.datetime) -> None:
    state = {True: "ripe", False: "waits for more"}
    shown = [(d.event_type, d.day, d.messages, d.moved, d.first_at, d.last_at, state[d.is_ripe(now)]) for d in found]
    headers = ["event type", "day", "new messages", "moved away", "first at (UTC)", "last at (UTC)", ""]
    table(f"{len(found)} dirty bucket(s)", headers, shown, right=["new messages", "moved away"])


def _show(waiting: Mapping[str, Mapping[dt.date, Need]], now: dt.datetime) -> None:
    every = [need for found in waiting.values() for need in found.values()]
    # A day that waits for another asset's is built with that.
    days = [need for need in every if need.day not in waiting.get(need.root, {})]
    rows = [(n.asset, n.day, n.kind, n.why, n.attempts, _due(n, now)) for n in days]
    headers = ["asset", "day", "what", "why", "attempts", "again"]
    also = f", and what is made of them: {len(every) - len(days)} more" if len(every) > len(days) else ""
    table(f"{len(days)} day(s) not well{also}", headers, rows, right=["attempts"])


def _due(need: Need, now: dt.datetime) -> str:
    if need.next_at is None:
        return "when it has files"
    return "now" if need.is_ripe(now) else f"at {need.next_at:%Y-%m-%d %H:%M} UTC"


@click.command()
@click.option("--all", "everything", is_flag=True, help="Also those that are not due yet.")
def reseal(everything: bool) -> None:
    """Build and publish dirty buckets, and days that are not well, again, and nothing else, through Dagster."""
    runtime = Runtime.from_environment()
    now = runtime.clock.now()
    with _blind_spots() as unseen:
        chosen = [d for d in _dirty(runtime, unseen) if everything or d.is_ripe(now)]
        mended = to_mend(runtime, unseen, everything=everything)
        passed = [_build(first, last, select) for first, last, select in [*mended, *_late(runtime, chosen)]]
    if not passed:
        console.print("no bucket to build again")
    if not all(passed):
        sys.exit(1)


def _late(runtime: Runtime, chosen: Sequence[Dirty]) -> Iterator[tuple[dt.date, dt.date, tuple[str, ...]]]:
    """First and last day, and what is built of them."""
    by_type: dict[str, list[dt.date]] = {}
    for bucket in chosen:
        by_type.setdefault(bucket.event_type, []).append(bucket.day)
    for name, days in by_type.items():
        made_of = [s for s, definition in runtime.release.sequences.items() if name in definition.event_types]
        select = (f"events/{name}", *(f"sequences/{sequence}" for sequence in made_of), f"online/{name}")
        yield from ((first, last, select) for first, last in ranges(days))


def _build(first: dt.date, last: dt.date, select: tuple[str, ...]) -> bool:
    console.print(f"[bold]{select[0]} {first}{'' if first == last else f' to {last}'}[/bold]")
    return build(first, last, select).passed


def _dirty(runtime: Runtime, told: Warn) -> list[Dirty]:
    found: list[Dirty] = []
    for name in runtime.release.event_types:
        with alone(f"events/{name}", told):
            found += dirty_buckets(runtime, name)
    return found


@contextmanager
def _blind_spots() -> Iterator[Warn]:
    """Takes what could not be looked at, and tells it when the block ends, be it by an error: what is dirty of it
    nobody knows, so the command then ends with an error.
    """
    said: dict[str, None] = {}
    try:
        yield said.setdefault
    finally:
        for why in said:
            console.print(f"[red]{quoted(why)}[/red]", soft_wrap=True)
    if said:
        sys.exit(1)
