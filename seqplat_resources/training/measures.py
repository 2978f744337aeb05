"""Whether the sets of days are as they should be: labels that say something, events beside them, none of the future.

A day is held against the sets of days before it, as far as these are made.

>>> nothing_leaks(shop, "buyers", days)
Traceback (most recent call last):
    ...
seqplat_resources.training.daily.UnknownTrainingSet: release ... has no training set 'buyers': it defines none; ...
"""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.inputs.sets import Sets
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.lake.layout import DAY
from seqplat_resources.quality.frame import DETAIL, JUDGED, LIMIT, PASSED, VALUE, per_day
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.training.build import build
from seqplat_resources.training.daily import DailySet
from seqplat_resources.training.manifest import Manifest
from seqplat_resources.training.outcomes.definition import TIME, USER
from seqplat_resources.training.question import TrainingQuestion
from seqplat_resources.values.isolation import RAISED_BY_VALUES, one_line

# A day is compared with so many before it, together: a week has all of its days once.
EARLIER_DAYS = 7
# A share of empty rows that is nothing to speak of, and by how much of itself an earlier one may grow.
FEW_EMPTY, MORE_EMPTY = 0.05, 1.5
# Without earlier days, a set is wrong where most of its rows are empty.
MOST_EMPTY = 0.5
# Lengths may be so far apart, beside what two samples of one distribution are (the 5% point of Kolmogorov and Smirnov).
FAR_APART, BY_CHANCE = 0.1, 1.36
# Labels of a day whose events are looked up one by one.
PROBED = 200

Row: TypeAlias = dict[str, Any]
Counts: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Made:
    """The set of one day."""

    daily: DailySet
    day: dt.date
    out: Path

    @cached_property
    def manifest(self) -> Manifest:
        return Manifest.read(self.out)

    @cached_property
    def events_of(self) -> str:
        """The column of lists by which a row's events are counted."""
        schema = pl.scan_parquet(self.out / "*.parquet").collect_schema()
        return next(name for name in self.daily.asked() if isinstance(schema[name], pl.List))

    def rows(self) -> pl.DataFrame:
        """A label's own columns, and how many ``_events`` are beside it; read anew each time."""
        read = pl.scan_parquet(self.out / "*.parquet")
        labels = [name for name in read.collect_schema() if name not in self.daily.asked()]
        return read.select(*labels, self._length).collect(engine="streaming")

    @cached_property
    def lengths(self) -> Counts:
        """How many rows have 0, 1, 2 ... events."""
        read = pl.scan_parquet(self.out / "*.parquet").select(self._length)
        return np.bincount(read.collect(engine="streaming")["_events"].to_numpy())

    @property
    def _length(self) -> pl.Expr:
        return pl.col(self.events_of).list.len().cast(pl.Int64).alias("_events")

    @cached_property
    def damage(self) -> str:
        """What is wrong with the files; empty where they can be read."""
        try:
            _ = self.empty, self.lengths
            return ""
        except RAISED_BY_VALUES as error:
            return f"the set cannot be read: {one_line(error)}"

    @property
    def empty(self) -> tuple[int, int]:
        """Rows without events, and all."""
        return int(self.manifest.facts["empty"]), sum(each.rows for each in self.manifest.shards)


def labels_known(runtime: Runtime, name: str, days: Sequence[dt.date]) -> pl.DataFrame:
    """Whether a day has labels, and all of each is known but for times to what never came.

    Shapes:
        Out: per day ``labels``, of them ``unknown`` ones with a null, and the share of ``did`` outcomes that are true.
    """
    return _judged(runtime, name, days, _labels_row)


def empty_share(runtime: Runtime, name: str, days: Sequence[dt.date]) -> pl.DataFrame:
    """Which share of a day's labels have no event beside them, against that of the days before.

    Shapes:
        Out: per day ``labels`` and ``empty``; the share is ``value``.
    """
    return _judged(runtime, name, days, _empty_row)


def lengths_alike(runtime: Runtime, name: str, days: Sequence[dt.date]) -> pl.DataFrame:
    """How far the lengths of a day's sequences are from those of the days before, by Kolmogorov and Smirnov.

    Shapes:
        Out: per day the ``median`` length; the distance is ``value``. The first day is not judged.
    """
    return _judged(runtime, name, days, _lengths_row)


