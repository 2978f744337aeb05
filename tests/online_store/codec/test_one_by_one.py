"""Decoding a section at a time gives what decoding all together gives, and refuses what that refuses."""

import datetime as dt
import random
from collections.abc import Mapping, Sequence
from unittest import mock

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from seqplat_resources.online_store.codec import (
    Block,
    BlockSchema,
    SchemaLookup,
    decode_blocks,
    encode_bucket,
    parts_of,
    ranges,
    texts,
)
from seqplat_resources.online_store.codec.decode import one_by_one
from seqplat_resources.online_store.codec.schema import is_list
from seqplat_resources.online_store.errors import CorruptBlockError
from tests.budget import examples
from tests.online_store.codec import test_corruption as small
from tests.online_store.codec import test_sectioned as large
from tests.online_store.codec.formats import sectioned_from
from tests.online_store.codec.test_round_trip import buckets, formats, lookup


def scalars(schema: BlockSchema) -> dict[str, str]:
    """Its columns that can be taken one by one."""
    return {name: dtype for name, dtype in schema.columns if not is_list(dtype)}


def both(
    blocks: Sequence[Block],
    schemas: SchemaLookup,
    columns: Mapping[str, str],
    *,
    arrays: bool = False,
    rows: np.ndarray[tuple[int], np.dtype[np.int64]] | None = None,
) -> list[pl.DataFrame | int | None]:
    """What each way gives: a frame, or which block it refuses."""
    found: list[pl.DataFrame | int | None] = []
    for most in (1 << 20, -1):
        with mock.patch.object(one_by_one, "MOST_SECTIONS", most):
            try:
                found.append(decode_blocks(blocks, schemas, columns, arrays=arrays, rows=rows))
            except CorruptBlockError as error:
                found.append(error.block)
    return found


@settings(max_examples=examples(50))
@given(buckets(), formats, st.booleans(), st.data())
def test_any_blocks(
    bucket: tuple[pl.DataFrame, BlockSchema], size_bytes: int, arrays: bool, data: st.DataObject
) -> None:
    events, schema = bucket
    with sectioned_from(size_bytes):
        blocks = [block for _, block in encode_bucket(events, schema)]
    columns = {**scalars(schema), "absent": "int64", "nowhere": "string"}
    places = data.draw(st.none() | st.sets(st.integers(0, events.height - 1)))
    rows = None if places is None else np.array(sorted(places), np.int64)
    parts = [parts_of(block, schema.stream_count) if block[2] == 2 else memoryview(block) for block in blocks]
    for given_as in (blocks, parts):
        one, all_ = both(given_as, lookup(schema), columns, arrays=arrays, rows=rows)
        assert isinstance(one, pl.DataFrame)
        assert isinstance(all_, pl.DataFrame)
        assert_frame_equal(one, all_)
        for name in [name for name, dtype in columns.items() if dtype == "string"]:
            for most in (1 << 20, -1):
                with mock.patch.object(one_by_one, "MOST_SECTIONS", most):
                    found = texts(given_as, lookup(schema), name)
                assert found == decode_blocks(given_as, lookup(schema), columns)[name].to_list()


@pytest.fixture(scope="module")
def of_both_formats() -> tuple[list[bytes], list[bytes]]:
    with sectioned_from(-1):
        sectioned = [block for _, block in encode_bucket(large.events(), large.SCHEMA)]
    with sectioned_from(1 << 20):
        plain = [block for _, block in encode_bucket(large.events(), large.SCHEMA)]
    return plain, sectioned


