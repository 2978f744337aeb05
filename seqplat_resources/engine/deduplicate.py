"""One row per event: which copy stays, and how many went."""

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from seqplat_resources.engine.outcome import tally
from seqplat_resources.rules.precedence import winners
from seqplat_resources.values.json_text import json_text


@dataclass(frozen=True)
class Deduplication:
    """The events that stay; by day of event time, how many copies went: exact ones, and those that differed; and all
    ``copies`` of the events that came more than once, those that stay among them.
    """

    events: pl.DataFrame
    exact: Counter[dt.date]
    conflicts: Counter[dt.date]
    copies: pl.DataFrame


def deduplicate(
    events: pl.DataFrame, key: Sequence[str], payload: Sequence[str], horizon: dt.timedelta
) -> Deduplication:
    """Keep one row per event of a user; ``key`` identifies it.

    A copy that goes is a conflict where it is of the same ``rev`` as the one that stays, and says something else. What
    equal receipts leave open is decided by position, so a replay keeps the same row.
    """
    identity = ["user_id", *key]
    # Counting equal hashes takes half the time of counting equal structs; a collision only adds a row to look at.
    repeated = events.select(pl.struct(identity).hash().is_duplicated()).to_series()
    if not repeated.any():
        return Deduplication(events, Counter(), Counter(), events.clear())
    copies = events.filter(repeated).with_columns(_payload=json_text(payload) if payload else pl.lit(""))
    winner = winners(copies, identity, horizon)
    best = copies.select("rev", "_payload")[winner].select(pl.all().name.suffix("_kept"))
    beaten = pl.Series(winner != pl.int_range(copies.height, eager=True))
    compared = copies.hstack(best).filter(beaten)
    differs = (pl.col("rev") == pl.col("rev_kept")) & (pl.col("_payload") != pl.col("_payload_kept"))
    conflicts = _days(compared.filter(differs))
    left = pl.concat([events.filter(~repeated), copies.filter(~beaten).drop("_payload")])
    return Deduplication(left, _days(compared) - conflicts, conflicts, copies.drop("_payload"))


def _days(events: pl.DataFrame) -> Counter[dt.date]:
    return tally(events["event_time"].dt.date())
