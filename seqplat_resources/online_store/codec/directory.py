"""Blocks end to end -> where each requested stream's bytes are, and which of its rows have a value."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from seqplat_resources.online_store.codec import layout, ragged
from seqplat_resources.online_store.codec.block import Block, BlockParts
from seqplat_resources.online_store.codec.layout import Flags, Ints, Octets
from seqplat_resources.online_store.codec.schema import BlockSchema
from seqplat_resources.online_store.errors import CorruptBlockError

SchemaLookup = Callable[[int], BlockSchema | None]


@dataclass(frozen=True)
class Batch:
    """All blocks end to end (with 8 spare bytes), and per block: where it begins, its rows, its schema."""

    data: bytes
    octets: Octets
    begins: Ints
    sizes: Ints
    rows: Ints
    wide: Flags
    schemas: Sequence[BlockSchema]
    schema_of: Ints
    where: str

    def refuse(self, bad: Flags, what: str) -> None:
        """Raise for the first block where ``bad``; the last axis of ``bad`` is the block."""
        if bad.any():
            first = int(np.flatnonzero(bad.reshape(-1, self.rows.size).any(axis=0))[0])
            raise damaged(what, first, self.rows.size, self.where)


@dataclass(frozen=True)
class Streams:
    """Sections of K streams in B blocks, stream after stream: arrays of K * B entries."""

    tags: Octets
    begins: Ints
    sizes: Ints
    rows: Ints
    count: int


def open_blocks(blocks: Sequence[Block], schemas: SchemaLookup, where: str) -> Batch:
    """Check each block as a whole, and resolve its schema."""
    smallest = layout.HEADER.size + layout.CHECKSUM_BYTES
    whole: list[bytes | memoryview] = []
    for number, block in enumerate(blocks):
        if isinstance(block, BlockParts):
            raise damaged("its bytes are only parts", number, len(blocks), where)
        if len(block) < smallest or not layout.is_intact(block):
            raise damaged(f"{len(block)} bytes do not match their checksum", number, len(blocks), where)
        whole.append(block)
    data = b"".join((*whole, bytes(8)))
    octets = np.frombuffer(data, np.uint8)
    sizes = np.array([len(block) for block in whole], np.int64)
    begins = ragged.starts_of(sizes)
    heads = read_rows(octets, begins, layout.HEADER.size).view(layout.HEADER_DTYPE)[:, 0]
    ids, schema_of = np.unique(heads["schema"], return_inverse=True)
    found = [schemas(schema_id) for schema_id in ids.tolist()]
    batch = Batch(
        data=data,
        octets=octets,
        begins=begins,
        sizes=sizes,
        rows=heads["rows"].astype(np.int64),
        wide=(heads["flags"] & layout.WIDE) != 0,
        schemas=[schema for schema in found if schema],
        schema_of=schema_of,
        where=where,
    )
    known = (heads["magic"] == layout.MAGIC) & (heads["version"] == layout.FORMAT_VERSION)
    batch.refuse(~known | (heads["flags"] > layout.WIDE), "the header is not of a block format known here")
    batch.refuse((batch.rows < 1) | (batch.rows > layout.MAX_ROWS), "the number of events is impossible")
    for schema_id, schema in zip(ids.tolist(), found, strict=True):
        if schema is None:
            batch.refuse(heads["schema"] == schema_id, f"schema {schema_id:#010x} is not known to the store")
    return batch


def damaged(what: str, number: int, count: int, where: str) -> CorruptBlockError:
    """The error of one of ``count`` blocks."""
    return CorruptBlockError(what, where=f"block {number + 1} of {count} of {where}", block=number)


def gather(batch: Batch, names: Sequence[str], offset: int, rows: Ints) -> Streams:
    """Directory entries of one stream per column; EMPTY in blocks whose schema lacks the column.

    ``offset`` is 0 for a column's first stream, 1 for the items of a list. ``rows`` is streams x blocks.
    """
    shape = (len(names), batch.rows.size)
    tags = np.full(shape, layout.EMPTY, np.uint8)
    begins, ends = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for number, schema in enumerate(batch.schemas):
        here = [k for k, name in enumerate(names) if name in schema.dtypes]
        streams = np.array([schema.first_stream[names[k]] + offset for k in here], np.int64)
        for wide, width in ((False, 2), (True, 4)):
            chosen = np.flatnonzero((batch.schema_of == number) & (batch.wide == wide))
            if chosen.size and here:
                cell = np.ix_(np.array(here), chosen)
                tags[cell], begins[cell], ends[cell] = _directory(batch, chosen, schema.stream_count, width, streams)
    return Streams(tags.ravel(), begins.ravel(), (ends - begins).ravel(), rows.ravel(), len(names))


def _directory(batch: Batch, chosen: Ints, count: int, width: int, streams: Ints) -> tuple[Octets, Ints, Ints]:
    """Tags, begins and ends (in ``batch.data``) of some streams of blocks that share schema and offset width."""
    payload = layout.HEADER.size + count * (1 + width)
    room = batch.sizes[chosen] - payload - layout.CHECKSUM_BYTES
    bad = np.zeros(batch.rows.size, np.bool_)
    bad[chosen] = room < 0
    batch.refuse(bad, "the directory does not fit into the block")
    table = read_rows(batch.octets, batch.begins[chosen] + layout.HEADER.size, count * (1 + width))
    ends = np.ascontiguousarray(table[:, count:]).view(f"<u{width}").astype(np.int64)
    begins = np.zeros_like(ends)
    begins[:, 1:] = ends[:, :-1]
    bad[chosen] = (ends < begins).any(axis=1) | (ends[:, -1] != room)
    batch.refuse(bad, "the directory does not add up to the block's size")
    base = (batch.begins[chosen] + payload)[:, None]
    return table[:, streams].T, (begins + base)[:, streams].T, (ends + base)[:, streams].T


def validity_of(batch: Batch, streams: Streams) -> tuple[Flags | None, Ints, Ints, Ints]:
    """Which rows have a value (None = all), values per section, and where each section's body begins and its size."""
    has_bitmap = (streams.tags & layout.NULLS) != 0
    empty = streams.tags == layout.EMPTY
    batch.refuse(empty & (streams.sizes != 0), "a section without values is not empty")
    batch.refuse(~empty & (streams.rows == 0), "a section has values for no rows")
    bitmap = np.where(has_bitmap, (streams.rows + 7) >> 3, 0)
    batch.refuse(bitmap > streams.sizes, "a validity bitmap is longer than its section")
    if not (has_bitmap | empty).any():
        return None, streams.rows, streams.begins, streams.sizes
    valid = np.repeat(~empty, streams.rows)
    rows = streams.rows[has_bitmap]
    bit = ragged.position_in_run(rows)
    octet = batch.octets[np.repeat(streams.begins[has_bitmap], rows) + (bit >> 3)]
    valid[np.repeat(has_bitmap, streams.rows)] = (octet >> (bit & 7).astype(np.uint8)) & 1
    present = ragged.count_true(valid, streams.rows)
    batch.refuse(has_bitmap & (present == 0), "a section has values for no rows")
    return valid, present, streams.begins + bitmap, streams.sizes - bitmap


def read_rows(octets: Octets, at: Ints, width: int) -> Octets:
    """``width`` bytes at each place, as a byte matrix."""
    window = np.ndarray((octets.size - width + 1,), f"V{width}", buffer=octets.data, strides=(1,))
    return window[at].view(np.uint8).reshape(at.size, width)
