"""JSON that a schema describes is read as it was sent, if it fits."""

import json
from typing import Any

import pytest

from seqplat_resources.sources.schema_registry import Framing
from sequence_defs import Column
from tests.sources.schema_registry.registry_server import RegistryServer, framed
from tests.sources.schema_registry.test_avro import ROW, sent, source

SCHEMA: dict[str, Any] = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "required": ["member"],
    "properties": {"n": {"type": "integer"}, "f": {"type": "number"}, "city": {"$ref": "city.json"}},
}
SAID = b'"member": "u", "at": "2026-11-22T12:00:00Z"'


@pytest.fixture(autouse=True)
def _known(registry: RegistryServer) -> None:
    city = registry.add_version("city", {"type": "object", "required": ["name"]}, "JSON")
    registry.add(1, SCHEMA, "JSON", [{"name": "city.json"} | city])
    registry.add(2, {"$ref": f"{registry.url}/elsewhere"}, "JSON")
    registry.add(3, {"type": "nonsense"}, "JSON")
    registry.add(4, {"additionalProperties": {"$ref": "#"}}, "JSON")
    # Draft 7, as nothing says otherwise: in 2020-12 ``items`` would be no list.
    registry.add(5, {"properties": {"l": {"items": [{"type": "string"}]}}}, "JSON")
    registry.add(6, {"$id": "http://x/click.json", **SCHEMA}, "JSON", [{"name": "city.json"} | city])


@pytest.mark.parametrize("more", [b"", b', "n": 9007199254740993', b', "f": NaN', b', "city": {"name": "Bern"}'])
@pytest.mark.parametrize("number", [1, 6])
def test_what_fits_is_as_it_was_sent(more: bytes, number: int, framing: Framing) -> None:
    value = b" {" + SAID + more + b"}"
    found = sent(source(Column(name="n", dtype="int64")), framing, framed(number, value))
    assert found.rejects["reason"].to_list() == []
    (row,) = found.rows.select("member", "at", "n").to_dicts()
    assert row == ROW | {"n": 2**53 + 1 if b'"n"' in more else None}
    if b"city" in more:
        assert json.loads(found.rows["_extra"][0]) == {"city": {"name": "Bern"}}


BAD: dict[str, tuple[int, bytes, str]] = {
    "not an integer": (
        1,
        b"{" + SAID + b', "n": "7"}',
        'does not fit schema 1: ValueError: "7" is not of type "integer" at n',
    ),
    "by reference": (1, b"{" + SAID + b', "city": {}}', '"name" is a required property at city'),
    "by reference, with an id": (6, b"{" + SAID + b', "city": {}}', '"name" is a required property at city'),
    "required": (1, b"{}", '"member" is a required property at its top'),
    "draft": (5, b"{" + SAID + b', "l": [7]}', '7 is not of type "string" at l/0'),
    "no json": (1, b"{", "not JSON"),
    "empty": (1, b"", "no value"),
    "not utf-8": (1, b'{"member": "\xff"}', "not JSON"),
    "half a character": (1, b"{" + SAID + b', "x": "\\ud800"}', ""),
    "twice": (1, b"{" + SAID + b', "n": 1, "n": 2}', "stands in it 2 times"),
    "not an object": (1, b"[]", "does not fit schema 1"),
    "deep": (4, b'{"a":' * 100_000, ""),
    "rather deep": (4, b'{"a":' * 800 + b"1" + b"}" * 800, ""),
    "long number": (1, b"{" + SAID + b', "n": ' + b"7" * 5000 + b"}", "does not fit schema 1"),
    "elsewhere": (2, b"{}", "schema 2 cannot be read as JSON: "),
    "no schema": (3, b"{}", "schema 3 cannot be read as JSON: "),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_message_costs_itself(name: str, registry: RegistryServer, framing: Framing) -> None:
    number, payload, why = BAD[name]
    good, bad = framed(1, b"{" + SAID + b"}"), framed(number, payload)
    found = sent(source(), framing, good, bad, good)
    assert found.rows["_offset"].to_list() == [0, 2]
    (reject,) = found.rejects.to_dicts()
    assert (reject["offset"], reject["payload"]) == (1, bad)
    assert why in reject["reason"]
    assert "/elsewhere" not in registry.asked, "nothing is fetched because a schema says so"
