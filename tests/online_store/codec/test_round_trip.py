"""Encoding and decoding gives the same events back, for every type, with and without company."""

import datetime as dt

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
    layout,
    parts_of,
    polars_dtype,
    row_count,
    schema_id,
)
from seqplat_resources.online_store.errors import ColumnTypeError, UnencodableEventsError
from tests.budget import examples
from tests.online_store.codec.formats import sectioned_from


def integers(bits: int) -> st.SearchStrategy[int]:
    """Small and extreme numbers, so that every stored width occurs."""
    edges = [sign * (1 << k) + d for k in range(bits) for sign in (1, -1) for d in (-1, 0, 1)]
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    return st.one_of(st.sampled_from([n for n in edges if low <= n <= high]), st.integers(low, high))


SCALARS: dict[str, st.SearchStrategy[object]] = {
    "bool": st.booleans(),
    "int8": integers(8),
    "int16": integers(16),
    "int32": integers(32),
    "int64": integers(64),
    "float32": st.floats(width=32),
    "float64": st.floats(),
    "string": st.one_of(st.sampled_from(["", "shoes", "é\0🦊"]), st.text(max_size=300)),
    "binary": st.one_of(st.sampled_from([b"", b"\0" * 64, b"\1" * 64]), st.binary(max_size=300)),
    "date": st.dates(),
    "timestamp": st.datetimes(timezones=st.just(dt.UTC)),
}
VALUES = {
    **SCALARS,
    **{f"list[{name}]": st.lists(st.none() | values, max_size=4) for name, values in SCALARS.items()},
    "vector[float16,4]": st.just(b"\0" * 8) | st.binary(min_size=8, max_size=8),
}


@st.composite
def buckets(draw: st.DrawFn) -> tuple[pl.DataFrame, BlockSchema]:
    """A bucket of a few users with a few columns, some of them constant, null, or both."""
    dtypes = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=5))
    counts = draw(st.lists(st.integers(1, 12), min_size=1, max_size=5))
    users = [f"user-{n}" for n, count in enumerate(counts) for _ in range(count)]
    columns, schema = [pl.Series("user_id", users, pl.String)], {}
    for n, dtype in enumerate(dtypes):
        palette = draw(st.lists(st.none() | VALUES[dtype], min_size=1, max_size=4))
        values = draw(st.lists(st.sampled_from(palette), min_size=len(users), max_size=len(users)))
        columns.append(pl.Series(f"c{n}", values, polars_dtype(dtype), strict=False))
        schema[f"c{n}"] = dtype
    return pl.DataFrame(columns), BlockSchema.of(schema)


def lookup(*schemas: BlockSchema) -> SchemaLookup:
    return {schema.schema_id: schema for schema in schemas}.get


# All blocks small, all sectioned, or some of each.
formats = st.sampled_from([1 << 20, -1, 60])


@settings(max_examples=examples(100))
@given(buckets(), formats)
def test_decoding_gives_the_events_back(bucket: tuple[pl.DataFrame, BlockSchema], size_bytes: int) -> None:
    events, schema = bucket
    with sectioned_from(size_bytes):
        blocks = dict(encode_bucket(events, schema))
    if size_bytes == -1:
        assert {block[2] for block in blocks.values()} == {2}
    assert list(blocks) == events["user_id"].unique(maintain_order=True).to_list()
    decoded = decode_blocks(list(blocks.values()), lookup(schema))
    assert_frame_equal(decoded, events.drop("user_id"))
    for user, block in blocks.items():
        own = events.filter(user_id=user).drop("user_id")
        assert_frame_equal(decode_blocks([block], lookup(schema)), own)
        assert (row_count(block), schema_id(block)) == (own.height, schema.schema_id)


