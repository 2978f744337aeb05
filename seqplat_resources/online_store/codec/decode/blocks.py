"""Blocks of one or many users -> a frame of the requested columns; no other column's bytes are looked at.

>>> from seqplat_resources.online_store.codec.encode.bucket import encode_bucket
>>> from seqplat_resources.online_store.codec.schema import BlockSchema
>>> schema = BlockSchema.of({"product": "string", "amount": "int64"})
>>> events = pl.DataFrame({"user_id": ["ann", "ann"], "product": ["tea", "jam"], "amount": [3, 4]})
>>> blocks = [block for user, block in encode_bucket(events, schema)]
>>> decode_blocks(blocks, {schema.schema_id: schema}.get, {"amount": "int64", "price": "float64"}).rows()
[(3, None), (4, None)]
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from seqplat_resources.online_store.codec import layout, ragged
from seqplat_resources.online_store.codec.block import Block
from seqplat_resources.online_store.codec.decode.directory import (
    BlockBatch,
    SchemaLookup,
    Streams,
    damaged,
    gather,
    open_blocks,
    read_rows,
    validity_of,
)
from seqplat_resources.online_store.codec.decode.one_by_one import decode_few, few_texts
from seqplat_resources.online_store.codec.decode.values import SectionBodies, extents, numbers
from seqplat_resources.online_store.codec.layout import Flags, Ints, Octets
from seqplat_resources.online_store.codec.schema import (
    array_dtype,
    is_list,
    is_vector,
    item_dtype,
    polars_dtype,
    stream_kind,
    vector_bytes,
    vector_shape,
)
from seqplat_resources.online_store.codec.series import masked, spread, typed
from seqplat_resources.online_store.errors import ColumnTypeError

# From here on one Polars query (1 ms to plan, then zero-copy) beats a Python slice per string (0.1 us each).
_MANY_STRINGS = 12_000
# Rows that repeat a string another row has: from here on making the distinct ones and gathering (40 us) is cheaper.
_MANY_REPEATS = 512


def decode_blocks(
    blocks: Sequence[Block],
    schemas: SchemaLookup,
    columns: Mapping[str, str] | None = None,
    *,
    arrays: bool = False,
    rows: Ints | None = None,
    where: str = "the blocks read",
) -> pl.DataFrame:
    """Decode blocks, in the order given, into one frame.

    Shapes:
        In: any number of blocks, of one user or many, also of different schemas. ``columns`` is name -> type; None
        means every column that any of the blocks has.
        Out: one row per event, block after block, each in its stored order, or only ``rows`` of these (ascending
        places from 0); the columns asked for, in that order. A column that a block's schema does not have is null
        there. No blocks, no rows. Vectors are Binary as they were encoded, or with ``arrays`` fixed-size arrays of
        int8 or float32.
    Raises:
        CorruptBlockError: a block is damaged or its schema is unknown; ``where`` is named in it.
        ColumnTypeError: a column is stored with another type than asked for.
    Cost:
        One checksum and one copy of what is read: a small block whole, of a sectioned one its head and the asked
        columns. Otherwise a fixed number of vector passes, whatever the number of blocks and columns. Byte strings
        cost a Python step each; those said to be equal one for all.
    """
    if not blocks:
        return pl.DataFrame(schema={name: _dtype(dtype, arrays) for name, dtype in (columns or {}).items()})
    if columns is not None:
        few = decode_few(blocks, schemas, columns, arrays=arrays, rows=rows, where=where)
        if few is not None:
            return few
    batch = open_blocks(blocks, schemas, columns, where)
    asked = dict(columns) if columns is not None else _all_columns(batch)
    for schema in batch.schemas:
        for name, dtype in asked.items():
            if (stored := schema.dtypes.get(name, dtype)) != dtype:
                raise ColumnTypeError(name, stored=stored, asked=dtype, where=where)
    series: dict[str, pl.Series] = {}
    for form, names in _by_form(asked, arrays).items():
        dtypes = [asked[name] for name in names]
        if form == "list":
            found = [_lists(batch, name, dtype, rows) for name, dtype in zip(names, dtypes, strict=True)]
        else:
            streams = gather(batch, names, 0, np.tile(batch.rows, (len(names), 1)))
            found = _DECODERS[form](batch, streams, dtypes, rows)
        series |= zip(names, found, strict=True)
    return pl.DataFrame([series[name].alias(name) for name in asked])


def texts(
    blocks: Sequence[Block], schemas: SchemaLookup, column: str, *, where: str = "the blocks read"
) -> list[str | None]:
    """One column of texts as ``decode_blocks`` gives it, as a list: cheaper where few are only looked up in a set."""
    if (few := few_texts(blocks, schemas, column, where)) is not None:
        return few
    return decode_blocks(blocks, schemas, {column: "string"}, where=where)[column].to_list()


def _all_columns(batch: BlockBatch) -> dict[str, str]:
    return {name: dtype for schema in batch.schemas for name, dtype in schema.dtypes.items()}


def _dtype(dtype: str, arrays: bool) -> pl.DataType:
    return array_dtype(dtype) if arrays and is_vector(dtype) else polars_dtype(dtype)


def _by_form(asked: Mapping[str, str], arrays: bool) -> dict[str, list[str]]:
    """Columns that are decoded together."""
    forms: dict[str, list[str]] = {}
    for name, dtype in asked.items():
        if is_list(dtype):
            form = "list"
        elif arrays and is_vector(dtype):
            form = "array"
        else:
            form = stream_kind(dtype)
        forms.setdefault(form, []).append(name)
    return forms


def _opened(batch: BlockBatch, streams: Streams) -> tuple[SectionBodies, Flags | None]:
    """The sections' bodies, and which rows have a value (None: all)."""
    valid, present, begins, sizes = validity_of(batch, streams)
    tags = streams.tags
    if valid is not None:  # else no tag says that there are nulls
        batch.refuse(tags == layout.NULLS, "a section has values of no kind")
        tags = tags & np.uint8(0xFF ^ layout.NULLS)
    return SectionBodies(batch, np.arange(tags.size), tags, begins, sizes, present), valid


