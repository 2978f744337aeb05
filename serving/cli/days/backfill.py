"""``seqplat backfill``: many days built again, newest first, with a plan before and a bar while it works."""

import datetime as dt
import os
import signal
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from seqplat_resources.batch.backfill.price import HourPrice, hour_price
from seqplat_resources.batch.backfill.records import BackfillRecord, BackfillRecords
from seqplat_resources.commands import command
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shown_text import lasting, plain
from serving.cli.dagster_home import ensure_dagster_home
from serving.cli.durations import Day
from serving.cli.output import console, quoted, size, suggest, table
from serving.cli.person import person
from serving.cli.stopping import stopped_at_once_when_told_twice

if TYPE_CHECKING:
    from seqplat_assets.backfill.wanted import Backfill, BackfillPiece
    from seqplat_assets.progress import Progress as StepProgress

FAILED, CANCELLED = 1, 3
# Below everything that serves or streams on this host, which then has the processor whenever it wants it.
NICE = 10


@click.command()
@click.argument("start", type=Day(), required=False)
@click.argument("end", type=Day(), required=False)
@click.argument("select", nargs=-1)
@click.option("--again", is_flag=True, help="Also days that are good as they are.")
@click.option("--column", "columns", multiple=True, metavar="EVENT_TYPE.COLUMN", help="Build this column alone.")
@click.option("--newest-first/--oldest-first", default=True, show_default=True)
@click.option("--dry-run", is_flag=True, help="Say what it would build, and how long that takes; build nothing.")
@click.option("--list", "listed", is_flag=True, help="Show the backfills there were.")
@click.option("--cancel", metavar="ID", help="Have a backfill end before its next piece.")
def backfill(
    start: dt.date | None,
    end: dt.date | None,
    select: tuple[str, ...],
    again: bool,
    columns: tuple[str, ...],
    newest_first: bool,
    dry_run: bool,
    listed: bool,
    cancel: str | None,
) -> None:
    """Build the days START to END, both included, of all assets or of those selected, as far as they are not good.

    SELECT is as in `seqplat materialize`. Days that are built, well and not dirty are left out. It goes on where it was
    when it is asked for again after a kill. Ends with 0 when all is built, 1 when some day is not, 3 when it was
    cancelled, 130 when Ctrl-C was pressed twice.
    """
    if listed or cancel:
        _records(cancel)
        return
    if start is None:
        raise click.UsageError("give START, the first day, such as 2026-11-01; --list shows the backfills there were")
    if end is not None and end < start:
        raise click.UsageError(f"END {end} is before START {start}; the first day comes first")
    console.print(f"[dim]looking at days {start} to {end or start} ...[/dim]")
    runtime, by_type = Runtime.from_environment(), _by_type(columns)
    ensure_dagster_home(runtime.home)
    from seqplat_assets.backfill.wanted import Backfill

    selected = select or tuple(f"events/{name}+" for name in by_type)  # else answers would not show them
    wanted = Backfill.asked(runtime, selected, start, end or start, again=again or bool(by_type), columns=by_type)
    if not wanted.days:
        console.print(f"nothing to build: all {wanted.good:,} day(s) are good")
        return
    pieces = wanted.pieces(runtime, newest_first=newest_first)
    _show(pieces, wanted.good, hour_price(runtime.home.environment))
    if dry_run:
        return
    try:
        ended = build_shown(runtime, wanted, newest_first=newest_first)
    except KeyboardInterrupt:
        console.print("stopped; what is built stays built")
        suggest(_again())
        sys.exit(CANCELLED)
    for why in ended.failures:
        console.print(f"[red]failed[/red] {quoted(why.split(' Next: ')[0])}", soft_wrap=True)
    console.print(
        f"{ended.state}: {ended.done:,} day(s) built, {ended.failed:,} not, {ended.rows:,} rows, {size(ended.bytes)} "
        f"in {lasting(ended.spent_s)} (planned {lasting(ended.planned_s)})"
    )
    if ended.state != "done":
        suggest(_again())
        sys.exit(FAILED if ended.state == "failed" else CANCELLED)


def _again() -> str:
    return " ".join(["seqplat backfill", *map(plain, sys.argv[2:])]) + "   # goes on where it is"


def _by_type(columns: Sequence[str]) -> dict[str, tuple[str, ...]]:
    found = dict[str, tuple[str, ...]]()
    for text in columns:
        name, _, column = text.partition(".")
        if not column:
            raise click.UsageError(f"--column {text!r} names no column; give EVENT_TYPE.COLUMN")
        found[name] = (*found.get(name, ()), column)
    return found


