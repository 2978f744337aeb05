"""Who was exposed first when, in one stretch: users in parts, so that memory holds some of them at a time.

>>> from seqplat_resources.batch.inputs import tables
>>> from seqplat_resources.clock import SystemClock
>>> from seqplat_resources.shadow.exposures.write import Exposure, append_exposures
>>> may, june = dt.datetime(2024, 5, 1, tzinfo=dt.UTC), dt.datetime(2024, 6, 1, tzinfo=dt.UTC)
>>> ann = Exposure("purchase", "ann", True, move=3, step="ab_1", sequence="basket", at_us=1_714_554_000_000_000)
>>> append_exposures(home, SystemClock(), "purchase", [ann])
>>> table = tables.exposures(home, "purchase", SystemClock())
>>> found = Exposures(table, Stretch("ab_1", first=3, last=3, since=may), until=june)
>>> [part.users.select("ours", "at", "was_other").height for number, part in found.read()]
[1]
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from seqplat_resources.lake.layout import DAY
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.shadow.exposures.write import OURS, PLACES
from seqplat_resources.shadow.ladder.stretches import Stretch

# Exposures of a part, at most, as long as there are no more than 64 of them. With ten events a user, a readout of a
# million users takes 360 MB in eight parts and 900 MB in one, and as long.
PART_ROWS = 1 << 18
# As far as clocks of servers may be behind that of who moved the ladder: moves have numbers, days are only looked into.
_MARGIN = dt.timedelta(days=1)


@dataclass(frozen=True)
class Exposed:
    """Users of one part.

    Shapes:
        ``users``: a row per user: ``user`` (pseudonym), ``ours``, ``at`` (first exposure), ``was_other`` (whether the
        other arm had them in an earlier stretch). ``both_arms`` counts users of one stretch with exposures in both,
        which a hash does not make; they are left out.
    """

    users: pl.DataFrame
    both_arms: int


@dataclass(frozen=True)
class Exposures:
    """Those of one event type until ``until``, as the table was when this was opened."""

    table: LakeTable
    stretch: Stretch
    until: dt.datetime

    @property
    def parts(self) -> int:
        """How many parts there are to be read."""
        files = self.table.files()
        rows = files.filter(pl.col(DAY) >= str(self._first_day))["rows"].sum() if files.height else 0
        parts = 1
        while parts < PLACES and rows > parts * PART_ROWS:
            parts *= 2
        return parts

    def read(self) -> Iterator[tuple[int, Exposed]]:
        """The number of each part, and who is in it."""
        parts = self.parts
        for part in range(parts):
            yield part, self._part(pl.col("place") % parts == part)

    def dropped(self) -> pl.DataFrame:
        """By ``day`` how many exposures servers said they had lost, since the stretch began."""
        said = self._since().filter(pl.col("dropped").is_not_null(), pl.col("at") >= self.stretch.since)
        return said.group_by(DAY).agg(pl.col("dropped").sum()).collect()

    def _part(self, is_of: pl.Expr) -> Exposed:
        rows = self._since().filter(is_of, pl.col("move").is_between(self.stretch.first, self.stretch.last))
        ours = (pl.col("arm") == OURS).any()
        by_user = rows.group_by("user").agg(
            ours.alias("ours"), pl.col("arm").n_unique().alias("arms"), pl.col("at").min()
        )
        earlier = self.table.scan().filter(is_of, pl.col("move") < self.stretch.first).select("user", "arm").unique()
        found = by_user.collect()
        other = pl.when("ours").then(pl.lit("legacy")).otherwise(pl.lit(OURS)).alias("arm")
        moved = found.lazy().select("user", other).join(earlier, on=["user", "arm"], how="semi").collect()["user"]
        users = found.filter(pl.col("arms") == 1).select(
            "user", "ours", "at", pl.col("user").is_in(moved.implode()).alias("was_other")
        )
        return Exposed(users, found.height - users.height)

    def _since(self) -> pl.LazyFrame:
        days = pl.col(DAY).is_between(self._first_day, self.until.date())
        return self.table.scan().filter(days, pl.col("at") < self.until)

    @property
    def _first_day(self) -> dt.date:
        return (self.stretch.since - _MARGIN).date()