@settings(max_examples=examples(50))
@given(buckets(), formats)
def test_block_does_not_depend_on_who_else_is_in_the_bucket(
    bucket: tuple[pl.DataFrame, BlockSchema], size_bytes: int
) -> None:
    events, schema = bucket
    with sectioned_from(size_bytes):
        together = dict(encode_bucket(events, schema))
        alone = dict(pair for _, own in events.group_by("user_id") for pair in encode_bucket(own, schema))
    assert together == alone


@settings(max_examples=examples(50))
@given(buckets(), formats, st.data())
def test_some_columns_and_rows_are_those_of_the_whole(
    bucket: tuple[pl.DataFrame, BlockSchema], size_bytes: int, data: st.DataObject
) -> None:
    events, schema = bucket
    with sectioned_from(size_bytes):
        blocks = [block for _, block in encode_bucket(events, schema)]
    names = data.draw(st.lists(st.sampled_from([name for name, _ in schema.columns]), unique=True))
    rows = np.array(sorted(data.draw(st.sets(st.integers(0, events.height - 1)))), np.int64)
    columns = {name: schema.dtypes[name] for name in names}
    views: list[Block] = [memoryview(block) for block in blocks]
    expected = events.select(names)
    assert_frame_equal(decode_blocks(views, lookup(schema), columns), expected)
    some = decode_blocks(blocks, lookup(schema), columns, rows=rows)
    assert_frame_equal(some, expected[rows] if names else expected)
    parts = [
        parts_of(block, schema.stream_count, schema.streams_of(names)) if block[2] == 2 else block for block in blocks
    ]
    assert_frame_equal(decode_blocks(parts, lookup(schema), columns), expected)
    assert [row_count(block) for block in parts] == [row_count(block) for block in blocks]


@settings(max_examples=examples(50))
@given(
    st.lists(st.lists(st.none() | st.integers(0, 5), min_size=1, max_size=40), min_size=1, max_size=4),
    st.sampled_from(["int8", "float16", "float32"]),
    formats,
    st.booleans(),
)
def test_vectors_as_arrays_are_those_of_the_bytes(
    users: list[list[int | None]], item: str, size_bytes: int, pick: bool
) -> None:
    schema = BlockSchema.of({"v": f"vector[{item},3]"})
    palette = np.random.default_rng(7).integers(-100, 100, (6, 3)).astype(item)
    values = [None if k is None else palette[k].tobytes() for own in users for k in own]
    names = [f"{n}" for n, own in enumerate(users) for _ in own]
    events = pl.DataFrame({"user_id": names, "v": pl.Series(values, dtype=pl.Binary)})
    with sectioned_from(size_bytes):
        blocks = [block for _, block in encode_bucket(events, schema)]
    rows = np.arange(0, events.height, 2) if pick else None
    decoded = decode_blocks(blocks, lookup(schema), arrays=True, rows=rows)["v"]
    assert decoded.dtype == pl.Array(pl.Int8 if item == "int8" else pl.Float32, 3)
    expected = [None if k is None else palette[k].astype(float).tolist() for own in users for k in own]
    assert [None if v is None else list(v) for v in decoded.to_list()] == (expected[::2] if pick else expected)


def test_vector_of_another_size_is_refused() -> None:
    events = pl.DataFrame({"user_id": ["u"], "v": [b"123"]})
    with pytest.raises(UnencodableEventsError, match=r"not of the 4 bytes of a vector\[int8,4\], in clicks; pack"):
        next(encode_bucket(events, BlockSchema.of({"v": "vector[int8,4]"}), where="clicks"))


def test_only_the_columns_asked_for_are_returned_in_the_order_asked() -> None:
    events = pl.DataFrame({"user_id": ["u"], "a": [1], "b": ["x"], "c": [2.0]})
    schema = BlockSchema.of({"a": "int64", "b": "string", "c": "float64"})
    [(_, block)] = encode_bucket(events, schema)
    assert_frame_equal(decode_blocks([block], lookup(schema), {"c": "float64", "b": "string"}), events.select("c", "b"))


