"""One row per event: which copy stays, and how many went."""

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from seqplat_resources.engine.outcome import json_text, tally

# Which copy stays, from the strongest reason to the weakest, and whether the larger value wins. ``_payload`` is the
# text of what a copy says.
KEPT = {"rev": True, "ingest_time": False, "_payload": False, "source_partition": False, "offset": False}


@dataclass(frozen=True)
class Deduplicated:
    """The events that stay; and by day of event time, how many copies went: exact ones, and those that differed."""

    events: pl.DataFrame
    exact: Counter[dt.date]
    conflicts: Counter[dt.date]


def deduplicate(events: pl.DataFrame, key: Sequence[str], payload: Sequence[str]) -> Deduplicated:
    """Keep one row per day and ``(user_id, *key)``: highest ``rev``, then lowest ``ingest_time``.

    Per day, because that is what a bucket holds: an event whose revision moves it to another day is of both until
    they meet.

    Ties:
        Equal rev and receipt fall back to the payload's text and the position, so a replay keeps the same row.
    """
    identity = ["user_id", *key]
    day = pl.col("event_time").dt.date()
    if events.select(day.n_unique() > 1).item():
        events, identity = events.with_columns(_day=day), [*identity, "_day"]
    # Counting equal hashes takes half the time of counting equal structs; a collision only adds a row to look at.
    repeated = events.select(pl.struct(identity).hash().is_duplicated()).to_series()
    if not repeated.any():
        return Deduplicated(events, Counter(), Counter())
    copies = events.filter(repeated).with_columns(_payload=json_text(payload) if payload else pl.lit(""))
    ranked = copies.sort([*identity, *KEPT], descending=[*[False] * len(identity), *KEPT.values()])
    kept = ranked.unique(identity, keep="first", maintain_order=True)
    compared = ranked.join(
        kept.select(*identity, "rev", _kept="_payload"), on=[*identity, "rev"], nulls_equal=True, how="inner"
    )
    conflicts = _days(compared.filter(pl.col("_payload") != pl.col("_kept")))
    left = pl.concat([events.filter(~repeated), kept.drop("_payload")])
    return Deduplicated(left, _days(copies) - _days(kept) - conflicts, conflicts)


def _days(events: pl.DataFrame) -> Counter[dt.date]:
    return tally(events["event_time"].dt.date())
