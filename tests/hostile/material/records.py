"""Rows of a source with a column of every type, sane and hostile, each with what must become of it."""

import datetime as dt
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tests.hostile.material import clocks, tables
from tests.hostile.material.draws import Draw
from tests.hostile.material.meaning import ANYTHING, NO, REJECT, Meaning, allows, meaning
from tests.hostile.material.spelling import CANNOT, as_object

COLUMNS: Final[Mapping[str, str]] = {
    "i": "int64",
    "i8": "int8",
    "f": "float64",
    "b": "bool",
    "s": "string",
    "d": "date",
    "t": "timestamp",
    "li": "list[int64]",
    "ls": "list[string]",
    "lt": "list[timestamp]",
}
COLUMN_OF: Final = {dtype: name for name, dtype in COLUMNS.items()}
SANE: Final[Mapping[str, Sequence[Any]]] = {
    "i": (1, None, -5, 2**40),
    "i8": (7, None, -128, 127),
    "f": (0.5, None, -1.25, 1e100),
    "b": (True, None, False),
    "s": ("x", None, "é 名", 'a "b" \\ c'),
    "d": (dt.date(2024, 5, 1), None),
    "t": (dt.datetime(2024, 5, 1, 12, 0, 0, 1, tzinfo=dt.UTC), None),
    "li": ([1, 2], None, []),
    "ls": (["a", "b"], None, []),
    "lt": ([dt.datetime(2024, 5, 1, tzinfo=dt.UTC)], None, []),
}
USERS: Final = ("ann", "bob", "éva")
HOSTILE_IDS: Final = (*tables.TEXTS, *tables.NULS, *tables.SURROGATES, "", "u" * 256, "u" * 257, "é" * 200, "x" * 5000)
Meanings = Mapping[str, Meaning]


@dataclass(frozen=True)
class Record:
    """``value`` is what is sent; ``cells`` what each column may hold of it, and None where it cannot be kept at all.

    ``kinds`` name what is hostile about it; a sane record has none.
    """

    number: int
    value: bytes | None
    stamp_ms: int
    partition: int
    kinds: tuple[str, ...] = ()
    cells: Meanings | None = field(default_factory=dict)

    @property
    def must_be_refused(self) -> bool:
        return self.cells is None or NO in self.cells.values()

    @property
    def may_be_refused(self) -> bool:
        return self.cells is None or any(allows(cell, REJECT) for cell in self.cells.values())


def records(draw: Draw, count: int, *, share: float = 0.5) -> list[Record]:
    """Some records; about ``share`` of them hostile. Nobody sends one id twice: that is another story."""
    return [
        hostile(draw, number, draw.of(ALL_KINDS)) if draw.chance(share) else sane(draw, number)
        for number in range(count)
    ]


def sane(draw: Draw, number: int) -> Record:
    return _record(number, draw, _fields(draw, number), ())


def hostile(draw: Draw, number: int, kind: str) -> Record:
    """A record with one value of that kind."""
    if kind in tables.KINDS:
        dtypes, values = tables.KINDS[kind]
        fields = _fields(draw, number) | {COLUMN_OF[draw.of(dtypes)]: draw.of(values)}
        return _record(number, draw, fields, (kind,))
    if kind in ("user id", "event id"):
        name = "member" if kind == "user id" else "id"
        odd = draw.of(HOSTILE_IDS)
        fields = _fields(draw, number) | {name: odd if name == "member" else odd + str(number)}
        return _record(number, draw, fields, (kind,))
    if kind == "event time":
        return _record(number, draw, _fields(draw, number) | {"at": draw.of(clocks.WRONG_TIMES)}, (kind,))
    if kind == "stamp of the log":
        return _record(number, draw, _fields(draw, number), (kind,), stamp=draw.of(clocks.STAMPS))
    return _document(number, draw, kind)


def of_value(draw: Draw, number: int, kind: str, dtype: str, value: Any) -> Record:
    """A record with this value in the column of that type."""
    return _record(number, draw, _fields(draw, number) | {COLUMN_OF[dtype]: value}, (kind,))


def _fields(draw: Draw, number: int) -> dict[str, Any]:
    at = clocks.sane_time(draw)
    return {"member": draw.of(USERS), "id": f"e{number}", "at": at, **{n: draw.of(v) for n, v in SANE.items()}}


def _record(
    number: int, draw: Draw, fields: dict[str, Any], kinds: tuple[str, ...], *, stamp: int | None = None
) -> Record:
    at = fields["at"]
    if stamp is None:
        stamp = clocks.sane_stamp(draw, at) if isinstance(at, dt.datetime) else clocks.NOW_MS
    value = as_object(fields)
    if value is CANNOT:  # what JSON cannot say is nothing hostile in JSON
        return _record(number, draw, _fields(draw, number), ())
    return Record(number, value, stamp, draw.number(0, 1), kinds, cells_of(fields, stamp))


