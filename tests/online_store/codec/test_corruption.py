"""Damaged bytes are refused, never decoded into something else, and never take the process down."""

import datetime as dt
import random

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from seqplat_resources.online_store.codec import BlockSchema, decode_blocks, encode_bucket, layout, row_count, schema_id
from seqplat_resources.online_store.errors import CorruptBlockError
from tests.budget import examples

SCHEMA = BlockSchema.of(
    {"t": "timestamp", "k": "string", "s": "string", "n": "int32", "v": "vector[float16,4]", "l": "list[string]"}
)
LOOKUP = {SCHEMA.schema_id: SCHEMA}.get


@pytest.fixture(scope="module")
def blocks() -> list[bytes]:
    start = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
    rows = 9
    events = pl.DataFrame(
        {
            "user_id": ["u"] * 4 + ["v"] * 5,
            "t": [start + dt.timedelta(seconds=n * n) for n in range(rows)],
            "k": ["item_view"] * rows,
            "s": ["a", None, "bcd", "é", "", "xy", None, None, "q"],
            "n": [3, None, -70_000, 4, 5, 5, 5, None, 5],
            "v": [bytes([n] * 8) for n in range(rows)],
            "l": [["a", None], [], None, ["bb"], None, None, ["c"], ["d", "ee"], []],
        },
        schema_overrides={"n": pl.Int32, "t": pl.Datetime("us", "UTC")},
    )
    return [block for _, block in encode_bucket(events, SCHEMA)]


def sealed(body: bytes) -> bytes:
    return body + layout.seal(memoryview(body)).to_bytes(4, "little")


def test_every_single_changed_bit_is_noticed(blocks: list[bytes]) -> None:
    for block in blocks:
        for bit in range(8 * len(block)):
            damaged = bytearray(block)
            damaged[bit // 8] ^= 1 << bit % 8
            with pytest.raises(CorruptBlockError):
                decode_blocks([bytes(damaged)], LOOKUP)


def test_every_truncation_and_any_appendix_is_noticed(blocks: list[bytes]) -> None:
    for block in blocks:
        for size in range(len(block)):
            with pytest.raises(CorruptBlockError):
                decode_blocks([block[:size]], LOOKUP)
        for tail in (b"\0", b"\0" * 8, block):
            with pytest.raises(CorruptBlockError):
                decode_blocks([block + tail], LOOKUP)


def test_the_damaged_block_is_named_among_others(blocks: list[bytes]) -> None:
    damaged = blocks[1][:-1] + bytes([blocks[1][-1] ^ 1])
    message = (
        rf"{len(damaged)} bytes do not match their checksum, in block 2 of 3 of item_view user u; "
        "the stored bytes are damaged or were not written by this codec: publish the bucket again"
    )
    with pytest.raises(CorruptBlockError, match=message):
        decode_blocks([blocks[0], damaged, blocks[0]], LOOKUP, where="item_view user u")


def test_unknown_schema_is_named(blocks: list[bytes]) -> None:
    message = f"schema {SCHEMA.schema_id:#010x} is not known to the store, in block 1"
    with pytest.raises(CorruptBlockError, match=message):
        decode_blocks(blocks, {}.get)


@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [
        (0, b"X", "not of a block format known here"),
        (2, b"\3", "not of a block format known here"),
        (2, b"\2", "the head of 130 bytes does not match its checksum"),
        (3, b"\2", "not of a block format known here"),
        (8, b"\0\0\0\0", "number of events is impossible"),
        (8, b"\xff\xff\xff\xff", "number of events is impossible"),
        (12, b"\x1f", "a tag is not of a number"),
        (12, b"\x20", "a tag is not of a number"),
        (13, b"\x10", "a tag is not of a byte string"),
        (13, b"\x00", "a section without values is not empty"),
        (19, b"\xff\xff", "does not add up"),
    ],
)
def test_impossible_content_under_a_right_checksum_is_refused(
    blocks: list[bytes], offset: int, value: bytes, message: str
) -> None:
    body = blocks[0][:-4]
    with pytest.raises(CorruptBlockError, match=message):
        decode_blocks([sealed(body[:offset] + value + body[offset + len(value) :])], LOOKUP)


def test_directory_larger_than_the_block_is_refused(blocks: list[bytes]) -> None:
    with pytest.raises(CorruptBlockError, match="directory does not fit"):
        decode_blocks([sealed(blocks[0][:16])], LOOKUP)


def test_string_that_is_not_utf8_is_refused() -> None:
    events = pl.DataFrame({"user_id": ["u"], "s": [b"\xff"]})
    [(_, block)] = encode_bucket(events, BlockSchema.of({"s": "binary"}))
    schema = BlockSchema.of({"s": "string"})
    body = block[:4] + schema.schema_id.to_bytes(4, "little") + block[8:-4]
    with pytest.raises(CorruptBlockError, match="a string is not UTF-8"):
        decode_blocks([sealed(body)], {schema.schema_id: schema}.get)


def test_arbitrary_content_under_a_right_checksum_never_escapes_as_another_error(blocks: list[bytes]) -> None:
    """Whatever the bytes say, the answer is a frame or CorruptBlockError: no crash, no read outside the block."""
    chance = random.Random(7)
    refused = 0
    for _ in range(examples(1000)):
        body = bytearray(chance.choice(blocks)[:-4])
        for _ in range(chance.choice((1, 1, 2, 5))):
            # Mostly the directory and the payload: the header's checks come first and hide the others.
            body[chance.randrange(12, len(body))] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
        try:
            decode_blocks([blocks[0], sealed(bytes(body))], LOOKUP)
        except CorruptBlockError:
            refused += 1
    assert refused > 250


def test_random_bytes_are_refused() -> None:
    chance = random.Random(11)
    for size in (0, 1, 15, 16, 17, 64, 500):
        noise = chance.randbytes(size)
        for block in (noise, sealed(noise), sealed(layout.HEADER.pack(b"SB", 1, 0, SCHEMA.schema_id, 3) + noise)):
            with pytest.raises(CorruptBlockError):
                decode_blocks([block], LOOKUP)


@pytest.mark.parametrize("peek", [row_count, schema_id])
def test_peeking_into_something_else_is_refused(peek: type, blocks: list[bytes]) -> None:
    for noise in (b"", blocks[0][:15], b"x" * 40, b"SB\3" + blocks[0][3:]):
        with pytest.raises(CorruptBlockError, match="in its header"):
            peek(noise)


def test_a_column_that_is_not_asked_for_cannot_break_the_answer(blocks: list[bytes]) -> None:
    expected = decode_blocks(blocks, LOOKUP).select("n")
    assert_frame_equal(decode_blocks(blocks, LOOKUP, {"n": "int32"}), expected)
