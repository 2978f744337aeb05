"""Append exposures to the lake: one file a day and commit, whoever else appends meanwhile.

>>> from seqplat_resources.batch.inputs import tables
>>> from seqplat_resources.clock import SystemClock
>>> at_us = 1_714_554_000_000_000
>>> ann = Exposure("purchase", "ann", True, move=3, step="ab_1", sequence="basket", at_us=at_us)
>>> append_exposures(home, SystemClock(), "purchase", [ann])
>>> tables.exposures(home, "purchase", SystemClock()).scan().select("arm", "step").collect().rows()
[('ours', 'ab_1')]
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import polars as pl

from seqplat_resources.batch.inputs import tables
from seqplat_resources.clock import Clock
from seqplat_resources.home import Home
from seqplat_resources.lake.append import append, by_day
from seqplat_resources.lake.layout import shard_of
from seqplat_resources.shadow.exposures.pseudonyms import key_of, pseudonym, storable

# Users are read in parts of these many places, or of half as many, ...
PLACES = 64
OURS, LEGACY = "ours", "legacy"


class Exposure(NamedTuple):
    """A user was answered with ``sequence`` when the event type stood at ``step`` by move number ``move``."""

    event_type: str
    user: str
    is_ours: bool
    move: int
    step: str
    sequence: str
    at_us: int


def append_exposures(
    home: Home, clock: Clock, event_type: str, exposures: Sequence[Exposure], *, dropped: int = 0
) -> None:
    """Add exposures of one event type; ``dropped`` says how many were lost since that was said last.

    Raises:
        OSError, SeqplatError, DeltaError: nothing is known to be written; written twice, exposures say no more.
    """
    rows = _rows(exposures, key_of(home))
    if dropped:
        said = pl.DataFrame({"at": [clock.now()], "dropped": [dropped]}).cast({"at": rows.schema["at"]})
        rows = pl.concat([rows, said], how="diagonal")
    if rows.height:
        append(tables.exposures(home, event_type, clock), by_day(rows, "at"), {}, metadata={"rows": rows.height})


def _rows(exposures: Sequence[Exposure], key: str) -> pl.DataFrame:
    fields: Mapping[str, tuple[object, ...]] = dict(
        zip(Exposure._fields, zip(*exposures, strict=True), strict=True) if exposures else {}
    )
    at = pl.Series(fields.get("at_us", ()), dtype=pl.Int64)
    return pl.DataFrame(
        {
            "user": pl.Series(list(map(storable, fields.get("user", ()))), dtype=pl.String),
            "is_ours": pl.Series(fields.get("is_ours", ()), dtype=pl.Boolean),
            "move": pl.Series(fields.get("move", ()), dtype=pl.Int64),
            "step": pl.Series(fields.get("step", ()), dtype=pl.String),
            "sequence": pl.Series(fields.get("sequence", ()), dtype=pl.String),
        }
    ).select(
        pseudonym("user", key).alias("user"),
        pl.when("is_ours").then(pl.lit(OURS)).otherwise(pl.lit(LEGACY)).alias("arm"),
        "move",
        "step",
        "sequence",
        at.cast(pl.Datetime("us", "UTC")).alias("at"),
        shard_of("user", PLACES).alias("place"),
        pl.lit(None, pl.Int64).alias("dropped"),
    )
