"""Where the differences are: the values of a column whose users differ more than the others, worst first.

Every value of every column is tried, so some would look bad by chance; the Benjamini-Hochberg procedure keeps those
that are found by chance to a known share of what is found.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from scipy.special import betainc
from scipy.stats import false_discovery_control

from seqplat_resources.errors import Final
from seqplat_resources.shadow.verdict.bounds import Numbers

# The share of found cohorts that are none.
FALSE_DISCOVERIES = 0.05
EXAMPLES = 5


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
    if counts.is_empty() or not counts["differing"].sum():
        return []
    per_user = [_per_user(counts, column) for column in columns]
    effect = _effect(counts)
    found = pl.concat([_cells(each) for each in per_user])
    total = counts.select(pl.col("differing", "compared").cast(pl.Int64).sum()).row(0, named=True)
    hits, size = found["differing"].to_numpy() / effect, found["compared"].to_numpy() / total["compared"]
    found = found.with_columns(
        q=pl.Series(false_discovery_control(_by_chance(hits, total["differing"] / effect, size)))
    )
    cohorts = [_cohort(row, total) for row in found.filter(pl.col("q") <= q).iter_rows(named=True)]
    return sorted(cohorts, key=lambda each: (-each.excess, each.column, each.value or ""))


def _by_chance(hits: Numbers, total: float, size: Numbers) -> Numbers:
    """How often so many of all differences, or more, fall into a cohort of this size.

    A binomial of all differences; cohorts that are drawn without putting back vary less.
    """
    here = np.maximum(hits, 1e-12)
    return np.where((hits > 0) & (size < 1), betainc(here, total - hits + 1, size), 1.0)


def _per_user(counts: pl.DataFrame, column: str) -> pl.DataFrame:
    """What each user has in each cohort of a column."""
    cohort = [pl.lit(column).alias("column"), pl.col(column).cast(pl.String).alias("value")]
    keyed = counts.select(*cohort, "user_id", pl.col("differing", "compared").cast(pl.Int64))
    return keyed.group_by("column", "value", "user_id").agg(pl.col("differing", "compared").sum())


def _cells(per_user: pl.DataFrame) -> pl.DataFrame:
    worst = pl.col("user_id").filter(pl.col("differing") > 0).head(EXAMPLES).cast(pl.String)
    ordered = per_user.sort("differing", "user_id", descending=[True, False])
    return ordered.group_by("column", "value", maintain_order=True).agg(
        pl.col("differing", "compared").sum(), users=worst
    )


def _effect(counts: pl.DataFrame) -> float:
    """How many differences come together in one user; see ``metrics.design_effect``, which a gate goes by."""
    users = counts.group_by("user_id").agg(pl.col("differing", "compared").cast(pl.Int64).sum())
    d, n = (users[name].to_numpy().astype(np.float64) for name in ("differing", "compared"))
    share = d.sum() / n.sum() if n.sum() else 0.0
    independent = share * (1 - share) * n.sum()
    return max(1.0, float(((d - share * n) ** 2).sum() / independent)) if independent else 1.0


def _cohort(row: Mapping[str, Any], total: Mapping[str, int]) -> Cohort:
    differing, compared = row["differing"], row["compared"]
    others = total["differing"] - differing, total["compared"] - compared
    return Cohort(row["column"], row["value"], differing, compared, *others, row["q"], tuple(row["users"]))


def _check(counts: pl.DataFrame, columns: Sequence[str]) -> None:
    for column in columns:
        if column not in counts.columns:
            raise NoCohortColumn(f"no column {column!r} to find cohorts by; there are {', '.join(counts.columns)}")
        dtype = counts.schema[column]
        if dtype.is_nested() or dtype.is_float() or dtype == pl.Binary:
            raise NoCohortColumn(
                f"column {column!r} is {dtype}, whose values are no cohorts; give a text, an enum, a whole number, "
                "a date or a bool, or cut it into classes first"
            )
