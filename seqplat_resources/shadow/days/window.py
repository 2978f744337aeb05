"""Days that were compared, judged together: one verdict, kept with everything it was decided by.

>>> from seqplat_resources.shadow.days.build import compare
>>> compared = list(compare(shop, "purchase", days))
>>> found = judged(shop, "purchase", until=days[-1], who="ann", keep=False)
>>> found.record.decision.state, found.record.decision.because[0]
('HOLD', '3 of at least 7 full days were judged')
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from seqplat_resources.batch.days.partitions import DayRange, Partitions
from seqplat_resources.comparison.contract import Sums, merged
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.days.freshness import SHARES, tells_freshness
from seqplat_resources.shadow.days.kept import ComparedDay, ComparedDays, ComparedOf
from seqplat_resources.shadow.days.sides import Sides
from seqplat_resources.shadow.legacy.events import LegacyEvents
from seqplat_resources.shadow.verdict.accepted import AcceptedDifferences
from seqplat_resources.shadow.verdict.bands import BANDS, Band, column_band, column_bands
from seqplat_resources.shadow.verdict.decide import GATE_DAYS, Case, Obstacle, Window, decide
from seqplat_resources.shadow.verdict.metrics import Metric
from seqplat_resources.shadow.verdict.record import VerdictLog, VerdictRecord
from sequence_defs.compiler.counterparts import EVENT_TIME
from sequence_defs.schema import Compared

EVENT_BANDS = ("only_legacy", "only_ours", "unexplained")
# What a band is about, where that is not all that was not expected. We may have more than legacy, if it is known why.
COUNTED_AS: Mapping[str, str] = {
    "only_ours": "only_ours.unexplained",
    "unexplained": "alone.unexplained",
    **{name: name for name in SHARES},
}
# Among the hashes of a record, that of what was counted and how.
COMPARED = "compared"
_SHOWN = 20
DAYS = 14


class Judgeable(Protocol):
    """Two sides of which days are kept."""

    def is_of_now(self, compared: ComparedOf) -> bool:
        """Whether a day was counted as it would be now, and neither side was built anew since."""


@dataclass(frozen=True)
class Judgement:
    """A verdict and its number in the log of the event type, or sequence."""

    number: int
    record: VerdictRecord


def judged(
    runtime: Runtime, event_type: str, *, until: dt.date, days: int = DAYS, who: str, keep: bool = True
) -> Judgement:
    """Judge the ``days`` up to and including ``until`` of an event type, as they were compared.

    A day that was not compared, or otherwise than now, or of which either side was built anew since, is none that was
    judged. With ``keep`` the verdict becomes the event type's newest.

    Raises:
        NotCompared: the event type says no legacy.
    """
    sides = Sides.open(runtime, event_type)
    window = days_together(Partitions.of(runtime.release).shadow.get(event_type), until, days)
    fresh = fresh_of(sides, ComparedDays.of(runtime, event_type).read(window))
    case = case_of(sides, fresh, Window(window[0], window[-1], tuple(each.day for each in fresh)))
    log = VerdictLog(runtime.home, event_type)
    of = f"event_types/{event_type}"
    return settled(runtime, log, case, fresh, who=who, keep=keep, of=of, definition=sides.definition)


def settled(
    runtime: Runtime,
    log: VerdictLog,
    case: Case,
    fresh: Sequence[ComparedDay],
    *,
    who: str,
    keep: bool,
    of: str,
    definition: str,
) -> Judgement:
    """Decide a case of days, and with ``keep`` write it down. ``of`` is what was judged, as the release has it."""
    causes = sum((Counter(each.counts.causes) for each in fresh), Counter[str]())
    cohorts = sorted((c for each in fresh for c in each.counts.cohorts), key=lambda c: -c.excess)
    record = VerdictRecord(
        event_type=log.event_type,
        release=runtime.loaded.id,
        case=case,
        decision=decide(case),
        tables={f"{name} {each.day}": number for each in fresh for name, number in each.marks.items()},
        causes=dict(causes),
        differences=causes.total(),
        who=who,
        at=runtime.clock.now(),
        hashes={**runtime.release.hashes[of].model_dump(by_alias=True), COMPARED: definition},
        cohorts=tuple(cohorts[:_SHOWN]),
        examples=tuple(e for each in reversed(fresh) for e in each.counts.examples)[:_SHOWN],
    )
    number = log.append(record) if keep else 0
    if keep:
        with suppress(Exception):  # the verdict is kept; what is old is put together by one of the next
            log.compact()
    return Judgement(number, record)


def case_of(sides: Sides, compared: Sequence[ComparedDay], window: Window, *, gate_days: int = GATE_DAYS) -> Case:
    """Everything that the days ``compared`` are judged by together."""
    runtime, bands, floor = sides.runtime, bands_of(sides.legacy), sides.floor
    return Case(
        window=window,
        metrics=tuple(_metrics(compared, bands)),
        decided_on=runtime.clock.now().date(),
        obstacles=tuple(obstacles_of(compared)),
        accepted=AcceptedDifferences(runtime.home, sides.plan.event_type.name, runtime.clock).current().differences,
        promised=tuple(bands),
        floors=floor.shares if floor else {},
        measured=str(floor) if floor else "",
        gate_days=gate_days,
    )


def bands_of(legacy: LegacyEvents) -> dict[str, Band]:
    """What every window of an event type is judged by, by metric."""
    columns = [band for n, met in legacy.compared.items() for band in column_bands(n, met.ours.dtype, met.how)]
    time = column_band(EVENT_TIME, "timestamp", legacy.legacy.columns.get(EVENT_TIME, Compared()))
    fresh = SHARES if tells_freshness(legacy) else ()
    every = [*(BANDS[name] for name in (*EVENT_BANDS, *fresh)), time, *columns]
    return {band.name: band for band in every}


def days_together(both: DayRange | None, until: dt.date, days: int) -> list[dt.date]:
    """The window, as far as both sides have days there."""
    window = [until - dt.timedelta(days=n) for n in reversed(range(days))]
    return [day for day in window if both is not None and day in both] or [until]


def fresh_of(sides: Judgeable, compared: Sequence[ComparedDay]) -> list[ComparedDay]:
    """Those that say what there is now."""
    return [each for each in compared if sides.is_of_now(each)]


def _metrics(fresh: Sequence[ComparedDay], bands: Mapping[str, Band]) -> Iterator[Metric]:
    sums: Mapping[str, Sums] = merged(each.counts.metrics for each in fresh)
    for name, band in bands.items():
        if (found := sums.get(COUNTED_AS.get(name, f"{name}.unexpected"))) is not None:
            yield Metric.of_users(name, band.level, band.limit, found, days=len(fresh))


def obstacles_of(fresh: Sequence[ComparedDay]) -> Iterator[Obstacle]:
    """Added up by kind, in the words of the day that has most."""
    by_kind: dict[str, list[Obstacle]] = {}
    for each in fresh:
        for obstacle in each.counts.obstacles:
            by_kind.setdefault(obstacle.kind, []).append(obstacle)
    for kind, found in by_kind.items():
        worst = max(found, key=lambda each: each.count)
        yield Obstacle(kind, sum(each.count for each in found), sum(each.of for each in found), worst.says)
