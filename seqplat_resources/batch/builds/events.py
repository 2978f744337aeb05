"""Build ``events/<event_type>`` day buckets: raw rows through the engine, small days together, large ones by shard.

>>> [(str(result.day), result.rows) for result in build(shop, "purchase", days)]
[('2024-05-01', 2), ('2024-05-02', 1), ('2024-05-03', 1)]
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict
from functools import cache

import polars as pl

from seqplat_resources.batch.builds.columns import ColumnsOfDays, require_columns
from seqplat_resources.batch.builds.healing import with_streamed_values
from seqplat_resources.batch.builds.lookup import LakeLookups
from seqplat_resources.batch.builds.past import KEPT, SupersededRows
from seqplat_resources.batch.days.result import BucketResult, Stopwatch
from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.inputs.availability import Availability
from seqplat_resources.batch.inputs.rejects import keep_rejects
from seqplat_resources.batch.inputs.rows import RawInputs, high_water_of, kept_positions
from seqplat_resources.batch.inputs.spans import by_day, spans
from seqplat_resources.engine.outcome import Counts, no_rejects
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.engine.run import ExecutorFailed, run
from seqplat_resources.engine.superseded import OtherRows
from seqplat_resources.errors import Final, Retryable
from seqplat_resources.lake.columns.whole import WholeTable
from seqplat_resources.lake.files import FilePart
from seqplat_resources.lake.layout import DAY
from seqplat_resources.lake.table import BucketCommit
from seqplat_resources.release.runtime import Runtime
from sequence_defs.schema import Snapshot, Versioned


class RawMissing(Final):
    """A day of events whose raw bucket was never ingested."""


def build(
    runtime: Runtime, name: str, days: Sequence[dt.date], *, columns: Sequence[str] = ()
) -> Iterator[BucketResult]:
    """Replace the event buckets of ``days``, in order; days too small to be worth a commit of their own share one.

    With ``columns`` only these are written, beside days that are there and come out with the very rows they have; any
    other of ``days`` is built as a whole. Memory holds one shard of one day, or of the small days that are built
    together.

    Raises:
        RawMissing: a day was never ingested (an ingested day without rows is an empty day of events). The days
            before it are built.
        ArchiveLost: the archive has fewer messages than one of the days was made of, or than streams have kept;
            nothing is built.
        ColumnsUnknown: of ``columns``.
    """
    plan = EventPlan.of(runtime.loaded, name)
    require_columns(plan, columns)
    with closing(LakeLookups(runtime, days)) as lookups:
        yield from _built(runtime, plan, lookups, days, columns)
    with suppress(Retryable):  # nobody reads it any more, and the next build is as good
        tables.events(runtime, plan).drop_beside()


def _built(
    runtime: Runtime, plan: EventPlan, lookups: LakeLookups, days: Sequence[dt.date], columns: Sequence[str]
) -> Iterator[BucketResult]:
    kept = kept_positions(tables.served(runtime, plan)) if plan.source.topic else {}
    name, raw, table = plan.event_type.name, RawInputs.open(runtime, plan), tables.events(runtime, plan)
    raw.require_kept(table, kept, days)
    beside = table.columns_beside() if columns else {}
    decoded = raw.decoded_otherwise(days)  # days share what they note of that

    def known(day: dt.date) -> tuple[object, ...]:
        """Which inputs the day has. Days that differ cannot share a lookup: one waits for what the other knows."""
        keyed = [e.name for _, e in plan.attachments if isinstance(e, Versioned | Snapshot)]
        return (raw.has(day), decoded[day], beside.get(str(day)), *(lookups.has(each, day) for each in keyed))

    for span in spans(days, raw.rows_by_day, alike=known):
        if not raw.has(span[0]):
            raise RawMissing(
                f"events/{name} {span[0]}: raw/{plan.source.name} has no such day; materialize raw/{plan.source.name} "
                f"for {span[0]} first, or together with it"
            )
        try:
            yield from _buckets(runtime, plan, raw, table, lookups, span, columns)
        except ExecutorFailed:
            # The engine bounds failures per batch of rows; days that pass one by one may exceed it together.
            if len(span) == 1:
                raise
            for day in span:
                yield from _buckets(runtime, plan, raw, table, lookups, [day], columns)


def _buckets(
    runtime: Runtime,
    plan: EventPlan,
    raw: RawInputs,
    table: WholeTable,
    lookups: LakeLookups,
    days: Sequence[dt.date],
    columns: Sequence[str],
) -> Iterator[BucketResult]:
    watch, rejects = Stopwatch(), [no_rejects()]
    counts, filled = dict.fromkeys(days, Counts()), 0
    served = tables.served(runtime, plan) if plan.source.topic else None
    lookup, rivals = lookups.over(days), raw.rivals(days)
    available, superseded = Availability.open(runtime, plan, days), SupersededRows.of(runtime, plan, days)
    beside = OtherRows(rivals, available.stamped)

    def parts() -> Iterator[tuple[Mapping[str, dt.date], FilePart]]:
        nonlocal filled
        with watch("read"):
            of_shard = raw.shard_column(days)
        for shard in range(plan.source.shards):
            with watch("read"):
                found = raw.rows(pl.col(DAY).is_in(days) & (of_shard == shard))
                rows = found.with_columns(_shard=pl.lit(shard, pl.Int16()))
            with watch("engine"):
                outcome = run(plan, rows, lookup, beside=beside)
            rejects.append(outcome.rejects)
            for day, of_day in outcome.by_day.items():
                counts[day] += of_day
            healed = outcome.events
            if served is not None:
                healed, more = with_streamed_values(healed, plan, served, days)
                filled += more
            superseded.add(outcome.superseded, served, f"s{shard:04d}")
            for day, events in by_day(healed, pl.col("event_time").dt.date()):
                yield {DAY: day}, FilePart(events, label=f"s{shard:04d}")

    @cache  # of what is pinned, so that it is the same whenever it is asked for
    def notes() -> dict[str, str]:
        made = raw.notes(days, rivals)
        return {**made, **available.notes(high_water_of(made)), KEPT: ""}

    def before_commit() -> dict[str, object]:
        superseded.keep(notes())
        keep_rejects(runtime, plan.source.name, plan.event_type.name, days, pl.concat(rejects))
        return {
            "release": plan.release,
            "inputs": raw.versions,
            "cells_kept_from_stream": filled,
            "counts": {str(day): asdict(of_day) for day, of_day in counts.items()},
        }

    if columns:
        of_days = ColumnsOfDays(table, columns)
        with watch("total"):
            commits = of_days.put(days, parts(), meaning=raw.meaning(days))
            superseded.keep(notes())
        yield from _results(commits, [day for day in days if day not in of_days.other], watch, counts)
        if of_days.other:
            yield from _buckets(runtime, plan, raw, table, lookups, of_days.other, ())
        return
    with watch("total"):
        commits = table.replace_many([{DAY: day} for day in days], parts(), before_commit=before_commit, notes=notes)
    yield from _results(commits, days, watch, counts)


def _results(
    commits: Sequence[BucketCommit], days: Sequence[dt.date], watch: Stopwatch, counts: Mapping[dt.date, Counts]
) -> Iterator[BucketResult]:
    for day, commit in zip(days, commits, strict=True):
        facts, seconds = asdict(counts[day]), watch.share(len(days))
        yield BucketResult(commit.table, day, commit.rows, commit.bytes, commit.version, facts, seconds)
