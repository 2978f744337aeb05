"""Rows that never became raw rows: whose they are, read from the bytes that ``rejects/<source>`` keeps of them."""

import datetime as dt
import json
import os
from collections.abc import Collection, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import polars as pl

from seqplat_resources.batch.builds.imports import IMPORT_STAGE
from seqplat_resources.batch.inputs import tables
from seqplat_resources.engine.plan import POSITION, EventPlan
from seqplat_resources.engine.run import identified
from seqplat_resources.explain.trace.engine import Position, lenient
from seqplat_resources.lake.layout import DAY, UNDATED
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.sources.chunks import records_of
from seqplat_resources.sources.columns import typed_rows
from seqplat_resources.sources.files import SourceUnreadable
from seqplat_resources.sources.formats import json_lines
from seqplat_resources.sources.schema_registry import open_framing
from seqplat_resources.sources.schema_registry.errors import MachineShort, RegistryAway, RegistrySettingsInvalid
from seqplat_resources.stream.lake import STREAM_STAGE
from sequence_defs.compiler.sql import storage_dtype
from sequence_defs.schema import Source

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
    payload = pl.col("payload")
    named = pl.any_horizontal(payload.bin.contains(pl.lit(written)) for written in _spellings(plan.source, user))
    columns = ["source_partition", "offset", "stage", "reason", "payload"]
    found = table.scan().filter(within & named).select(columns).head(MOST).collect()
    rows = [RejectedRow((p, o), stage, reason, payload) for p, o, stage, reason, payload in found.iter_rows()]
    ids = _ids_by_row(plan, user, rows, runtime.sources_root) if rows else {}
    return [replace(row, event_id=ids[n] or "") for n, row in enumerate(rows) if n in ids]


def refused_at(runtime: Runtime, plan: EventPlan, at: Position) -> list[RejectedRow]:
    """What was refused at one position."""
    table = tables.rejects(runtime, plan.source.name)
    here = (pl.col("source_partition") == at[0]) & (pl.col("offset") == at[1]) & pl.col("stage").is_in(_STAGES)
    if not table.exists():
        return []
    found = table.scan().filter(here).select("stage", "reason", "payload").collect()
    return [RejectedRow(at, stage, reason, payload) for stage, reason, payload in found.iter_rows()]


def _spellings(source: Source, user: str) -> set[bytes]:
    """The user in bytes as they may have been sent: as text, with its characters escaped, as a CSV is encoded."""
    encoding = source.csv.encoding if source.csv else "utf-8"
    encodings = ("utf-16-le", "utf-16-be") if encoding == "utf-16" else (encoding,)
    sent = {user.encode(each, errors="ignore") for each in encodings}
    return {user.encode(), json.dumps(user)[1:-1].encode(), *sent} - {b""}


def _ids_by_row(plan: EventPlan, user: str, rows: list[RejectedRow], root: str) -> dict[int, str | None]:
    """By number of the row the id it says, None for one that says none; rows of other users are not there."""
    source = plan.source
    names = [column.name for column in source.columns]
    read, places = _read_again(source, rows, root)
    unreadable: dict[int, str | None] = dict.fromkeys(set(range(len(rows))) - set(places))
    if not read.height:
        return unreadable
    fields = typed_rows(read, source)[0]
    user_id = source.user_id or ""
    texts = (read if user_id in read.columns else fields)[user_id].cast(pl.String)
    mine = fields.hstack([places.alias("_offset")]).filter(texts == user)
    frame = mine.with_columns(
        *(pl.lit(None, dtype).alias(name) for name, dtype in _RECEIPT.items()), _partition=pl.lit("")
    ).select(*names, *POSITION)
    said = identified(lenient(plan), frame)[0]
    ids: dict[int, str | None] = dict.fromkeys(mine["_offset"])
    return unreadable | ids | dict(said.select("offset", "event_id").iter_rows())


def _read_again(source: Source, rows: list[RejectedRow], root: str) -> tuple[pl.DataFrame, pl.Series]:
    """The fields as text of the rows whose bytes can be read, and the numbers of these."""
    alike: dict[tuple[str, str], list[int]] = {}
    for number, row in enumerate(rows):
        is_of_csv = source.format == "csv" and row.stage == tables.INGEST_STAGE
        alike.setdefault((row.stage, row.at[0] if is_of_csv else ""), []).append(number)
    columns = [column for column in source.columns if column.sql is None]
    frames = [pl.DataFrame(schema={column.name: pl.String() for column in columns})]
    places = [pl.Series(dtype=pl.Int64())]
    for (stage, file), numbers in alike.items():
        payloads = [rows[number].payload for number in numbers]
        try:
            if file:
                parsed = records_of(source, root, file, payloads)
            elif source.message_format != "json" and stage == STREAM_STAGE:
                parsed = json_lines.parse_records(range(len(payloads)), _unframed(payloads), columns)
            else:
                parsed = json_lines.parse_records(range(len(payloads)), payloads, columns)
        except (SourceUnreadable, RegistrySettingsInvalid, RegistryAway, MachineShort):
            continue  # what the columns are is said by the file, or the registry, alone
        frames.append(parsed.rows.select(frames[0].columns))
        places.append(pl.Series(numbers, dtype=pl.Int64())[parsed.offsets])
    return pl.concat(frames), pl.concat(places)


def _unframed(payloads: list[bytes]) -> Sequence[bytes | None]:
    """Framed messages as JSON, by the registry of this environment; None for one that it cannot open.

    Raises:
        RegistrySettingsInvalid, RegistryAway, MachineShort: none is named, or it does not answer now.
    """
    with closing(open_framing(os.environ)) as framing:
        return framing.opened(payloads).texts


_RECEIPT = {
    "_event_time": storage_dtype("timestamp"),
    "_ingest_time": storage_dtype("timestamp"),
    "_shard": storage_dtype("int16"),
}
