"""Whether the gate of an event type would notice: defects put into a copy of our side of a day, judged as days are."""

import datetime as dt
from collections.abc import Sequence

import polars as pl

from seqplat_resources.lake.layout import shard_of
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.days.build import counts_of
from seqplat_resources.shadow.days.kept import ComparedDay
from seqplat_resources.shadow.days.sides import Sides
from seqplat_resources.shadow.days.window import case_of
from seqplat_resources.shadow.verdict.decide import Decision, Window, decide
from seqplat_resources.shadow.verdict.self_test import SelfTest, self_test


def rehearse(runtime: Runtime, event_type: str, day: dt.date, *, seed: int = 0) -> SelfTest:
    """Inject defects into a copy of the day's events; nothing is kept. All of the day is in memory.

    Raises:
        NotCompared: the event type says no legacy. NoLegacyData: legacy does not have the day.
    """
    sides = Sides.open(runtime, event_type)
    shards = range(sides.shards)

    def judge(ours: pl.DataFrame) -> Decision:
        counts, _ = counts_of(sides, day, _by_shard(ours, sides.shards))
        compared = ComparedDay(day, runtime.loaded.id, sides.definition, sides.state(day), counts)
        return decide(case_of(sides, [compared], Window(day, day, (day,)), gate_days=1))

    return self_test(pl.concat([sides.ours(day, shard) for shard in shards]), judge, seed=seed)


def _by_shard(ours: pl.DataFrame, shards: int) -> Sequence[pl.DataFrame]:
    if shards == 1:
        return [ours]
    return [ours.filter(shard_of("user_id", shards) == shard) for shard in range(shards)]
