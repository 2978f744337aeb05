"""A bucket of events -> one block per user.

>>> schema = BlockSchema.of({"product": "string"})
>>> events = pl.DataFrame({"user_id": ["ann", "ann", "bob"], "product": ["tea", "jam", "tea"]})
>>> [user for user, block in encode_bucket(events, schema)]
['ann', 'bob']
"""

from collections.abc import Iterator

import numpy as np
import polars as pl

from seqplat_resources.online_store.codec import layout, ragged
from seqplat_resources.online_store.codec.encode.blocks import plain_blocks, sectioned_blocks
from seqplat_resources.online_store.codec.encode.parts import Body
from seqplat_resources.online_store.codec.encode.sections import section
from seqplat_resources.online_store.codec.layout import Ints
from seqplat_resources.online_store.codec.schema import (
    BlockSchema,
    is_list,
    is_vector,
    polars_dtype,
    stream_kind,
    vector_bytes,
)
from seqplat_resources.online_store.errors import UnencodableEventsError

# Rows encoded at once: large enough to hide numpy's fixed costs, small enough for a few hundred bytes of scratch
# per row to stay below 100 MB.
BATCH_ROWS = 1 << 17


def encode_bucket(
    events: pl.DataFrame, schema: BlockSchema, *, user_column: str = "user_id", where: str = "bucket"
) -> Iterator[tuple[str, bytes]]:
    """Encode the events of one event type and day, one block per user.

    Shapes:
        In: one row per event; each user's rows lie together, in the order readers shall see (newest first). Columns
        of ``schema`` with exactly its types; others are ignored. ``user_column`` is a String without nulls and is
        not stored in the block unless the schema names it.
        Out: ``(user, block)`` in the order of the input. No events, no block.
    Raises:
        UnencodableEventsError: on the first call of ``next``, before any block; ``where`` is named in it.
    Cost:
        Some 20 vector passes per column; per user one checksum and one copy.
    """
    _check(events, schema, user_column, where)
    users = events[user_column]
    starts = np.flatnonzero((users != users.shift(1)).fill_null(True).to_numpy())
    if starts.size != users.n_unique():
        raise UnencodableEventsError(
            f"the rows of some users in column {user_column!r} do not lie together",
            where=where,
            fix="sort the bucket by user, then newest first, before encoding it",
        )
    counts = np.diff(np.append(starts, events.height))
    names = users.gather(starts)
    if counts.size and counts.max() > layout.MAX_ROWS:
        raise _too_large(names[int(counts.argmax())], f"{counts.max()} events", f"{layout.MAX_ROWS}", where)
    for first, last in _batches(counts):
        rows = events.slice(int(starts[first]), int(counts[first:last].sum()))
        yield from _encode(rows, schema, names[first:last].to_list(), counts[first:last], where)


def _batches(counts: Ints) -> Iterator[tuple[int, int]]:
    """Ranges of users that together have about BATCH_ROWS rows, at least one user each."""
    ends, first = np.cumsum(counts), 0
    while first < counts.size:
        done = int(ends[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(ends, done + BATCH_ROWS, side="right")))
        yield first, last
        first = last


def _encode(
    rows: pl.DataFrame, schema: BlockSchema, users: list[str], counts: Ints, where: str
) -> Iterator[tuple[str, bytes]]:
    sections = _all_sections(rows, schema, users, counts, where)
    payload = np.sum([part.sizes for part in sections], axis=0)
    if payload.max() > layout.MAX_PAYLOAD_BYTES:
        what = f"{payload.max()} bytes"
        raise _too_large(users[int(payload.argmax())], what, f"{layout.MAX_PAYLOAD_BYTES}", where)
    large = payload > layout.SECTIONED_FROM_BYTES
    if not large.any():
        yield from zip(users, plain_blocks(sections, schema.schema_id, counts), strict=True)
        return
    names = [user for user, is_mine in zip(users, large.tolist(), strict=True) if is_mine]
    mine = rows if large.all() else rows.filter(pl.Series(np.repeat(large, counts)))
    again = _all_sections(mine, schema, names, counts[large], where, sectioned=True)
    sectioned = sectioned_blocks(again, schema.schema_id, counts[large])
    # Plain ones of all users, also of those who get a sectioned one: they are few where any are plain, and taking the
    # sections of some users apart costs more.
    plain = iter(()) if large.all() else plain_blocks(sections, schema.schema_id, counts)
    for user, is_large in zip(users, large.tolist(), strict=True):
        block = next(plain, b"")
        yield user, next(sectioned) if is_large else block


def _all_sections(
    rows: pl.DataFrame, schema: BlockSchema, users: list[str], counts: Ints, where: str, *, sectioned: bool = False
) -> list[Body]:
    return [
        part
        for name, dtype in schema.columns
        for part in _sections(rows[name], dtype, counts, users, where, sectioned=sectioned)
    ]


def _sections(
    column: pl.Series, dtype: str, counts: Ints, users: list[str], where: str, *, sectioned: bool
) -> list[Body]:
    kind = stream_kind(dtype)
    if not is_list(dtype):
        return [section(column, counts, kind, sectioned=sectioned)]
    lengths = column.list.len().cast(pl.Int64)
    items = ragged.sum_runs(lengths.fill_null(0).to_numpy(), counts)
    if items.max() > layout.MAX_ROWS:
        what = f"{items.max()} items in column {column.name!r}"
        raise _too_large(users[int(items.argmax())], what, f"{layout.MAX_ROWS}", where)
    exploded = column.drop_nulls().explode(empty_as_null=False)
    return [
        section(lengths, counts, "ints", sectioned=sectioned),
        section(exploded, items, kind, sectioned=sectioned),
    ]


def _check(events: pl.DataFrame, schema: BlockSchema, user_column: str, where: str) -> None:
    needed = {**{name: polars_dtype(dtype) for name, dtype in schema.columns}, user_column: pl.String()}
    if missing := [name for name in needed if name not in events.columns]:
        raise UnencodableEventsError(
            f"column(s) {missing} are missing, the events carry {events.columns}",
            where=where,
            fix="add them to the frame, or encode with a schema that does not name them",
        )
    types = events.schema
    if wrong := [f"{name}: {types[name]} instead of {dtype}" for name, dtype in needed.items() if types[name] != dtype]:
        raise UnencodableEventsError(
            f"column(s) of the wrong type: {'; '.join(wrong)}", where=where, fix="cast them before encoding"
        )
    for name, dtype in schema.columns:
        if is_vector(dtype) and (events[name].bin.size() != vector_bytes(dtype)).any():
            raise UnencodableEventsError(
                f"column {name!r} has values that are not of the {vector_bytes(dtype)} bytes of a {dtype}",
                where=where,
                fix="pack vectors of its dimension, or reject these events",
            )
    if nulls := events[user_column].null_count():
        raise UnencodableEventsError(
            f"{nulls} event(s) without a user in column {user_column!r}",
            where=where,
            fix="reject events without a user id before they reach a bucket",
        )


def _too_large(user: str, what: str, limit: str, where: str) -> UnencodableEventsError:
    return UnencodableEventsError(
        f"user {user!r} has {what}, more than the {limit} a block holds",
        where=where,
        fix="filter out accounts that are not a person, or keep only the newest events of such a day",
    )
