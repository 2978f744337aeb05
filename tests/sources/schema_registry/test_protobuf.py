"""Protobuf messages become the rows that JSON messages would be. Their bytes are written by protobuf itself."""

import base64
import errno
import json
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from pathlib import Path
from subprocess import run
from sys import executable
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, json_format, message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message

from seqplat_resources.sources.schema_registry import Framing, open_framing
from seqplat_resources.sources.schema_registry.errors import MachineShort
from sequence_defs import Column
from tests.sources.schema_registry.registry_server import RegistryServer, framed, running
from tests.sources.schema_registry.test_avro import ROW, sent, source

CLICK = """
syntax = "proto3";
package shop.v1;
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/duration.proto";
message Other { string x = 1; }
message Click {
  enum Kind { NONE = 0; VIEW = 1; }
  message Item { string skuCode = 1; int64 price_cents = 2; }
  string member = 1;
  google.protobuf.Timestamp at = 2;
  int64 big = 3;
  uint64 larger = 4;
  Kind kind = 5;
  repeated Item items = 6;
  map<string, int64> counts = 7;
  optional int32 maybe = 8;
  bytes raw = 9;
  double ratio = 10;
  float small = 11;
  bool is_new = 12;
  google.protobuf.Int64Value wrapped = 13;
  google.protobuf.Struct free = 14;
  google.protobuf.Duration took = 15;
  oneof choice { string left = 16; Item right = 17; }
  map<bool, Item> per_truth = 18;
  repeated Kind kinds = 19;
  sint32 signed = 20;
}
"""
REQUIRED = """
syntax = "proto2";
message Row { required string member = 1; required string at = 2; optional string v = 3; extensions 100 to 200; }
extend Row { optional int32 more = 101; }
"""


@cache
def _pool(text: str) -> tuple[DescriptorPool, descriptor_pb2.FileDescriptorProto]:
    with TemporaryDirectory() as folder:
        Path(folder, "t.proto").write_text(text)
        command = [executable, "-m", "grpc_tools.protoc", f"-I{folder}", "--include_imports"]
        run([*command, f"--descriptor_set_out={folder}/out", f"{folder}/t.proto"], check=True)
        files = descriptor_pb2.FileDescriptorSet.FromString(Path(folder, "out").read_bytes())
    pool = DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return pool, files.file[-1]


def message(text: str, name: str, fields: dict[str, Any]) -> Message:
    pool, _ = _pool(text)
    record = message_factory.GetMessageClass(pool.FindMessageTypeByName(name))()
    return json_format.ParseDict(fields, record, descriptor_pool=pool)


def click(**fields: Any) -> bytes:
    said = {"member": "u", "at": "2026-11-22T12:00:00Z"} | fields
    return framed(1, b"\x02\x02" + message(CLICK, "shop.v1.Click", said).SerializeToString())


@pytest.fixture(scope="module")
def registry() -> Iterator[RegistryServer]:
    """One for all: a schema takes protoc half a second."""
    with running() as server:
        server.add(1, CLICK, "PROTOBUF")
        server.add(2, REQUIRED, "PROTOBUF")
        yield server


@pytest.fixture(scope="module")
def framing(registry: RegistryServer) -> Iterator[Framing]:
    with closing(open_framing({"SEQPLAT_SCHEMA_REGISTRY": registry.url})) as opened:
        yield opened


