"""Blocks of several event types -> frames under a sequence's names."""

from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from seqplat_resources.online_store import Block, decode_blocks
from seqplat_resources.online_store.codec import SchemaLookup, row_count
from seqplat_resources.sequence_plan import SequencePlan
from sequence_defs.compiler.sql import storage_dtype
from sequence_defs.schema import Column


def decoded(
    plan: SequencePlan,
    schemas: SchemaLookup,
    blocks: Mapping[str, Sequence[Block]],
    asked: Sequence[str],
    keys: Mapping[str, str],
) -> Iterator[tuple[str, pl.DataFrame]]:
    """Each event type's rows, in the order of its blocks.

    Shapes:
        Out: for each event type with blocks its name and a frame: ``keys`` (event column -> type) as ``_...``, then
        ``_event_type``, then the ``asked`` columns, null where the event type has none. All frames have one schema.
    Raises:
        CorruptBlockError: a stored block is damaged.
    """
    for group in plan.decodable_together:
        here = [event_type for event_type in group if blocks.get(event_type)]
        if not here:
            continue
        picked = {event_type: plan.picked(event_type, asked) for event_type in here}
        wanted = {column.name: column.dtype for columns in picked.values() for column in columns.values()}
        payloads = [payload for event_type in here for payload in blocks[event_type]]
        frame = decode_blocks(payloads, schemas, {**keys, **wanted}, where=f"online/{' and '.join(here)}")
        start = 0
        for event_type in here:
            rows = sum(map(row_count, blocks[event_type]))
            part = frame.slice(start, rows)
            start += rows
            order = [part[key].alias(f"_{key}") for key in keys]
            named = _named(part, picked[event_type], event_type, {out: plan.columns[out].dtype for out in asked})
            yield event_type, pl.DataFrame([*order, _repeated("_event_type", event_type, "string", rows), *named])


def _named(
    events: pl.DataFrame, picked: Mapping[str, Column], event_type: str, asked: Mapping[str, str]
) -> Iterator[pl.Series]:
    # Series by series: a sequence is a small frame, and planning a query over it costs more than running it.
    for out, dtype in asked.items():
        if out in picked:
            yield events[picked[out].name].alias(out)
        else:
            yield _repeated(out, event_type if out == "event_type" else None, dtype, events.height)


def _repeated(name: str, value: str | None, dtype: str, rows: int) -> pl.Series:
    return pl.Series(name, [value], dtype=storage_dtype(dtype)).new_from_index(0, rows)
