"""When each row of an event was the one that counted: what was known of the event at any time.

A row is known from its ``available_time``, until the first row that it gives way to is available. Which rows these are
is said by ``precedence``; so the rows that are known at a time are the winners among those available then.

>>> at = [dt.datetime(2024, 5, 1, hour, tzinfo=dt.UTC) for hour in (12, 13, 15)]
>>> said = {"user_id": "ann", "event_id": "1", "event_time": at[0], "available_time": at[1:], "rev": [0, 1]}
>>> found = known(pl.DataFrame(said), dt.timedelta(hours=72))  # corrected at 15:00
>>> [(str(first.time()), until and str(until.time())) for first, until in found[KNOWN_FROM, KNOWN_UNTIL].rows()]
[('13:00:00', '15:00:00'), ('15:00:00', None)]
"""

import datetime as dt
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import polars as pl

from seqplat_resources.rules.identity import IDENTITY
from seqplat_resources.rules.precedence import ANYWHERE, PRECEDENCE
from seqplat_resources.times import DAY_US

KNOWN_FROM, KNOWN_UNTIL = "known_from", "known_until"
# Of a row that is kept because it counted once: when the first row that outranks it was available.
SUPERSEDED_TIME = "superseded_time"

Ints = npt.NDArray[np.int64]
_NEVER = np.iinfo(np.int64).max
# Pairs of rows of one event that are looked at together: 100 MB.
_PAIRS_AT_ONCE = 1 << 21


def known(rows: pl.DataFrame, horizon: dt.timedelta) -> pl.DataFrame:
    """Rows of one event type with ``known_from`` and ``known_until`` (exclusive, null: to this day) behind them.

    Shapes:
        In: ``IDENTITY``, ``event_time``, ``available_time``, and some of ``PRECEDENCE``; no nulls in these. Retractions
        are rows like others: what is known from theirs on is that the event is none.
        Out: the same rows in the same order; of rows that tie in all of it, which are one row read twice, the first.
        A row that gave way from the beginning ends no later than it begins: it was never known.
    Cost:
        One look at all identities. Rows of those that come more than once are sorted, and compared with all rows
        around them, in memory that does not depend on how many there are.
    """
    named = rows.with_columns(pl.col("available_time").alias(KNOWN_FROM))
    never_ends = pl.lit(None, rows.schema["available_time"]).alias(KNOWN_UNTIL)
    repeated = rows.select(pl.struct(IDENTITY).hash().is_duplicated()).to_series()
    if not repeated.any():
        return named.with_columns(never_ends)
    numbered = named.with_row_index("_row")
    copies = numbered.filter(repeated)
    present = [key for key in PRECEDENCE if key in rows.columns]
    copies = copies.unique([*IDENTITY, "event_time", *present], keep="first", maintain_order=True)
    copies = copies.sort(present, descending=[PRECEDENCE[key] for key in present], maintain_order=True)
    until = pl.Series(KNOWN_UNTIL, _until(copies, present, horizon)).cast(rows.schema["available_time"])
    ended = copies.with_columns(until.set(until.to_physical() == _NEVER, None))
    alone = numbered.filter(~repeated).with_columns(never_ends)
    return pl.concat([alone, ended]).sort("_row").drop("_row")


def _until(best_first: pl.DataFrame, present: list[str], horizon: dt.timedelta) -> Ints:
    """Per row, in microseconds, when the first row that outranks it is available; ``_NEVER`` where there is none."""
    keys = best_first.with_row_index("_place").select(
        identity=pl.col("_place").first().over(IDENTITY),
        level=_number([key for key in ANYWHERE if key in present]),
        time=pl.col("event_time").cast(pl.Datetime("us", "UTC")).to_physical(),
        rank=_number(present),
        available=pl.col("available_time").cast(pl.Datetime("us", "UTC")).to_physical(),
        place=pl.col("_place").cast(pl.Int64),
    )
    until = np.full(keys.height, _NEVER)
    np.minimum.at(until, *_on_higher_levels(keys))
    keys = keys.sort("identity", "level", "time")
    place, rank, available = (keys[name].to_numpy() for name in ("place", "rank", "available"))
    for row, other in _within_reach(keys, horizon // dt.timedelta(microseconds=1)):
        is_better = rank[other] < rank[row]
        np.minimum.at(until, place[row[is_better]], available[other[is_better]])
    return until


def _number(keys: list[str]) -> pl.Expr:
    """Of rows sorted by these, from 0; equal ones have the same."""
    return (pl.struct(keys).rle_id() if keys else pl.lit(0)).cast(pl.Int64)


def _on_higher_levels(keys: pl.DataFrame) -> tuple[Ints, Ints]:
    """The places of rows, and when the first row of their event on a higher level is available."""
    firsts = keys.group_by("identity", "level").agg(pl.col("available").min()).sort("identity", "level")
    above = firsts.with_columns(above=pl.col("available").cum_min().shift(1).over("identity")).drop("available")
    found = keys.join(above, on=["identity", "level"]).drop_nulls("above")
    return found["place"].to_numpy(), found["above"].to_numpy()


def _within_reach(keys: pl.DataFrame, reach: int) -> Iterator[tuple[Ints, Ints]]:
    """Of rows sorted by identity, level and time, each with all of these that are of its day or within the horizon."""
    group = keys.select(pl.struct("identity", "level").rle_id().cast(pl.Int64)).to_series().to_numpy()
    time = keys["time"].to_numpy()
    day = time // DAY_US * DAY_US
    # Both of these hold the row's own time, so together they are one stretch.
    first = _places_before(group, time, np.minimum(day, time - reach))
    end = _places_before(group, time, np.maximum(day + DAY_US, time + reach + 1))
    ends = np.cumsum(end - first)
    begin = 0
    while begin < time.size:
        done = int(ends[begin - 1]) if begin else 0
        stop = max(begin + 1, int(np.searchsorted(ends, done + _PAIRS_AT_ONCE, "right")))
        counts = (end - first)[begin:stop]
        row = np.repeat(np.arange(begin, stop), counts)
        other = (
            np.arange(row.size) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(first[begin:stop], counts)
        )
        yield row, other
        begin = stop


def _places_before(group: Ints, time: Ints, bound: Ints) -> Ints:
    """By row, the place of the first row of its group, in the order of both, whose time is not below ``bound``."""
    is_row = np.repeat([False, True], group.size)  # a bound comes before rows of the same time
    order = np.lexsort((is_row, np.concatenate([bound, time]), np.concatenate([group, group])))
    before = np.cumsum(is_row[order])
    found = np.empty(group.size, np.int64)
    bounds = ~is_row[order]
    found[order[bounds]] = before[bounds]
    return found