def nothing_leaks(runtime: Runtime, name: str, days: Sequence[dt.date]) -> pl.DataFrame:
    """Look up events beside labels: each happened before its label and, as known then, was there by then; and what
    outcomes are called is no column of the sequence.

    Shapes:
        Out: per day ``probed`` labels with ``events``, of which ``later`` ones happened too late, ``unknown`` ones were
        not known yet, and ``foreign`` ones are in no table; ``outcomes`` in the sequence. Where tables have moved since
        the set was made, what they say now is not held against it.
    """
    return _judged(runtime, name, days, _leaks_row)


def _judged(
    runtime: Runtime, name: str, days: Sequence[dt.date], row: Callable[[_Made, Sequence[_Made]], Row]
) -> pl.DataFrame:
    daily = DailySet.of(runtime, name)
    made = {day: _Made(daily, day, at) for day, at in Sets(runtime.home, name).days().items()}
    rows = list[Row]()
    for day in days:
        if day not in made:
            rows.append({DAY: day, JUDGED: False, PASSED: False, DETAIL: "not judged: the day has no set"})
        elif made[day].damage:
            rows.append({DAY: day, JUDGED: True, PASSED: False, DETAIL: made[day].damage})
        else:
            earlier = [each for of, each in made.items() if of < day][-EARLIER_DAYS:]
            of_day = row(made[day], [each for each in earlier if not each.damage])
            rows.append({DAY: day, JUDGED: True, DETAIL: "", **of_day})
    return per_day(days, pl.DataFrame(rows, infer_schema_length=None))


def _labels_row(made: _Made, _: Sequence[_Made]) -> Row:
    outcomes = {each.name: each.kind for each in made.daily.definition.outcomes}
    rows = made.rows()
    known = [name for name in rows.columns if outcomes.get(name) != "time_to"]
    labels = rows.height
    unknown = labels - rows.drop_nulls(known).height
    did = [name for name, kind in outcomes.items() if kind == "did"]
    positive = {f"{name}_share": rows[name].mean() for name in did if labels}
    says = f"{unknown:,} of {labels:,} labels have a null" if labels else "the day has no label"
    return {
        PASSED: labels > 0 and not unknown,
        VALUE: unknown / labels if labels else 1.0,
        LIMIT: 0.0,
        "labels": labels,
        "unknown": unknown,
        **positive,
        **({} if labels and not unknown else {DETAIL: says}),
    }


def _empty_row(made: _Made, earlier: Sequence[_Made]) -> Row:
    empty, labels = made.empty
    before = np.array([each.empty for each in earlier] or [(0, 0)]).sum(axis=0)
    usual = max(FEW_EMPTY, before[0] / before[1] * MORE_EMPTY) if before[1] else MOST_EMPTY
    # Three standard errors: few labels are empty or not by chance.
    limit = min(usual + 3 * (usual * (1 - min(usual, 1)) / max(labels, 1)) ** 0.5, 1.0)
    share = empty / labels if labels else 0.0
    passed = share <= limit and (empty < labels or not labels)
    says = f"{empty:,} of {labels:,} labels have no event beside them, at most {limit:.1%} were expected"
    more = {} if passed else {DETAIL: says}
    return {PASSED: passed, VALUE: share, LIMIT: limit, "labels": labels, "empty": empty, **more}


def _lengths_row(made: _Made, earlier: Sequence[_Made]) -> Row:
    ours, theirs = made.lengths, _together([each.lengths for each in earlier])
    many, others = int(ours.sum()), int(theirs.sum())
    median = _median(ours)
    if not many or not others:
        why = "not judged: no earlier day has labels" if many else "not judged: the day has no label"
        return {JUDGED: False, PASSED: True, DETAIL: why, "median": median}
    size = max(ours.size, theirs.size)
    below = (np.cumsum(np.pad(each, (0, size - each.size))) / each.sum() for each in (ours, theirs))
    distance = float(np.abs(np.subtract(*below)).max())
    limit = FAR_APART + BY_CHANCE * ((many + others) / (many * others)) ** 0.5
    passed = distance <= limit
    usual = _median(theirs)
    says = f"sequences have other lengths than before: a median of {median:g}, of {usual:g} in {len(earlier)} day(s)"
    return {
        PASSED: passed,
        VALUE: distance,
        LIMIT: limit,
        "median": median,
        **({} if passed else {DETAIL: says}),
    }


