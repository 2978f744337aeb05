"""Large blocks: a reader touches what it asks for, checks what it touches, and refuses what is damaged."""

import datetime as dt
import random
import zlib
from collections.abc import Mapping

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from seqplat_resources.online_store.codec import (
    BlockParts,
    BlockSchema,
    decode_blocks,
    encode_bucket,
    layout,
    parts_of,
    row_count,
    sectioned,
)
from seqplat_resources.online_store.errors import CorruptBlockError
from tests.budget import examples
from tests.online_store.codec.formats import sectioned_from

SCHEMA = BlockSchema.of(
    {
        "t": "timestamp",
        "k": "string",
        "s": "string",
        "n": "int32",
        "v": "vector[int8,4]",
        "l": "list[string]",
        "p": "float64",
        "w": "vector[int8,4]",
        "q": "int16",
    }
)
LOOKUP = {SCHEMA.schema_id: SCHEMA}.get
HEAD = sectioned.head_size(SCHEMA.stream_count)


def events(rows: int = 60) -> pl.DataFrame:
    """Two users, and every way there is to say a stream."""
    start = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
    return pl.DataFrame(
        {
            "user_id": ["u"] * (rows // 2) + ["v"] * (rows - rows // 2),
            "t": [start + dt.timedelta(seconds=n * n) for n in range(rows)],
            "k": ["item_view"] * rows,
            "s": [None if n % 7 == 0 else f"item-{n % 3}" for n in range(rows)],
            "n": [None if n % 5 == 0 else n * n * 1001 for n in range(rows)],
            "v": [bytes([n % 2] * 4) for n in range(rows)],
            "l": [None if n % 11 == 0 else ["a", None, f"b{n % 2}"][: n % 4] for n in range(rows)],
            "p": [None if n % 13 == 0 else n * 1.37 // 0.01 / 100 for n in range(rows)],
            "w": [bytes([n, n + 1, n, n]) for n in range(rows)],
            "q": [n * 7919 % 30011 for n in range(rows)],
        },
        schema_overrides={"n": pl.Int32, "q": pl.Int16, "t": pl.Datetime("us", "UTC")},
    )


@pytest.fixture(scope="module")
def blocks() -> list[bytes]:
    with sectioned_from(-1):
        return [block for _, block in encode_bucket(events(), SCHEMA)]


def resealed(block: bytes, changes: Mapping[int, int]) -> bytes:
    """The block with some bytes changed, and every checksum made right again."""
    body = bytearray(block)
    for place, value in changes.items():
        body[place] = value
    streams = SCHEMA.stream_count
    ends = np.frombuffer(block, "<u4", streams, layout.HEADER.size + streams)
    for k, end in enumerate(ends.tolist()):
        begin = int(ends[k - 1]) if k else 0
        place = layout.HEADER.size + 5 * streams + 4 * k
        body[place : place + 4] = zlib.crc32(body[HEAD + begin : HEAD + end]).to_bytes(4, "little")
    body[HEAD - 4 : HEAD] = zlib.crc32(body[: HEAD - 4]).to_bytes(4, "little")
    return bytes(body)


def test_every_way_to_say_a_stream_is_in_these_blocks(blocks: list[bytes]) -> None:
    """What the other tests here damage."""
    kinds = {tag & layout.KIND_MASK for block in blocks for tag in sectioned.open_head(block, SCHEMA.stream_count).tags}
    assert {layout.INTS, layout.CONST, layout.FIXED, layout.DICT, layout.STEPS, layout.DECIMALS} <= kinds


def test_blocks_are_sectioned_from_eight_kibibytes_of_payload_on() -> None:
    schema = BlockSchema.of({"v": "binary"})
    for size, version in ((8 << 10, 1), ((8 << 10) + 1, 2)):
        [(_, block)] = encode_bucket(pl.DataFrame({"user_id": ["u"], "v": [b"x" * size]}), schema)
        assert block[2] == version


def test_every_single_changed_bit_is_noticed(blocks: list[bytes]) -> None:
    for block in blocks:
        for bit in range(8 * len(block)):
            damaged = bytearray(block)
            damaged[bit // 8] ^= 1 << bit % 8
            with pytest.raises(CorruptBlockError):
                decode_blocks([bytes(damaged)], LOOKUP)


def test_every_truncation_and_any_appendix_is_noticed(blocks: list[bytes]) -> None:
    for size in range(len(blocks[0])):
        with pytest.raises(CorruptBlockError):
            decode_blocks([blocks[0][:size]], LOOKUP, {"n": "int32"})
    for tail in (b"\0", b"\0" * 8, blocks[0]):
        with pytest.raises(CorruptBlockError):
            decode_blocks([blocks[0] + tail], LOOKUP, {"n": "int32"})


def test_damage_in_a_column_that_is_not_asked_for_is_not_looked_at(blocks: list[bytes]) -> None:
    head = sectioned.open_head(blocks[0], SCHEMA.stream_count)
    begin, end = head.extent(SCHEMA.first_stream["s"])
    damaged = bytearray(blocks[0])
    damaged[HEAD + begin : HEAD + end] = bytes(end - begin)
    expected = events().filter(user_id="u").select("t", "n")
    assert_frame_equal(decode_blocks([bytes(damaged)], LOOKUP, {"t": "timestamp", "n": "int32"}), expected)
    with pytest.raises(CorruptBlockError, match="section 2 does not match its checksum, in block 2 of 2 of ") as caught:
        decode_blocks([blocks[0], bytes(damaged)], LOOKUP, {"s": "string"})
    assert caught.value.block == 1


def test_arbitrary_content_under_right_checksums_never_escapes_as_another_error(blocks: list[bytes]) -> None:
    """And never takes more memory than the rows that the head speaks of."""
    chance, refused = random.Random(5), 0
    for _ in range(examples(1000)):
        block = chance.choice(blocks)
        places = [chance.randrange(12, len(block)) for _ in range(chance.choice((1, 1, 2, 5)))]
        values = [chance.choice((0, 1, 0x50, 0x60, 0x7F, 0x80, 0xFF, chance.randrange(256))) for _ in places]
        arrays = chance.random() < 0.5
        try:
            decode_blocks([blocks[0], resealed(block, dict(zip(places, values, strict=True)))], LOOKUP, arrays=arrays)
        except CorruptBlockError:
            refused += 1
    assert refused > 250


@pytest.mark.parametrize("kind", [layout.DICT, layout.STEPS, layout.DECIMALS])
def test_ways_of_format_2_are_none_in_format_1(blocks: list[bytes], kind: int) -> None:
    [(_, block)] = encode_bucket(events(2).head(1), SCHEMA)
    for place, message in ((12, "a tag is not of a number"), (13, "a tag is not of a byte string")):
        body = bytearray(block[:-4])
        body[place] = kind
        damaged = bytes(body) + zlib.crc32(body).to_bytes(4, "little")
        for others in ([], blocks):
            with pytest.raises(CorruptBlockError, match=f"{message}|a tag is not of format 1|not of a "):
                decode_blocks([damaged, *others], LOOKUP)


def test_parts_that_were_fetched_are_checked_like_a_whole_block(blocks: list[bytes]) -> None:
    whole = parts_of(blocks[0], SCHEMA.stream_count)
    n = SCHEMA.first_stream["n"]
    asked, expected = {"n": "int32"}, events().filter(user_id="u").select("n")
    fetched = BlockParts(whole.head, {n: whole.sections[n]})
    assert_frame_equal(decode_blocks([fetched], LOOKUP, asked), expected)
    assert row_count(fetched) == 30
    section = whole.sections[n]
    broken = {
        "is missing": BlockParts(whole.head, {}),
        "section 3 does not match": BlockParts(whole.head, {n: section[:-1]}),
        "section 3 does not match its": BlockParts(whole.head, {n: section[:-1] + b"\xff"}),
        "bytes does not match its checksum": BlockParts(whole.head[:-1], {n: section}),
        "head is longer": BlockParts(whole.head + b"\0", {n: section}),
    }
    for message, parts in broken.items():
        with pytest.raises(CorruptBlockError, match=message):
            decode_blocks([blocks[0], parts], LOOKUP, asked)
    with pytest.raises(CorruptBlockError, match="too few"):
        row_count(BlockParts(b"", {}))


def test_block_of_an_unknown_schema_is_named(blocks: list[bytes]) -> None:
    with pytest.raises(CorruptBlockError, match=f"schema {SCHEMA.schema_id:#010x} is not known to the store"):
        decode_blocks(blocks, {}.get)


def test_formats_meet_in_one_call(blocks: list[bytes]) -> None:
    small = [block for _, block in encode_bucket(events(), SCHEMA)]
    together = decode_blocks([small[0], blocks[1], blocks[0], small[1]], LOOKUP)
    first, second = (events().filter(user_id=user).drop("user_id") for user in "uv")
    assert_frame_equal(together, pl.concat([first, second, first, second]))


@pytest.mark.parametrize(
    "values",
    [
        [0.0, -0.0, 1.5] * 20,
        [float("nan"), 0.25] * 20,
        [float("inf"), -0.25, 3.1] * 20,
        [0.1 + 0.2, 0.3] * 20,
        [1e300, 5e-324, 0.01] * 20,
        [9007199254740991.0, 0.5] * 20,
        [-19.99, 0.01, 120.5, 1e6] * 20,
    ],
)
def test_floats_keep_every_bit(values: list[float]) -> None:
    frame = pl.DataFrame({"user_id": ["u"] * len(values), "p": values})
    schema = BlockSchema.of({"p": "float64"})
    with sectioned_from(-1):
        blocks = [block for _, block in encode_bucket(frame, schema)]
    decoded = decode_blocks(blocks, {schema.schema_id: schema}.get)["p"].to_numpy()
    assert decoded.tobytes() == np.array(values).tobytes()


def test_numbers_too_far_apart_for_steps_come_back_as_they_were() -> None:
    extremes = [-(1 << 63), (1 << 63) - 1, 0, 1 << 58, -(1 << 58)] * 4
    frame = pl.DataFrame({"user_id": ["u"] * 20 + ["v"] * 20, "n": [*extremes, *range(1 << 62, (1 << 62) + 20)]})
    schema = BlockSchema.of({"n": "int64"})
    with sectioned_from(-1):
        blocks = [block for _, block in encode_bucket(frame, schema)]
    assert decode_blocks(blocks, {schema.schema_id: schema}.get)["n"].to_list() == frame["n"].to_list()


LONG = BlockSchema.of(
    {
        "event_time": "timestamp",
        "event_id": "string",
        "ingest_time": "timestamp",
        "offset": "int64",
        "source_partition": "string",
        "rev": "int64",
        "op": "string",
        "item": "string",
        "price": "float64",
        "surface": "string",
        "score": "float32",
        "vector": "vector[int8,32]",
    }
)


def long_history(rows: int = 1 << 14) -> pl.DataFrame:
    """16 K events of a busy user: sessions, popular items more often, a vector of each event."""
    chance = np.random.default_rng(3)
    gaps_ms = np.where(chance.random(rows) < 0.05, chance.integers(3_600_000, 80_000_000, rows), chance.pareto(1, rows))
    times = 1_700_000_000_000_000 - np.cumsum(gaps_ms.astype(np.int64) + 1) * 1000
    return pl.DataFrame(
        {
            "user_id": ["u"] * rows,
            "event_time": times,
            "event_id": [f"{n:012x}" for n in chance.integers(0, 1 << 48, rows).tolist()],
            "ingest_time": times + chance.integers(0, 3_000_000, rows),
            "offset": np.arange(rows)[::-1] * 7,
            "source_partition": ["clicks:0"] * rows,
            "rev": np.zeros(rows, np.int64),
            "op": ["upsert"] * rows,
            "item": [f"item-{n % 20_000}" for n in chance.zipf(1.4, rows).tolist()],
            "price": np.round(chance.gamma(2, 20, rows), 2),
            "surface": chance.choice(["home", "search", "cart", "mail"], rows),
            "score": chance.random(rows).astype(np.float32),
            "vector": pl.Series([row.tobytes() for row in chance.integers(-128, 128, (rows, 32)).astype(np.int8)]),
        }
    ).with_columns(pl.col("event_time", "ingest_time").cast(pl.Datetime("us", "UTC")))


def test_three_of_twelve_columns_touch_fifteen_percent_of_the_bytes_at_most() -> None:
    history = long_history()
    blocks = []
    for start in range(0, history.height, 2048):
        blocks += [block for _, block in encode_bucket(history.slice(start, 2048), LONG)]
    asked = {"event_time": "timestamp", "item": "string", "price": "float64"}
    touched = [parts_of(block, LONG.stream_count, LONG.streams_of(asked)) for block in blocks]
    bytes_touched = sum(len(part.head) + sum(map(len, part.sections.values())) for part in touched)
    assert bytes_touched <= 0.15 * sum(map(len, blocks))
    assert_frame_equal(
        decode_blocks(touched, {LONG.schema_id: LONG}.get, asked), history.select("event_time", "item", "price")
    )