def _numbers(batch: BlockBatch, streams: Streams, dtypes: Sequence[str], rows: Ints | None) -> list[pl.Series]:
    """Series of K fixed-width streams that share one row count."""
    bits, valid = _bits(batch, streams)
    pick = _Pick(streams, rows)
    values = pick.of(bits).reshape(streams.count, -1)
    return [
        masked(typed(mine, dtype), flags) for mine, flags, dtype in zip(values, pick.flags(valid), dtypes, strict=True)
    ]


def _bits(batch: BlockBatch, streams: Streams) -> tuple[Ints, Flags | None]:
    """Values as int64, 0 where null."""
    bodies, valid = _opened(batch, streams)
    return spread(numbers(bodies), valid), valid


def _strings(batch: BlockBatch, streams: Streams, dtypes: Sequence[str], rows: Ints | None) -> list[pl.Series]:
    """Series of K streams of byte strings that share one row count."""
    bodies, valid = _opened(batch, streams)
    places, pick = extents(bodies), _Pick(streams, rows)
    repeats = 0 if places.index is None else places.index.size - places.at.size
    if rows is None and places.index is not None and repeats >= _MANY_REPEATS:
        whole = _cut(batch.data, places.at, places.sizes).gather(pl.Series(spread(places.index, valid)))
    else:
        at, sizes = (pick.of(spread(each, valid)) for each in places.each)
        whole = _cut(batch.data, at, sizes)
    count = len(whole) // streams.count
    parts = [masked(whole.slice(k * count, count), flags) for k, flags in enumerate(pick.flags(valid))]
    return [
        _text(batch, part, streams.rows.reshape(streams.count, -1)[k], rows) if item_dtype(dtype) == "string" else part
        for k, (part, dtype) in enumerate(zip(parts, dtypes, strict=True))
    ]


def _cut(data: bytes, begins: Ints, sizes: Ints) -> pl.Series:
    """The byte strings at these places."""
    if begins.size > _MANY_STRINGS:
        places = pl.DataFrame({"at": begins, "size": sizes})
        return places.select(pl.lit(data, pl.Binary).bin.slice("at", "size")).to_series()
    ends = (begins + sizes).tolist()
    return pl.Series([data[begin:end] for begin, end in zip(begins.tolist(), ends, strict=True)], dtype=pl.Binary)


