"""Raw rows of other days that say an event of a day: found by hashes of identities, of which each day's are read once.

Most events come on one day only, so all that is read of most rows is what their identity is made of.
"""

import datetime as dt
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.engine.run import identified
from seqplat_resources.lake.layout import DAY, stored_name
from seqplat_resources.rules.identity import IDENTITY
from seqplat_resources.rules.precedence import OTHER, outranked, winners
from seqplat_resources.times import days_around
from seqplat_resources.values.isolation import RAISED_BY_VALUES
from seqplat_resources.values.typing import typed

# What decides between rows of one event.
RANKED = (*IDENTITY, "event_time", "ingest_time", "rev", "source_partition", "offset")

DayCounts = dict[dt.date, dict[dt.date, int]]
Hashes = npt.NDArray[np.uint64]
# Bits of a hash that are looked at together; a table of them is eight times as large as there are hashes.
_FEWEST_BITS, _MOST_BITS = 10, 28


@dataclass
class Rivals:
    """Of one event type's raw rows: ``scan`` gives those that a condition keeps, ``days`` are those that have any."""

    plan: EventPlan
    scan: Callable[[pl.Expr], pl.LazyFrame]
    days: Collection[dt.date]
    _known: dict[dt.date, Hashes] = field(default_factory=dict)

    def around(self, days: Iterable[dt.date]) -> pl.DataFrame:
        """All rows of the events that come on one of ``days`` and, within the horizon, on a day that is none of them.

        Shapes:
            Out: ``RANKED``; no event that is a reject or filtered.
        Cost:
            What identities and filter are made of, of the days within the horizon; those read for the days before are
            not read again. Rows of the users who have such events are read whole.
        """
        reach = -(-self.plan.event_type.identity_horizon_h // 24)
        mine = {day for day in days if day in self.days}
        bounds = {days_around(day, reach) for day in mine}
        others = {day for day in self.days if any(first <= day <= last for first, last in bounds)} - mine
        if not others:
            return self._none
        self._known = {day: hashes for day, hashes in self._known.items() if day in mine | others}
        self._read([day for day in mine | others if day not in self._known])
        suspects = shared(*(np.concatenate([self._known[day] for day in part]) for part in (mine, others)))
        return self._rows(mine | others, pl.Series(suspects)) if suspects.size else self._none

    @property
    def _none(self) -> pl.DataFrame:
        return pl.DataFrame(schema={name: self.plan.schema[name] for name in RANKED})

    def _read(self, days: list[dt.date]) -> None:
        if not days:
            return
        found = self._keys(pl.col(DAY).is_in(days), pl.col("_event_time").dt.date().alias(DAY), _hash(self.plan))
        self._known |= {day: np.zeros(0, np.uint64) for day in days}
        for (day,), of_day in found.partition_by(DAY, as_dict=True).items():
            self._known[day] = of_day["_hash"].to_numpy()

    def _rows(self, days: Collection[dt.date], suspects: pl.Series) -> pl.DataFrame:
        user, within = self.plan.source.user_id or "", pl.col(DAY).is_in(sorted(days))
        keys = self._keys(within, pl.col(user).alias("_user"), _hash(self.plan))
        users = keys.filter(pl.col("_hash").is_in(suspects.implode()))["_user"].unique()
        rows = self.scan(within & pl.col(stored_name(user)).is_in(users.implode())).collect()
        events, _ = identified(self.plan, rows)
        said = pl.struct("user_id", *self.plan.identity).hash().is_in(suspects.implode())
        return events.filter(said).select(RANKED)

    def _keys(self, where: pl.Expr, *wanted: pl.Expr) -> pl.DataFrame:
        """Of the rows that are kept, what ``wanted`` says; nothing is read that these and the filter do not need."""
        plan = self.plan
        try:
            kept = self.scan(where).filter(plan.executor.keep(plan.event_type, plan.source))
            mapped = plan.executor.normalize(kept, plan.event_type, plan.source)
            schema = mapped.collect_schema()
            keys = [column for column in plan.event_type.columns if column.name in plan.identity]
            mapped = mapped.with_columns(typed(column, schema[column.name]) for column in keys)
            return mapped.select(wanted).drop_nulls().collect()
        except RAISED_BY_VALUES:
            # The executor raises on some row: the engine finds out which, and what it rejects says no event.
            events, _ = identified(plan, self.scan(where).collect())
            named = {"_event_time": "event_time", plan.source.user_id or "": "user_id"}
            return events.rename({own: name for name, own in named.items()}).select(wanted).drop_nulls()


def outranked_days(rivals: pl.DataFrame, days: Collection[dt.date], horizon: dt.timedelta) -> DayCounts:
    """Of each of ``days`` whose rows outrank copies of equal rev on other days: those days, and how many copies."""
    dated = rivals.with_columns(pl.col("event_time").dt.date().alias(DAY))
    if not dated.height:
        return {}
    one = dated.filter(winners(dated, [*IDENTITY, DAY], horizon) == pl.int_range(dated.height, eager=True))
    pairs = outranked(one, one.filter(pl.col(DAY).is_in(list(days))), IDENTITY, horizon)
    pairs = pairs.filter((pl.col("rev") == pl.col(f"rev{OTHER}")) & (pl.col(DAY) != pl.col(f"{DAY}{OTHER}")))
    found: DayCounts = {}
    for winner, loser, count in pairs.group_by(f"{DAY}{OTHER}", DAY).len().sort(pl.all()).iter_rows():
        found.setdefault(winner, {})[loser] = count
    return found


def _hash(plan: EventPlan) -> pl.Expr:
    """Of an identity before it is text; null where a part is. Equal values of one type have equal hashes."""
    parts = [plan.source.user_id or "", *plan.identity]
    return pl.when(pl.all_horizontal(pl.col(parts).is_not_null())).then(pl.struct(parts).hash()).alias("_hash")


def shared(one: Hashes, other: Hashes) -> Hashes:
    """The values that are in both, each once.

    By tables of bits rather than by sorting: of a million values almost none are in both, and looking a value up in a
    table costs a few nanoseconds.
    """
    few, many = sorted((one, other), key=len)
    for shift in (0, 16, 32):
        many = many[_may_be_in(few, many, shift)]
        few = few[_may_be_in(many, few, shift)]
    return np.intersect1d(few, many)


def _may_be_in(values: Hashes, asked: Hashes, shift: int) -> npt.NDArray[np.bool_]:
    bits = min(_MOST_BITS, max(_FEWEST_BITS, int(values.size).bit_length() + 3))
    mask = np.uint64((1 << bits) - 1)
    table = np.zeros(1 << bits, np.bool_)
    table[(values >> np.uint64(shift)) & mask] = True
    found: npt.NDArray[np.bool_] = table[(asked >> np.uint64(shift)) & mask]
    return found
