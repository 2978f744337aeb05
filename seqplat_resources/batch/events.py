"""Build ``events/<event_type>`` day buckets: raw rows of the day through the engine, shard by shard."""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import asdict

import polars as pl

from seqplat_resources.batch import tables
from seqplat_resources.batch.lookup import LakeLookups
from seqplat_resources.batch.rejects import keep_rejects
from seqplat_resources.batch.result import BucketResult, Stopwatch
from seqplat_resources.engine.outcome import Counts, no_rejects
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.engine.run import run
from seqplat_resources.errors import Final
from seqplat_resources.lakehouse.layout import DAY
from seqplat_resources.lakehouse.table import LakeTable, Part
from seqplat_resources.runtime import Runtime


class RawMissing(Final):
    """A day of events whose raw bucket was never ingested."""


def build(runtime: Runtime, name: str, days: Sequence[dt.date]) -> Iterator[BucketResult]:
    """Replace the event buckets of ``days``, one after the other. Memory holds one shard of one day.

    Raises:
        RawMissing: a day was never ingested (an ingested day without rows is an empty day of events).
    """
    plan = EventPlan.of(runtime.loaded, name)
    raw, table = tables.raw(runtime, plan.source), tables.events(runtime, plan)
    lookups, present = LakeLookups(runtime), raw.buckets()
    for day in days:
        if (day.isoformat(),) not in present:
            raise RawMissing(
                f"events/{name} {day}: raw/{plan.source.name} has no such day; materialize raw/{plan.source.name} "
                f"for {day} first, or together with it"
            )
        yield _bucket(runtime, plan, raw, table, lookups, day)


def _bucket(
    runtime: Runtime, plan: EventPlan, raw: LakeTable, table: LakeTable, lookups: LakeLookups, day: dt.date
) -> BucketResult:
    watch, rejects, total = Stopwatch(), [no_rejects()], Counts()
    lookup = lookups.day(day)

    def parts() -> Iterator[Part]:
        nonlocal total
        for shard in range(plan.source.shards):
            with watch("read"):
                of_shard = pl.col("_shard") == shard if plan.source.shards > 1 else pl.lit(True)
                rows = raw_rows(raw, plan, (pl.col(DAY) == day) & of_shard)
            with watch("engine"):
                outcome = run(plan, rows, lookup)
            total += outcome.counts
            rejects.append(outcome.rejects)
            if outcome.events.height:
                yield Part(outcome.events, label=f"s{shard:04d}")

    def before_commit() -> dict[str, object]:
        keep_rejects(runtime, plan.source.name, plan.event_type.name, [day], pl.concat(rejects))
        return {"release": plan.release, "raw_version": raw.delta().version(), "counts": asdict(total)}

    with watch("total"):
        commit = table.replace({DAY: day}, parts(), before_commit=before_commit)
    return BucketResult(commit.table, day, commit.rows, commit.bytes, commit.version, asdict(total), watch.seconds)


def raw_rows(raw: LakeTable, plan: EventPlan, where: pl.Expr) -> pl.DataFrame:
    """The raw rows that ``where`` keeps, with the columns an event is made from."""
    return raw.scan().filter(where).select(plan.raw_columns).collect()