def _text(batch: BlockBatch, values: pl.Series, counts: Ints, rows: Ints | None) -> pl.Series:
    """Text of a stream that has so many rows in each block, or of some of these rows."""
    try:
        return values.cast(pl.String)
    except pl.exceptions.ComputeError as error:
        bad = next(k for k, value in enumerate(values.to_list()) if value is not None and not _is_text(value))
        number = int(np.repeat(np.arange(counts.size), counts)[bad if rows is None else rows[bad]])
        raise damaged("a string is not UTF-8", number, batch.rows.size, batch.where) from error


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _arrays(batch: BlockBatch, streams: Streams, dtypes: Sequence[str], rows: Ints | None) -> list[pl.Series]:
    """Series of K streams of vectors, as fixed-size arrays."""
    count = streams.tags.size // streams.count
    return [_array(batch, streams.slice(k * count, count), dtype, rows) for k, dtype in enumerate(dtypes)]


def _array(batch: BlockBatch, streams: Streams, dtype: str, rows: Ints | None) -> pl.Series:
    item, dimension = vector_shape(dtype)
    bodies, valid = _opened(batch, streams)
    places = extents(bodies)
    width = vector_bytes(dtype)
    wrong = places.sizes != width
    if wrong.any():
        number = int(np.searchsorted(batch.begins, places.at[wrong][0], side="right")) - 1
        raise damaged(f"a vector is not of {width} bytes", number, batch.rows.size, batch.where)
    pick, index = _Pick(streams, rows), places.index
    if valid is not None or rows is not None:
        index = pick.of(spread(np.arange(places.at.size) if index is None else index, valid))
    if not places.at.size:
        return pl.Series([None], dtype=array_dtype(dtype)).new_from_index(0, 0 if index is None else index.size)
    at = places.at
    if index is not None and index.size < at.size:
        at, index = at[index], None
    packed = read_rows(batch.octets, at, width).view(item)
    wide = packed if item == np.int8 else packed.astype(np.float32)
    # NOTE: Polars takes a matrix of int8 item by item (1 ms for 16 K x 32); a flat array it takes as it is.
    flat = (wide if index is None else wide[index]).ravel()
    [flags] = pick.flags(valid)
    return masked(pl.Series(flat).reshape((-1, dimension)), flags)


def _lists(batch: BlockBatch, name: str, dtype: str, rows: Ints | None) -> pl.Series:
    """Series of one list column."""
    lengths, valid = _bits(batch, gather(batch, [name], 0, batch.rows))
    long = np.zeros(batch.rows.size, np.bool_)
    block_of_row = np.repeat(np.arange(batch.rows.size), batch.rows)
    long[block_of_row[(lengths < 0) | (lengths > layout.MAX_ROWS)]] = True
    batch.refuse(long, "the length of a list is impossible")
    items = ragged.sum_runs(lengths, batch.rows)
    batch.refuse(items > layout.MAX_ROWS, "the number of list items is impossible")
    streams = gather(batch, [name], 1, items)
    decode = _strings if stream_kind(dtype) == "bytes" else _numbers
    [flat] = decode(batch, streams, [item_dtype(dtype)], None)
    runs = pl.DataFrame({"at": ragged.starts_of(lengths), "length": lengths})
    cut = runs.select(pl.lit(flat.implode()).list.slice("at", "length")).to_series()
    # NOTE: slicing a literal list forgets that its items are dates or timestamps, and the planner does not know it:
    # inside the query this cast would be optimized away.
    whole = masked(cut.cast(polars_dtype(dtype)), valid)
    return whole if rows is None else whole.gather(rows)


_DECODERS = {"ints": _numbers, "bytes": _strings, "array": _arrays}


class _Pick:
    """The rows that are wanted of each of K streams; all where ``rows`` is None."""

    def __init__(self, streams: Streams, rows: Ints | None) -> None:
        self._count, self._rows = streams.count, rows

    def of(self, entries: Octets | Ints | Flags) -> npt.NDArray[Any]:
        """Of one entry per stream and row, those of the wanted rows."""
        if self._rows is None:
            return entries
        return entries.reshape(self._count, -1)[:, self._rows].ravel()

    def flags(self, valid: Flags | None) -> Sequence[Flags | None]:
        """By stream which of the wanted rows have a value."""
        return [None] * self._count if valid is None else list(self.of(valid).reshape(self._count, -1))