def test_other_columns_are_not_looked_at() -> None:
    """Damage in a column that is not asked for, under a right checksum, goes unnoticed: its bytes are never read."""
    events = pl.DataFrame({"user_id": ["u"] * 2, "a": ["x", "yy"], "b": [1, 2]})
    schema = BlockSchema.of({"a": "string", "b": "int64"})
    [(_, block)] = encode_bucket(events, schema)
    damaged = bytearray(block[:-4])
    damaged[layout.HEADER.size] = 0x7F  # the tag of column a
    sealed = bytes(damaged) + layout.seal(memoryview(damaged)).to_bytes(4, "little")
    assert decode_blocks([sealed], lookup(schema), {"b": "int64"})["b"].to_list() == [1, 2]


def test_column_added_later_is_null_in_older_blocks() -> None:
    old, new = BlockSchema.of({"a": "int64"}), BlockSchema.of({"tags": "list[string]", "a": "int64", "s": "string"})
    [(_, before)] = encode_bucket(pl.DataFrame({"user_id": ["u", "u"], "a": [1, 2]}), old)
    [(_, after)] = encode_bucket(pl.DataFrame({"user_id": ["u"], "tags": [["t"]], "a": [3], "s": ["x"]}), new)
    decoded = decode_blocks([after, before, after], lookup(old, new))
    assert decoded.select("a", "s", "tags").rows() == [
        (3, "x", ["t"]),
        (1, None, None),
        (2, None, None),
        (3, "x", ["t"]),
    ]


def test_column_no_block_has_is_null() -> None:
    schema = BlockSchema.of({"a": "int64"})
    [(_, block)] = encode_bucket(pl.DataFrame({"user_id": ["u"], "a": [1]}), schema)
    asked = {name: name for name in VALUES}
    decoded = decode_blocks([block], lookup(schema), asked)
    assert decoded.schema == {name: polars_dtype(name) for name in VALUES}
    assert decoded.null_count().row(0) == (1,) * len(VALUES)


def test_no_blocks_are_no_rows_of_the_right_types() -> None:
    assert decode_blocks([], lookup(), {"t": "timestamp"}).schema == {"t": pl.Datetime("us", "UTC")}

    no_events = pl.DataFrame(schema={"user_id": pl.String, "a": pl.Int64})
    assert list(encode_bucket(no_events, BlockSchema.of({"a": "int64"}))) == []


def test_large_blocks_and_small_ones_decode_together() -> None:
    """Sections of more than 64 KiB take wider offsets; both widths may meet in one call."""
    values = [b"x" * 100_000, b"y", b"z" * 70_000, b""]
    events = pl.DataFrame({"user_id": list("abcc"), "v": values, "n": [1, 2, 3, 4]})
    schema = BlockSchema.of({"v": "binary", "n": "int64"})
    blocks = [block for _, block in encode_bucket(events, schema)]
    assert_frame_equal(decode_blocks(blocks, lookup(schema)), events.drop("user_id"))


def test_batches_of_a_large_bucket_meet_at_user_boundaries(monkeypatch: pytest.MonkeyPatch) -> None:
    events = pl.DataFrame({"user_id": [f"{n // 7:04}" for n in range(1000)], "n": range(1000)})
    schema = BlockSchema.of({"n": "int64"})
    whole = list(encode_bucket(events, schema))
    for rows in (1, 10, 64):
        monkeypatch.setattr("seqplat_resources.online_store.codec.encode.bucket.BATCH_ROWS", rows)
        assert list(encode_bucket(events, schema)) == whole


def test_many_strings_take_the_vectorized_path_to_the_same_result() -> None:
    texts = [None if n % 5 == 0 else f"é{n % 977}" for n in range(30_000)]
    events = pl.DataFrame({"user_id": [f"{n // 100:05}" for n in range(30_000)], "s": texts})
    schema = BlockSchema.of({"s": "string"})
    blocks = [block for _, block in encode_bucket(events, schema)]
    assert_frame_equal(decode_blocks(blocks, lookup(schema)), events.drop("user_id"))


