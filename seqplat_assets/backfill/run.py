"""Run a backfill: its pieces one after the other as Dagster runs of this process, told to whoever watches.

Numbered as in docs/backfill.md and the crash tests. Of a backfill
1 the lease is taken and its record begun;
of each piece, 2 work that comes first is let go first, 3 its days are built, each visible as a whole or not at all,
4 the record says that it is done;
5 the record says how it ended.
A kill before 4 repeats what is missing of one piece: whatever was built is good, or is built once more.

>>> import datetime as dt
>>> backfill = Backfill.asked(shop, ["raw/orders"], dt.date(2024, 5, 1), dt.date(2024, 5, 3), again=True)
>>> with dg.DagsterInstance.ephemeral() as instance:
...     told = list(run(shop, backfill, BackfillSettings(instance=instance)))
...
>>> [(record.state, record.done, record.total) for record in told]
[('running', 0, 3), ('running', 3, 3), ('done', 3, 3)]
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

import dagster as dg

from seqplat_assets.backfill.wanted import Backfill, BackfillPiece
from seqplat_assets.describe.keys import key_of
from seqplat_assets.layers.build import COLUMNS
from seqplat_assets.progress import Progress
from seqplat_assets.run import RangeResult, Runs, recorder
from seqplat_assets.runs.liveness import IN_FLIGHT, WORK, end_dead, goes_first
from seqplat_resources.batch.backfill.rates import Effort
from seqplat_resources.batch.backfill.records import BackfillRecord, BackfillRecords, State, now_text
from seqplat_resources.batch.days.troubles import DayTroubles
from seqplat_resources.errors import Final
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.release.store import ChannelMove, ReleaseNotFound, ReleaseStore

# A run that hangs for so long holds up no backfill: buckets have leases of their own.
LONGEST_WAIT_S = 600.0
LOOK_EVERY_S = 1.0
# Behind streams (10), re-seals (5), and today's days and what people launch (0).
PRIORITY = -5


class ReleaseMoved(Final):
    """The channel was pointed at another release while a backfill built days by the one before."""

    def __init__(self, runtime: Runtime, move: ChannelMove) -> None:
        self.move = move
        note = f" ({move.note})" if move.note else ""
        super().__init__(
            f"channel {runtime.channel!r} moved to release {move.release[:12]} by {move.moved_by} at "
            f"{move.moved_at:%Y-%m-%d %H:%M} UTC{note} while days were built by release {runtime.loaded.id[:12]}. What "
            "is built stays, and nothing more is; see what is left to build: `seqplat plan`"
        )


@dataclass(frozen=True)
class BackfillSettings:
    """How to run: pieces ``newest_first``; ``by`` whom it was asked for; where runs are recorded, by default in
    DAGSTER_HOME; what each finished step and each numbered step is told to.
    """

    newest_first: bool = True
    by: str = ""
    instance: dg.DagsterInstance | None = None
    report: Callable[[Progress], None] = lambda _: None
    step: Callable[[int], None] = lambda _: None


def run(
    runtime: Runtime, backfill: Backfill, settings: BackfillSettings = BackfillSettings()
) -> Iterator[BackfillRecord]:
    """Build a backfill; yields its record when it has begun, after each piece, and when it is over (``state``).

    Resumed by asking for the same again: pieces that are done are left out. ``BackfillRecords.cancel`` has it end
    before the next piece; closing the iterator too. A day that cannot be built costs only what is made of it.

    Raises:
        LeaseHeld: the same backfill runs. DagsterHomeUnset: nothing was begun.
        ReleaseMoved: the channel runs another release by now; what is built stays.
        KeyboardInterrupt: it was stopped; what is built stays.
    """
    records, id = BackfillRecords(runtime.home, runtime.clock), backfill.id(runtime.loaded.id)
    if not backfill.days:
        return
    with recorder(settings.instance) as instance, records.held(id):
        planned = _effort(backfill.pieces(runtime, newest_first=settings.newest_first))
        record = records.begin(_begun(runtime, backfill, id, planned, settings.by))
        settings.step(1)
        state: State = "cancelled"  # whatever ends it here
        try:
            yield record
            left = backfill.without(record.pieces).pieces(runtime, newest_first=settings.newest_first)
            runs = Runs(runtime, instance)
            end_dead(instance, "backfill")
            for number, piece in enumerate(left):
                if records.is_cancelled(id):
                    break
                _require_unmoved(runtime)
                _give_way(instance)
                settings.step(2)
                told = partial(_tell, records, record, settings.report)
                record = _after(runtime, record, piece, *_built(runs, backfill, piece, told))
                settings.step(3)
                remaining = _effort(left[number + 1 :])
                record = records.put(replace(record, remaining_s=_remaining_s(record, planned, remaining)))
                settings.step(4)
                yield record
            else:
                state = "failed" if record.failures else "done"
        finally:
            record = records.put(replace(record, state=state, at="", remaining_s=0.0))
            settings.step(5)
        yield record


def _effort(pieces: Iterable[BackfillPiece]) -> Effort:
    return sum((piece.effort for piece in pieces), Effort())


def _begun(runtime: Runtime, backfill: Backfill, id: str, planned: Effort, by: str) -> BackfillRecord:
    of = [f"{name}.{column}" for name, columns in backfill.columns.items() for column in columns]
    return BackfillRecord(
        id,
        ", ".join(of or backfill.days),
        str(backfill.first),
        str(backfill.last),
        runtime.loaded.id[:12],
        now_text(runtime.clock),
        total=backfill.total,
        planned_s=planned.seconds,
        remaining_s=planned.seconds,
        by=by,
    )


def _built(
    runs: Runs, backfill: Backfill, piece: BackfillPiece, tell: Callable[[Progress, int], None]
) -> tuple[RangeResult, list[Progress], float]:
    began, told = time.monotonic(), list[Progress]()

    def both(progress: Progress) -> None:
        told.append(progress)
        tell(progress, sum(each.days for each in told if each.is_build))

    columns = {name: backfill.columns[name] for name in backfill.columns if f"events/{name}" in piece.assets}
    tags = {WORK: "backfill", "dagster/priority": str(PRIORITY), **({COLUMNS: json.dumps(columns)} if columns else {})}
    keys = [key_of(name) for name in piece.assets]
    result = runs.built(RangeResult(), piece.first, piece.last, keys, both, tags)
    return result, told, time.monotonic() - began


def _tell(
    records: BackfillRecords, record: BackfillRecord, report: Callable[[Progress], None], progress: Progress, days: int
) -> None:
    """Show how far the piece is that is being built, in the record and to whoever waits here."""
    if progress.is_build:
        with suppress(Exception):  # no day is worth less because nobody sees how far it is
            records.put(replace(record, under_way=days))
    report(progress)


def _after(
    runtime: Runtime,
    record: BackfillRecord,
    piece: BackfillPiece,
    result: RangeResult,
    told: list[Progress],
    seconds: float,
) -> BackfillRecord:
    """What is not well of the piece's days has its record in the ledger, and is tried again as others are."""
    of, troubles = (piece.last - piece.first).days + 1, DayTroubles(runtime.home, runtime.clock)
    total = of * len(piece.assets)
    failed = 0
    if not result.success:
        failed = sum(piece.first <= day <= piece.last for name in piece.assets for day in troubles.of(name)) or total
    return replace(
        record,
        done=record.done + total - failed,
        failed=record.failed + failed,
        rows=record.rows + sum(each.rows for each in told),
        bytes=record.bytes + sum(each.bytes for each in told),
        spent_s=record.spent_s + seconds,
        at=f"{piece.first} to {piece.last}",
        pieces=(*record.pieces, piece.name) if not failed else record.pieces,
        failures=(*record.failures, *result.failures.values()),
    )


def _remaining_s(record: BackfillRecord, planned: Effort, left: Effort) -> float:
    """By the plan, corrected by how the pieces before did against it; by days, where nothing was measured before."""
    if planned.seconds and not planned.unmeasured and (behind := planned.seconds - left.seconds) > 0:
        return left.seconds * min(4.0, max(0.25, record.spent_s / behind))
    done = record.done + record.failed
    return record.spent_s * (record.total - done) / done if done else planned.seconds


def _require_unmoved(runtime: Runtime) -> None:
    """Raises ReleaseMoved."""
    with suppress(ReleaseNotFound):  # a program may build for a channel that was never published
        move = ReleaseStore(runtime.home).current(runtime.channel)
        if move.release != runtime.loaded.id:
            raise ReleaseMoved(runtime, move)


def _give_way(instance: dg.DagsterInstance) -> None:
    """Wait until no run is on its way that comes first, or for as long as anybody may have to be waited for."""
    until = time.monotonic() + LONGEST_WAIT_S
    while time.monotonic() < until:
        records = instance.get_run_records(dg.RunsFilter(statuses=list(IN_FLIGHT)))
        if not any(goes_first(instance, each) for each in records):
            return
        time.sleep(LOOK_EVERY_S)
