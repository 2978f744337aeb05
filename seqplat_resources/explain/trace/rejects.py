"""Rows that never became raw rows: whose they are, read from the bytes that ``rejects/<source>`` keeps of them."""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass, replace

import polars as pl

from seqplat_resources.batch.builds.imports import IMPORT_STAGE
from seqplat_resources.batch.inputs import tables
from seqplat_resources.engine.plan import POSITION, EventPlan
from seqplat_resources.engine.run import identified
from seqplat_resources.explain.trace.engine import Position, lenient
from seqplat_resources.lake.layout import DAY, UNDATED
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.sources.columns import typed_rows
from seqplat_resources.sources.formats import json_lines
from seqplat_resources.stream.lake import STREAM_STAGE
from sequence_defs.compiler.sql import storage_dtype

# Stages whose rejects never became raw rows; those of event types did, and the engine says the same of them again.
_STAGES = (tables.INGEST_STAGE, STREAM_STAGE, IMPORT_STAGE)
# Rejects of one user that are looked at: more are a broken producer, which `seqplat rejects` shows better.
MOST = 10_000


@dataclass(frozen=True)
class RejectedRow:
    """A row that was refused before it became a raw row. ``event_id`` is what it says, "" where it says none."""

    at: Position
    stage: str
    reason: str
    payload: bytes
    event_id: str = ""


def refused(runtime: Runtime, plan: EventPlan, user: str, days: Collection[dt.date]) -> list[RejectedRow]:
    """Rejects of ``days``, and undated ones, whose bytes name the user; those that say an id with it.

    A row is the user's if its user column says so; where the bytes cannot be read as a row, if they hold the id's text.
    """
    table = tables.rejects(runtime, plan.source.name)
    if not table.exists():
        return []
    within = pl.col("stage").is_in(_STAGES) & pl.col(DAY).is_in([*days, UNDATED])
    named = pl.col("payload").bin.contains(pl.lit(user.encode()))
    columns = ["source_partition", "offset", "stage", "reason", "payload"]
    found = table.scan().filter(within & named).select(columns).head(MOST).collect()
    rows = [RejectedRow((p, o), stage, reason, payload) for p, o, stage, reason, payload in found.iter_rows()]
    ids = _said(plan, user, rows) if rows else {}
    return [replace(row, event_id=ids[n] or "") for n, row in enumerate(rows) if n in ids]


def refused_at(runtime: Runtime, plan: EventPlan, at: Position) -> list[RejectedRow]:
    """What was refused at one position."""
    table = tables.rejects(runtime, plan.source.name)
    here = (pl.col("source_partition") == at[0]) & (pl.col("offset") == at[1]) & pl.col("stage").is_in(_STAGES)
    if not table.exists():
        return []
    found = table.scan().filter(here).select("stage", "reason", "payload").collect()
    return [RejectedRow(at, stage, reason, payload) for stage, reason, payload in found.iter_rows()]


def _said(plan: EventPlan, user: str, rows: list[RejectedRow]) -> dict[int, str | None]:
    """By number of the row the id it says, None for one that says none; rows of other users are not there."""
    source = plan.source
    names = [column.name for column in source.columns]
    read = [column for column in source.columns if column.sql is None]
    parsed = json_lines.parse_records(range(len(rows)), [row.payload for row in rows], read)
    unreadable: dict[int, str | None] = {piece.offset: None for piece in parsed.broken}
    if not parsed.rows.height:
        return unreadable
    fields = typed_rows(parsed.rows, source)[0]
    user_id = source.user_id or ""
    texts = (parsed.rows if user_id in parsed.rows.columns else fields)[user_id].cast(pl.String)
    mine = fields.hstack([parsed.offsets.alias("_offset")]).filter(texts == user)
    frame = mine.with_columns(
        *(pl.lit(None, dtype).alias(name) for name, dtype in _RECEIPT.items()), _partition=pl.lit("")
    ).select(*names, *POSITION)
    said = identified(lenient(plan), frame)[0]
    ids: dict[int, str | None] = dict.fromkeys(mine["_offset"])
    return unreadable | ids | dict(said.select("offset", "event_id").iter_rows())


_RECEIPT = {
    "_event_time": storage_dtype("timestamp"),
    "_ingest_time": storage_dtype("timestamp"),
    "_shard": storage_dtype("int16"),
}