# What is sent, and what is said of it.
FIELDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "int64": ({"big": str(2**63 - 1)}, {"big": 2**63 - 1}),
    "uint64": ({"larger": str(2**64 - 1)}, {"larger": 2**64 - 1}),
    "enum": ({"kind": "VIEW"}, {"kind": "VIEW"}),
    "unknown enum": ({"kind": 77, "kinds": [1, 9]}, {"kind": 77, "kinds": ["VIEW", 9]}),
    "messages": ({"items": [{"skuCode": "a", "price_cents": "5"}]}, {"items": [{"skuCode": "a", "price_cents": 5}]}),
    "map": ({"counts": {"a b": "3"}}, {"counts": {"a b": 3}}),
    "map of messages": (
        {"per_truth": {"true": {"skuCode": "a"}}},
        {"per_truth": {"true": {"skuCode": "a", "price_cents": 0}}},
    ),
    "optional": ({"maybe": 0}, {"maybe": 0}),
    "bytes": ({"raw": base64.b64encode(b"\0\xff").decode()}, {"raw": base64.b64encode(b"\0\xff").decode()}),
    "nan": ({"ratio": "NaN"}, {"ratio": "NaN"}),
    "infinity": ({"small": "-Infinity"}, {"small": "-Infinity"}),
    "wrapper": ({"wrapped": str(2**53 + 1)}, {"wrapped": 2**53 + 1}),
    "struct": ({"free": {"a": [1, None, "x"]}}, {"free": {"a": [1, None, "x"]}}),
    "duration": ({"took": "1.500s"}, {"took": "1.500s"}),
    "oneof": ({"left": ""}, {"left": ""}),
    "text": ({"left": '\0"\\u003a{'}, {"left": '\0"\\u003a{'}),
    "signed": ({"signed": -(2**31)}, {"signed": -(2**31)}),
}
PLAIN = {"big": 0, "larger": 0, "kind": "NONE", "items": [], "counts": {}, "raw": "", "ratio": 0.0, "small": 0.0}
PLAIN |= {"is_new": False, "per_truth": {}, "kinds": [], "signed": 0}


@pytest.mark.parametrize(("fields", "says"), FIELDS.values(), ids=list(FIELDS))
def test_fields_are_called_as_they_are_written(fields: dict[str, Any], says: dict[str, Any], framing: Framing) -> None:
    """A field without presence says its zero; one with presence that is not set is not there."""
    found = sent(source(), framing, click(**fields))
    assert found.rejects["reason"].to_list() == []
    assert found.rows.select("member", "at").to_dicts() == [ROW]
    assert json.loads(found.rows["_extra"][0]) == PLAIN | says


def test_paths_lead_into_messages(framing: Framing) -> None:
    columns = (
        Column(name="sku", dtype="string", field="items[-1].skuCode"),
        Column(name="price", dtype="int64", field="items[skuCode=b].price_cents"),
        Column(name="a", dtype="int64", field="counts.a"),
        Column(name="maybe", dtype="int32"),
        Column(name="is_new", dtype="bool"),
    )
    value = click(items=[{"skuCode": "a"}, {"skuCode": "b", "price_cents": "7"}], counts={"a": "1"})
    found = sent(source(*columns), framing, value)
    wanted = {"sku": "b", "price": 7, "a": 1, "maybe": None, "is_new": False}
    assert found.rows.select(list(wanted)).to_dicts() == [wanted]


NESTED = """
syntax = "proto3";
import "shared/base.proto";
message First { string x = 1; }
message Outer {
  map<string, string> m = 1;
  message One { string x = 1; }
  message Two { message Row { shared.Base base = 1; } }
}
"""
BASE = """
syntax = "proto3";
package shared;
message Base { string member = 1; string at = 2; }
"""


PLACES = {b"\x06\x02\x02\x00": 1, b"\x02\x02": 0, b"\x02\x00": 0, b"\x00": 0}


@pytest.mark.parametrize(("indexes", "rows"), PLACES.items())
def test_the_message_is_found_by_its_place_in_the_text(
    indexes: bytes, rows: int, registry: RegistryServer, framing: Framing
) -> None:
    """``Outer.Two.Row`` is message 1, in it 1, in it 0; what protoc makes of the map is not counted."""
    base = {"name": "shared/base.proto"} | registry.add_version("base", BASE, "PROTOBUF")
    registry.add(30, NESTED, "PROTOBUF", [base])
    inside = message(BASE, "shared.Base", {"member": "u", "at": "2026-11-22T12:00:00Z"}).SerializeToString()
    columns = (
        Column(name="member", dtype="string", nullable=False, field="base.member"),
        Column(name="at", dtype="timestamp", nullable=False, field="base.at"),
    )
    value = framed(30, indexes + b"\x0a" + bytes([len(inside)]) + inside)
    found = sent(source(*columns, alone=True), framing, value)
    assert (found.rows.height, found.rejects.height) == (rows, 1 - rows)


