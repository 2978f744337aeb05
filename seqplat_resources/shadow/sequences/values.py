"""What stands beside the ids of sequences: values of columns compared event by event, and events left out as expected.

Sequences say which events in which order; two that are identical can still say something else of an event.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from seqplat_resources.comparison.causes.expected import Expectation
from seqplat_resources.comparison.causes.rules import COLUMN, ONLY_LEGACY, ONLY_OURS, explain
from seqplat_resources.comparison.contract import DIFFERS, EVENT_ID, INGEST_TIME, USER, Matching, Sums
from seqplat_resources.comparison.counts import NULL, counted
from seqplat_resources.comparison.events import EventComparison, compare_events
from seqplat_resources.comparison.examples import examples
from seqplat_resources.comparison.sequences import IDS
from seqplat_resources.shadow.days.sides import unpacked
from seqplat_resources.shadow.sequences.beside import BESIDE
from seqplat_resources.shadow.sequences.ours import SequenceSides
from seqplat_resources.shadow.verdict.bands import Band, column_band, column_bands
from seqplat_resources.shadow.verdict.decide import Obstacle
from sequence_defs.compiler.counterparts import EVENT_TIME

_OF_COLUMN = 2
VALUES = "values_"


@dataclass
class ValuesCompared:
    """What is added up over shards. ``expectations`` are those of the day."""

    sides: SequenceSides
    expectations: Sequence[Expectation]
    metrics: list[dict[str, Sums]] = field(default_factory=list)
    causes: Counter[str] = field(default_factory=Counter)
    expected: Counter[str] = field(default_factory=Counter)
    raised: Counter[str] = field(default_factory=Counter)
    events: int = 0
    shown: list[pl.DataFrame] = field(default_factory=list)

    def without_expected(self, ours: pl.DataFrame, legacy: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Both sides without the events of one of them that are known in advance, cut alike.

        Where legacy was cut, so many of its events are gone that were part of its length.
        """
        found, differences = self._compared(ours, legacy)
        self.events += found.union
        gone = []
        for kind, alone in ((ONLY_OURS, found.only_ours), (ONLY_LEGACY, found.only_legacy)):
            rows = differences.filter(pl.col("expected") & (pl.col("kind") == kind))
            self._note(rows, differences.filter(kind=kind))
            gone.append(alone[rows["row"]].select(USER, EVENT_ID))
        one, other = (_without(side, part) for side, part in zip((ours, legacy), gone, strict=True))
        if self.sides.legacy.length is None:
            return self.sides.cut(one), self.sides.cut(other)
        was_full = legacy.filter(pl.col(IDS).list.len() >= self.sides.legacy.length)
        fewer = gone[1].join(was_full, on=USER, how="semi").group_by(USER).agg(fewer=pl.len().cast(pl.Int64))
        with_fewer = self.sides.cut(one).join(fewer, on=USER, how="left", maintain_order="left")
        to = pl.lit(self.sides.length, pl.Int64) - pl.col("fewer").fill_null(0)
        lists = [pl.col(name).list.head(to.clip(0)) for name in _lists(one)]
        return with_fewer.with_columns(lists).drop("fewer"), self.sides.cut(other)

    def add(self, ours: pl.DataFrame, legacy: pl.DataFrame) -> None:
        """Compare the values of events that both sides have."""
        if not self.sides.beside.rules:
            return
        found, differences = self._compared(ours, legacy)
        differences = differences.filter(kind=COLUMN)
        sums = counted(found, differences) if found.pairs.height else {}
        self.metrics.append({name: each for name, each in sums.items() if name.startswith((DIFFERS, NULL))})
        self.causes.update(dict(differences["cause"].value_counts().iter_rows()))
        self._note(differences.filter("expected"), differences)
        self.shown.append(examples(found, differences, _OF_COLUMN))

    def take(self, other: "ValuesCompared") -> None:
        """Add what was counted of other users."""
        self.metrics += other.metrics
        self.causes += other.causes
        self.expected += other.expected
        self.raised += other.raised
        self.events += other.events
        self.shown += other.shown

    def obstacles(self) -> Iterator[Obstacle]:
        """What explains more than it may, or could not be computed."""
        for because, count in sorted(self.raised.items()):
            says = f"what is explained by {because!r} cannot be computed of {count} difference(s); TRY_CAST gives null"
            yield Obstacle("unreadable_explanations", count, max(count, self.events), says)
        for each in self.sides.legacy.explained:
            if (count := self.expected[each.because]) > each.at_most * self.events:
                most = f"{100 * each.at_most:g} % of {self.events:,} events"
                says = f"{count:,} are put down to {each.because!r}; {most} were expected"
                yield Obstacle("beyond_expected", count, max(count, self.events), says)

    def _compared(self, ours: pl.DataFrame, legacy: pl.DataFrame) -> tuple[EventComparison, pl.DataFrame]:
        one, other = (_events_in(side, self.sides.beside.vectors) for side in (ours, legacy))
        found = compare_events(one, other, self.sides.beside.rules, Matching())
        return found, explain(found, expected=self.expectations, rules=self.sides.beside.rules)

    def _note(self, expected: pl.DataFrame, differences: pl.DataFrame) -> None:
        self.expected.update(dict(expected["because"].value_counts().iter_rows()))
        self.raised.update(dict(differences.drop_nulls("raised")["raised"].value_counts().iter_rows()))


def value_bands(sides: SequenceSides) -> dict[str, Band]:
    """By metric, those of the columns that are compared."""
    columns = sides.beside.met.items()
    found = [band for name, met in columns for band in column_bands(name, met.ours.dtype, met.how)]
    if (time := sides.legacy.columns.get(EVENT_TIME)) is not None:
        found.append(column_band(EVENT_TIME, "timestamp", time))
    return {band.name: band for band in found}


def _lists(side: pl.DataFrame) -> list[str]:
    return [name for name in side.columns if name != USER]


def _events_in(side: pl.DataFrame, vectors: Mapping[str, tuple[str, int]]) -> pl.DataFrame:
    """A row per event, under the names that definitions have."""
    rows = side.filter(pl.col(IDS).list.len() > 0).explode(_lists(side))
    names = {name: name.removeprefix(BESIDE) for name in rows.columns if name != IDS}
    rows = rows.rename({IDS: EVENT_ID, **names})
    return unpacked(rows if INGEST_TIME in rows.columns else rows.with_columns(_NEVER), vectors)


_NEVER = pl.lit(None, pl.Datetime("us", "UTC")).alias(INGEST_TIME)


def _without(side: pl.DataFrame, gone: pl.DataFrame) -> pl.DataFrame:
    """Sequences without some events, in their order; who has none left is not there."""
    if not gone.height:
        return side
    events = side.filter(pl.col(IDS).list.len() > 0).explode(_lists(side))
    kept = events.join(gone, left_on=[USER, IDS], right_on=[USER, EVENT_ID], how="anti", maintain_order="left")
    return kept.group_by(USER, maintain_order=True).agg(pl.all())
