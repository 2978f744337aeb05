"""Read exposures and events of a stretch, some users at a time, and sum up what either arm did by day."""

import datetime as dt
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.inputs.shards import shard_column
from seqplat_resources.batch.inputs.spans import marks_of
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.lake.layout import DAY, EXPOSURES, shard_of
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.experiment.arms import sums_by, together
from seqplat_resources.shadow.experiment.outcomes import RIPE, columns_of, outcomes
from seqplat_resources.shadow.exposures.first import Exposures
from seqplat_resources.shadow.exposures.pseudonyms import key_of, pseudonym
from seqplat_resources.shadow.exposures.write import PLACES
from seqplat_resources.shadow.ladder.stretches import Stretch
from seqplat_resources.times import midnight
from sequence_defs.schema import EventType, Experiment, UserMetric

_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Measured:
    """What was summed up of a stretch.

    Shapes:
        ``users``: by ``ours`` and ``day`` of the first exposure how many ``users``, and how many of them ``moved``: the
        other arm had them in an earlier stretch. ``sums``: by name of the metric the sums of users by ``ours`` and
        ``ripe``. ``dropped``: by ``day`` how many exposures servers said they had lost.
        ``last_days`` are by event type the last day up to which there are all events, None where there are none.
    """

    users: pl.DataFrame
    both_arms: int
    dropped: pl.DataFrame
    sums: Mapping[str, pl.DataFrame]
    last_days: Mapping[str, dt.date | None]
    tables: Mapping[str, int]


def measure(runtime: Runtime, event_type: EventType, stretch: Stretch, until: dt.datetime) -> Measured:
    """Everything until ``until`` (exclusive). Reads what was exposed and every counted event type once."""
    experiment = event_type.experiment or Experiment()
    table = tables.exposures(runtime.home, event_type.name, runtime.clock).pinned()
    exposures = Exposures(table, stretch, until)
    counted = [
        _Counted(runtime, name, tuple(m for m in experiment.metrics if m.event_type == name), stretch, until)
        for name in dict.fromkeys(metric.event_type for metric in experiment.metrics)
    ]
    users, both_arms = [_NO_USERS], 0
    sums: dict[str, list[pl.DataFrame]] = {metric.name: [] for metric in experiment.metrics}
    for part, found in exposures.read():
        both_arms += found.both_arms
        by_day = found.users.group_by("ours", pl.col("at").dt.date().alias(DAY))
        users.append(by_day.agg(users=pl.len().cast(pl.Int64), moved=pl.col("was_other").sum().cast(pl.Int64)))
        for each in counted:
            for metric, rows in each.outcomes(found.users, part, exposures.parts):
                sums[metric.name].append(sums_by(rows, "ours", RIPE))
    marks = {f"{EXPOSURES}/{event_type.name}": table, **{f"events/{each.name}": each.table for each in counted}}
    return Measured(
        pl.concat(users).group_by("ours", DAY).agg(pl.col("users", "moved").sum()),
        both_arms,
        exposures.dropped(),
        {name: together(pl.concat(parts), "ours", RIPE) for name, parts in sums.items()},
        {each.name: each.last_day for each in counted},
        {f"{name} {day}": mark for name, each in marks.items() for day, mark in marks_of(each).items()},
    )


_NO_USERS = pl.DataFrame(schema={"ours": pl.Boolean(), DAY: pl.Date(), "users": pl.Int64(), "moved": pl.Int64()})


@dataclass(frozen=True)
class _Counted:
    """One event type that metrics count."""

    runtime: Runtime
    name: str
    metrics: Sequence[UserMetric]
    stretch: Stretch
    until: dt.datetime

    @cached_property
    def plan(self) -> EventPlan:
        return EventPlan.of(self.runtime.loaded, self.name)

    @cached_property
    def table(self) -> LakeTable:
        return tables.events(self.runtime, self.plan).pinned()

    @cached_property
    def last_day(self) -> dt.date | None:
        """The days from the beginning of the stretch on are there up to this one, without a gap."""
        built, day = {day for (day,) in self.table.buckets()}, self.stretch.since.date()
        last = None
        while str(day) in built and midnight(day) < self.until:
            last, day = day, day + _DAY
        return last

    def outcomes(self, exposed: pl.DataFrame, part: int, parts: int) -> Iterator[tuple[UserMetric, pl.DataFrame]]:
        """Of each metric a row per user of the part; of none whose window reaches beyond what there is of events."""
        events = self._events(exposed, part, parts)
        for metric in self.metrics:
            yield metric, outcomes(metric, exposed, events)

    def _events(self, exposed: pl.DataFrame, part: int, parts: int) -> pl.DataFrame:
        """Events of the exposed users of a part, from the days in which windows can be."""
        days = pl.col(DAY).is_between(self.stretch.since.date() - _DAY, self.until.date())
        scan = self.table.scan().filter(pl.col("op") == "upsert", days, *self._of_part(days, part, parts))
        key = key_of(self.runtime.home)
        # A user has many events and one pseudonym, which takes longer to make than to look up.
        known = scan.select("user_id").unique().collect().select("user_id", pseudonym("user_id", key).alias("user"))
        mine = known.join(exposed.select("user"), on="user", how="semi")
        wanted = ["event_time", *columns_of(self.metrics)]
        return scan.select("user_id", *wanted).join(mine.lazy(), on="user_id").select("user", *wanted).collect()

    def _of_part(self, days: pl.Expr, part: int, parts: int) -> Iterator[pl.Expr]:
        if parts == 1:
            return
        shards = self.plan.source.shards
        alike = math.gcd(shards, parts)  # users of a part are in every so many-th shard
        if alike > 1:
            at = shard_column([self.table], "user_id", "shard", shards, days)
            yield at.is_in([each for each in range(shards) if each % alike == part % alike])
        yield shard_of("user_id", PLACES) % parts == part
