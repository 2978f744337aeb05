"""The raw rows of one user: found by day and user, in files' tables and archives; newest days first.

>>> rows = UserRows.open(shop, EventPlan.of(shop.loaded, "purchase"), "ann")
>>> rows.read(days[:1])["product"].to_list()
['tea']
"""

import datetime as dt
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from seqplat_resources.batch.inputs.rows import RawInputs
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.lake.layout import DAY, UNDATED, stored_name
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.release.runtime import Runtime
from sequence_defs.compiler.sql import storage_dtype
from sequence_defs.schema import Source

# Days read at once while searching: enough to hide what a read costs to plan, few enough to end soon after a deadline.
DAYS_AT_ONCE = 7


@dataclass
class UserRows:
    """One user's raw rows of one source, as its tables were when this was made. A day is read once.

    ``searched`` are the days that were asked for. With each the days within ``reach`` of it are read, which may hold
    copies of its events. ``missing`` says why nothing can be known, None where it can.
    """

    plan: EventPlan
    inputs: RawInputs
    user: str
    reach: int = 0
    searched: set[dt.date] = field(default_factory=set)
    _read: set[dt.date] = field(default_factory=set)
    _rows: pl.DataFrame | None = None

    @classmethod
    def open(cls, runtime: Runtime, plan: EventPlan, user: str) -> "UserRows":
        """``plan`` is that of any event type of the source: all see the same rows."""
        fed = (each for each in runtime.release.event_types.values() if each.source == plan.source.name)
        reach = max(-(-event_type.identity_horizon_h // 24) for event_type in fed)
        return cls(plan, RawInputs.open(runtime, plan), user, reach)

    @property
    def source(self) -> Source:
        return self.plan.source

    @property
    def tables(self) -> list[LakeTable]:
        return [table for table in (self.inputs.files, self.inputs.log) if table is not None]

    @property
    def missing(self) -> str | None:
        if any(table.exists() for table in self.tables):
            return None
        names = " and no ".join(table.name.removeprefix("lake/") for table in self.tables)
        return f"this installation's home has no {names}"

    @property
    def rows(self) -> pl.DataFrame:
        """Those of the days searched."""
        return self._all.filter(pl.col("_event_time").dt.date().is_in(sorted(self.searched)))

    @property
    def near(self) -> pl.DataFrame:
        """Those of the days around them."""
        return self._all.filter(~pl.col("_event_time").dt.date().is_in(sorted(self.searched)))

    @property
    def _all(self) -> pl.DataFrame:
        return self._none if self._rows is None else self._rows

    @property
    def _none(self) -> pl.DataFrame:
        return self.inputs.rows(pl.lit(False))

    def read(self, days: Collection[dt.date]) -> pl.DataFrame:
        """The rows of ``days``, which are among ``rows`` from now on."""
        wanted = set(days) | {day for day in self.inputs.rows_by_day if _is_near(day, days, self.reach)}
        new, mine = sorted(wanted - self._read), self.mine
        if new and mine is not None and self.missing is None:
            found = self.inputs.rows(pl.col(DAY).is_in(new) & mine)
            self._rows = pl.concat([self._all, found])
        self._read.update(new)
        self.searched.update(days)
        return self._all.filter(pl.col("_event_time").dt.date().is_in(sorted(days)))

    def newest_first(self, most_days: int) -> Iterator[list[dt.date]]:
        """The newest ``most_days`` days that have rows of any user, in chunks."""
        if self.missing is not None:
            return
        days = sorted((day for day in self.inputs.rows_by_day if day != UNDATED), reverse=True)[:most_days]
        for start in range(0, len(days), DAYS_AT_ONCE):
            yield days[start : start + DAYS_AT_ONCE]

    @property
    def mine(self) -> pl.Expr | None:
        """What keeps the user's rows; None where no row can be this user's, because ids are of another type."""
        name = self.source.user_id or ""
        dtype = storage_dtype(next(column for column in self.source.columns if column.name == name).dtype)
        value = pl.Series(name, [self.user]).cast(dtype, strict=False)
        if value.cast(pl.String)[0] != self.user:
            return None
        # Whatever shard they note: a source may have had more or fewer when they were decoded.
        return pl.col(stored_name(name)) == pl.lit(value[0], dtype)

    def corrections(self, plan: EventPlan) -> pl.DataFrame:
        """The user's identities of an event type with a revision above 0, of all days; see ``RawInputs``."""
        mine = self.mine
        where = pl.lit(False) if mine is None or self.missing is not None else mine
        return replace(self.inputs, plan=plan).corrected(where)

    def at(self, partition: str, offset: int) -> pl.DataFrame:
        """The raw row at a position, of whichever user."""
        return self.inputs.rows((pl.col("_partition") == partition) & (pl.col("_offset") == offset))


def _is_near(day: dt.date, days: Collection[dt.date], reach: int) -> bool:
    return any(abs((day - other).days) <= reach for other in days)


def table_of(source: Source, partition: str) -> str:
    """Which table a raw row lies in, by the name of its partition: that of files, or the archive of the log."""
    from_log = source.topic and (partition.startswith((f"{source.topic}:", "file:")))
    return f"{'archive' if from_log else 'raw'}/{source.name}"


def spans(days: Sequence[dt.date]) -> str:
    """Days in words: one, or the first and the last."""
    if not days:
        return "no day"
    first, last = min(days), max(days)
    return str(first) if first == last else f"{len(days)} day(s) from {first} to {last}"
