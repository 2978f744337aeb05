"""Training sets that are defined: a set for each day that labels are of, by the one build there is.

>>> from sequence_defs.schema import Followed, Moments
>>> again, first = (Followed(name="again", events="purchase", within_h=24),), dt.date(2024, 5, 1)
>>> known = {"mode": "as_corrected", "moments": Moments(events="purchase"), "outcomes": again, "start": first}
>>> buyers = DailySet(shop, Definition(name="buyers", tenant="shop", sequence="basket", **known))
>>> day = buyers.over()[0]
>>> made, moved = buyers.make(day)
>>> made.manifest.facts["labels"]["kept"], moved, buyers.make(day)[0].is_new
(2, [], False)
"""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl

from seqplat_resources.batch.days.existing import outcomes_unknown
from seqplat_resources.batch.days.partitions import DayRange, Partitions, days_of_labels
from seqplat_resources.batch.days.result import BucketResult, Stopwatch
from seqplat_resources.batch.inputs.sets import Sets
from seqplat_resources.batch.inputs.tables import listed
from seqplat_resources.errors import Final
from seqplat_resources.lake.layout import TRAINING
from seqplat_resources.release.query import Query
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.release.sequence_plan import SequencePlan
from seqplat_resources.times import midnight
from seqplat_resources.training.build import BuiltSet, TrainingLimits, TrainingProgress, TrainingSetDiffers, build
from seqplat_resources.training.given.labels import LABEL_ID, LabelColumns, LabelPolicy, read
from seqplat_resources.training.outcomes.definition import REQUEST, TIME, USER, WEIGHT, Anchors, LabelOutcome, Negatives
from seqplat_resources.training.outcomes.labels import make
from seqplat_resources.training.question import TrainingQuestion
from sequence_defs.schema import Column
from sequence_defs.schema import TrainingSet as Definition
from sequence_defs.schema.sequences import FollowedKind

_DAY = dt.timedelta(days=1)
_DTYPES: Mapping[FollowedKind, str] = {"did": "bool", "count": "int64", "sum": "float64", "time_to": "float64"}
_MOVED_TOLD = 5


class UnknownTrainingSet(Final):
    """No training set of the release has this name."""


class DayNotOver(Final):
    """A day has no set: it is outside of the days there are, or its outcomes are not known yet."""


class SetDamaged(Final):
    """A day has a folder, and what is in it cannot be read as a training set."""


