"""Days of a sequence judged together, and each by itself.

>>> from seqplat_resources.shadow.sequences.build import compare_days
>>> compared = list(compare_days(shop, "basket", days))
>>> found = judged_sequence(shop, "basket", until=days[-1], who="ann", keep=False)
>>> found.record.decision.state, found.record.decision.because[0]
('HOLD', '3 of at least 7 full days were judged')
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from seqplat_resources.comparison.contract import Sums, merged
from seqplat_resources.comparison.sequences import HISTOGRAM
from seqplat_resources.lake.layout import SHADOW_SEQUENCES
from seqplat_resources.quality.frame import per_day
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.days.kept import ComparedDay, ComparedDays
from seqplat_resources.shadow.days.measure import day_row
from seqplat_resources.shadow.days.window import DAYS, Judgement, days_together, fresh_of, obstacles_of, settled
from seqplat_resources.shadow.sequences.ours import SequenceSides
from seqplat_resources.shadow.sequences.values import value_bands
from seqplat_resources.shadow.verdict.accepted import AcceptedDifferences
from seqplat_resources.shadow.verdict.account import AccountTable
from seqplat_resources.shadow.verdict.decide import GATE_DAYS, Case, Window, decide
from seqplat_resources.shadow.verdict.metrics import Metric
from seqplat_resources.shadow.verdict.record import VerdictLog
from seqplat_resources.shadow.verdict.sequences import sequence_metrics

# Of all users, however active.
_HISTOGRAM = {name: dtype for name, dtype in HISTOGRAM.items() if name != "decile"}


def judged_sequence(
    runtime: Runtime, name: str, *, until: dt.date, days: int = DAYS, who: str, keep: bool = True
) -> Judgement:
    """Judge the ``days`` up to and including ``until`` of a sequence, as compared; see ``days.window.judged``.

    Raises:
        NoLegacySequence: the sequence says no legacy.
    """
    sides = SequenceSides.open(runtime, name)
    window = days_together(sides.days, until, days)
    fresh = fresh_of(sides, ComparedDays.of(runtime, name, SHADOW_SEQUENCES).read(window))
    case = case_of_sequences(sides, fresh, Window(window[0], window[-1], tuple(each.day for each in fresh)))
    log = VerdictLog(runtime.home, name, SHADOW_SEQUENCES)
    of = f"sequences/{name}"
    return settled(runtime, log, case, fresh, who=who, keep=keep, of=of, definition=sides.definition)


def case_of_sequences(
    sides: SequenceSides, compared: Sequence[ComparedDay], window: Window, *, gate_days: int = GATE_DAYS
) -> Case:
    """Everything that the days ``compared`` are judged by together.

    A user's sequence is nearly the same the next day, whoever is compared: so a user counts once for all days.
    """
    runtime = sides.runtime
    sums = merged(each.counts.metrics for each in compared)
    bins = pl.concat([_bins(each) for each in compared]) if compared else pl.DataFrame(schema=_HISTOGRAM)
    bands, days = value_bands(sides), len(compared)
    values = [
        Metric.of_users(name, band.level, band.limit, found, days=days, coverage=0.0)
        for name, band in bands.items()
        if (found := sums.get(f"{name}.unexpected")) is not None
    ]
    of_users = sequence_metrics(sums, bins, days=days)
    accepted = AcceptedDifferences(runtime.home, sides.name, runtime.clock, SHADOW_SEQUENCES).current()
    return Case(
        window=window,
        metrics=(*of_users, *values),
        decided_on=runtime.clock.now().date(),
        obstacles=tuple(obstacles_of(compared)),
        accepted=accepted.differences,
        promised=(*(each.name for each in of_users), *bands),
        floors=sides.floor.shares if sides.floor else {},
        measured=str(sides.floor or ""),
        gate_days=gate_days,
    )


def sequences_match(runtime: Runtime, name: str, days: Sequence[dt.date]) -> pl.DataFrame:
    """Judge each day by itself, for the checks of days; see ``days.measure.events_match``."""
    sides = SequenceSides.open(runtime, name)
    compared = {each.day: each for each in ComparedDays.of(runtime, name, SHADOW_SEQUENCES).read(days)}
    return per_day(days, pl.DataFrame([_row(sides, compared.get(day), day) for day in days], infer_schema_length=None))


def by_activity(compared: Sequence[ComparedDay]) -> AccountTable:
    """A row per decile of users by activity, the least active first: how many of them differ."""
    sums = merged(each.counts.metrics for each in compared)
    rows = tuple(tuple(_decile(sums, at)) for at in range(1, 11) if f"other_order/{at}" in sums)
    headers = ("decile", "users by day", "not identical", "top ten differ", "ids on one side only", "edits")
    return AccountTable("users by activity, the least active first", headers, rows, right=headers)


def _decile(sums: Mapping[str, Sums], at: int) -> Iterator[str]:
    yield str(at)
    yield f"{sums[f'other_order/{at}'].users:,}"
    for name in ("other_order", "other_top", "jaccard", "edits"):
        found = sums[f"{name}/{at}"]
        yield f"{100 * found.differing / found.compared:.3g} %" if found.compared else ""


def _row(sides: SequenceSides, compared: ComparedDay | None, day: dt.date) -> dict[str, Any]:
    if compared is None or not sides.is_of_now(compared):
        return day_row(day, compared, None)
    decision = decide(case_of_sequences(sides, [compared], Window(day, day, (day,)), gate_days=1))
    return {**day_row(day, compared, decision), **_of_deciles(compared)}


def _of_deciles(compared: ComparedDay) -> dict[str, float]:
    """Numbers that plot: the share of each decile's users whose sequences are not identical."""
    sums = {at: compared.counts.metrics.get(f"other_order/{at}", Sums()) for at in range(1, 11)}
    return {f"not_identical_decile_{at}": s.differing / s.compared for at, s in sums.items() if s.compared}


def _bins(compared: ComparedDay) -> pl.DataFrame:
    found = compared.counts.histogram
    return pl.DataFrame(schema=_HISTOGRAM) if found is None else found.select(list(_HISTOGRAM))
