"""Messages that no producer should send, by kind, and good ones between them; each a function of a random source."""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.hostile.material.tables import TEXTS
from tests.properties.clicks import LARGE

USERS = ("ann", "bob", "éva", "名前", 'o\'neil "x"')
RESERVED = ("_offset", "_partition", "_received", "_reason", "_day", "_extra", "_event_time", "_shard", "_row", "day")


@dataclass(frozen=True)
class Message:
    """``expected``: fields of the raw row it must become; None: it must be refused; empty: either, but only one."""

    kind: str
    value: bytes | None
    expected: dict[str, Any] | None


def messages(count: int, draw: random.Random, *, rubbish: float = 0.3) -> Iterator[Message]:
    """``rubbish`` of them of a random kind of it."""
    kinds = list(KINDS)
    for number in range(count):
        if draw.random() >= rubbish:
            yield good(number, draw)
        else:
            kind = draw.choice(kinds)
            yield KINDS[kind](kind, number, draw)


def fields(number: int, draw: random.Random) -> dict[str, Any]:
    at = f"2024-05-0{draw.randint(1, 3)}T{draw.randrange(24):02}:{draw.randrange(60):02}:00.{number % 1_000_000:06}"
    return {
        "member": draw.choice(USERS),
        "click": number,
        "at": at,
        "received": "2024-05-04T00:00:00",
        "amount": draw.choice([None, 0, -1, *LARGE, draw.randrange(10**6)]),
        "shop": draw.choice([None, "", "x", 'tab\t"quoted" \\ / é 名 😀', *TEXTS]),
    }


def good(number: int, draw: random.Random) -> Message:
    """Whatever way it is written, a good message is the same row."""
    row = fields(number, draw)
    order = draw.sample(list(row), len(row))
    written: dict[str, Any] = {name: row[name] for name in order if row[name] is not None or draw.random() < 0.5}
    if draw.random() < 0.1:
        written |= {draw.choice(["page", "campaign"]): draw.choice([1, "a", None, [1, {"b": 2}], {"c": None}, True])}
    how = draw.choice([{}, {}, {}, {"ensure_ascii": False}, {"indent": 2}, {"separators": (",", ":")}])
    text = json.dumps(written, **how).encode()
    return Message("good", draw.choice([text, text, text, b"  " + text + b"\r\n"]), row)


Kind = Callable[[str, int, random.Random], Message]
KINDS: dict[str, Kind] = {}


def refused(make: Callable[[dict[str, Any], random.Random], bytes | None], kind: str) -> None:
    KINDS[kind] = lambda kind, number, draw: Message(kind, make(fields(number, draw), draw), None)


def either(make: Callable[[dict[str, Any], random.Random], bytes | None], kind: str) -> None:
    KINDS[kind] = lambda kind, number, draw: Message(kind, make(fields(number, draw), draw), {})


def text(row: dict[str, Any]) -> bytes:
    return json.dumps(row).encode()


def _raw(row: dict[str, Any], name: str, value: bytes) -> bytes:
    """The field's value as these very bytes."""
    return text(row | {name: "@@"}).replace(b'"@@"', value)


def _cut(row: dict[str, Any], draw: random.Random) -> bytes:
    whole = text(row)
    return whole[: draw.randint(1, len(whole) - 1)]


def _flipped(row: dict[str, Any], draw: random.Random) -> bytes:
    whole = bytearray(text(row))
    for _ in range(draw.randint(1, 4)):
        whole[draw.randrange(len(whole))] = draw.randrange(256)
    return bytes(whole)


def _nested(depth: int, draw: random.Random) -> bytes:
    return draw.choice([b"[" * depth + b"]" * depth, b'{"a":' * depth + b"1" + b"}" * depth, b"[" * depth])


