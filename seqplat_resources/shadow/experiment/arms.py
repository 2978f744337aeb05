"""The sums of one arm, from which everything is decided; parts and days are put together without a look at users."""

import math
from dataclasses import dataclass, fields
from typing import Any, Final, NamedTuple

import polars as pl


@dataclass(frozen=True)
class Arm:
    """The users of one arm whose window is over.

    A user has a numerator ``y`` and a denominator ``x``, which is 1 where a metric is a mean over users. ``mean_y`` and
    ``mean_x`` are theirs; ``yy``, ``xy`` and ``xx`` sum up squares and products of what is off them, so that no digits
    are lost where numbers are large and alike. ``active`` users have a ``y`` other than 0, ``capped`` ones had more
    than the cap, ``most`` is the largest ``|y|``. ``unusable`` values are no finite numbers, and were left out.
    """

    users: int = 0
    mean_y: float = 0.0
    mean_x: float = 0.0
    yy: float = 0.0
    xy: float = 0.0
    xx: float = 0.0
    active: int = 0
    capped: int = 0
    most: float = 0.0
    unusable: int = 0

    @property
    def value(self) -> float | None:
        """The metric: numerators by denominators. Null where there are none, or where they are no numbers any more."""
        if not self.users or not self.mean_x:
            return None
        value = self.mean_y / self.mean_x
        return value if math.isfinite(value) else None

    @property
    def estimate(self) -> "Estimate | None":
        """``value`` and how far it may be off, by the delta method; of a mean that is the usual. Null below two users,
        and where numbers are too large to be squared.
        """
        value = self.value
        if value is None or self.users < 2:
            return None
        residual = self.yy - 2 * value * self.xy + value * value * self.xx
        variance = max(residual, 0.0) / (self.users - 1) / self.users / self.mean_x / self.mean_x
        return Estimate(value, variance, self.users) if math.isfinite(variance) else None

    @property
    def heaviest(self) -> float | None:
        """The share that one user has of the arm's numerator."""
        total = abs(self.mean_y) * self.users
        return self.most / total if total and math.isfinite(total) else None


class Estimate(NamedTuple):
    """A value, the variance of it (not of users), and of how many users."""

    value: float
    variance: float
    users: int


SUMS: Final = tuple(each.name for each in fields(Arm))


def sums_by(users: pl.DataFrame, *keys: str) -> pl.DataFrame:
    """Of a row per user with ``y``, ``x``, ``capped`` and ``unusable`` the sums of each group.

    Shapes:
        Out: the ``keys`` and the fields of ``Arm``.
    """
    y, x = pl.col("y"), pl.col("x")
    return users.group_by(keys).agg(
        users=pl.len().cast(pl.Int64),
        mean_y=y.mean(),
        mean_x=x.mean(),
        yy=((y - y.mean()) ** 2).sum(),
        xy=((y - y.mean()) * (x - x.mean())).sum(),
        xx=((x - x.mean()) ** 2).sum(),
        active=(y != 0).sum().cast(pl.Int64),
        capped=pl.col("capped").sum().cast(pl.Int64),
        most=y.abs().max(),
        unusable=pl.col("unusable").sum().cast(pl.Int64),
    )


def together(sums: pl.DataFrame, *keys: str) -> pl.DataFrame:
    """Sums of several parts as those of all of their users (Chan, Golub and LeVeque's formula, for any number)."""
    weight, users = pl.col("users"), pl.col("users").sum()
    mean = {name: (pl.col(name) * weight).sum() / users for name in ("mean_y", "mean_x")}
    off = {name: pl.col(name) - mean[name] for name in mean}
    return sums.group_by(keys).agg(
        users=users,
        mean_y=mean["mean_y"],
        mean_x=mean["mean_x"],
        yy=(pl.col("yy") + weight * off["mean_y"] ** 2).sum(),
        xy=(pl.col("xy") + weight * off["mean_y"] * off["mean_x"]).sum(),
        xx=(pl.col("xx") + weight * off["mean_x"] ** 2).sum(),
        active=pl.col("active").sum(),
        capped=pl.col("capped").sum(),
        most=pl.col("most").max(),
        unusable=pl.col("unusable").sum(),
    )


def arm_of(row: dict[str, Any] | None) -> Arm:
    """The arm of a row of sums; one without users where there is none."""
    return Arm(**{name: row[name] for name in SUMS}) if row else Arm()