def test_whatever_the_bytes_say(of_both_formats: tuple[list[bytes], list[bytes]]) -> None:
    """Content is changed under right checksums, so that nothing but what it says can be refused."""
    plain, sectioned = of_both_formats
    columns, chance = scalars(large.SCHEMA), random.Random(3)
    refused = [0, 0]
    for n in range(examples(1500)):
        block = chance.choice(sectioned if n % 2 else plain)
        places = [chance.randrange(12, len(block) - 4) for _ in range(chance.choice((1, 1, 1, 3)))]
        # Mostly the directory and what begins a section: the rest is values, any of which are right.
        places = [place if chance.random() < 0.5 else 12 + place % 120 for place in places]
        values = [
            chance.choice((0, 1, 0x10, 0x20, 0x40, 0x50, 0x60, 0x7F, 0x80, 0xFF, chance.randrange(256))) for _ in places
        ]
        if n % 2:
            changed = large.resealed(block, dict(zip(places, values, strict=True)))
        else:
            body = bytearray(block[:-4])
            for place, value in zip(places, values, strict=True):
                body[place] = value
            changed = small.sealed(bytes(body))
        one, all_ = both([plain[0], changed, sectioned[0]], large.LOOKUP, columns, arrays=chance.random() < 0.5)
        if isinstance(one, pl.DataFrame) and isinstance(all_, pl.DataFrame):
            assert_frame_equal(one, all_, check_exact=True)
        else:
            assert one == all_ == 1, (places, values)
            refused[n % 2] += 1
    assert min(refused) > 75


def test_damage_without_right_checksums(of_both_formats: tuple[list[bytes], list[bytes]]) -> None:
    columns = scalars(large.SCHEMA)
    for blocks in of_both_formats:
        for size in range(0, len(blocks[0]), 7):
            assert both([blocks[1], blocks[0][:size]], large.LOOKUP, columns) == [1, 1]
        for bit in range(0, 8 * len(blocks[0]), 13):
            damaged = bytearray(blocks[0])
            damaged[bit // 8] ^= 1 << bit % 8
            one, all_ = both([blocks[1], bytes(damaged)], large.LOOKUP, columns)
            if isinstance(one, pl.DataFrame) and isinstance(all_, pl.DataFrame):  # of a column that is not asked for
                assert one.equals(all_)
            else:
                assert one == all_ == 1


def test_blocks_of_an_unknown_schema(of_both_formats: tuple[list[bytes], list[bytes]]) -> None:
    for blocks in of_both_formats:
        assert both(blocks, {}.get, {"n": "int32"}) == [0, 0]


@settings(max_examples=examples(40))
@given(buckets(), formats, st.booleans())
def test_least_and_greatest_values_are_those_of_the_values(
    bucket: tuple[pl.DataFrame, BlockSchema], size_bytes: int, together: bool
) -> None:
    events, schema = bucket
    with sectioned_from(size_bytes):
        blocks = [block for _, block in encode_bucket(events, schema)]
    told_of = {name: dtype for name, dtype in schema.columns if dtype in ("string", "int64", "timestamp")}
    columns = {**told_of, "absent": "int64"}
    with mock.patch.object(one_by_one, "MOST_SECTIONS", -1 if together else 1 << 20):
        found_in = ranges(blocks, lookup(schema), columns)
    for block, told in zip(blocks, found_in, strict=True):
        values = decode_blocks([block], lookup(schema), columns)
        for name, found in zip(columns, told, strict=True):
            if found is not None:
                column = values[name].to_physical()
                assert found == (column.min(), column.max())
                assert column.null_count() == 0


def test_an_event_streamed_by_itself_tells_everything() -> None:
    schema = BlockSchema((("op", "string"), ("rev", "int64"), ("offset", "int64"), ("event_time", "timestamp")))
    at = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    row = pl.DataFrame({"user_id": ["u"], "op": ["upsert"], "rev": [0], "offset": [4058], "event_time": [at]})
    row = row.cast({"event_time": pl.Datetime("us", "UTC")})
    [(_, block)] = encode_bucket(row, schema)
    us = int(at.timestamp() * 1e6)
    assert ranges([block], lookup(schema), dict(schema.columns)) == [
        [("upsert", "upsert"), (0, 0), (4058, 4058), (us, us)]
    ]


def test_ranges_of_a_damaged_block_are_refused() -> None:
    with sectioned_from(1 << 20):
        blocks = [block for _, block in encode_bucket(large.events(), large.SCHEMA)]
    damaged = bytes([*blocks[0][:-1], blocks[0][-1] ^ 1])
    with pytest.raises(CorruptBlockError) as raised:
        ranges([blocks[0], damaged], lookup(large.SCHEMA), {"absent": "int64"})
    assert raised.value.block == 1
