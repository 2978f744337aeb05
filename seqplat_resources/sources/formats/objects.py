"""One line of JSON with care: its fields as they were sent, or why they cannot be told."""

import json
import re
from collections import Counter
from typing import TypeAlias

import msgspec

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
Fields: TypeAlias = dict[str, msgspec.Raw]


class Ambiguous(ValueError):
    """An object in which a name stands twice: readers differ in which of the two they take."""


OBJECT = msgspec.json.Decoder(Fields)
_TEXT = msgspec.json.Decoder(str)
_ENCODER = msgspec.json.Encoder()

_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
# Python's json module and others write these, which JSON does not have. Texts are matched first, so none is touched.
_NO_NUMBER = re.compile(rb'"(?:[^"\\]|\\.)*"|-?\bInfinity\b|\bNaN\b', re.DOTALL)


def fields_of(line: bytes | None) -> Fields:
    """The fields of an object, each as the JSON it was sent in; ``NaN`` and ``Infinity`` as texts.

    Raises:
        ValueError, RecursionError: it is no object, or not one that says one thing; the message tells why.
    """
    if line is None or not line.strip():
        raise ValueError("no value: a tombstone names no event")
    line = line.removeprefix(BYTE_ORDER_MARK)
    try:
        line.decode()
        fields = _decoded(line)
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError) as error:
        if isinstance(error, msgspec.ValidationError):
            raise ValueError(f"not a JSON object: {type(json.loads(line)).__name__}") from error
        raise ValueError(f"not JSON: {_said(error, line)}") from error
    check_names(line, fields)
    return fields


def text_of(value: msgspec.Raw | None) -> str | None:
    """What a JSON string says, and of everything else the JSON itself; None for null and for no field.

    Raises:
        ValueError: a string with half a character.
    """
    raw = bytes(value) if value is not None else b"null"
    if raw[:1] == b'"':
        return _TEXT.decode(raw)
    return None if raw == b"null" else "0" if raw == b"-0" else raw.decode()


def _decoded(line: bytes) -> Fields:
    try:
        return OBJECT.decode(line)
    except msgspec.DecodeError:
        mended = _NO_NUMBER.sub(_quoted, line) if b"NaN" in line or b"Infinity" in line else line
        if mended == line:
            raise
        return OBJECT.decode(mended)


def _quoted(found: re.Match[bytes]) -> bytes:
    return found[0] if found[0][:1] == b'"' else b'"' + found[0] + b'"'


def check_names(text: bytes, fields: Fields) -> None:
    """Nothing, where ``text``, of which ``fields`` were read, is an object that says every name once.

    Raises:
        Ambiguous: a name stands in it twice. Objects inside are not looked at.
    """
    colons = text.count(b":")
    if colons == len(fields):
        return
    # A value is written as it was, so a name that stands twice costs a colon; an escaped one could make up for it.
    if _ENCODER.encode(fields).count(b":") != colons or b"\\u003" in text:
        _check_each_name(text)


def _check_each_name(text: bytes) -> None:
    names: list[str] = []

    def last(pairs: list[tuple[str, object]]) -> None:
        names[:] = [name for name, _ in pairs]  # of the outermost object, whose end is read last

    json.loads(text, object_pairs_hook=last, parse_int=str, parse_float=str)
    times = Counter(names)
    if twice := sorted(name for name in times if times[name] > 1):
        raise Ambiguous(f"not one JSON object: {twice[0]!r} stands in it {times[twice[0]]} times")


def _said(error: BaseException, line: bytes) -> str:
    if line[:2] == b"\x1f\x8b" or line[:4] == b"\x28\xb5\x2f\xfd":
        return "it is compressed"
    if _HALF.search(line):
        return f"{error}; \\ud800 to \\udfff are halves of characters and stand only in pairs"
    return "nested too deep" if isinstance(error, RecursionError) else str(error)
