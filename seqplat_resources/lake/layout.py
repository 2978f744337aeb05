"""Table names, partition values and the shard function. Pure: knows no storage."""

from collections.abc import Iterable

import polars as pl
import polars_hash as plh

from seqplat_resources.times import EPOCH

# The bucket of rows whose event time is unknown or outside every partition; a real day would hide them in a plot.
UNDATED = EPOCH.date()
DAY = "day"
# Comparisons with legacy. A sequence may be called as an event type is, so those of sequences are a layer of their own.
SHADOW, SHADOW_SEQUENCES = "shadow", "shadow_sequences"
# Views of events as tables.
SESSIONS, OBJECTS = "sessions", "objects"
# Who was answered with whose events of a type, and what was read of these users.
EXPOSURES, READOUT = "exposures", "readout"
# Which events requests were answered with.
ANSWERED = "answered"
# Labels with sequences, a folder for each day; no tables.
TRAINING = "training"
# What a source calls like the partition of its rows has another name in their tables; a source names nothing with "_".
_STORED_AS = {DAY: "_field_day"}


def raw_table(source: str) -> str:
    return f"lake/raw/{source}"


def archive_table(source: str) -> str:
    return f"lake/archive/{source}"


def served_table(event_type: str) -> str:
    return f"lake/served/{event_type}"


def events_table(event_type: str) -> str:
    return f"lake/events/{event_type}"


def superseded_table(event_type: str) -> str:
    """Rows of ``events`` that counted once and do not any more."""
    return f"lake/superseded/{event_type}"


def columns_table(event_type: str) -> str:
    """Columns of ``events`` of days that were built without them."""
    return f"lake/columns/{event_type}"


def enrichment_table(enrichment: str) -> str:
    return f"lake/enrichments/{enrichment}"


def sequence_table(sequence: str) -> str:
    return f"lake/sequences/{sequence}"


def view_table(asset: str) -> str:
    """Of ``sessions/<name>`` or ``objects/<name>``."""
    return f"lake/{asset}"


def shadow_table(name: str, layer: str = SHADOW) -> str:
    return f"lake/{layer}/{name}"


def exposures_table(event_type: str) -> str:
    return f"lake/{EXPOSURES}/{event_type}"


def readout_table(event_type: str) -> str:
    return f"lake/{READOUT}/{event_type}"


def answered_table(sequence: str) -> str:
    return f"lake/{ANSWERED}/{sequence}"


def rejects_table(source: str) -> str:
    return f"lake/rejects/{source}"


def stored_name(column: str) -> str:
    """What a source's column is called in the tables of its raw rows."""
    return _STORED_AS.get(column, column)


def as_stored(rows: pl.DataFrame) -> pl.DataFrame:
    """A source's rows with their columns called as in the tables of raw rows."""
    return rows.rename(_STORED_AS, strict=False)


def as_declared(columns: Iterable[str]) -> list[pl.Expr]:
    """A source's columns under their own names, of rows that are called as in the tables."""
    return [pl.col(stored_name(name)).alias(name) for name in columns]


def shard_of(user_id: str, shards: int) -> pl.Expr:
    """Shard of each row as Int16: xxHash64 of the user id's text, modulo ``shards``.

    A fixed, published hash: Polars' own may differ between versions, and files outlive versions.
    """
    if shards == 1:
        return pl.lit(0, pl.Int16)
    hashed: pl.Expr = plh.col(user_id).cast(pl.String).nchash.xxhash64()  # type: ignore[attr-defined]
    return (hashed % shards).cast(pl.Int16)
