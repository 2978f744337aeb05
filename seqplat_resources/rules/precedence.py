"""Which rows say one event, and which of them counts.

Rows of one identity say one event if they are of one UTC day, or if their event times are no further apart than the
horizon; a higher level of ``ANYWHERE`` reaches further: it counts against every row of its identity.

>>> said = {"user_id": ["ann"] * 3, "event_id": ["1", "1", "2"], "rev": [0, 1, 0]}
>>> rows = pl.DataFrame(said).with_columns(event_time=pl.datetime(2024, 5, 1, 12, time_zone="UTC"))
>>> winners(rows, IDENTITY, dt.timedelta(hours=72)).to_list()  # the correction counts, in both rows of event 1
[1, 1, 2]
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from seqplat_resources.rules.identity import IDENTITY

# From the strongest to the weakest, and whether the larger value wins. Rows that tie in all are one row, read twice.
# A frame that lacks a column says the same in it of all its rows.
PRECEDENCE: Mapping[str, bool] = {
    "erased": True,
    "rev": True,
    "from_batch": True,
    "ingest_time": False,
    "source_partition": False,
    "offset": False,
}
# What decides whenever an event happened.
ANYWHERE = ("erased", "rev")
OTHER = ":other"


def winners(rows: pl.DataFrame, identity: Sequence[str], horizon: dt.timedelta) -> pl.Series:
    """Per row the place of the row that counts of its event: its own, where it counts itself.

    Shapes:
        In: ``identity``, ``event_time`` and some of ``PRECEDENCE``; no nulls in the latter two.
    Ties:
        A row gives way to the best of all rows that say the same event, whether or not that one counts in its turn.
    Cost:
        One sort. Where rows of one identity are too far apart to be one event, a window over those rows.
    """
    present = [key for key in PRECEDENCE if key in rows.columns]
    best_first = rows.select(*identity, "event_time", *present).with_row_index("_row")
    best_first = best_first.sort(present, descending=[PRECEDENCE[key] for key in present], maintain_order=True)
    levels = [key for key in ANYWHERE if key in present]
    first = best_first.with_columns(pl.col("_row", "event_time", *levels).first().over(identity).name.suffix(OTHER))
    level = pl.all_horizontal([pl.lit(True), *(pl.col(key) == pl.col(f"{key}{OTHER}") for key in levels)])
    is_far = first.select(level & ~are_copies(horizon)).to_series()
    if is_far.any():
        first = _nearest(first, identity, horizon, level)
    return first.sort("_row")[f"_row{OTHER}"].alias("winner")


def outranked(rows: pl.DataFrame, others: pl.DataFrame, identity: Sequence[str], horizon: dt.timedelta) -> pl.DataFrame:
    """The rows that give way to one of ``others``, with its columns (``:other``); as often as there are such.

    Shapes:
        In: both as in ``winners``, and whatever else. A row that is among ``others`` does not give way to itself.
    """
    pairs = rows.join(others, on=list(identity), suffix=OTHER)
    reaches = pl.any_horizontal(
        are_copies(horizon), *(pl.col(f"{key}{OTHER}") > pl.col(key) for key in ANYWHERE if key in rows.columns)
    )
    outranks = pl.lit(False)
    for key, larger_wins in reversed(list(PRECEDENCE.items())):
        if key in rows.columns:
            mine, its = pl.col(key), pl.col(f"{key}{OTHER}")
            outranks = (its > mine if larger_wins else its < mine) | ((its == mine) & outranks)
    return pairs.filter(reaches & outranks)


def standing(events: pl.DataFrame, others: pl.DataFrame, horizon: dt.timedelta) -> pl.DataFrame:
    """Stored events that do not give way to one of ``others``, in order."""
    if not events.height or not others.height:
        return events
    numbered = events.with_row_index("_row")
    keys = [key for key in PRECEDENCE if key in others.columns]
    beaten = outranked(numbered.select("_row", *IDENTITY, "event_time", *keys), others, IDENTITY, horizon)
    return numbered.join(beaten, on="_row", how="anti", maintain_order="left").drop("_row")


def are_copies(horizon: dt.timedelta) -> pl.Expr:
    """Whether the times of a row and of the ``:other`` one beside it can be those of one event."""
    mine, its = pl.col("event_time"), pl.col(f"event_time{OTHER}")
    return (mine.dt.date() == its.dt.date()) | ((mine - its).abs() <= horizon)


def decided_by(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """The strongest key of the precedence in which two rows differ; "" where they differ in none."""
    return next((key for key in PRECEDENCE if one.get(key) != other.get(key)), "")


def _nearest(first: pl.DataFrame, identity: Sequence[str], horizon: dt.timedelta, level: pl.Expr) -> pl.DataFrame:
    """As ``first``, sorted best first, where the best of an identity is not within reach of all of its rows."""
    numbered = first.with_row_index("_rank").with_columns(_day=pl.col("event_time").dt.date())
    peers = numbered.filter(level)
    by_day = peers.group_by(*identity, "_day").agg(pl.col("_rank").min())
    reach_us = horizon // dt.timedelta(microseconds=1)
    if reach_us:
        window = peers.sort("event_time").rolling(
            "event_time", period=f"{2 * reach_us}us", offset=f"-{reach_us}us", closed="both", group_by=list(identity)
        )
        within = window.agg(pl.col("_rank").min()).unique([*identity, "event_time"])
        nearby = peers.join(within, on=[*identity, "event_time"], suffix="_near", nulls_equal=True)
    else:
        nearby = peers.with_columns(_rank_near="_rank")
    nearby = nearby.join(by_day, on=[*identity, "_day"], suffix="_of_day", nulls_equal=True)
    best = nearby.select("_rank", _best=pl.min_horizontal("_rank_near", "_rank_of_day"))
    joined = numbered.join(best, on="_rank", how="left", maintain_order="left")
    row = pl.col("_row").gather(pl.col("_best").fill_null(0))
    return joined.with_columns(
        pl.when(pl.col("_best").is_null()).then(f"_row{OTHER}").otherwise(row).alias(f"_row{OTHER}")
    )