def test_constant_and_null_columns_cost_next_to_nothing() -> None:
    rows = 500
    columns = {"k": ["item_view"] * rows, "z": [None] * rows, "t": [1_700_000_000_000_000] * rows}
    schema = BlockSchema.of({"k": "string", "z": "string", "t": "int64"})
    events = pl.DataFrame({"user_id": ["u"] * rows, **columns}, schema_overrides={"z": pl.String})
    [(_, block)] = encode_bucket(events, schema)
    # 16 bytes of header and checksum, 3 a column, one string, one base.
    assert len(block) == 16 + 3 * 3 + len("item_view") + 7


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ({"user_id": ["u"]}, r"column\(s\) \['a'\] are missing, the events carry \['user_id'\], in clicks 2024-03-01"),
        ({"user_id": ["u"], "a": [1.0]}, r"wrong type: a: Float64 instead of Int64, in clicks 2024-03-01; cast them"),
        ({"user_id": [1], "a": [1]}, "user_id: Int64 instead of String"),
        ({"user_id": ["u", None], "a": [1, 2]}, r"1 event\(s\) without a user in column 'user_id'"),
        ({"user_id": ["u", "v", "u"], "a": [1, 2, 3]}, "do not lie together, in clicks 2024-03-01; sort the bucket"),
    ],
)
def test_events_that_cannot_be_encoded_are_refused(events: dict[str, list[object]], message: str) -> None:
    with pytest.raises(UnencodableEventsError, match=message):
        next(encode_bucket(pl.DataFrame(events), BlockSchema.of({"a": "int64"}), where="clicks 2024-03-01"))


def test_user_with_more_events_than_a_block_holds_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seqplat_resources.online_store.codec.layout.MAX_ROWS", 2)
    events = pl.DataFrame({"user_id": ["u", "bot", "bot", "bot"], "a": [1, 2, 3, 4]})
    with pytest.raises(UnencodableEventsError, match="user 'bot' has 3 events, more than the 2 a block holds, in"):
        next(encode_bucket(events, BlockSchema.of({"a": "int64"})))
    lists = pl.DataFrame({"user_id": ["u", "bot"], "a": [[1], [1, 2, 3]]})
    with pytest.raises(UnencodableEventsError, match="user 'bot' has 3 items in column 'a', more than the 2"):
        next(encode_bucket(lists, BlockSchema.of({"a": "list[int64]"})))


def test_asking_for_another_type_than_stored_is_refused() -> None:
    schema = BlockSchema.of({"a": "int32"})
    events = pl.DataFrame({"user_id": ["u"], "a": [1]}, schema_overrides={"a": pl.Int32})
    [(_, block)] = encode_bucket(events, schema)
    with pytest.raises(ColumnTypeError, match=r"'a' is stored as int32 but asked for as int64, in user u; .*\(a@2\)"):
        decode_blocks([block], lookup(schema), {"a": "int64"}, where="user u")


def test_schema_survives_json_and_its_id_follows_names_types_and_order() -> None:
    schema = BlockSchema.of({"é": "string", "b": "list[int8]"})
    assert BlockSchema.from_json(schema.to_json()) == schema
    reordered = {"b": "list[int8]", "é": "string"}
    retyped, renamed = {"é": "binary", "b": "list[int8]"}, {"e": "string", "b": "list[int8]"}
    ids = {BlockSchema.of(other).schema_id for other in (schema.dtypes, reordered, retyped, renamed)}
    assert len(ids) == 4


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ((), "a block needs at least one column"),
        ((("a", "int8"), ("a", "int8")), "distinct names, not"),
        ((("a", "uint8"),), "'uint8' is not a column type that blocks can hold; use one of bool, int8"),
        ((("a", "list[list[int8]]"),), "is not a column type that blocks can hold"),
    ],
)
def test_impossible_schema_is_refused(columns: tuple[tuple[str, str], ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BlockSchema(columns)
