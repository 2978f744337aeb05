"""Blocks end to end -> where each requested stream's bytes are, and which of its rows have a value."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from seqplat_resources.online_store.codec import layout, ragged
from seqplat_resources.online_store.codec.block import Block, BlockParts
from seqplat_resources.online_store.codec.layout import Flags, Ints, Octets
from seqplat_resources.online_store.codec.schema import BlockSchema
from seqplat_resources.online_store.codec.sectioned import BlockDamage, open_head, parts_of, section
from seqplat_resources.online_store.errors import CorruptBlockError

SchemaLookup = Callable[[int], BlockSchema | None]

# Forms of a block: format 1 with section ends of 2 or 4 bytes (as its flags say), format 2.
NARROW, WIDE, SECTIONED = 0, layout.WIDE, 2
_FORMS = (NARROW, WIDE, SECTIONED)


@dataclass(frozen=True)
class BlockBatch:
    """What is read of the blocks, end to end (with 8 spare bytes): those of format 1 whole, of the others head and
    sections asked for. Per block: where it begins, its bytes here, its rows, its form, its schema."""

    data: bytes
    octets: Octets
    begins: Ints
    sizes: Ints
    rows: Ints
    form: Octets
    sectioned: Mapping[int, "SectionMap"]
    schemas: Sequence[BlockSchema]
    schema_of: Ints
    where: str

    def refuse(self, bad: Flags, what: str) -> None:
        """Raise for the first block where ``bad``; the last axis of ``bad`` is the block."""
        if bad.any():
            first = int(np.flatnonzero(bad.reshape(-1, self.rows.size).any(axis=0))[0])
            raise damaged(what, first, self.rows.size, self.where)

    def refuse_some(self, chosen: Ints, bad: Flags, what: str) -> None:
        """As ``refuse``, where ``bad`` is said of the ``chosen`` entries of an array of streams x blocks."""
        if bad.any():
            first = int((chosen[bad] % self.rows.size).min())
            raise damaged(what, first, self.rows.size, self.where)


@dataclass(frozen=True)
class SectionMap:
    """Of a block of format 2: its tags, and per stream asked for where its section begins in the data, and its size."""

    tags: Sequence[int]
    sections: Mapping[int, tuple[int, int]]


@dataclass(frozen=True)
class Streams:
    """Sections of K streams in B blocks, stream after stream: arrays of K * B entries."""

    tags: Octets
    begins: Ints
    sizes: Ints
    rows: Ints
    count: int

    def slice(self, start: int, length: int) -> "Streams":
        """One stream of them."""
        cut = slice(start, start + length)
        return Streams(self.tags[cut], self.begins[cut], self.sizes[cut], self.rows[cut], 1)


def open_blocks(
    blocks: Sequence[Block], schemas: SchemaLookup, columns: Collection[str] | None, where: str
) -> BlockBatch:
    """Check each block as far as it will be read, and resolve its schema."""
    pieces: list[bytes | memoryview] = []
    sectioned: dict[int, SectionMap] = {}
    smallest, end = layout.HEADER.size + layout.CHECKSUM_BYTES, 0
    begins, sizes = [], []
    for number, block in enumerate(blocks):
        begins.append(end)
        if isinstance(block, BlockParts) or layout.is_sectioned(block):
            try:
                first, sectioned[number] = _fetch(block, schemas, columns, pieces, end)
            except BlockDamage as damage:
                raise damaged(str(damage), number, len(blocks), where) from damage
            end += sum(size for _, size in sectioned[number].sections.values())
        else:
            first = len(block)
            if first < smallest or not layout.is_intact(block):
                raise damaged(f"{first} bytes do not match their checksum", number, len(blocks), where)
            pieces.append(block)
        sizes.append(first)
        end += first
    data = b"".join((*pieces, bytes(8)))
    octets, starts = np.frombuffer(data, np.uint8), np.array(begins, np.int64)
    heads = read_rows(octets, starts, layout.HEADER.size).view(layout.HEADER_DTYPE)[:, 0]
    ids, schema_of = np.unique(heads["schema"], return_inverse=True)
    found = [schemas(schema_id) for schema_id in ids.tolist()]
    form = heads["flags"].copy()
    versions = np.full(len(blocks), layout.FORMAT_VERSION, np.uint8)
    if sectioned:
        versions[list(sectioned)] = layout.SECTIONED_VERSION
    batch = BlockBatch(
        data=data,
        octets=octets,
        begins=starts,
        sizes=np.array(sizes, np.int64),
        rows=heads["rows"].astype(np.int64),
        form=form,
        sectioned=sectioned,
        schemas=[schema for schema in found if schema],
        schema_of=schema_of,
        where=where,
    )
    known = (heads["magic"] == layout.MAGIC) & (heads["version"] == versions)
    batch.refuse(~known | (heads["flags"] > (versions == 1)), "the header is not of a block format known here")
    form[list(sectioned)] = SECTIONED
    batch.refuse((batch.rows < 1) | (batch.rows > layout.MAX_ROWS), "the number of events is impossible")
    for schema_id, schema in zip(ids.tolist(), found, strict=True):
        if schema is None:
            batch.refuse(heads["schema"] == schema_id, unknown(schema_id))
    return batch


def _fetch(
    block: Block, schemas: SchemaLookup, columns: Collection[str] | None, pieces: list[bytes | memoryview], at: int
) -> tuple[int, SectionMap]:
    """Add the head and the sections asked for, which lie behind each other from ``at`` on; the head's size, and where.

    Raises:
        BlockDamage: what is read is not what was written.
    """
    schema_id = layout.schema_of_head(block)
    schema = schemas(schema_id)
    if schema is None:
        raise BlockDamage(unknown(schema_id))
    head = open_head(block, schema.stream_count)
    pieces.append(head.raw)
    at, places = at + len(head.raw), {}
    for stream in schema.streams_of(schema.dtypes if columns is None else columns):
        found = section(block, head, stream)
        pieces.append(found)
        places[stream] = (at, len(found))
        at += len(found)
    return len(head.raw), SectionMap(head.tags, places)


def is_sound(block: bytes | memoryview, schemas: SchemaLookup) -> bool:
    """Whether every byte of a block is the one that was written, and its schema is known."""
    if not layout.is_sectioned(block):
        return layout.is_intact(block) and schemas(layout.schema_of_head(block)) is not None
    schema = schemas(layout.schema_of_head(block))
    try:
        return schema is not None and bool(parts_of(block, schema.stream_count))
    except BlockDamage:
        return False


def unknown(schema_id: int) -> str:
    return f"schema {schema_id:#010x} is not known to the store"


def damaged(what: str, number: int, count: int, where: str) -> CorruptBlockError:
    """The error of one of ``count`` blocks."""
    return CorruptBlockError(what, where=f"block {number + 1} of {count} of {where}", block=number)


def gather(batch: BlockBatch, names: Sequence[str], offset: int, rows: Ints) -> Streams:
    """Directory entries of one stream per column; EMPTY in blocks whose schema lacks the column.

    ``offset`` is 0 for a column's first stream, 1 for the items of a list. ``rows`` is streams x blocks.
    """
    shape = (len(names), batch.rows.size)
    tags = np.full(shape, layout.EMPTY, np.uint8)
    begins, ends = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for number, schema in enumerate(batch.schemas):
        here = [k for k, name in enumerate(names) if name in schema.dtypes]
        streams = np.array([schema.first_stream[names[k]] + offset for k in here], np.int64)
        if not here:
            continue
        for form in _FORMS if batch.sectioned else _FORMS[:2]:
            chosen = np.flatnonzero((batch.schema_of == number) & (batch.form == form))
            if chosen.size:
                cell = np.ix_(np.array(here), chosen)
                if form == SECTIONED:
                    tags[cell], begins[cell], ends[cell] = _fetched(batch, chosen, streams)
                else:
                    width = 4 if form == WIDE else 2
                    tags[cell], begins[cell], ends[cell] = _directory(
                        batch, chosen, schema.stream_count, width, streams
                    )
    return Streams(tags.ravel(), begins.ravel(), (ends - begins).ravel(), rows.ravel(), len(names))


def _fetched(batch: BlockBatch, chosen: Ints, streams: Ints) -> tuple[Octets, Ints, Ints]:
    """As ``_directory``, of sectioned blocks."""
    wanted, found = streams.tolist(), [batch.sectioned[number] for number in chosen.tolist()]
    tags = np.array([[block.tags[k] for block in found] for k in wanted], np.uint8)
    places = np.array([[block.sections[k] for block in found] for k in wanted], np.int64)
    return tags, places[:, :, 0], places[:, :, 0] + places[:, :, 1]


def _directory(batch: BlockBatch, chosen: Ints, count: int, width: int, streams: Ints) -> tuple[Octets, Ints, Ints]:
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


def validity_of(batch: BlockBatch, streams: Streams) -> tuple[Flags | None, Ints, Ints, Ints]:
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
