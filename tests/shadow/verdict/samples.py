"""A window, metrics and questions that tests start from."""

import datetime as dt
from dataclasses import replace
from typing import Any

from seqplat_resources.shadow.verdict.cohorts import Cohort
from seqplat_resources.shadow.verdict.decide import Case, Window, decide
from seqplat_resources.shadow.verdict.metrics import Metric
from seqplat_resources.shadow.verdict.record import Example, VerdictRecord

FIRST = dt.date(2026, 11, 1)
TODAY = dt.date(2026, 11, 20)


def window(days: int = 7, *, without: tuple[int, ...] = ()) -> Window:
    every = [FIRST + dt.timedelta(days=n) for n in range(days)]
    return Window(every[0], every[-1], tuple(day for n, day in enumerate(every) if n not in without))


def metric(differing: float = 0, compared: float = 10_000, **other: Any) -> Metric:
    """Of users with one event each, in a band of 0.1 %; 0 of 10,000 pass it."""
    said = {"name": "only_legacy", "level": "event", "limit": 0.001, "users": int(compared)} | other
    return Metric(differing=differing, compared=compared, **said)


def question(*metrics: Metric, **other: Any) -> Case:
    return replace(Case(window(), metrics, TODAY), **other)


def verdict(asked: Case | None = None, **other: Any) -> VerdictRecord:
    """Of a question (left out: one that passes), with three differences of two causes."""
    asked = asked if asked is not None else question(metric())
    said = VerdictRecord(
        event_type="purchase",
        release="4f1c" * 16,
        case=asked,
        decision=decide(asked),
        tables={"raw/old_purchases": 7, "events/purchase": 12},
        causes={"late": 2, "unexplained": 1, "rounding": 0},
        differences=3,
        who="ana",
        at=dt.datetime(2026, 11, 20, 9, 30, tzinfo=dt.UTC),
        hashes={"semantic": "aa", "schema": "bb"},
        cohorts=(Cohort("client", None, 30, 1_000, 10, 9_000, 0.00012, ("7", "9")),),
        examples=(Example("7", "e-1", "late", "legacy has it a day later"), Example("8", None, "unexplained", "a|b")),
    )
    return replace(said, **other)