def test_a_single_zero_means_the_first_message(framing: Framing) -> None:
    row = message(REQUIRED, "Row", {"member": "u", "at": "2026-11-22T12:00:00Z"})
    body = row.SerializeToString()
    found = sent(source(), framing, framed(2, b"\0" + body), framed(2, b"\x02\0" + body))
    assert found.rows.height == 2
    with_extension = framed(2, b"\0" + body + b"\xa8\x06\x05")
    assert json.loads(sent(source(), framing, with_extension).rows["_extra"][0]) == {"[more]": 5}


BAD: dict[str, tuple[bytes, str]] = {
    "empty": (framed(1, b""), "it ends within its message indexes"),
    "cut indexes": (framed(1, b"\x04\x02"), "it ends within its message indexes"),
    "endless index": (framed(1, b"\xff" * 30), "it ends within its message indexes"),
    "many indexes": (framed(1, b"\xfe\xff\xff\xff\x0f"), "is no number of message indexes"),
    "negative count": (framed(1, b"\x01"), "-1 is no number of message indexes"),
    "no such message": (framed(1, b"\x02\x08"), "its schema has no message [4]"),
    "negative index": (framed(1, b"\x02\x01"), "its schema has no message [-1]"),
    "not protobuf": (framed(1, b"\x02\x02\xff\xff"), "DecodeError"),
    "cut": (click(left="abc")[:-1], "DecodeError"),
    "not utf-8": (framed(1, b"\x02\x02\x0a\x01\xff"), "DecodeError"),
    "unknown field": (click() + b"\xc0\x0c\x01", "shop.v1.Click has no field 200"),
    "unknown field inside": (click() + b"\x32\x03\xc0\x0c\x01", "shop.v1.Click.Item has no field 200"),
    "not initialized": (framed(2, b"\0\x0a\x01u"), "without at, which must be there"),
    "time out of range": (click() + b"\x12\x0a\x08" + b"\xff" * 8 + b"\x7f", "does not fit schema 1"),
    "not a proto": (framed(3, b"\0"), "schema 3 cannot be read as PROTOBUF: ValueError: message.proto:1:1: "),
    "no import": (framed(4, b"\0"), "schema 4 cannot be read as PROTOBUF: ValueError: x.proto: File not found."),
    "escape": (framed(5, b"\0"), "'../../x.proto' is no name of a file to import"),
    "absolute": (framed(6, b"\0"), "'/tmp/x.proto' is no name of a file to import"),
    "long name": (framed(8, b"\0"), "schema 8 cannot be read as PROTOBUF: File name too long"),
    "file and folder": (framed(9, b"\0"), "schema 9 cannot be read as PROTOBUF: "),
    "deep": (framed(7, b"\0" + b"\x0a\x80\x80\x04" * 3000), "does not fit schema 7"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_message_costs_itself(name: str, registry: RegistryServer, framing: Framing) -> None:
    bad, why = BAD[name]
    registry.add(3, "hello", "PROTOBUF")
    registry.add(4, 'syntax = "proto3"; import "x.proto"; message A {}', "PROTOBUF")
    reference = registry.add_version("x", BASE, "PROTOBUF")
    registry.add(5, BASE, "PROTOBUF", [{"name": "../../x.proto"} | reference])
    registry.add(6, BASE, "PROTOBUF", [{"name": "/tmp/x.proto"} | reference])
    registry.add(8, BASE, "PROTOBUF", [{"name": "x" * 300} | reference])
    registry.add(9, BASE, "PROTOBUF", [{"name": "a"} | reference, {"name": "a/b"} | reference])
    registry.add(7, 'syntax = "proto3"; message N { N n = 1; }', "PROTOBUF")
    found = sent(source(), framing, click(), bad, click())
    assert found.rows["_offset"].to_list() == [0, 2]
    (reject,) = found.rejects.to_dicts()
    assert (reject["offset"], reject["payload"]) == (1, bad)
    assert why in reject["reason"]
    assert "/tmp/seqplat" not in reject["reason"]


def test_a_full_disk_refuses_no_message(
    registry: RegistryServer, framing: Framing, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    registry.add(40, CLICK, "PROTOBUF")
    value = framed(40, click()[5:])
    with monkeypatch.context() as patched:
        patched.setattr("tempfile.TemporaryDirectory", full)
        with pytest.raises(MachineShort, match="schema 40 could not be compiled on this machine: No space left"):
            sent(source(), framing, value)
    assert sent(source(), framing, value).rows.height == 1
