"""A bucket of events -> one block per user."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from seqplat_resources.online_store.codec import layout, ragged
from seqplat_resources.online_store.codec.layout import Flags, Ints, Octets
from seqplat_resources.online_store.codec.schema import BlockSchema, is_list, polars_dtype, stream_kind
from seqplat_resources.online_store.codec.sections import Section, section
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
    sections = [part for name, dtype in schema.columns for part in _sections(rows[name], dtype, counts, users, where)]
    ends = np.cumsum([part.sizes for part in sections], axis=0, dtype=np.int64)
    payload = ends[-1]
    if payload.max() > layout.MAX_PAYLOAD_BYTES:
        raise _too_large(users[int(payload.argmax())], f"{payload.max()} bytes", f"{layout.MAX_PAYLOAD_BYTES}", where)
    wide = payload > 0xFFFF
    head = layout.HEADER.size + len(sections) * np.where(wide, 5, 3)
    sizes = head + payload + layout.CHECKSUM_BYTES
    at = ragged.starts_of(sizes)
    out = np.zeros(int(sizes.sum()), np.uint8)
    _write_heads(out, at, schema.schema_id, counts, wide)
    _write_directory(out, at + layout.HEADER.size, sections, ends, wide)
    for part, end in zip(sections, ends, strict=True):
        part.write(out, at + head + end - part.sizes)
    yield from zip(users, _seal(out, at, sizes), strict=True)


def _sections(column: pl.Series, dtype: str, counts: Ints, users: list[str], where: str) -> list[Section]:
    if not is_list(dtype):
        return [section(column, counts, stream_kind(dtype))]
    lengths = column.list.len().cast(pl.Int64)
    items = ragged.sum_runs(lengths.fill_null(0).to_numpy(), counts)
    if items.max() > layout.MAX_ROWS:
        what = f"{items.max()} items in column {column.name!r}"
        raise _too_large(users[int(items.argmax())], what, f"{layout.MAX_ROWS}", where)
    exploded = column.drop_nulls().explode(empty_as_null=False)
    return [section(lengths, counts, "ints"), section(exploded, items, stream_kind(dtype))]


def _write_heads(out: Octets, at: Ints, schema_id: int, counts: Ints, wide: Flags) -> None:
    heads = np.zeros(counts.size, layout.HEADER_DTYPE)
    heads["magic"], heads["version"], heads["schema"] = layout.MAGIC, layout.FORMAT_VERSION, schema_id
    heads["flags"], heads["rows"] = np.where(wide, layout.WIDE, 0), counts
    _write_rows(out, at, heads.view(np.uint8).reshape(counts.size, -1))


def _write_directory(out: Octets, at: Ints, sections: list[Section], ends: Ints, wide: Flags) -> None:
    _write_rows(out, at, np.column_stack([part.tags for part in sections]))
    by_user = ends.T
    for flag, dtype in ((False, "<u2"), (True, "<u4")):
        chosen = wide == flag
        offsets = np.ascontiguousarray(by_user[chosen].astype(dtype))
        _write_rows(out, at[chosen] + len(sections), offsets.view(np.uint8))


def _write_rows(out: Octets, at: Ints, rows: Octets) -> None:
    """Row i of a byte matrix to ``out[at[i]]``."""
    if rows.size:
        width = rows.shape[1]
        window = np.ndarray((out.size - width + 1,), f"V{width}", buffer=out.data, strides=(1,))
        window[at] = np.ascontiguousarray(rows).view(f"V{width}")[:, 0]


def _seal(out: Octets, at: Ints, sizes: Ints) -> Iterator[bytes]:
    """Add the checksums and cut the buffer into blocks."""
    begins, ends = at.tolist(), (at + sizes - layout.CHECKSUM_BYTES).tolist()
    view = out.data
    checksums = np.array([layout.seal(view[a:b]) for a, b in zip(begins, ends, strict=True)], dtype="<u4")
    _write_rows(out, at + sizes - layout.CHECKSUM_BYTES, checksums.view(np.uint8).reshape(-1, 4))
    finished = out.tobytes()
    for begin, end in zip(begins, ends, strict=True):
        yield finished[begin : end + layout.CHECKSUM_BYTES]


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
