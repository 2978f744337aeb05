"""Avro messages become the rows that JSON messages would be."""

import base64
import datetime as dt
import json
import math
import uuid
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqplat_resources.sources.decode import DecodedRows
from seqplat_resources.sources.log import LogBatch, Partition
from seqplat_resources.sources.schema_registry import Framing
from seqplat_resources.stream.messages import decode_messages
from sequence_defs import Column, Source, Time
from tests.budget import examples
from tests.sources.schema_registry.registry_server import RegistryServer, avro, framed

NOON = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
ROW = {"member": "u", "at": NOON}
COLUMNS = (
    Column(name="member", dtype="string", nullable=False),
    Column(name="at", dtype="timestamp", nullable=False),
)


def record(*fields: dict[str, Any]) -> dict[str, Any]:
    ours = [{"name": "member", "type": "string"}, {"name": "at", "type": MILLIS}]
    return {"type": "record", "name": "Click", "namespace": "shop", "fields": [*ours, *fields]}


def source(*columns: Column, **more: Any) -> Source:
    columns = (*COLUMNS, *columns) if not more.pop("alone", False) else columns
    settings: dict[str, Any] = {"event_time": Time(sql="at"), "user_id": "member"} | more
    return Source(name="s", tenant="shop", topic="s", message_format="confluent", columns=columns, **settings)


def sent(definition: Source, framing: Framing, *values: bytes | None) -> DecodedRows:
    stamps = [int(NOON.timestamp() * 1000)] * len(values)
    batch = LogBatch(Partition("s", 0), list(range(len(values))), stamps, list(values), len(values))
    return decode_messages(definition, [batch], framing=framing)


FIXED = {"type": "fixed", "name": "F", "size": 2}
ID = uuid.UUID("12345678-1234-5678-1234-567812345678")
# The type, a value as it is written, and what its JSON says.
VALUES: dict[str, tuple[Any, Any, Any]] = {
    "null": ("null", None, None),
    "boolean": ("boolean", True, True),
    "int": ("int", -(2**31), -(2**31)),
    "long": ("long", 9007199254740993, 9007199254740993),
    "smallest long": ("long", -(2**63), -(2**63)),
    "float": ("float", 0.5, 0.5),
    "double": ("double", 0.1, 0.1),
    "nan": ("double", math.nan, "NaN"),
    "infinity": ("double", -math.inf, "-Infinity"),
    "string": ("string", 'hé\0"\\u003a {', 'hé\0"\\u003a {'),
    "bytes": ("bytes", b"\0\xff{", base64.b64encode(b"\0\xff{").decode()),
    "fixed": (FIXED, b"\0\xff", base64.b64encode(b"\0\xff").decode()),
    "enum": ({"type": "enum", "name": "E", "symbols": ["A", "B"]}, "B", "B"),
    "array": ({"type": "array", "items": ["null", "long"]}, [1, None, 3], [1, None, 3]),
    "map": ({"type": "map", "values": "double"}, {"a b": 1.5}, {"a b": 1.5}),
    "union": (["null", "string", "long"], 7, 7),
    "union null": (["null", "string"], None, None),
    "union of records": (
        [{"type": "record", "name": n, "fields": [{"name": n, "type": "int"}]} for n in ("P", "Q")],
        {"Q": 2},
        {"Q": 2},
    ),
    "millis": (MILLIS, dt.datetime(2026, 1, 2, 3, 4, 5, 6000, dt.UTC), "2026-01-02T03:04:05.006Z"),
    "micros": ({**MILLIS, "logicalType": "timestamp-micros"}, -1, "1969-12-31T23:59:59.999999Z"),
    "nanos": ({**MILLIS, "logicalType": "timestamp-nanos"}, 1, "1970-01-01T00:00:00.000000001Z"),
    "local millis": ({**MILLIS, "logicalType": "local-timestamp-millis"}, 1, "1970-01-01T00:00:00.001"),
    "local micros": ({**MILLIS, "logicalType": "local-timestamp-micros"}, 1, "1970-01-01T00:00:00.000001"),
    "local nanos": ({**MILLIS, "logicalType": "local-timestamp-nanos"}, 1, "1970-01-01T00:00:00.000000001"),
    "date": ({"type": "int", "logicalType": "date"}, dt.date(1, 1, 1), "0001-01-01"),
    "time millis": ({"type": "int", "logicalType": "time-millis"}, dt.time(23, 59, 59, 1000), "23:59:59.001"),
    "time micros": ({"type": "long", "logicalType": "time-micros"}, dt.time(0, 0, 0, 1), "00:00:00.000001"),
    "decimal": (
        {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 4},
        Decimal("-1234567890123456789012345678901234.5670"),
        "-1234567890123456789012345678901234.5670",
    ),
    "small decimal": (
        {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 3},
        Decimal("0.007"),
        "0.007",
    ),
    "whole decimal": ({"type": "bytes", "logicalType": "decimal", "precision": 4}, Decimal(-12), "-12"),
    "fixed decimal": ({**FIXED, "logicalType": "decimal", "precision": 4, "scale": 1}, Decimal("-0.1"), "-0.1"),
    "uuid": ({"type": "string", "logicalType": "uuid"}, ID, str(ID)),
    "fixed uuid": ({"type": "fixed", "name": "U", "size": 16, "logicalType": "uuid"}, ID.bytes, str(ID)),
    "unknown logical type": ({"type": "long", "logicalType": "light-years"}, 3, 3),
}