def cells_of(fields: Mapping[str, Any], stamp_ms: int) -> Meanings:
    """What each column of a row may hold."""
    member = meaning("string", fields["member"])
    if not isinstance(fields["member"], str) or not 1 <= len(fields["member"].encode(errors="replace")) <= 256:
        member = NO
    event_id = meaning("string", fields["id"])
    return {
        "member": member,
        "id": (*event_id, REJECT) if fields["id"] == "" else event_id,
        "at": clocks.event_time(_said(fields["at"]), stamp_ms),
        **{name: meaning(dtype, fields.get(name)) for name, dtype in COLUMNS.items()},
    }


def _said(at: Any) -> Any:
    return at.isoformat() if isinstance(at, dt.datetime) else at


# ---- Whole messages that are odd ----------------------------------------------------------------------------------

Edit = Callable[[bytes, Draw], bytes | None]


def _with(name: str, raw: bytes) -> Callable[[bytes], bytes]:
    return lambda text: text[:-1] + b', "' + name.encode() + b'": ' + raw + b"}"


# kind -> (what it makes of a sane message, what its columns may hold instead; None: it cannot be kept)
_DOCUMENTS: Mapping[str, tuple[Edit, Meanings | None]] = {
    "tombstone": (lambda text, draw: None, None),
    "no JSON": (lambda text, draw: draw.of((b"", b" ", b"{", text[:-1], text + b"}", b"\x00", b"[]", b"1")), None),
    "invalid UTF-8": (
        lambda text, draw: _with("s", draw.of((b'"\xff"', b'"\xc3"', b'"\xc0\xaf"', b'"\xed\xa0\x80"')))(_less(text)),
        None,
    ),
    "a raw control character": (lambda text, draw: _with("s", b'"a\x00b"')(_less(text)), None),
    "duplicate names": (lambda text, draw: _with("i", b"2")(text), {"i": (2, REJECT)}),
    "duplicate names of one value null": (lambda text, draw: _with("i", b"null")(text), {"i": (None, REJECT)}),
    "duplicate unknown names": (lambda text, draw: _with("u", b"1")(_with("u", b"[2]")(text)), {"u": ANYTHING}),
    "unknown fields": (lambda text, draw: _with("u", draw.of((b"1", b'"x"', b"[1]", b'{"a": 1}')))(text), {}),
    "unknown field with a lone surrogate": (lambda text, draw: _with("u", b'"\\ud800"')(text), {"u": ANYTHING}),
    "field named day": (lambda text, draw: _with("day", b'"x"')(text), {}),
    "field named like one of ours": (lambda text, draw: _with("_offset", b"7")(text), {}),
    "number beyond every type": (lambda text, draw: _with("f", draw.of((b"1e400", b"-1e999")))(_less(text)), None),
    "NaN in JSON": (
        lambda text, draw: _with("f", draw.of((b"NaN", b"Infinity", b"-Infinity")))(_less(text)),
        {"f": (math.nan, math.inf, -math.inf, REJECT), "s": (None, REJECT)},
    ),
    "byte order mark": (lambda text, draw: b"\xef\xbb\xbf" + text, {"u": ANYTHING}),
    "carriage return": (lambda text, draw: text + b"\r\n", {}),
    "several lines": (lambda text, draw: text.replace(b", ", b",\n"), {}),
    "deeply nested": (lambda text, draw: _with("u", b"[" * 2000 + b"]" * 2000)(text), {"u": ANYTHING}),
    "name with a surrogate": (lambda text, draw: _with("\\ud800", b"1")(text), {"u": ANYTHING}),
    "no user": (lambda text, draw: _without(text, "member"), None),
    "no time": (lambda text, draw: _without(text, "at"), None),
    "no id": (lambda text, draw: _without(text, "id"), None),
    "no columns": (lambda text, draw: b"{}", None),
}
ALL_KINDS: Final = (*tables.KINDS, "user id", "event id", "event time", "stamp of the log", *_DOCUMENTS)


def _less(text: bytes) -> bytes:
    """Without the fields that are written in by hand."""
    return _without(_without(text, "s"), "f")


def _without(text: bytes, name: str) -> bytes:
    return json.dumps({key: value for key, value in json.loads(text).items() if key != name}).encode()


def _document(number: int, draw: Draw, kind: str) -> Record:
    edit, changed = _DOCUMENTS[kind]
    good = sane(draw, number)
    value = edit(good.value or b"", draw)
    cells = None if changed is None or good.cells is None else {**good.cells, **changed}
    return Record(number, value, good.stamp_ms, good.partition, (kind,), cells)
