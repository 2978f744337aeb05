"""Blocks written by earlier versions stay readable, and today's encoder still writes them byte for byte.

A changed byte would not only orphan stored history: every user would look changed and be published again. Never edit a
golden file; a new format gets a new version number and a new file.
"""

import base64
import json
import zlib
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
from polars.testing import assert_frame_equal

from seqplat_resources.online_store.codec import BlockSchema, decode_blocks, encode_bucket
from tests.online_store.codec.formats import sectioned_from

GOLDEN = Path(__file__).parent / "golden" / "blocks_v1.json"
WIDE_GOLDEN = GOLDEN.with_name("wide_v1.json")
SECTIONED_GOLDEN = GOLDEN.with_name("blocks_v2.json")

SCHEMA = BlockSchema.of(
    {
        "event_time": "timestamp",
        "event_type": "string",
        "event_id": "string",
        "day": "date",
        "is_ad": "bool",
        "status": "int8",
        "quantity": "int16",
        "rank": "int32",
        "item": "int64",
        "score": "float32",
        "price": "float64",
        "raw": "binary",
        "vector": "vector[float16,2]",
        "tags": "list[string]",
        "prices": "list[float64]",
    }
)


def events() -> pl.DataFrame:
    """Three users: every type with values, constants and nulls; one row; only nulls."""
    newest = datetime(2024, 3, 1, 23, 59, 59, 999999, UTC)
    noon, dawn = datetime(2024, 3, 1, 12, tzinfo=UTC), datetime(2024, 3, 1, 0, 0, 0, 1, UTC)
    march, before = date(2024, 3, 1), date(1969, 12, 31)
    rows = [
        (newest, "view", "é1", march, True, 1, 300, -1, 1 << 40, 0.5, 9.99,
         b"\x00\xff", b"\1\2\3\4", ["a", None, ""], [1.5]),
        (noon, "view", "e22", None, None, -128, 300, 70000, None, -0.0, float("inf"),
         b"", b"\5\6\7\10", [], None),
        (dawn, "view", None, march, False, 127, 300, 0, -5, float("nan"), 9.99,
         None, None, None, [None, -1.0]),
        (datetime(1969, 12, 31, tzinfo=UTC), "view", "", before, True, 0, 0, 0, 0, 0.0, 0.0,
         b"x", b"\0\0\0\0", ["only"], []),
        (None, "view", None, None, None, None, None, None, None, None, None, None, None, None, None),
    ]  # fmt: skip
    frame = pl.DataFrame(rows, schema=list(SCHEMA.dtypes), orient="row", strict=False).cast(
        {
            "event_time": pl.Datetime("us", "UTC"),
            "status": pl.Int8,
            "quantity": pl.Int16,
            "rank": pl.Int32,
            "score": pl.Float32,
        }
    )
    return frame.with_columns(user_id=pl.Series(["ann", "ann", "ann", "bob", "cid"]))


def test_blocks_of_format_1_decode_to_the_same_events() -> None:
    golden = json.loads(GOLDEN.read_text())
    schema = BlockSchema.from_json(json.dumps(golden["schema"]))
    blocks = [bytes.fromhex(text) for text in golden["blocks"].values()]
    assert schema.schema_id == golden["schema_id"]
    assert_frame_equal(decode_blocks(blocks, {schema.schema_id: schema}.get), events().drop("user_id"))


def test_encoder_still_writes_the_same_bytes() -> None:
    written = {user: block.hex() for user, block in encode_bucket(events(), SCHEMA)}
    assert written == json.loads(GOLDEN.read_text())["blocks"]


def test_large_blocks_of_format_1_stay_readable() -> None:
    """Blocks of more than 64 KiB, whose directory has wider entries, are written in format 2 today."""
    golden = json.loads(WIDE_GOLDEN.read_text())
    schema = BlockSchema.from_json(json.dumps(golden["schema"]))
    block = zlib.decompress(base64.b64decode(golden["block"]))
    assert schema.schema_id == golden["schema_id"]
    decoded = decode_blocks([block], {schema.schema_id: schema}.get)
    assert decoded.rows() == [(b"x" * 70_000, 1), (None, -2), (b"yz", 3)]


def repetitive() -> pl.DataFrame:
    """A user for every way that only format 2 has, beside those of ``events``."""
    start = datetime(2024, 3, 1, tzinfo=UTC)
    rows = [
        (start.replace(minute=59 - n, second=n % 3), "view", f"e{n % 3}", None, n % 2 == 0, n % 3, n, -n, n * 1001,
         n / 7, n * 0.5 + 0.25, bytes([n % 2]) * 9, bytes([n % 5, 0, 1, 1]), ["t"] * (n % 3), [n * 0.01])
        for n in range(40)
    ]  # fmt: skip
    frame = pl.DataFrame(rows, schema=list(SCHEMA.dtypes), orient="row", strict=False)
    types = {name: dtype for name, dtype in events().schema.items() if name != "user_id"}
    return pl.concat([events(), frame.cast(types).with_columns(user_id=pl.lit("dan"))])


def test_blocks_of_format_2_decode_to_the_same_events() -> None:
    golden = json.loads(SECTIONED_GOLDEN.read_text())
    assert golden["schema"] == [list(column) for column in SCHEMA.columns]
    blocks = [bytes.fromhex(text) for text in golden["blocks"].values()]
    assert {block[2] for block in blocks} == {2}
    assert_frame_equal(decode_blocks(blocks, {SCHEMA.schema_id: SCHEMA}.get), repetitive().drop("user_id"))


def test_encoder_still_writes_the_same_sectioned_bytes() -> None:
    with sectioned_from(-1):
        written = {user: block.hex() for user, block in encode_bucket(repetitive(), SCHEMA)}
    assert written == json.loads(SECTIONED_GOLDEN.read_text())["blocks"]