@pytest.mark.parametrize(("kind", "value", "says"), VALUES.values(), ids=list(VALUES))
def test_a_value_says_what_it_is(kind: Any, value: Any, says: Any, registry: RegistryServer, framing: Framing) -> None:
    """Undeclared it is kept as JSON; declared as text it is that text; inside others a path leads to it."""
    inner = {"type": "record", "name": "Inner", "fields": [{"name": "w", "type": kind}]}
    schema = record({"name": "v", "type": inner})
    registry.add(1, schema)
    message = avro(1, schema, ROW | {"v": {"w": value}})
    plain = sent(source(), framing, message)
    assert plain.rejects["reason"].to_list() == []
    assert json.loads(plain.rows["_extra"][0]) == {"v": {"w": says}}
    assert plain.rows.select("member", "at").to_dicts() == [ROW]
    inside = sent(source(Column(name="w", dtype="string", field="v.w")), framing, message)
    (text,) = inside.rows["w"]
    expected = says if says is None or isinstance(says, str) else json.dumps(says, separators=(",", ":"))
    assert text == expected


def test_values_take_the_type_of_their_column(registry: RegistryServer, framing: Framing) -> None:
    schema = record(
        {"name": "n", "type": "long"},
        {"name": "d", "type": {"type": "int", "logicalType": "date"}},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "f", "type": "double"},
        {"name": "ids", "type": {"type": "array", "items": "long"}},
    )
    registry.add(1, schema)
    columns = [("n", "int64"), ("d", "date"), ("price", "float64"), ("f", "float32"), ("ids", "list[int64]")]
    values = {"n": 2**53 + 1, "d": dt.date(2026, 2, 3), "price": Decimal("12.30"), "f": math.inf, "ids": [1, 2]}
    found = sent(source(*(Column(name=n, dtype=t) for n, t in columns)), framing, avro(1, schema, ROW | values))
    assert found.rows.select(n for n, _ in columns).to_dicts() == [values | {"price": 12.3}]
    assert found.rejects.height == 0


def test_schemas_change_while_messages_come(registry: RegistryServer, framing: Framing) -> None:
    """Each message is read by its own schema, and each schema is fetched once."""
    old, new = record(), record({"name": "page", "type": ["null", "string"]})
    registry.add(1, old)
    registry.add(70_000, new)
    definition = source(Column(name="page", dtype="string"))
    values = [avro(1, old, ROW), avro(70_000, new, ROW | {"page": "p"}), avro(1, old, ROW)]
    for _ in range(2):
        found = sent(definition, framing, *values)
        assert found.rows["page"].to_list() == [None, "p", None]
    assert registry.asked == ["/schemas/ids/1", "/schemas/ids/70000"]


def test_references_are_followed(registry: RegistryServer, framing: Framing) -> None:
    """A type of another subject, which uses one of a third; and a union of types at the top."""
    city = {"type": "record", "name": "geo.City", "fields": [{"name": "name", "type": "string"}]}
    shop = {"type": "record", "name": "geo.Shop", "fields": [{"name": "city", "type": "City"}]}
    to_city = {"name": "geo.City"} | registry.add_version("city/value", city)
    to_shop = {"name": "geo.Shop"} | registry.add_version("shop", shop, references=[to_city])
    registry.add(1, record({"name": "shop", "type": "geo.Shop"}), references=[to_shop, to_city])
    to_click = {"name": "shop.Click"} | registry.add_version("click", record())
    registry.add(2, '["shop.Click", "geo.City"]', references=[to_click, to_city])
    whole = record({"name": "shop", "type": {**shop, "fields": [{"name": "city", "type": city}]}})
    one = avro(1, whole, ROW | {"shop": {"city": {"name": "Bern"}}})
    two = avro(2, [record(), city], ROW)
    found = sent(source(Column(name="city", dtype="string", field="shop.city.name")), framing, one, two)
    assert found.rejects["reason"].to_list() == []
    assert found.rows["city"].to_list() == ["Bern", None]
    assert registry.asked.count("/subjects/city%2Fvalue/versions/1") == 1


