"""PASS, HOLD or FAIL: each metric against its band, and all of them together.

At most one verdict in twenty is false, however often somebody looks. To pass, every metric has to prove that it is
within its band; if one is not, it would have to prove something false, so each may err with the whole of 5 %. To fail,
one metric is enough; so each may err with its part of 5 % alone.

>>> day = dt.date(2024, 5, 1)
>>> few = Metric("mismatch", "event", limit=0.01, differing=0, compared=50, users=50)
>>> decide(Case(Window(day, day, (day,)), (few,), decided_on=day, gate_days=1)).state
'HOLD'
>>> many = Metric("mismatch", "event", limit=0.01, differing=0, compared=5_000, users=5_000)
>>> decide(Case(Window(day, day, (day,)), (many,), decided_on=day, gate_days=1)).state
'PASS'
>>> bad = Metric("mismatch", "event", limit=0.01, differing=400, compared=5_000, users=5_000)
>>> decide(Case(Window(day, day, (day,)), (bad,), decided_on=day, gate_days=1)).state
'FAIL'
"""

import datetime as dt
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from seqplat_resources.shadow.verdict.accepted import AcceptedDifference
from seqplat_resources.shadow.verdict.bands import above_noise, is_noise
from seqplat_resources.shadow.verdict.bounds import Interval, mean_bounds, mean_evidence, share_bounds, share_evidence
from seqplat_resources.shadow.verdict.metrics import Metric, MetricInvalid

State: TypeAlias = Literal["PASS", "HOLD", "FAIL"]

ALPHA = 0.05
GATE_DAYS = 7
# Beyond so many times the data of a window nothing is looked for; and where a share lies near its band, waiting for so
# many windows is no advice.
_LARGEST_GROWTH, _LONGEST_WAIT = 1e6, 30

# What keeps a comparison from being trusted, and the share of it that does not.
TOLERATED: Mapping[str, float] = {
    "unmatchable_keys": 0.0,
    "many_to_many_keys": 0.0,
    "missing_days": 0.0,
    "corrupt_blobs": 0.0,
    "legacy_away": 0.0,
    "rejected_rows": 0.001,
    "unreadable_explanations": 0.001,
}


@dataclass(frozen=True)
class Obstacle:
    """``count`` of ``of`` things went wrong on the way to the comparison; ``says`` is for people, with an example."""

    kind: str
    count: int
    of: int
    says: str

    @property
    def refuses(self) -> bool:
        """Whether no gate passes with it. What no tolerance is known of has none."""
        return self.count > TOLERATED.get(self.kind, 0.0) * self.of


@dataclass(frozen=True)
class Window:
    """The days ``first`` to ``last``, judged together. ``judged`` are those that both sides have in full.

    What is promised at every look is promised of windows that begin on one day and grow.
    """

    first: dt.date
    last: dt.date
    judged: tuple[dt.date, ...]

    @property
    def days(self) -> int:
        """How many days of the range were judged, each once."""
        return len([day for day in set(self.judged) if self.first <= day <= self.last])

    @property
    def missing(self) -> list[dt.date]:
        """Days of the range that nothing is known of."""
        days = (self.first + dt.timedelta(days=n) for n in range((self.last - self.first).days + 1))
        return [day for day in days if day not in self.judged]


@dataclass(frozen=True)
class Judged:
    """One metric against its band. ``limit`` is the accepted level where a difference of it is accepted.

    ``more_users`` is how many more would pass it, or fail it, at what was seen so far; null where it is decided, or
    where no number would.
    """

    metric: Metric
    limit: float
    bounds: Interval
    state: State
    because: str
    more_users: int | None = None
    accepted: AcceptedDifference | None = None


@dataclass(frozen=True)
class Decision:
    """The state of a window, and why, worst first. ``more_users`` and ``more_days`` say what a HOLD waits for."""

    state: State
    because: tuple[str, ...]
    judged: tuple[Judged, ...]
    more_users: int | None = None
    more_days: int | None = None


