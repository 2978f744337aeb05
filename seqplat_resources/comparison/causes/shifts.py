"""Clocks that are off: by whole quarter hours, as between zones, or by the same amount again and again."""

import datetime as dt

import polars as pl

QUARTER = dt.timedelta(minutes=15)
# From -12 to +14 hours there are 26.
WIDEST = dt.timedelta(hours=26)
# A shift is the usual one if so many times have it, and this share of all that are off otherwise than by zones.
_TIMES, _SHARE = 3, 0.2


def is_zone(shift: pl.Expr) -> pl.Expr:
    """Of durations, whether they can lie between two zones; none is no shift."""
    us = shift.dt.total_microseconds()
    return (us % (QUARTER // dt.timedelta(microseconds=1)) == 0) & (us != 0) & (shift.abs() <= WIDEST)


def usual_shift(shifts: pl.Series) -> dt.timedelta | None:
    """The most frequent one that is not between zones, the smallest of several; none where each is another."""
    counted = (
        pl.DataFrame({"shift": shifts.cast(pl.Duration("us"))})
        .filter(~is_zone(pl.col("shift")), pl.col("shift") != dt.timedelta(0))
        .group_by("shift")
        .len()
        .sort("len", pl.col("shift").abs(), "shift", descending=[True, False, False])
    )
    if not counted.height or counted["len"][0] < max(_TIMES, _SHARE * float(counted["len"].sum())):
        return None
    found: dt.timedelta = counted["shift"][0]
    return found