def _kinds() -> None:
    refused(lambda row, draw: None, "tombstone")
    refused(lambda row, draw: draw.choice([b"", b" ", b"\n", b"\r\n \t", b"\x00"]), "empty")
    refused(_cut, "truncated")
    refused(lambda row, draw: draw.choice([b"[1]", b"1", b'"x"', b"null", b"true", b"[]", b"[{}]"]), "no object")
    refused(lambda row, draw: b"{}", "no fields")
    refused(lambda row, draw: text(row) + draw.choice([b"}", b",", b" x", text(row), b"\n" + text(row)]), "two")
    refused(lambda row, draw: text(row).replace(b'"', b"'"), "single quotes")
    refused(lambda row, draw: text(row)[:-1] + b",}", "trailing comma")
    refused(lambda row, draw: text(row | {"click": draw.choice(["x", "", [1], {"a": 1}, None, True])}), "wrong type")
    refused(lambda row, draw: text(row | {"click": draw.choice([2**63, -(2**63) - 1, 10**30])}), "beyond int64")
    refused(lambda row, draw: _raw(row, "click", b"9" * draw.choice([400, 5000, 50_000])), "endless digits")
    refused(lambda row, draw: _raw(row, "click", draw.choice([b"1e999", b"-1e999", b"1e400"])), "beyond float64")
    refused(lambda row, draw: _raw(row, "click", draw.choice([b"NaN", b"Infinity", b"-Infinity"])), "not a number")
    refused(lambda row, draw: _raw(row, "click", draw.choice([b"1.5", b"0.1", b"1e-3"])), "fraction for an integer")
    refused(lambda row, draw: text(row | {"at": _no_time(draw)}), "no time")
    refused(lambda row, draw: text(row | {"at": draw.choice(["1999-01-01", "2024-05-09", "9999-12-31"])}), "no day")
    refused(lambda row, draw: text({n: v for n, v in row.items() if n != "member"}), "nobody")
    refused(lambda row, draw: text(row | {"member": None}), "null for a user")
    refused(lambda row, draw: _raw(row, "shop", b'"\xff%c"' % draw.randrange(128, 256)), "invalid UTF-8")
    refused(lambda row, draw: _raw(row, "shop", b'"a\x00b"'), "raw NUL")
    refused(lambda row, draw: _raw(row, "click", _nested(draw.choice([3, 100, 5000, 200_000]), draw)), "nested deeply")
    either(lambda row, draw: _raw(row, "more", _nested(draw.choice([3, 100, 5000]), draw)), "unknown nested deeply")
    either(_flipped, "flipped bytes")
    either(lambda row, draw: b"\xef\xbb\xbf" + text(row), "byte order mark")
    either(lambda row, draw: _raw(row, "click", draw.choice([b"1.0", b"1e3", b"-0", b"-0.0"])), "float for an integer")
    either(lambda row, draw: text(row | {"click": "12"}), "text for an integer")
    either(lambda row, draw: text(row)[:-1] + b', "click": 7, "click": "x"}', "key twice")
    either(lambda row, draw: text(row)[:-1] + b', "a": 7, "a": [1]}', "unknown key twice")
    either(lambda row, draw: text(row | {"shop": draw.choice(["\x00", "a\x00b", "\ud800", "\udc00x"])}), "odd text")
    either(lambda row, draw: text(row | {"member": draw.choice(["\x00", "a\x00", "\ud800", "", "a/b"])}), "odd user")
    either(lambda row, draw: text(row | {"member": "u" * draw.choice([300, 600, 5000, 100_000])}), "endless user")
    either(lambda row, draw: text(row | {"member": draw.choice([1, 1.5, True, [1], {"a": 1}])}), "wrong user")
    either(lambda row, draw: text(row | {"shop": "s" * draw.choice([10_000, 300_000])}), "endless text")
    either(lambda row, draw: text(row | {"\ud800": 1, "": 2, "\x00": 3}), "odd names")
    either(lambda row, draw: text(row | {draw.choice(RESERVED): draw.choice([1, "x", None])}), "reserved name")
    either(lambda row, draw: text(row | {f"f{draw.randrange(300)}": n for n in range(20)}), "many fields")
    either(
        lambda row, draw: text(row | {"page": draw.choice([1, "a", [1], {"b": 1}, 1.5, 2**80])}), "unknown of a type"
    )
    either(lambda row, draw: text(row | {"revision": draw.choice([-1, 2**63, "x", 1.5])}), "odd revision")
    either(lambda row, draw: text(row | {"operation": draw.choice(["", "delete", "RETRACT", 1])}), "odd operation")
    either(lambda row, draw: text(row | {"price": draw.choice([0, 1e308, -1e308, 5e-324, "1", "nan", "inf"])}), "price")
    either(lambda row, draw: text(row | {"received": draw.choice([None, "", "x", "0001-01-01", 5])}), "odd receipt")
    either(lambda row, draw: bytes(draw.randrange(256) for _ in range(draw.randint(1, 60))), "noise")


def _no_time(draw: random.Random) -> object:
    return draw.choice(
        [
            "",
            "never",
            "2024-13-01T00:00:00",
            "2024-05-01T25:00:00",
            "0000-00-00",
            "2024-05-01T00:00:00+99:99",
            None,
            [1],
        ]
    )


_kinds()