def _show(pieces: "Sequence[BackfillPiece]", good: int, price: HourPrice | None) -> None:
    """The plan: a line a piece, and what all of them take."""
    rows = [
        (
            *(f"{p.first} to {p.last}", len(p.assets), p.effort.days, f"{p.effort.rows:,}", size(p.effort.bytes)),
            f"{p.effort.minutes:.1f}",
        )
        for p in pieces[:20]
    ]
    right = ["assets", "days", "rows", "bytes", "minutes"]
    table(f"{len(pieces)} piece(s), in this order", ["piece", *right], rows, right=right)
    if len(pieces) > len(rows):
        console.print(f"... and {len(pieces) - len(rows)} more piece(s)")
    total = [sum(getattr(p.effort, name) for p in pieces) for name in ("days", "rows", "bytes", "seconds")]
    unmeasured = sorted({name for p in pieces for name in p.effort.unmeasured})
    effort = f"about {total[1]:,} rows, {size(total[2])}, {lasting(total[3])}"
    cost = f", {quoted(price.of(total[3]))}" if price and total[3] else ""
    console.print(f"{total[0]:,} day(s) to build, {good:,} good; {effort}{cost}", soft_wrap=True)
    if unmeasured:
        some = ", ".join(unmeasured[:3]) + (f" and {len(unmeasured) - 3} more" if unmeasured[3:] else "")
        console.print(f"[yellow]never measured, so not in it: {quoted(some)}[/yellow]", soft_wrap=True)


def build_days(
    runtime: Runtime, days: Mapping[str, Collection[dt.date]], columns: Mapping[str, tuple[str, ...]]
) -> bool:
    """Build exactly these days by asset, and what is made of them; whether all are built. What was built before by the
    same words is not built again.
    """
    from seqplat_assets.backfill.wanted import Backfill

    wanted = Backfill.of(runtime, days, columns=columns)
    before = BackfillRecords(runtime.home).get(wanted.id(runtime.loaded.id))
    if before is not None and before.state == "done":
        return True
    ended = build_shown(runtime, wanted)
    for why in ended.failures:
        console.print(f"[red]failed[/red] {quoted(why.split(' Next: ')[0])}", soft_wrap=True)
    return ended.state == "done"


def build_shown(runtime: Runtime, wanted: "Backfill", *, newest_first: bool = True) -> BackfillRecord:
    """Build what is wanted, with a bar on a terminal; its record when it is over.

    Raises:
        KeyboardInterrupt: this process was stopped, by Ctrl-C or SIGTERM. Else as ``seqplat_assets.backfill.run.run``.
    """
    from seqplat_assets.backfill.run import BackfillSettings, run

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.setpriority(os.PRIO_PROCESS, 0, max(NICE, os.getpriority(os.PRIO_PROCESS, 0)))
    with stopped_at_once_when_told_twice(), _shown() as shown:
        settings = BackfillSettings(newest_first=newest_first, by=person(), report=shown.step)
        for record in run(runtime, wanted, settings):
            shown.piece(record)
            last = record
    return last


@contextmanager
def _shown() -> "Iterator[_Lines]":
    """A bar on a terminal, a line a piece elsewhere; a line of each step in both."""
    if not console.is_terminal:
        yield _Lines()
        return
    columns = ("{task.description}", BarColumn(), "{task.completed:,.0f}/{task.total:,.0f} days", TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.fields[left]}"), console=console) as bar:
        yield _Bar(bar)


class _Lines:
    def step(self, progress: "StepProgress") -> None:
        console.print(f"  {plain(str(progress))}", markup=False, soft_wrap=True)

    def piece(self, record: BackfillRecord) -> None:
        what = f"{record.tried:,}/{record.total:,} day(s) ({record.share:.0%}), {_left(record)} {plain(record.at)}"
        console.print(what.rstrip(), markup=False)


class _Bar(_Lines):
    def __init__(self, bar: Progress) -> None:
        self._bar, self._task = bar, TaskID(-1)

    def step(self, progress: "StepProgress") -> None:
        super().step(progress)
        if progress.is_build:
            self._bar.advance(self._task, progress.days)

    def piece(self, record: BackfillRecord) -> None:
        if self._task < 0:
            self._task = self._bar.add_task(record.id, total=record.total, left="")
        self._bar.update(self._task, completed=record.tried, left=_left(record))


def _left(record: BackfillRecord) -> str:
    rate = f", {record.per_minute:,.0f} days/min" if record.per_minute else ""
    return f"{lasting(record.remaining_s)} left{rate}"


def _records(cancel: str | None) -> None:
    records = BackfillRecords(Runtime.from_environment().home)
    if cancel:
        found = records.cancel(cancel)
        console.print(f"{found.id} ends before its next piece")
        return
    rows = [
        (r.id, r.shown_state, f"{r.first} to {r.last}", r.what[:60], f"{r.share:.0%}", r.begun_at[:19], r.release)
        for r in records.all()
    ]
    table(f"{len(rows)} backfill(s)", ["id", "state", "days", "what", "done", "begun (UTC)", "release"], rows)
    if running := [r for r in records.all() if r.is_alive]:
        suggest(command("backfill", "--cancel", running[0].id))
