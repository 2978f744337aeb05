"""What goes in and what is given on: how columns are compared, how rows are paired, and counts that can be added.

>>> Sums.of(differing=pl.Series([1, 0]), compared=pl.Series([2, 5])) + Sums.of(pl.Series([1]), pl.Series([1]))
Sums(users=3, differing=2, compared=8, differing_squared=2, compared_squared=30, product=3)
"""

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass

import numpy as np
import polars as pl

USER, EVENT_ID, EVENT_TIME, INGEST_TIME = "user_id", "event_id", "event_time", "ingest_time"
# In a frame of both sides, what legacy has of a column of ours; and whether the two differ.
LEGACY, DIFFERS = "legacy_", "differs_"


@dataclass(frozen=True)
class ColumnRule:
    """When two values of a column are equal. Two nulls are, and two NaNs; a null equals nothing else, 0.0 is -0.0.

    ``absolute`` and ``relative``: a and b are equal if ``|a - b| <= absolute`` or ``|a - b| <= relative * max(|a|,
    |b|)``; infinities only if they are the same. In seconds for timestamps and dates, item by item for vectors and
    lists of numbers. ``cosine``: vectors are equal from this similarity on; of other length, all zero or with a null or
    NaN in it a vector equals only the same one. ``as_set``: order and repeats in a list do not count. None: exactly.

    Raises:
        ValueError: ``cosine`` or ``as_set`` together with another way.
    """

    absolute: float | None = None
    relative: float | None = None
    cosine: float | None = None
    as_set: bool = False

    def __post_init__(self) -> None:
        ways = [self.absolute is not None or self.relative is not None, self.cosine is not None, self.as_set]
        if sum(ways) > 1:
            raise ValueError(f"{self} says two ways to compare one column; keep `cosine`, `as_set` or the tolerances")

    @property
    def is_exact(self) -> bool:
        return self == ColumnRule()


@dataclass(frozen=True)
class Matching:
    """Which rows of two sides are one event: of one user, and equal in all columns of ``key``.

    With ``within_s``, moreover no further apart in time than so many seconds: one to one, nearest first. Of pairs that
    are equally far apart the one with the earlier legacy time goes first, then the one with the earlier time of ours,
    then rows in the order they are given.
    """

    key: tuple[str, ...] = (EVENT_ID,)
    within_s: float | None = None

    @property
    def columns(self) -> list[str]:
        """What has to be equal, the user first."""
        return [USER, *(name for name in self.key if name != USER)]

    @property
    def within_us(self) -> int | None:
        return None if self.within_s is None else int(self.within_s * 1_000_000)


@dataclass(frozen=True)
class Sums:
    """How often something differed, over users: a user has ``n`` compared and ``d`` differing ones among them.

    ``differing`` and ``compared`` are the sums of d and n; the other three, of d * d, n * n and d * n, are what the
    variance of ``differing / compared`` takes where users, not events, are drawn. Sums of other users are added with
    ``+``. Those of other days as well, but then a user of two days counts as two.
    """

    users: int = 0
    differing: int = 0
    compared: int = 0
    differing_squared: int = 0
    compared_squared: int = 0
    product: int = 0

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(*(mine + its for mine, its in zip(astuple(self), astuple(other), strict=True)))

    @classmethod
    def of(cls, differing: pl.Series, compared: pl.Series) -> "Sums":
        """Of two counts a user. Users with nothing compared are left out."""
        d, n = (each.cast(pl.Int64).to_numpy() for each in (differing, compared))
        users = int(np.count_nonzero(n))
        return cls(users, *(int(each) for each in (d.sum(), n.sum(), d @ d, n @ n, d @ n)))


def merged(parts: Iterable[Mapping[str, Sums]]) -> dict[str, Sums]:
    """By metric the sums of all parts; what a part does not have it adds nothing to."""
    found: dict[str, Sums] = {}
    for part in parts:
        for metric, sums in part.items():
            found[metric] = found.get(metric, Sums()) + sums
    return found
