"""``seqplat lag`` and ``seqplat epochs``: how far streams are, what is published, and back to an earlier view."""

import datetime as dt
import os
from contextlib import closing

import click

from seqplat_resources.batch.inputs import tables
from seqplat_resources.commands import command
from seqplat_resources.errors import Final, SeqplatError
from seqplat_resources.lake.append import position
from seqplat_resources.online_store import OnlineStore
from seqplat_resources.online_store.opening import open_online_store
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.sources.log.opening import open_log_source
from seqplat_resources.stream.service import streamed_sources
from seqplat_resources.stream.trouble import Troubles
from seqplat_resources.times import instant_of_ms, milliseconds
from serving.cli.output import console, size, suggest, table


class NothingToGoBackTo(Final):
    """An event type of which nothing is published."""


@click.command()
def lag() -> None:
    """Show how far each partition is: in the log, visible, kept in the lake, and when a stream last said so."""
    runtime = Runtime.from_environment()
    now_ms = milliseconds(runtime.clock.now())
    rows: list[tuple[object, ...]] = []
    streamed = streamed_sources(runtime.release)
    problems = [f"{name}: {trouble.said}" for name, trouble in Troubles(runtime.home).of(streamed).items()]
    with (
        closing(open_online_store(runtime.home, readonly=True)) as store,
        closing(open_log_source(os.environ, runtime.home)) as log,
    ):
        visible = store.stream_positions()
        for name in streamed:
            source = runtime.release.sources[name]
            archive = tables.archive(runtime, source)
            try:
                ends = log.end_offsets(log.partitions(source.topic))
            except SeqplatError as error:  # of this topic; the others are there
                problems.append(f"{name}: {error}")
                continue
            for partition, end in sorted(ends.items()):
                at = visible.get(str(partition))
                told = f"{(now_ms - at.at_ms) / 1000:.0f} s ago" if at else None
                seen = at.next_offset if at else None
                rows.append((partition, end, seen, position(archive, str(partition)), end - (seen or 0), told))
        views = [(name, store.now_stats(name)) for name in runtime.release.event_types]
    headers = ["partition", "end of log", "visible", "kept", "behind", "stream said so"]
    table("streams", headers, rows, right=headers[1:5])
    for problem in problems:
        console.print(problem, style="red", markup=False)
    waiting = [
        (name, s.batches, s.blocks, size(s.size_bytes), _since(s.oldest_at_ms)) for name, s in views if s.batches
    ]
    if waiting:
        table(
            "in the now view",
            ["event type", "batches", "blocks", "size", "oldest"],
            waiting,
        )
        console.print("[dim]what batch has read stays until every epoch that can be gone back to has it[/dim]")
        suggest("seqplat dirty")


@click.command()
@click.argument("event_type", required=False)
@click.option("--back-to", type=int, help="Show again what this kept epoch showed; moves no data.")
def epochs(event_type: str | None, back_to: int | None) -> None:
    """Show the published views of EVENT_TYPE (all, if none is named) that can be gone back to."""
    runtime = Runtime.from_environment()
    with closing(open_online_store(runtime.home, readonly=back_to is None)) as store:
        if back_to is not None:
            if event_type is None:
                raise click.UsageError("--back-to needs an EVENT_TYPE")
            current = store.epoch(event_type)
            if current is None:
                raise NothingToGoBackTo(f"nothing of event type {event_type!r} is published")
            epoch = store.rollback(event_type, to_epoch=back_to, expected_epoch=current.epoch)
            console.print(f"{event_type}: epoch {epoch.epoch} shows what epoch {back_to} showed")
        names = [event_type] if event_type else list(runtime.release.event_types)
        rows = [row for name in names for row in _epoch_rows(store, name)]
        before = {name: kept[-2] for name in names if len(kept := store.kept_epochs(name)) > 1}
    headers = ["event type", "epoch", "days", "through", "rows", "release"]
    table("kept epochs, newest first", headers, rows, right=["epoch", "days", "rows"])
    if back_to is None and before:
        name, number = next(iter(before.items()))
        suggest(command("epochs", name, **{"back-to": str(number)}))


def _epoch_rows(store: OnlineStore, name: str) -> list[tuple[object, ...]]:
    found: list[tuple[object, ...]] = []
    for number in reversed(store.kept_epochs(name)):
        with store.snapshot(epochs={name: number}) as view:
            if epoch := view.epoch(name):
                rows = sum(bucket.rows for bucket in epoch.buckets.values())
                found.append(
                    (name, number, len(epoch.buckets), max(epoch.buckets, default=None), rows, epoch.release[:12])
                )
    return found


def _since(epoch_ms: int | None) -> dt.datetime | None:
    return instant_of_ms(epoch_ms) if epoch_ms else None