GOOD = record({"name": "v", "type": ["null", MILLIS]})
TREE = record({"name": "v", "type": {"type": "record", "name": "N", "fields": [{"name": "n", "type": ["null", "N"]}]}})
MANY = {"name": "b", "type": {"type": "array", "items": "Empty"}}
BAD: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "0 bytes, but a framed message begins"),
    "short": (b"\0\0\0\0", "4 bytes, but a framed message begins"),
    "json": (b'{"member":"u"}', "begins with the byte 0x7b"),
    "another magic": (b"\1" + avro(1, GOOD, ROW)[1:], "begins with the byte 0x01"),
    "unknown id": (framed(404, b"x"), "schema 404 is not in the schema registry at http://127.0.0.1:"),
    "no id": (framed(0, b"x"), "0 is no id"),
    "negative id": (b"\0\xff\xff\xff\xff", "4294967295 is no id"),
    "no payload": (framed(1, b""), "does not fit schema 1: EOFError"),
    "cut": (avro(1, GOOD, ROW)[:-1], "does not fit schema 1: "),
    "too long": (avro(1, GOOD, ROW) + b"\0", "1 bytes are left behind its end"),
    "branch": (avro(1, GOOD, ROW)[:-1] + b"\x08", "does not fit schema 1: IndexError"),
    "length": (framed(1, b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "does not fit schema 1: "),
    "not utf-8": (framed(1, b"\x02\xff\0\0"), "does not fit schema 1: UnicodeDecodeError"),
    "time": (avro(1, GOOD, ROW | {"v": 2**62}), "does not fit schema 1: OverflowError"),
    "deep": (avro(2, record(), ROW) + b"\x02" * 1_000_000 + b"\0", "does not fit schema 2: RecursionError"),
    "not a schema": (framed(3, b"x"), "schema 3 cannot be read as AVRO: "),
    "not json": (framed(4, b"x"), "schema 4 cannot be read as AVRO: "),
    "missing type": (framed(5, b"x"), "schema 5 cannot be read as AVRO: UnknownType"),
    "other kind": (framed(6, b"x"), "schema 6 is of type 'THRIFT'"),
    "missing reference": (framed(7, b"x"), "version 1 of subject 'gone' is not in the schema registry"),
    "circle": (framed(8, b"x"), "more than 32 deep"),
    "endless": (framed(9, b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f"), "an array whose items have no bytes"),
    "endless by name": (framed(11, b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f"), "an array whose items have no bytes"),
    "endless by reference": (framed(12, b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f"), "an array whose items have no bytes"),
    "no record": (framed(10, b"\x02u"), "not a JSON object: str"),
    "tombstone": (b"", ""),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_message_costs_itself(name: str, registry: RegistryServer, framing: Framing) -> None:
    bad, why = (None, "tombstone") if name == "tombstone" else BAD[name]
    registry.add(1, GOOD)
    registry.add(2, TREE)
    registry.add(3, {"type": "record", "name": "R", "fields": 7})
    registry.add(4, "{")
    registry.add(5, {"type": "record", "name": "R", "fields": [{"name": "x", "type": "Elsewhere"}]})
    registry.add(6, "struct X {}", kind="THRIFT")
    registry.add(7, record(), references=[{"name": "x", "subject": "gone", "version": 1}])
    round_and_round = {"name": "x", "subject": "round", "version": 1}
    registry.add_version("round", "{}", references=[round_and_round])
    registry.add(8, "{}", references=[round_and_round])
    registry.add(9, {"type": "array", "items": "null"})
    registry.add(10, '"string"')
    empty = {"type": "record", "name": "Empty", "fields": [{"name": "x", "type": "null"}]}
    registry.add(11, {"type": "record", "name": "R", "fields": [{"name": "a", "type": empty}, MANY]})
    nothing = {"name": "Empty"} | registry.add_version("empty", empty)
    registry.add(12, {"type": "array", "items": "Empty"}, references=[nothing])
    good = avro(1, GOOD, ROW)
    found = sent(source(), framing, good, bad, good)
    assert found.rows["_offset"].to_list() == [0, 2]
    (reject,) = found.rejects.to_dicts()
    assert (reject["offset"], reject["source_partition"], reject["payload"]) == (1, "s:0", bad or b"")
    assert why in reject["reason"]


def test_a_row_refused_later_has_its_bytes(registry: RegistryServer, framing: Framing) -> None:
    """Also when the messages before it were refused, and when it is read by a path."""
    schema = record({"name": "v", "type": "string"})
    registry.add(1, schema)
    values = [
        b"{}",
        avro(1, schema, ROW | {"v": "7"}),
        avro(1, schema, ROW | {"v": "x"}),
        avro(1, schema, ROW | {"v": "8"}),
    ]
    for column in (Column(name="v", dtype="int64"), Column(name="w", dtype="int64", field="v")):
        found = sent(source(column), framing, *values)
        assert found.rows[column.name].to_list() == [7, 8]
        assert found.rejects.sort("offset").select("offset", "payload").rows() == [(0, values[0]), (2, values[2])]


@settings(max_examples=examples(30))
@given(
    messages=st.lists(st.binary(max_size=40) | st.none(), max_size=20), framings=st.lists(st.booleans(), min_size=20)
)
def test_any_bytes_are_rows_or_rejects(
    messages: list[bytes | None], framings: list[bool], registry: RegistryServer, framing: Framing
) -> None:
    registry.add(1, GOOD)
    values = [framed(1, m) if m is not None and f else m for m, f in zip(messages, framings, strict=False)]
    found = sent(source(), framing, *values)
    offsets = [*found.rows["_offset"], *found.rejects["offset"]]
    assert sorted(offsets) == list(range(len(values)))
    assert all(reject["payload"] == (values[reject["offset"]] or b"") for reject in found.rejects.to_dicts())
