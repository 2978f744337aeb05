"""The readout of an experiment at the end of a day: whose events users got, what they did, and what that proves.

>>> list(read_out(shop, "purchase", days))
[]
>>> list(read_out(shop, "click", days))
Traceback (most recent call last):
    ...
seqplat_resources.shadow.experiment.readout.NoExperiment: 'click' has no experiment; those with ...
"""

import datetime as dt
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import msgspec
import polars as pl

from seqplat_resources.commands import command
from seqplat_resources.errors import Final as FinalError
from seqplat_resources.lake.layout import DAY
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.experiment.arms import Arm, arm_of, together
from seqplat_resources.shadow.experiment.decide import MetricReadout, judged
from seqplat_resources.shadow.experiment.intervals import ALPHA
from seqplat_resources.shadow.experiment.measure import Measured, measure
from seqplat_resources.shadow.experiment.outcomes import RIPE
from seqplat_resources.shadow.experiment.sample_ratio import SampleRatio, sample_ratio
from seqplat_resources.shadow.ladder.moves import Ladder
from seqplat_resources.shadow.ladder.stretches import Stretch, stretches
from seqplat_resources.times import midnight
from sequence_defs.compiler.release import canonical
from sequence_defs.schema import EventType, Experiment, UserMetric

State: TypeAlias = Literal["PASS", "HOLD", "FAIL"]

# As the verdict's: PASS is success, and HOLD is not green either.
EXIT_CODES: Final[Mapping[State, int]] = {"PASS": 0, "FAIL": 1, "HOLD": 2}
_DAY = dt.timedelta(days=1)


class NoExperiment(FinalError):
    """An event type without an experiment, or one of which no user was divided yet."""


@dataclass(frozen=True)
class Readout:
    """What is known at the end of ``day`` of the users who were exposed while the event type stood at ``step``.

    ``moved`` of our users, and of legacy's, were exposed to the other arm in an earlier stretch; each is counted in the
    arm of this one. ``both_arms`` were exposed to both within it, which cannot be, and are left out. ``dropped``
    exposures were lost by servers, by their own account. ``tables`` say which state of each bucket was read.
    """

    event_type: str
    release: str
    day: dt.date
    step: str
    first_move: int
    last_move: int
    since: dt.datetime
    until: dt.datetime | None
    sample: float
    ratio: SampleRatio
    moved_ours: int
    moved_legacy: int
    both_arms: int
    dropped: int
    metrics: tuple[MetricReadout, ...]
    tables: Mapping[str, int]
    at: dt.datetime
    alpha: float = ALPHA
    format: Literal[1] = 1

    @property
    def state(self) -> State:
        """FAIL where arms are not as declared, or a guardrail is broken; PASS where both are proven to be well."""
        guardrails = [each.guardrail for each in self.metrics if each.guardrail]
        if self.ratio.is_red or "FAIL" in guardrails:
            return "FAIL"
        return "PASS" if self.ratio.is_enough and "HOLD" not in guardrails else "HOLD"

    @property
    def because(self) -> tuple[str, ...]:
        """Everything that keeps it from passing, worst first."""
        said = {s: [each.guardrail_says for each in self.metrics if each.guardrail == s] for s in ("FAIL", "HOLD")}
        of_ratio = [self.ratio.says] if self.ratio.says else []
        return tuple(
            [*of_ratio, *said["FAIL"], *said["HOLD"]]
            if self.ratio.is_red
            else [*said["FAIL"], *of_ratio, *said["HOLD"]]
        )

    def record(self) -> bytes:
        """As canonical JSON; what is no finite number is null."""
        return canonical(
            _finite({**msgspec.to_builtins(self, enc_hook=_defined), "state": self.state, "because": self.because})
        )


