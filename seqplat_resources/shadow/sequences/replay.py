"""Legacy's sequences beside those of a second run of it: the same comparison, with that run in our place.

>>> measure_sequence_floor(shop, "basket", who="ann")
Traceback (most recent call last):
    ...
seqplat_resources.shadow.verdict.floors.CannotMeasure: legacy of sequence 'basket' names no replay; ...
"""

import datetime as dt
from dataclasses import replace

import polars as pl

from seqplat_resources.comparison.contract import merged
from seqplat_resources.comparison.sequences import IDS, SequenceComparison, compare_sequences
from seqplat_resources.lake.layout import SHADOW_SEQUENCES
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.days.counts import DayCounts
from seqplat_resources.shadow.days.kept import ComparedDay
from seqplat_resources.shadow.days.replay import kept_floor
from seqplat_resources.shadow.sequences.ours import SequenceSides
from seqplat_resources.shadow.sequences.theirs import Theirs, theirs_of
from seqplat_resources.shadow.sequences.values import ValuesCompared
from seqplat_resources.shadow.sequences.window import case_of_sequences
from seqplat_resources.shadow.verdict.decide import GATE_DAYS, Window
from seqplat_resources.shadow.verdict.floors import Apart, CannotMeasure, FloorLog, NoiseFloor
from seqplat_resources.sources.files import find_days
from sequence_defs.schema import Blobs


def measure_sequence_floor(
    runtime: Runtime, name: str, *, until: dt.date | None = None, days: int = GATE_DAYS, who: str
) -> NoiseFloor:
    """As ``days.replay.measure_floor``, of all users of both runs.

    Raises:
        NoLegacySequence: the sequence says no legacy. CannotMeasure: it names no replay, or there are too few days.
        RecordConflict: somebody else measured it meanwhile.
    """
    sides = SequenceSides.open(runtime, name)
    at, again = sides.legacy.at, sides.legacy.replay
    if again is None or not isinstance(at, Blobs):
        raise CannotMeasure(
            f"legacy of sequence {name!r} names no replay; run the older pipeline a second time over the same input, "
            "and say in LegacySequence(replay=Blobs(...)) where it wrote its files"
        )
    built = [find_days(each.location, runtime.sources_root, source=name).keys() for each in (at, again)]
    both = sorted(day for day in built[0] & built[1] if until is None or day <= until)
    if len(both) < GATE_DAYS:
        said = f"a noise floor takes {GATE_DAYS} days of which legacy and its replay have files, and there are"
        raise CannotMeasure(f"{said} {len(both)}; lay more beside {again.location!r}")
    window = both[-max(days, GATE_DAYS) :]
    other = replace(sides, legacy=sides.legacy.model_copy(update={"at": again}))
    compared = [ComparedDay(day, "", "", {}, _counted(sides, other, day)) for day in window]
    case = case_of_sequences(sides, compared, Window(window[0], window[-1], tuple(window)))
    found = {each.name: Apart(each.differing, each.compared) for each in case.metrics if each.compared}
    log = FloorLog(runtime.home, name, SHADOW_SEQUENCES)
    return kept_floor(log, runtime, again.location, sides.floor_definition, window, found, who)


def _counted(sides: SequenceSides, again: SequenceSides, day: dt.date) -> DayCounts:
    """Of one day; nothing is known or expected of a difference between two runs."""
    total, values = None, ValuesCompared(sides, [])
    with theirs_of(again, day) as ones, theirs_of(sides, day) as others:
        for shard in range(sides.shards):
            one, other = (_sequences(sides, theirs, shard) for theirs in (ones, others))
            values.add(one, other)
            found: SequenceComparison = compare_sequences(one, other, ())
            total = found if total is None else total + found
    if total is None:
        return DayCounts({}, {})
    return DayCounts(merged([total.metrics, *values.metrics]), {}, histogram=total.histogram)


def _sequences(sides: SequenceSides, theirs: Theirs, shard: int) -> pl.DataFrame:
    rows = theirs.shard(shard, pl.Series("user_id", [], dtype=sides.user_dtype)).rows
    return sides.cut(rows.filter(pl.col(IDS).list.len() > 0))
