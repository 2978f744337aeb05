"""Count a day: both sides compared shard by shard, every difference with its cause, and where to look.

>>> [(str(result.day), result.rows) for result in compare(shop, "purchase", days[:2])]
[('2024-05-01', 26), ('2024-05-02', 24)]
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import polars as pl

from seqplat_resources.batch.days.result import BucketResult, Stopwatch
from seqplat_resources.commands import command
from seqplat_resources.comparison.causes.expected import Expectation
from seqplat_resources.comparison.causes.rules import explain
from seqplat_resources.comparison.causes.versions import OtherVersions
from seqplat_resources.comparison.contract import EVENT_TIME, LEGACY, USER, Sums, merged
from seqplat_resources.comparison.counts import counted
from seqplat_resources.comparison.events import EventComparison, compare_events
from seqplat_resources.comparison.examples import examples
from seqplat_resources.comparison.sequences import decile_edges
from seqplat_resources.errors import Final
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.days.counts import DayCounts
from seqplat_resources.shadow.days.freshness import later, limits_of, tells_freshness
from seqplat_resources.shadow.days.kept import ComparedDay, ComparedDays
from seqplat_resources.shadow.days.redaction import Redaction, examples_of
from seqplat_resources.shadow.days.sides import Sides
from seqplat_resources.shadow.legacy.contract import NoLegacyData
from seqplat_resources.shadow.verdict.cohorts import worst_cohorts
from seqplat_resources.shadow.verdict.decide import Obstacle
from sequence_defs.compiler.arithmetic import checked

# A column with more values does not divide events into cohorts.
_MOST_COHORTS = 30
# What a row of a problem of pairing keeps from being judged.
_OBSTACLES = {
    "null_key": ("unmatchable_keys", "a row without user or id cannot be paired"),
    "null_time": ("unmatchable_keys", "a row without time cannot be paired by time"),
    "duplicate_key": ("duplicate_keys", "a side has an event more than once"),
    "many_to_many": ("many_to_many_keys", "several rows of both sides have one key, so a pair could be another one"),
}


class NotBuilt(Final):
    """A day whose events of ours were never built."""


def compare(runtime: Runtime, event_type: str, days: Sequence[dt.date]) -> Iterator[BucketResult]:
    """Compare ``days`` of an event type with legacy's, and keep what was counted in ``shadow/<event_type>``.

    A day that legacy does not have is reported as ``awaited`` and not written: it is not judged.
    Memory holds one shard of one day, from both sides.

    Raises:
        NotCompared: the event type says no legacy. NotBuilt: ours was never built for a day.
    """
    sides, kept = Sides.open(runtime, event_type), ComparedDays.of(runtime, event_type)
    built = {day for (day,) in sides.events.buckets()}
    for day in days:
        if str(day) not in built:
            build = command("materialize", str(day), str(day), f"events/{event_type}")
            raise NotBuilt(f"shadow/{event_type} {day}: events/{event_type} was never built for it; run `{build}`")
        watch = Stopwatch()
        try:
            with watch("total"):
                counts, facts = counts_of(sides, day)
                commit = kept.keep(ComparedDay(day, runtime.loaded.id, sides.definition, sides.state(day), counts))
        except NoLegacyData as absent:
            yield BucketResult(f"shadow/{event_type}", day, 0, 0, -1, awaited=absent.why)
            continue
        yield BucketResult(commit.table, day, commit.rows, commit.bytes, commit.version, facts, watch.seconds)


def counts_of(
    sides: Sides, day: dt.date, ours: Sequence[pl.DataFrame] | None = None
) -> tuple[DayCounts, dict[str, int | float | str]]:
    """What is counted of a day, and its numbers for people. ``ours``, by shard, is read where it is not given.

    Raises:
        NoLegacyData: legacy does not have the day.
    """
    return _Counting(sides, day, ours).counted()


@dataclass
class _Counting:
    """What is added up over the shards of a day."""

    sides: Sides
    day: dt.date
    ours: Sequence[pl.DataFrame] | None = None
    metrics: list[dict[str, Sums]] = field(default_factory=list)
    causes: Counter[str] = field(default_factory=Counter)
    expected: Counter[str] = field(default_factory=Counter)
    raised: Counter[str] = field(default_factory=Counter)
    problems: Counter[str] = field(default_factory=Counter)
    totals: Counter[str] = field(default_factory=Counter)
    cohorts: list[pl.DataFrame] = field(default_factory=list)
    examples: list[pl.DataFrame] = field(default_factory=list)
    lost: list[pl.DataFrame] = field(default_factory=list)

    @cached_property
    def versions(self) -> tuple[OtherVersions, ...]:
        """Read once for all shards, and only where some value differs."""
        return self.sides.versions(self.day)

    @cached_property
    def limits(self) -> dict[str, int]:
        """How late ours may be to be as fresh as legacy's; nothing where a side does not say when it received."""
        is_told = tells_freshness(self.sides.legacy)
        return limits_of(self.sides.legacy.day(self.day).delays()) if is_told else {}

    def counted(self) -> tuple[DayCounts, dict[str, int | float | str]]:
        for shard in range(self.sides.shards):
            self._shard(shard)
        shown = Redaction(self.sides.personal)
        counts = DayCounts(
            merged(self.metrics),
            dict(self.causes),
            tuple(self._obstacles()),
            tuple(shown.cohort(each) for each in worst_cohorts(_cut(pl.concat(self.cohorts)), self._cohort_columns())),
            tuple(shown.example(*each) for each in examples_of(pl.concat(self.examples))),
        )
        causes = {f"cause_{name}": count for name, count in sorted(self.causes.items())}
        late = {f"{name}_limit_s": limit / 1e6 for name, limit in self.limits.items()}
        return counts, {**self.totals, **causes, **late}

    def _shard(self, shard: int) -> None:
        sides = self.sides
        theirs, around = sides.theirs(self.day, shard)
        ours = sides.ours(self.day, shard) if self.ours is None else self.ours[shard]
        found = compare_events(ours, theirs.rows, sides.rules, sides.matching)
        known = sides.known(
            self.day,
            shard,
            around,
            ours_alone=bool(found.only_ours.height),
            legacy_alone=bool(found.only_legacy.height),
        )
        if found.mismatches.height:
            known = replace(known, versions=self.versions)
        differences = explain(found, known, self.expectations, sides.rules)
        self.metrics += [counted(found, differences), later(found, self.limits)] if found.union else []
        self.causes.update(dict(differences["cause"].value_counts().iter_rows()))
        self.expected.update(dict(differences.filter("expected")["because"].value_counts().iter_rows()))
        self.raised.update(dict(differences.drop_nulls("raised")["raised"].value_counts().iter_rows()))
        self.problems.update(dict(found.problems.group_by("problem").len().iter_rows()))
        self.problems["lost_values"] += theirs.problems.height
        self.totals.update(
            matched=found.pairs.height,
            only_ours=found.only_ours.height,
            only_legacy=found.only_legacy.height,
            mismatches=found.mismatches.height,
        )
        self.lost.append(theirs.problems.head(1))
        self.cohorts.append(self._by_cohort(found))
        self.examples.append(examples(found, differences))

    @cached_property
    def expectations(self) -> list[Expectation]:
        """What is expected in advance on this day."""
        schema = dict(self.sides.plan.schema)
        schema |= {f"{LEGACY}{name}": dtype for name, dtype in schema.items()}
        return [
            Expectation(each.cause, each.because, checked(each.where, schema))
            for each in self.sides.legacy.legacy.explained
            if each.until is None or self.day <= each.until
        ]

    def _obstacles(self) -> Iterator[Obstacle]:
        union = self.totals["matched"] + self.totals["only_ours"] + self.totals["only_legacy"]
        for problem, (kind, says) in _OBSTACLES.items():
            if self.problems[problem]:
                yield Obstacle(
                    kind, self.problems[problem], union, f"{self.problems[problem]} row(s) on {self.day}: {says}"
                )
        if self.problems["lost_values"]:
            first = pl.concat(self.lost).row(0, named=True)
            whose = Redaction(self.sides.personal).user(first["user"])
            says = f"{first['reason']}, for example ({first['place']} of user {whose})"
            yield Obstacle("unreadable_values", self.problems["lost_values"], union, says)
        if rejected := self.sides.legacy.day(self.day).rejected["day"]:
            look = command("rejects", self.sides.legacy.source.name)
            says = f"{rejected} row(s) of legacy on {self.day} are no events; `{look}` says why"
            yield Obstacle(
                "rejected_rows", rejected, rejected + self.totals["matched"] + self.totals["only_legacy"], says
            )
        for because, count in sorted(self.raised.items()):
            # Without the error, which may say the value, and that may be personal.
            says = f"what is explained by {because!r} cannot be computed of {count} difference(s) on {self.day}"
            fix = "they are not explained; TRY_CAST gives null where CAST fails"
            yield Obstacle("unreadable_explanations", count, union, f"{says}: {fix}")
        for each in self.sides.legacy.legacy.explained:
            count = self.expected[each.because]
            if union and count > each.at_most * union:
                share, most = f"{100 * count / union:.3g} %", f"{100 * each.at_most:g} %"
                says = f"{share} on {self.day} are put down to {each.because!r}, of which {most} were expected"
                yield Obstacle("beyond_expected", count, union, says)

    def _cohort_columns(self) -> list[str]:
        return ["hour", "activity", *self.sides.cohort_columns]

    def _by_cohort(self, found: EventComparison) -> pl.DataFrame:
        """A row per event: whose, whether it differs, its cohorts. Of events on one side, values are that side's."""
        columns = [USER, EVENT_TIME, *self.sides.cohort_columns]
        parts = [
            found.pairs.select(*columns, differing=pl.any_horizontal(pl.lit(False), *found.differs)),
            *(
                frame.select(
                    *(pl.col(n) if n in frame.columns else pl.lit(None, pl.String).alias(n) for n in columns),
                    differing=pl.lit(True),
                )
                for frame in (found.only_ours, found.only_legacy)
            ),
        ]
        return (
            pl.concat(parts, how="vertical_relaxed")
            .with_columns(hour=pl.col(EVENT_TIME).dt.hour(), activity=pl.len().over(USER))
            .group_by(USER, *self._cohort_columns())
            .agg(differing=pl.col("differing").sum(), compared=pl.len())
        )


def _cut(counts: pl.DataFrame) -> pl.DataFrame:
    """Activity in deciles of users, and columns with too many values as one cohort."""
    edges = decile_edges(counts.unique(USER)["activity"])
    decile = pl.Series("activity", np.searchsorted(edges, counts["activity"]) + 1)
    wide = [
        name
        for name in counts.columns
        if name not in (USER, "activity", "differing", "compared") and counts[name].n_unique() > _MOST_COHORTS
    ]
    return counts.with_columns(decile, *(pl.lit(None, pl.String).alias(name) for name in wide))
