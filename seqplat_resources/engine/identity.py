"""Who an event is, and which copy of it stays."""

from collections.abc import Sequence

import polars as pl

from seqplat_resources.engine.outcome import json_text

SEPARATOR = "~"


def event_id(key: Sequence[str], schema: pl.Schema) -> pl.Expr:
    """The identity as text, readable in every table and log; distinct keys give distinct texts.

    Null where any part is null.
    """
    parts = [_escaped(name, schema[name]) if len(key) > 1 else pl.col(name).cast(pl.String) for name in key]
    return pl.concat_str(parts, separator=SEPARATOR)


def _escaped(name: str, dtype: pl.DataType) -> pl.Expr:
    value = pl.col(name).cast(pl.String)
    if not isinstance(dtype, pl.String):
        return value  # numbers, dates and booleans cannot contain the separator
    return value.str.replace_all("\\", "\\\\", literal=True).str.replace_all(SEPARATOR, "\\" + SEPARATOR, literal=True)


def deduplicate(events: pl.DataFrame, key: Sequence[str], payload: Sequence[str]) -> tuple[pl.DataFrame, int, int]:
    """Keep one row per ``(user_id, *key)``: highest ``rev``, then lowest ``ingest_time``.

    Ties:
        Equal rev and receipt fall back to the payload's text and the position, so a replay keeps the same row.
    Returns:
        The events, how many exact copies were dropped, and how many dropped rows of the same rev differed.
    """
    identity = ["user_id", *key]
    # Counting equal hashes takes half the time of counting equal structs; a collision only adds a row to look at.
    repeated = events.select(pl.struct(identity).hash().is_duplicated()).to_series()
    if not repeated.any():
        return events, 0, 0
    copies = events.filter(repeated).with_columns(_payload=json_text(payload) if payload else pl.lit(""))
    ranked = copies.sort(
        [*identity, "rev", "ingest_time", "_payload", "source_partition", "offset"],
        descending=[False] * len(identity) + [True, False, False, False, False],
    )
    kept = ranked.unique(identity, keep="first", maintain_order=True)
    compared = ranked.join(
        kept.select(*identity, "rev", _kept="_payload"), on=[*identity, "rev"], nulls_equal=True, how="inner"
    )
    conflicts = compared.filter(pl.col("_payload") != pl.col("_kept")).height
    dropped = copies.height - kept.height
    return pl.concat([events.filter(~repeated), kept.drop("_payload")]), dropped - conflicts, conflicts