@dataclass(frozen=True)
class Case:
    """Everything that a decision hangs on; the same case has the same decision for ever.

    ``promised`` names metrics that have to be there, ``floors`` how far legacy is from its own replay, by metric, and
    ``measured`` says in words when and of what that was measured.
    ``alpha`` is the share of false verdicts, ``gate_days`` the least number of days that pass.

    Raises:
        MetricInvalid: two metrics have one name, or a floor is no share.
    """

    window: Window
    metrics: tuple[Metric, ...]
    decided_on: dt.date
    obstacles: tuple[Obstacle, ...] = ()
    accepted: tuple[AcceptedDifference, ...] = ()
    promised: tuple[str, ...] = ()
    floors: Mapping[str, float] = field(default_factory=dict)
    measured: str = ""
    alpha: float = ALPHA
    gate_days: int = GATE_DAYS

    def __post_init__(self) -> None:
        names = Counter(metric.name for metric in self.metrics)
        if twice := [name for name, count in names.items() if count > 1]:
            raise MetricInvalid(twice[0], "counted twice in one window; add the counts up")
        if wrong := [name for name, floor in self.floors.items() if not 0 <= floor <= 1]:
            raise MetricInvalid(wrong[0], f"a noise floor of {self.floors[wrong[0]]} is no share")


def decide(case: Case) -> Decision:
    """Judge all metrics of a window together.

    FAIL if one is proven to be beyond its band. PASS if all are proven to be within, nothing stands in the way, and
    there are days enough. Everything else is HOLD, and so is no data at all.
    """
    judged = tuple(judge(metric, case) for metric in case.metrics)
    failing = [f"{each.metric.name}: {each.because}" for each in judged if each.state == "FAIL"]
    waiting = sorted((each for each in judged if each.state == "HOLD"), key=lambda each: each.more_users is not None)
    holding = [f"{each.metric.name}: {each.because}" for each in waiting]
    hindering = _hindering(case)
    because = (*failing, *hindering, *holding)
    if failing:
        return Decision("FAIL", because, judged)
    if not because:
        days = case.window.days
        return Decision("PASS", (f"all {len(judged)} metrics are within their bands, over {days} days",), judged)
    users = [each.more_users for each in judged if each.state == "HOLD"]
    wanted = max((each for each in users if each is not None), default=0) if None not in users else None
    return Decision("HOLD", because, judged, wanted, _more_days(wanted, case))


def judge(metric: Metric, case: Case) -> Judged:
    """One metric of a case: against its band, or against what is accepted of it."""
    floor = case.floors.get(metric.name)
    limit, also = above_noise(metric.limit, floor), ""
    if limit > metric.limit:
        also = f"; the band is twice the noise floor, {100 * metric.limit:g} % by default"
    elif floor is not None and not is_noise(metric.limit, floor):
        also = f"; legacy differs from its own replay by {100 * floor:.3g} %, too much to be noise: the band stays"
    accepted = next((each for each in case.accepted if each.metric == metric.name), None)
    if accepted is None:
        return _against(metric, limit, case, also, None)
    if not accepted.holds_on(case.decided_on):
        return _against(metric, limit, case, f"{also}; what was accepted of it ended on {accepted.until}", None)
    level = f"{100 * accepted.at_most:g} % is accepted until {accepted.until} by {accepted.owner}: {accepted.reason}"
    return _against(metric, max(limit, accepted.at_most), case, f"{also}; {level}", accepted)


def _against(metric: Metric, limit: float, case: Case, also: str, accepted: AcceptedDifference | None) -> Judged:
    fail_alpha = case.alpha / len(case.metrics)
    bounds = bounds_of(metric, limit, pass_alpha=case.alpha, fail_alpha=fail_alpha)
    value, band = metric.value, f"{100 * limit:g} %"
    if value is None:
        return Judged(metric, limit, bounds, "HOLD", "nothing was compared" + also, None, accepted)
    if limit == 0 or limit >= 1:  # says something of what was compared, and nothing of what will be
        within = limit >= 1 or not metric.differing
        said = f"{metric.differing:g} of {metric.compared:g} differ; the band is {band}"
        return Judged(metric, limit, bounds, "PASS" if within else "FAIL", said + also, None, accepted)
    if _evidence(metric, limit, below=True) >= -math.log(case.alpha):
        said = f"at most {100 * bounds.upper:.3g} %, within {band}"
        return Judged(metric, limit, bounds, "PASS", said + also, None, accepted)
    if _evidence(metric, limit, below=False) >= -math.log(fail_alpha):
        worse = " worse than what was accepted," if accepted and limit == accepted.at_most else ""
        said = f"at least {100 * bounds.lower:.3g} %,{worse} beyond {band}"
        return Judged(metric, limit, bounds, "FAIL", said + also, None, accepted)
    more = _more_users(metric, limit, case.alpha if value < limit else fail_alpha, below=value < limit)
    is_near = limit / 2 < value < 2 * limit
    if more is None or (is_near and more > _LONGEST_WAIT * metric.users):
        return Judged(metric, limit, bounds, "HOLD", _unsettled(value, band, more) + also, None, accepted)
    ends = "pass" if value < limit else "fail"
    said = f"up to {100 * bounds.upper:.3g} % is possible, {band} is the band; about {more:,} more users like these "
    return Judged(metric, limit, bounds, "HOLD", f"{said}would {ends} it{also}", more, accepted)