def _median(counts: Counts) -> float:
    """The length that half of the rows have at most."""
    return float(np.searchsorted(np.cumsum(counts), counts.sum() / 2))


def _together(counts: Sequence[Counts]) -> Counts:
    size = max((each.size for each in counts), default=0)
    return np.sum([np.pad(each, (0, size - each.size)) for each in counts], axis=0) if counts else np.zeros(1, int)


def _leaks_row(made: _Made, _: Sequence[_Made]) -> Row:
    of = made.daily.definition
    inside = sorted({each.name for each in of.outcomes} & {*made.daily.asked()})
    rows = made.rows().select(USER, TIME, "_events")
    some = rows.gather_every(max(rows.height // PROBED, 1)).head(PROBED)
    with TemporaryDirectory(prefix="seqplat-probe-") as folder:
        again = build(made.daily.runtime, _with_ids(made.daily), some.select(USER, TIME), Path(folder) / "probe")
        found = pl.read_parquet(again.out / "*.parquet")
    moved = again.manifest.inputs["tables"] != made.manifest.inputs["tables"]
    other = int((found["event_id"].list.len().cast(pl.Int64) != some["_events"]).sum())
    events = found.explode("event_time", "event_type", "event_id").drop_nulls("event_id")
    bound = pl.col(TIME) - dt.timedelta(seconds=of.embargo_s)
    counts = {
        "later": events.filter(pl.col("event_time") >= bound).height,
        **(_unknown(made.daily, events) if of.mode == "as_known" else {"unknown": 0, "foreign": 0}),
        "differing": 0 if moved else other,
        "outcomes": len(inside),
    }
    said = {
        "later": "happened at their label's time or after it",
        "unknown": "were not known at their label's time",
        "foreign": "are in no table",
    }
    told = [f"{counts[what]:,} of {events.height:,} events {words}" for what, words in said.items() if counts[what]]
    told += [f"{counts['differing']:,} of {some.height:,} labels have other events in the tables"] * bool(
        counts["differing"]
    )
    told += [f"outcome {name!r} is a column of the sequence" for name in inside]
    worst = float(sum(counts.values()))
    numbers = {"probed": some.height, "events": events.height, **counts}
    return {PASSED: not told, VALUE: worst, LIMIT: 0.0, DETAIL: "; ".join(told), **numbers}


def _with_ids(daily: DailySet) -> TrainingQuestion:
    """The question of a set, for which events there are in place of what they say."""
    query = replace(daily.question.query, columns=["event_time", "event_type", "event_id"])
    return replace(daily.question, query=query)


def _unknown(daily: DailySet, events: pl.DataFrame) -> Mapping[str, int]:
    """Events of which no row, of now or of the past, was there by their label's time; and those without a row at all.

    NOTE: read from the tables as they are, by no rule of the build: a probe that shares its code shares its faults.
    """
    users = events[USER].unique()
    first = pl.concat([pl.LazyFrame(schema=_FIRST | {USER: users.dtype}), *_first_known(daily, users)], how="vertical")
    found = events.join(first.collect(), on=[USER, "event_type", "event_id"], how="left")
    return {
        "unknown": found.filter(pl.col("_known") > pl.col(TIME)).height,
        "foreign": int(found["_known"].null_count()),
    }


_FIRST = {USER: pl.String(), "event_type": pl.String(), "event_id": pl.String(), "_known": pl.Datetime("us", "UTC")}


def _first_known(daily: DailySet, users: pl.Series) -> Iterator[pl.LazyFrame]:
    """By event of some users when its first row was available."""
    runtime = daily.runtime
    for name in runtime.release.sequences[daily.definition.sequence].event_types:
        plan = EventPlan.of(runtime.loaded, name)
        there = [each for each in (tables.events(runtime, plan), tables.superseded(runtime, plan)) if each.exists()]
        rows = [
            each.scan()
            .filter(pl.col("user_id").is_in(users.implode()))
            .select(
                pl.col("user_id").alias(USER),
                pl.lit(name).alias("event_type"),
                pl.col("event_id").cast(pl.String),
                pl.col("available_time").cast(pl.Datetime("us", "UTC")).alias("_known"),
            )
            for each in there
        ]
        if rows:
            yield pl.concat(rows).group_by(USER, "event_type", "event_id").agg(pl.col("_known").min())
