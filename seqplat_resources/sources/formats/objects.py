"""One line of JSON with care: its fields as they were sent, or why they cannot be told."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from seqplat_resources.values.no_numbers import with_numbers_as_texts

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
Fields: TypeAlias = dict[str, msgspec.Raw]


class Ambiguous(ValueError):
    """An object in which a name stands twice: readers differ in which of the two they take."""


OBJECT = msgspec.json.Decoder(Fields)
_TEXT = msgspec.json.Decoder(str)
_ENCODER = msgspec.json.Encoder()

_HALF = re.compile(rb"\\u[dD][89a-fA-F]")


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
        raise ValueError(f"not JSON: {_parse_problem(error, line)}") from error
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
        mended = with_numbers_as_texts(line)
        if mended == line:
            raise
        return OBJECT.decode(mended)


def say_names_once(content: bytes, objects: Sequence[Fields]) -> bool:
    """Whether no name stands twice in one of the objects that were read of the content, a line each. False may mean
    nothing, as it does of objects that are written over several lines. What is inside of them is not looked at."""
    is_each_a_line = content.count(b"\n") + 1 == len(objects)
    if is_each_a_line and content.count(b'":') == sum(map(len, objects)) and not has_spaced_colons(content):
        return True
    return _ENCODER.encode_lines(objects).count(b":") == content.count(b":") and b"\\u003" not in content


def has_spaced_colons(content: bytes) -> bool:
    """Whether white space may stand before the colon of a pair, in lines without line breaks. What is common is looked
    for as a part of what is rare."""
    if any(space in content and b'"' + space in content for space in (b"\t", b"\r")):
        return True
    return b'" ' in content and (b'" :' in content or b'"  ' in content)


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


def _parse_problem(error: BaseException, line: bytes) -> str:
    if line[:2] == b"\x1f\x8b" or line[:4] == b"\x28\xb5\x2f\xfd":
        return "it is compressed"
    if _HALF.search(line):
        return f"{error}; \\ud800 to \\udfff are halves of characters and stand only in pairs"
    return "nested too deep" if isinstance(error, RecursionError) else str(error)
