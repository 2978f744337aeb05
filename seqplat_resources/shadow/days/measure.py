"""Whether the events of a day are legacy's: one day's counts against their bands, for the checks of days."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import polars as pl

from seqplat_resources.lake.layout import DAY
from seqplat_resources.quality.frame import DETAIL, JUDGED, LIMIT, PASSED, VALUE, per_day
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.days.kept import ComparedDay, ComparedDays
from seqplat_resources.shadow.days.sides import Sides
from seqplat_resources.shadow.days.window import case_of
from seqplat_resources.shadow.verdict.decide import Decision, Judged, Window, decide

NOT_COMPARED = "not judged: it was not compared with legacy"
STALE = "not judged: one side, or what is compared, is another since it was compared"


def events_match(runtime: Runtime, event_type: str, days: Sequence[dt.date]) -> pl.DataFrame:
    """Judge each day by itself.

    A single day rarely proves that a difference is rare enough; it passes if nothing that was counted is beyond its
    band. Days together prove it: the verdict of the event type.
    Shapes:
        Out: per day ``matched`` events, those ``only_ours`` and ``only_legacy``, ``unexplained`` differences, and the
        share of each metric, under its name. A day that was not compared, or is stale, does not pass.
    """
    sides = Sides.open(runtime, event_type)
    compared = {each.day: each for each in ComparedDays.of(runtime, event_type).read(days)}
    rows = [_row(sides, compared.get(day), day) for day in days]
    return per_day(days, pl.DataFrame(rows, infer_schema_length=None))


def _row(sides: Sides, compared: ComparedDay | None, day: dt.date) -> dict[str, Any]:
    if compared is None or not sides.is_of_now(compared):
        return day_row(day, compared, None)
    return day_row(day, compared, decide(case_of(sides, [compared], Window(day, day, (day,)), gate_days=1)))


def day_row(day: dt.date, compared: ComparedDay | None, decision: Decision | None) -> dict[str, Any]:
    """What a check says of a day; without a ``decision`` either it was not compared, or is stale."""
    if compared is None or decision is None:
        return {DAY: day, PASSED: False, JUDGED: False, DETAIL: NOT_COMPARED if compared is None else STALE}
    over = [each for each in decision.judged if _is_over(each)]
    refused = [each.says for each in compared.counts.obstacles if each.refuses]
    metrics = {each.metric.name: each.metric.value for each in decision.judged if each.metric.value is not None}
    said = [f"{each.metric.name} is {_percent(each.metric.value)}, the band is {_percent(each.limit)}" for each in over]
    nothing = [] if metrics else ["not judged: neither side has any event"]
    worst = furthest(decision)
    return {
        DAY: day,
        PASSED: not (over or refused or nothing),
        JUDGED: not nothing,
        VALUE: worst.metric.value if worst else None,
        LIMIT: worst.limit if worst else None,
        DETAIL: "; ".join([*nothing, *refused, *said]),
        "unexplained_differences": compared.counts.causes.get("unexplained", 0),
        "differences": sum(compared.counts.causes.values()),
        **metrics,
    }


def _is_over(each: Judged) -> bool:
    return each.metric.value is not None and each.metric.value > each.limit


def furthest(decision: Decision) -> Judged | None:
    """The metric that is nearest its band, or furthest beyond it; None where nothing was judged."""
    return max(decision.judged, key=_beyond, default=None)


def _beyond(each: Judged) -> float:
    """How far towards its band, or beyond it; -1 where nothing was counted."""
    value = each.metric.value
    if value is None:
        return -1.0
    return value / each.limit if each.limit else (float("inf") if value else 0.0)


def _percent(share: float | None) -> str:
    return "nothing" if share is None else f"{100 * share:.3g} %"
