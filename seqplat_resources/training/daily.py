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
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from seqplat_resources.errors import Final
from seqplat_resources.release.query import Query
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.times import midnight
from seqplat_resources.training.build import BuiltSet, TrainingLimits, TrainingProgress, TrainingSetDiffers, build
from seqplat_resources.training.given.labels import LabelColumns, LabelPolicy, read
from seqplat_resources.training.manifest import Manifest, NoTrainingSet
from seqplat_resources.training.outcomes.definition import Anchors, LabelOutcome, Negatives
from seqplat_resources.training.outcomes.labels import built_until, make
from seqplat_resources.training.question import TrainingQuestion
from sequence_defs.schema import TrainingSet as Definition

_DAY = dt.timedelta(days=1)
_TIME = "time"


class UnknownTrainingSet(Final):
    """No training set of the release has this name."""


class DayNotOver(Final):
    """A day has no set: it is outside of the definition's days, or its outcomes are not known yet."""


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

    def place(self, day: dt.date) -> Path:
        """Where the set of a day is, or will be.

        Raises:
            DayNotOver: the home is no folder of this machine.
        """
        if not self.runtime.home.is_local:
            raise DayNotOver(
                f"training sets are folders of files, and the home {self.runtime.home.root} is an object store; "
                "make the set with seqplat training-set SEQUENCE LABELS OUT"
            )
        return Path(self.runtime.home.root) / "training" / self.definition.name / str(day)

    def made(self) -> dict[dt.date, Manifest]:
        """The days that are made, oldest first."""
        folder, found = self.place(dt.date.min).parent, dict[dt.date, Manifest]()
        for each in sorted(folder.iterdir()) if folder.is_dir() else ():
            try:
                found[dt.date.fromisoformat(each.name)] = Manifest.read(each)
            except (ValueError, NoTrainingSet):
                continue  # what a run that was killed left is no set
        return found

    def over(self) -> list[dt.date]:
        """The days of the definition whose outcomes are known by now, oldest first.

        Raises:
            OutcomesRefused: nothing that labels are made of is built.
        """
        of = self.definition
        end = self.runtime.clock.now()
        if of.moments is not None:
            end = min(end, built_until(self.runtime, self._anchors(None), self._outcomes()) - self._wait())
        days = max((min(end.date(), of.end or dt.date.max) - of.start).days, 0)
        return [of.start + _DAY * number for number in range(days)]

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
        """
        if day not in self.over():
            raise DayNotOver(self._why_not(day))
        out, of, labels, moved = self.place(day), self.definition, self._labels(day), list[str]()
        out.parent.mkdir(parents=True, exist_ok=True)
        query = Query(list(of.columns) or None, of.length, where=of.where)
        question = TrainingQuestion(of.sequence, of.mode, dt.timedelta(seconds=of.embargo_s), query=query)

        def built(*, again: bool) -> BuiltSet:
            return build(
                self.runtime,
                question,
                labels,
                out,
                limits=limits,
                prefix=of.prefix,
                replace=again,
                progress=progress,
            )

        try:
            made = built(again=False)
        except TrainingSetDiffers as error:
            if not replace or not error.moved:
                raise
            moved = list(error.moved)
            made = built(again=True)
        return made, moved

    def _why_not(self, day: dt.date) -> str:
        of = self.definition
        if day < of.start or (of.end is not None and day >= of.end):
            return (
                f"training set {of.name!r} has days from {of.start}{f' until {of.end}' if of.end else ' on'}, not {day}"
            )
        known = midnight(day) + _DAY + self._wait()
        return (
            f"the set of {day} of {of.name!r} is not over: what follows its labels is known once days are built until "
            f"{known:%Y-%m-%d %H:%M} UTC; build them: seqplat materialize --help"
        )

    def _labels(self, day: dt.date) -> pl.DataFrame:
        of, negatives = self.definition, None
        if of.moments is not None:
            if of.negatives is not None:
                negatives = Negatives(of.negatives.outcome, of.negatives.cap, of.negatives.seed)
            # With a cutoff of its own, the labels of a day do not depend on what is built after it.
            cutoff = midnight(day) + _DAY + self._wait()
            return make(self.runtime, self._anchors(day), self._outcomes(), negatives=negatives, cutoff=cutoff).rows
        rooted = "://" in of.labels or of.labels.startswith("/")
        path = of.labels if rooted else f"{self.runtime.sources_root}/{of.labels}"
        found = read(path, LabelColumns(), LabelPolicy(), pl.String(), now=self.runtime.clock.now())
        of_day = pl.col(_TIME).is_between(midnight(day), midnight(day) + _DAY, closed="left")
        return found.rows.filter(of_day).drop("label_id")

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
