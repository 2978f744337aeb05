"""Where the differences are: the values of a column whose users differ more than the others, worst first.

Every value of every column is tried, so some would look bad by chance; the Benjamini-Hochberg procedure keeps those
that are found by chance to a known share of what is found.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import scipy  # which imports its packages when they are used: they take longer than all of Polars

from seqplat_resources.comparison.contract import Sums
from seqplat_resources.errors import Final
from seqplat_resources.shadow.verdict.bounds import Numbers

# The share of found cohorts that are none.
FALSE_DISCOVERIES = 0.05
EXAMPLES = 5
_COUNTS = ("differing", "compared")


class NoCohortColumn(Final):
    """A column whose values do not divide users or events into groups."""


@dataclass(frozen=True)
class Cohort:
    """The events (or users) with one value in a column. ``q`` is the share of false ones if all down to it are found.

    ``users`` are those of it with the most differences, to be looked at; ``value`` is null where the column is.
    """

    column: str
    value: str | None
    differing: int
    compared: int
    others_differing: int
    others_compared: int
    q: float
    users: tuple[str, ...]

    @property
    def share(self) -> float:
        """Of the cohort, what differs."""
        return self.differing / self.compared

    @property
    def others(self) -> float:
        """Of all others, what differs."""
        return self.others_differing / self.others_compared

    @property
    def excess(self) -> float:
        """How many differ beyond what would if the cohort were as the others."""
        return self.differing - self.others * self.compared


def worst_cohorts(counts: pl.DataFrame, columns: Sequence[str], *, q: float = FALSE_DISCOVERIES) -> list[Cohort]:
    """The cohorts that differ more than all others, by how many differences they account for.

    Shapes:
        In: ``user_id``, ``differing`` and ``compared`` (counts, not null), and the ``columns``; any number of rows per
        user, one per event at most. A null in a column is a value like others.
    Raises:
        NoCohortColumn: a column is not there, or holds fractions, lists or vectors.
    """
    _check(counts, columns)
    total = _sums(counts.group_by("user_id").agg(pl.col(_COUNTS).cast(pl.Int64).sum()))
    cells = {(column, value): users for column in columns for value, users in _by_value(counts, column).items()}
    if not total.differing or not cells:
        return []
    sums = [_sums(users) for users in cells.values()]
    effect = _effect(total)
    hits, sizes = (np.array([getattr(each, name) for each in sums], np.float64) for name in _COUNTS)
    chance = _by_chance(hits / effect, total.differing / effect, sizes / total.compared)
    found = [
        _cohort(*key, users, total, float(false))
        for (key, users), false in zip(cells.items(), scipy.stats.false_discovery_control(chance), strict=True)
        if false <= q
    ]
    return sorted(found, key=lambda each: (-each.excess, each.column, each.value or ""))


def _cohort(column: str, value: str | None, users: pl.DataFrame, total: Sums, q: float) -> Cohort:
    mine = _sums(users)
    others = total.differing - mine.differing, total.compared - mine.compared
    worst = users.filter(pl.col("differing") > 0)["user_id"].head(EXAMPLES).cast(pl.String)
    return Cohort(column, value, mine.differing, mine.compared, *others, q, tuple(worst))


def _by_value(counts: pl.DataFrame, column: str) -> dict[str | None, pl.DataFrame]:
    """What each user has in each cohort of a column, those with the most differences first."""
    keyed = counts.select(pl.col(column).cast(pl.String).alias("value"), "user_id", pl.col(_COUNTS).cast(pl.Int64))
    users = keyed.group_by("value", "user_id").agg(pl.col(_COUNTS).sum()).filter(pl.col("compared") > 0)
    users = users.sort("differing", "user_id", descending=[True, False])
    return {value: part for (value,), part in users.partition_by("value", as_dict=True, maintain_order=True).items()}


def _sums(users: pl.DataFrame) -> Sums:
    return Sums.of(users["differing"], users["compared"])


def _by_chance(hits: Numbers, total: float, size: Numbers) -> Numbers:
    """How often so many of all differences, or more, fall into a cohort of this size.

    A binomial of all differences; cohorts that are drawn without putting back vary less.
    """
    here = np.maximum(hits, 1e-12)
    return np.where((hits > 0) & (size < 1), scipy.special.betainc(here, total - hits + 1, np.minimum(size, 1.0)), 1.0)


def _effect(sums: Sums) -> float:
    """How many differences come together in one user; a gate takes into account who was not seen, too."""
    share = sums.differing / sums.compared
    measured = sums.differing_squared - 2 * share * sums.product + share**2 * sums.compared_squared
    return max(1.0, measured / (sums.differing * (1 - share))) if share < 1 else 1.0


def _check(counts: pl.DataFrame, columns: Sequence[str]) -> None:
    for column in columns:
        if column not in counts.columns:
            raise NoCohortColumn(f"no column {column!r} to find cohorts by; there are {', '.join(counts.columns)}")
        dtype = counts.schema[column]
        if dtype.is_nested() or dtype.is_float() or dtype in (pl.Binary, pl.Object):
            raise NoCohortColumn(
                f"column {column!r} is {dtype}, whose values are no cohorts; give a text, an enum, a whole number, "
                "a date or a bool, or cut it into classes first"
            )