@dataclass(frozen=True)
class DailySet:
    """One training set of a release, and the folder ``training/<name>`` of its home with a set for each day."""

    runtime: Runtime
    definition: Definition

    @classmethod
    def of(cls, runtime: Runtime, name: str) -> "DailySet":
        """
        Raises:
            UnknownTrainingSet: the release defines none of that name.
        """
        known = runtime.release.training
        if name not in known:
            there = f"there are {', '.join(sorted(known))}" if known else "it defines none"
            raise UnknownTrainingSet(
                f"release {runtime.loaded.id[:12]} has no training set {name!r}: {there}; define one with "
                "TrainingSet(...), or give SEQUENCE LABELS OUT to make one without a definition"
            )
        return cls(runtime, known[name])

    @property
    def question(self) -> TrainingQuestion:
        """What is asked of the sequence, of each label."""
        of = self.definition
        query = Query(list(of.columns) or None, of.length, where=of.where)
        return TrainingQuestion(of.sequence, of.mode, dt.timedelta(seconds=of.embargo_s), query=query)

    def asked(self) -> dict[str, str]:
        """The columns of lists, by what a set calls them."""
        plan = SequencePlan.of(self.runtime.loaded, self.definition.sequence)
        return {f"{self.definition.prefix}{name}": name for name in plan.asked(self.question.query.columns)}

    def columns(self) -> list[Column]:
        """Those of a set, as far as its definition says them; a file of labels has more."""
        plan, of = SequencePlan.of(self.runtime.loaded, self.definition.sequence), self.definition
        first = self.runtime.release.event_types[plan.definition.event_types[0]]
        source = self.runtime.release.sources[first.source]
        user = next(column for column in source.columns if column.name == source.user_id)
        more = [Column(name=REQUEST, dtype="string", description="the event's or session's id")] if of.moments else []
        more += [Column(name=each.name, dtype=_DTYPES[each.kind]) for each in of.outcomes]
        more += [Column(name=WEIGHT, dtype="float64")] if of.negatives else []
        lists = [(out, plan.columns[name].dtype) for out, name in self.asked().items()]
        return [
            Column(name=LABEL_ID, dtype="int64", nullable=False),
            Column(name=USER, dtype=user.dtype, pii=user.pii),
            Column(name=TIME, dtype="timestamp", nullable=False),
            *more,
            *(Column(name=out, dtype=listed(dtype)) for out, dtype in lists),
        ]

    def place(self, day: dt.date) -> Path:
        """Where the set of a day is, or will be.

        Raises:
            SetsAreFolders: the home is no folder of this machine.
        """
        return Sets(self.runtime.home, self.definition.name).place(day)

    def made(self) -> list[dt.date]:
        """The days that are made, oldest first."""
        return list(Sets(self.runtime.home, self.definition.name).days())

    def over(self) -> list[dt.date]:
        """The days of the definition whose outcomes are known by now, oldest first."""
        days = self._days
        newest = self.runtime.clock.now().date() - _DAY
        span = days.clipped(days.start, newest - _DAY * days.lag) if days is not None else None
        every = [span[0] + _DAY * n for n in range((span[1] - span[0]).days + 1)] if span is not None else []
        unknown = outcomes_unknown(self.runtime, self.definition, every)
        return [day for day in every if day not in unknown]

    def make(
        self,
        day: dt.date,
        *,
        replace: bool = False,
        limits: TrainingLimits = TrainingLimits(),
        progress: Callable[[TrainingProgress], None] = lambda _: None,
    ) -> tuple[BuiltSet, list[str]]:
        """The set of a day, and what moved since it was made before; where nothing did, the same bytes stay.

        Raises:
            DayNotOver: what follows its labels is not known yet.
            TrainingSetDiffers: something moved, and ``replace`` was not said.
            SetDamaged: what is there cannot be read.
        """
        if (why := self.why_not([day]).get(day)) is not None:
            raise DayNotOver(why)
        return self._made(day, replace=replace, limits=limits, progress=progress)

    def _made(
        self,
        day: dt.date,
        *,
        replace: bool,
        limits: TrainingLimits = TrainingLimits(),
        progress: Callable[[TrainingProgress], None] = lambda _: None,
    ) -> tuple[BuiltSet, list[str]]:
        out, labels, moved = self.place(day), self._labels(day), list[str]()
        out.parent.mkdir(parents=True, exist_ok=True)

        def built(*, again: bool) -> BuiltSet:
            return build(
                self.runtime,
                self.question,
                labels,
                out,
                limits=limits,
                prefix=self.definition.prefix,
                replace=again,
                progress=progress,
            )

        try:
            made = built(again=False)
        except TrainingSetDiffers as error:
            if not error.moved:
                raise SetDamaged(f"{out} is no whole training set; move it away, and the day is made again") from error
            if not replace:
                raise
            moved = list(error.moved)
            made = built(again=True)
        return made, moved

    def why_not(self, wanted: Sequence[dt.date]) -> dict[dt.date, str]:
        """Why some of these days have no set; those that can be made are left out."""
        of, days = self.definition, self._days
        until = f" until {days.end}" if days is not None and days.end else " on"
        has = f"has days from {of.start}{until}" if days is not None else "has no days"
        outside = [day for day in wanted if days is None or day not in days]
        unknown = outcomes_unknown(self.runtime, of, [day for day in wanted if day not in outside])
        said = {day: f"what follows labels of {day} of {of.name!r} is not known yet: {unknown[day]}" for day in unknown}
        return {day: f"training set {of.name!r} {has}, not {day}" for day in outside} | said

    @property
    def _days(self) -> DayRange | None:
        known = Partitions.of(self.runtime.release)
        return days_of_labels(self.definition, known.event_types, known.sessions)

    def _labels(self, day: dt.date) -> pl.DataFrame:
        of, negatives = self.definition, None
        if of.moments is not None:
            if of.negatives is not None:
                negatives = Negatives(of.negatives.outcome, of.negatives.cap, of.negatives.seed)
            # With a cutoff of its own, the labels of a day do not depend on what is built after it.
            cutoff = midnight(day) + _DAY + self._wait()
            return make(self.runtime, self._anchors(day), self._outcomes(), negatives=negatives, cutoff=cutoff).rows
        return self._given.filter(pl.col(TIME).is_between(midnight(day), midnight(day) + _DAY, closed="left"))

    @cached_property
    def _given(self) -> pl.DataFrame:
        """The labels of all days, read once for all that this makes."""
        labels = self.definition.labels
        rooted = "://" in labels or labels.startswith("/")
        path = labels if rooted else f"{self.runtime.sources_root}/{labels}"
        found = read(path, LabelColumns(), LabelPolicy(), pl.String(), now=self.runtime.clock.now())
        return found.rows.drop(LABEL_ID)

    def _anchors(self, day: dt.date | None) -> Anchors:
        moments = self.definition.moments
        assert moments is not None  # others read labels
        every = dt.timedelta(hours=moments.every_h) if moments.every_h else None
        since, until = (None, None) if day is None else (midnight(day), midnight(day) + _DAY)
        return Anchors(moments.events, moments.where, every, since, until)

    def _outcomes(self) -> list[LabelOutcome]:
        return [
            LabelOutcome(o.name, o.kind, o.events, dt.timedelta(hours=o.within_h), o.column or "", o.where)
            for o in self.definition.outcomes
        ]

    def _wait(self) -> dt.timedelta:
        """How long after a label the last of its outcomes is known."""
        return max((outcome.within for outcome in self._outcomes()), default=dt.timedelta())


def build_days(runtime: Runtime, name: str, days: Sequence[dt.date]) -> Iterator[BucketResult]:
    """Make the sets of ``days``; one whose tables have moved is made anew. A day whose outcomes are not known waits.

    Raises:
        UnknownTrainingSet, OutcomesRefused, LabelsRefused, QueryError: it cannot be made as it is defined.
    """
    daily = DailySet.of(runtime, name)
    waiting = daily.why_not(days)
    for day in days:
        if day in waiting:
            yield BucketResult(f"{TRAINING}/{name}", day, 0, 0, -1, {"absent": 1}, awaited=waiting[day])
            continue
        watch = Stopwatch()
        with watch("total"):
            made, moved = daily._made(day, replace=True)
        shards = made.manifest.shards
        facts = {
            "events": sum(each.values for each in shards),
            "empty": made.manifest.facts["empty"],
            "made": "anew, as something moved" if moved else "now" if made.is_new else "before, and stays",
            **({"moved": "; ".join(moved[:_MOVED_TOLD])} if moved else {}),
        }
        rows, size = (sum(getattr(each, what) for each in shards) for what in ("rows", "bytes"))
        yield BucketResult(f"{TRAINING}/{name}", day, rows, size, -1, facts, watch.seconds)
