"""What users did within their windows, against plain Python over events; and values that are no numbers."""

import datetime as dt
import math
import random
from typing import Any

import polars as pl
import pytest

from seqplat_resources.shadow.experiment.outcomes import RIPE, outcomes
from sequence_defs.schema import UserMetric
from tests.building import utc

START = utc(2024, 5, 1)
HOUR = dt.timedelta(hours=1)
AMOUNTS = (None, 0.0, -3.5, 2.0, 1e6, 1e300, math.nan, math.inf, -math.inf)
UTC_US = pl.Datetime("us", "UTC")


def frames(
    exposed: list[tuple[str, bool, dt.datetime]], events: list[tuple[Any, ...]]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    return (
        pl.DataFrame(exposed, schema={"user": pl.String(), "ours": pl.Boolean(), "at": UTC_US}, orient="row"),
        pl.DataFrame(
            events,
            schema={"user": pl.String(), "event_time": UTC_US, "amount": pl.Float64(), "items": pl.Int64()},
            orient="row",
        ),
    )


def plainly(metric: UserMetric, at: dt.datetime, events: list[tuple[Any, ...]]) -> tuple[float, float, bool, int]:
    """Numerator, denominator, whether either was cut, and unusable values of one user."""
    mine = [each for each in events if at <= each[1] < at + metric.within_h * HOUR]
    place = {"amount": 2, "items": 3}
    read = [[float(e[place[c]]) for e in mine if e[place[c]] is not None] for c in (metric.column, metric.per) if c]
    unusable = sum(not math.isfinite(value) for values in read for value in values)
    sums = [[value for value in values if math.isfinite(value)] for values in read]
    if metric.kind == "converted":
        y, x = float(bool(mine)), 1.0
    elif metric.kind == "count":
        y, x = float(len(mine)), 1.0
    elif metric.kind == "sum":
        y, x = sum(sums[0]), 1.0
    else:
        y, x = sum(sums[0]), float(sum(sums[1]) if metric.per else len(sums[0]))
    cap = metric.cap if metric.cap is not None else math.inf
    is_cut = abs(y) > cap or (metric.kind == "ratio" and abs(x) > cap)
    x = x if metric.kind != "ratio" else min(max(x, -cap), cap)
    return min(max(y, -cap), cap), x, is_cut, unusable


METRICS = [
    UserMetric(name="m", event_type="e", kind="converted", within_h=1),
    UserMetric(name="m", event_type="e", kind="count", within_h=48),
    UserMetric(name="m", event_type="e", kind="count", within_h=48, cap=2),
    UserMetric(name="m", event_type="e", kind="sum", column="amount", within_h=24),
    UserMetric(name="m", event_type="e", kind="sum", column="amount", within_h=24, cap=10),
    UserMetric(name="m", event_type="e", kind="ratio", column="amount", within_h=5),
    UserMetric(name="m", event_type="e", kind="ratio", column="items", per="amount", within_h=72, cap=3),
]


@pytest.mark.parametrize("metric", METRICS, ids=lambda each: f"{each.kind} {each.within_h} {each.cap}")
def test_users_are_counted_as_plain_python_counts_them(metric: UserMetric) -> None:
    for seed in range(25):
        dice = random.Random(seed)
        users = [f"u{n}" for n in range(dice.randint(1, 6))]
        # Whole hours, so that events are often at the very beginning or end of a window.
        exposed = [(user, dice.random() < 0.5, START + dice.randint(0, 60) * HOUR) for user in users]
        events = [
            (
                dice.choice(users),
                START + dice.randint(-10, 120) * HOUR,
                dice.choice(AMOUNTS),
                dice.choice((None, 1, 2, 7)),
            )
            for _ in range(dice.randint(0, 30))
        ]
        found = outcomes(metric, *frames(exposed, events))
        wanted = []
        for user, ours, at in exposed:
            of_user = plainly(metric, at, [each for each in events if each[0] == user])
            last = at + metric.within_h * HOUR - dt.timedelta(microseconds=1)
            wanted.append((ours, last.date(), *of_user))
        order = pl.DataFrame(wanted, schema=found.schema, orient="row")
        assert found.sort(pl.all()).equals(order.sort(pl.all())) or _near(found, order), (seed, found, order)


def _near(one: pl.DataFrame, other: pl.DataFrame) -> bool:
    """Equal but for the order in which numbers were added up."""
    rows = [sorted(each.rows()) for each in (one, other)]
    return all(
        a[:2] == b[:2]
        and a[4:] == b[4:]
        and math.isclose(a[2], b[2], rel_tol=1e-9)
        and math.isclose(a[3], b[3], rel_tol=1e-9)
        for a, b in zip(*rows, strict=True)
    )


def test_a_window_ends_with_its_last_instant() -> None:
    """A user exposed at midnight for a day is ripe on that day, one exposed a microsecond later on the next."""
    metric = UserMetric(name="m", event_type="e", within_h=24)
    exposed = [("a", True, START), ("b", True, START + dt.timedelta(microseconds=1))]
    found = outcomes(metric, *frames(exposed, []))
    assert sorted(found[RIPE]) == [dt.date(2024, 5, 1), dt.date(2024, 5, 2)]
