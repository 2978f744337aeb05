"""Whether the gate of a sequence would notice: defects put into a copy of our side of a day, judged as days are.

>>> found = rehearse_sequence(shop, "basket", days[2])
>>> found.state, [probe.defect for probe in found.probes]
('HOLD', ['drop 0.1 %', 'swap two', 'truncate N-1'])
"""

import datetime as dt

import polars as pl

from seqplat_resources.lake.layout import shard_of
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.days.kept import ComparedDay
from seqplat_resources.shadow.sequences.build import counts_of
from seqplat_resources.shadow.sequences.ours import SequenceSides
from seqplat_resources.shadow.sequences.window import case_of_sequences
from seqplat_resources.shadow.verdict.decide import Decision, Window, decide
from seqplat_resources.shadow.verdict.self_test import SelfTest, self_test


def rehearse_sequence(runtime: Runtime, name: str, day: dt.date, *, seed: int = 0) -> SelfTest:
    """Inject defects into a copy of the day's sequences; nothing is kept. All of our side is in memory.

    Raises:
        NoLegacySequence: the sequence says no legacy. NoLegacyData: legacy does not have the day.
    """
    sides = SequenceSides.open(runtime, name)

    def judge(ours: pl.DataFrame) -> Decision:
        shards = [ours.filter(shard_of("user_id", sides.shards) == shard) for shard in range(sides.shards)]
        compared = ComparedDay(day, runtime.loaded.id, sides.definition, {}, counts_of(sides, day, shards))
        return decide(case_of_sequences(sides, [compared], Window(day, day, (day,)), gate_days=1))

    return self_test(pl.concat([sides.ours(day, shard) for shard in range(sides.shards)]), judge, seed=seed)