def read_out(runtime: Runtime, name: str, days: Sequence[dt.date]) -> Iterator[Readout]:
    """One for each of ``days`` at whose end users are divided, or were before; about the newest stretch of then.

    Raises:
        NoExperiment: the event type has none.
        LadderDamaged: where it stood is not known.
    """
    event_type = experiment_of(runtime, name)
    known = stretches(reversed(Ladder(runtime.home, event_type, runtime.clock).history()))
    by_stretch: dict[Stretch, list[dt.date]] = {}
    for day in days:
        if begun := [each for each in known if each.since < midnight(day + _DAY)]:
            by_stretch.setdefault(begun[-1], []).append(day)
    for stretch, of in by_stretch.items():
        measured = measure(runtime, event_type, stretch, midnight(max(of) + _DAY))
        for day in of:
            yield _as_of(runtime, event_type, stretch, measured, day)


def newest(runtime: Runtime, name: str, day: dt.date | None = None) -> Readout:
    """That of ``day``; left out, of the day that is going on, with all that there is.

    Raises:
        NoExperiment: the event type has none, or no user was divided until then.
    """
    wanted = day or runtime.clock.now().date()
    for found in read_out(runtime, name, [wanted]):
        return found
    raise NoExperiment(
        f"no user of {name!r} was divided until {wanted}: it was at no step with users of both arms; "
        f"`{command('cutover', 'status', name)}` says where it stands"
    )


def experiment_of(runtime: Runtime, name: str) -> EventType:
    """
    Raises:
        NoExperiment: there is no such event type, or it has none.
    """
    found = runtime.release.event_types.get(name)
    if found is None or found.experiment is None:
        have = ", ".join(n for n, each in runtime.release.event_types.items() if each.experiment) or "none has"
        what = "is no event type" if found is None else "has no experiment"
        raise NoExperiment(f"{name!r} {what}; those with one: {have}. Write experiment=Experiment(...) and publish it")
    return found


def _as_of(runtime: Runtime, event_type: EventType, stretch: Stretch, measured: Measured, day: dt.date) -> Readout:
    experiment = event_type.experiment or Experiment()
    users = measured.users.filter(pl.col(DAY) <= day).group_by("ours").agg(pl.col("users", "moved").sum())
    by_arm = {row["ours"]: row for row in users.rows(named=True)}
    counts = {arm: by_arm[arm]["users"] if arm in by_arm else 0 for arm in (True, False)}
    moved = {arm: by_arm[arm]["moved"] if arm in by_arm else 0 for arm in (True, False)}
    ended = stretch.until if stretch.until and stretch.until < midnight(day + _DAY) else None
    return Readout(
        event_type=event_type.name,
        release=runtime.loaded.id,
        day=day,
        step=stretch.step.name,
        first_move=stretch.first,
        last_move=stretch.last,
        since=stretch.since,
        until=ended,
        sample=experiment.sample,
        ratio=sample_ratio(counts[True], counts[False], stretch.step.share),
        moved_ours=moved[True],
        moved_legacy=moved[False],
        both_arms=measured.both_arms,
        dropped=int(measured.dropped.filter(pl.col(DAY) <= day)["dropped"].sum()),
        metrics=tuple(_metric(metric, measured, day, sum(counts.values())) for metric in experiment.metrics),
        tables=measured.tables,
        at=runtime.clock.now(),
    )


def _metric(metric: UserMetric, measured: Measured, day: dt.date, exposed: int) -> MetricReadout:
    """Of users whose window was over at the end of the day, and of whom there are all events."""
    last = measured.last_days[metric.event_type]
    if last is None:
        return judged(metric, Arm(), Arm(), waiting=exposed)
    until = min(day, last)
    sums = together(measured.sums[metric.name].filter(pl.col(RIPE) <= until), "ours")
    by_arm = {row["ours"]: row for row in sums.rows(named=True)}
    ours, legacy = arm_of(by_arm.get(True)), arm_of(by_arm.get(False))
    waiting = exposed - ours.users - legacy.users
    return judged(metric, legacy, ours, waiting=waiting, through=midnight(until + _DAY))


def _defined(value: object) -> object:
    if isinstance(value, UserMetric):
        return value.model_dump(mode="json")
    raise NotImplementedError(type(value))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