def bounds_of(metric: Metric, limit: float, *, pass_alpha: float, fail_alpha: float) -> Interval:
    """Where the truth is: below ``upper`` but for ``pass_alpha``, above ``lower`` but for ``fail_alpha``."""
    trials, hits, squares = metric.trials, metric.hits, metric.squares
    if squares is not None:
        low, high = (mean_bounds(hits, squares / metric.design_effect, trials, a) for a in (fail_alpha, pass_alpha))
    else:
        prior = min(max(limit, 1e-9), 1.0)  # of a band of 0 nothing is estimated, but shown
        low, high = (share_bounds(hits, trials, prior, a) for a in (fail_alpha, pass_alpha))
    return Interval(low.lower, high.upper)


def _evidence(metric: Metric, limit: float, *, below: bool, growth: float = 1.0) -> float:
    """Of the metric as it is with ``growth`` times the data, that the truth is below (else above) the limit."""
    trials, hits = growth * metric.trials, growth * metric.hits
    if metric.squares is not None:
        squares = growth * metric.squares / metric.design_effect
        return float(mean_evidence(hits, squares, trials, limit, below=below))
    if (hits < limit * trials) != below:
        return -math.inf
    return float(share_evidence(hits, trials, limit))


def _more_users(metric: Metric, limit: float, alpha: float, *, below: bool) -> int | None:
    """How many more users would decide, if they are as those that were seen."""
    wanted, least, most = -math.log(alpha), 1.0, 2.0
    while _evidence(metric, limit, below=below, growth=most) < wanted:
        least, most = most, 2 * most
        if most > _LARGEST_GROWTH:
            return None
    while most / least > 1.001:
        middle = math.sqrt(least * most)
        enough = _evidence(metric, limit, below=below, growth=middle) >= wanted
        least, most = (least, middle) if enough else (middle, most)
    return math.ceil((most - 1) * metric.users)


def _unsettled(value: float, band: str, more: int | None) -> str:
    """What to do where more users would not help."""
    users = "no number of users settles" if more is None else f"it takes about {more:,} more users to settle"
    return (
        f"{100 * value:.3g} % was seen, so near to the band of {band} that {users} it; mend what differs (causes and "
        "examples say where), or accept it up to a level with `seqplat shadow accept`"
    )


def _hindering(case: Case) -> list[str]:
    """Why nothing passes whatever was counted."""
    window, present = case.window, {metric.name for metric in case.metrics}
    said = [f"{each.kind}: {each.says}" for each in case.obstacles if each.refuses]
    if missing := window.missing:
        shown = ", ".join(map(str, missing[:3])) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        said.append(f"missing_days: {len(missing)} day(s) were not judged: {shown}")
    if absent := [name for name in case.promised if name not in present]:
        said.append(f"nothing was counted of {', '.join(absent)}")
    if not case.metrics:
        said.append("nothing was compared")
    if (days := window.days) < case.gate_days:
        said.append(f"{days} of at least {case.gate_days} full days were judged")
    return said


def _more_days(users: int | None, case: Case) -> int | None:
    """Until there are days enough, and users enough at the window's pace."""
    days = case.window.days
    seen = max((metric.users for metric in case.metrics), default=0)
    if users is None or (users and not (days and seen)):
        return None
    return max(math.ceil(users * days / seen) if users else 0, case.gate_days - days, 0)
