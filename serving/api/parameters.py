"""What a request asks, from its query string or its body, as a ``Query``. Every refusal names the field and the fix.

>>> query = query_of(SelectionRequest(columns=["product"], limit=3, since="2024-05-01T00:00:00Z"))
>>> query.columns, query.limit, str(query.since)
(('product',), 3, '2024-05-01 00:00:00+00:00')
>>> query_of(SelectionRequest(since="yesterday"))
Traceback (most recent call last):
    ...
serving.api.parameters.BadParameter: since: 'yesterday' is no time with a time zone; send RFC 3339 ...
"""

import datetime as dt
import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeVar
from urllib.parse import unquote_plus

import msgspec

from seqplat_resources.release.query import MAX_WHERE_CHARS, METRICS, Query, TopK
from sequence_defs.analysis.wording import excerpt, instead
from serving.api.refusals import Refusal
from serving.api.schemas import BatchRequest, SelectionRequest

Body = TypeVar("Body", bound=msgspec.Struct)

NAMES = tuple(field.name for field in msgspec.structs.fields(SelectionRequest))
MAX_DEADLINE_MS = 99_999
# HTTP servers answer longer ones themselves, from 64 KiB on.
MAX_QUERY_BYTES = 60_000
_OFTEN_BYTES = 1_024
DEADLINE_HEADER = "X-Deadline-Ms"

_LISTS, _WHOLE, _NUMBERS = {"columns", "event_types"}, {"limit", "top_k"}, {"vector"}
_FIX = {
    "columns": "send names, separated by commas; the sequence's schema lists them",
    "event_types": "send names, separated by commas; the catalogue lists them",
    "limit": "send a whole number from 1 to 1000000, or leave it out",
    "top_k": "send a whole number from 1 to 10000, or leave it out",
    "vector": "send finite numbers, as many as the column's vectors have",
    "metric": f"use one of {', '.join(METRICS)}",
    "where": f"send an SQL expression of 1 to {MAX_WHERE_CHARS} characters",
    "users": 'send a list of user ids as text, as {"users": ["1995"]}',
    "event_id": "send event_id=..., as it is in the column event_id",
    "event_type": "send the name of an event type, or leave it out",
    "day": "send a day, as day=2017-12-01, or leave it out",
    "because": "say why, in a sentence, for whoever looks next",
    "until": "send a day, as 2026-12-24",
    "status": "send pass, warn, fail, unjudged or stale, or leave it out",
    None: "send a JSON object as /docs describes it",
}
# Where the same is a field of a body.
_BODY_FIX: dict[str | None, str] = {
    "columns": 'send a list of names, as {"columns": ["event_time"]}; the sequence\'s schema lists them',
    "event_types": 'send a list of names, as {"event_types": ["purchase"]}; the catalogue lists them',
    **{
        time: f'send RFC 3339 with a time zone, as {{"{time}": "2017-12-01T00:00:00Z"}}'
        for time in ("since", "until", "as_of")
    },
}
_UTF8_FIX = "percent-encode the bytes of UTF-8: %C3%A9 is \u00e9"
_DIGITS = re.compile(r"\d{1,18}", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_TIME_FIX = "send RFC 3339 with a time zone, as {}=2017-12-01T00:00:00Z; in a URL a + is written %2B"
_UNKNOWN = re.compile(r"unknown field `(.+)`")
_MISSING = re.compile(r"missing required field `(\w+)`")
# What msgspec says, in words that do not depend on it.
_TYPE = re.compile(r"Expected `(\w+)(?: \| null)?`, got `(\w+)`")
_BOUND = re.compile(r"Expected `\w+` (of length )?([<>])= (\d+)")
_DATE, _ENUM = re.compile(r"Invalid RFC3339 encoded (\w+)"), re.compile(r"Invalid enum value (.+)", re.DOTALL)
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "array": "a list",
    "object": "an object",
    "bool": "true or false",
}
_SHOWN_CHARS = 100
_PATH = re.compile(r"^(?P<what>.*?)(?: - at `\$(?:\.(?P<field>\w+))?(?P<rest>.*)`)?$", re.DOTALL)


class BadParameter(Refusal):
    """A parameter or field that is not what it has to be."""

    def __init__(self, field: str | None, what: str, *, fix: str | None = None) -> None:
        fix = fix or fix_of(field)
        super().__init__("bad-parameter", 400, what, field=field, fix=fix, headers={})


def fix_of(field: str | None) -> str:
    """What to send as this parameter."""
    return _FIX.get(field) or "see /docs"


class UnknownParameter(Refusal):
    """A query parameter that the route does not have: ignoring it would answer another question than was asked."""

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        fix, what = instead(name, known, "see /docs"), f"there is no query parameter {name!r}"
        super().__init__("unknown-parameter", 400, what, field=name, fix=fix, headers={})


class QueryTooLong(Refusal):
    """A query string that not every proxy would let pass."""

    def __init__(self, size_bytes: int) -> None:
        fix = f"send at most {MAX_QUERY_BYTES} bytes, or the same as body of a POST to the sequence's batch"
        what = f"the query is {size_bytes} bytes long"
        super().__init__("query-too-long", 414, what, field=None, fix=fix, headers={})


class NotJson(Refusal):
    """A body that says itself to be something else than JSON."""

    def __init__(self, content_type: str) -> None:
        fix = "send JSON, with 'Content-Type: application/json'"
        super().__init__("not-json", 415, f"the body is {content_type!r}", field="Content-Type", fix=fix, headers={})


def of_query_string(query_string: bytes) -> tuple[SelectionRequest, Query]:
    """What was sent, and what it means.

    Raises:
        BadParameter, UnknownParameter, QueryTooLong: said above.
        QueryError: as ``Query``.
    """
    if len(query_string) > MAX_QUERY_BYTES:
        raise QueryTooLong(len(query_string))
    return _often(query_string) if len(query_string) <= _OFTEN_BYTES else _parsed(query_string)


def _parsed(query_string: bytes) -> tuple[SelectionRequest, Query]:
    asked = _converted({field: _typed(field, text) for field, text in only(NAMES, query_string).items()})
    return asked, query_of(asked)


# A model asks for the same of every user.
_often = lru_cache(1_024)(_parsed)


def only(known: tuple[str, ...], query_string: bytes) -> dict[str, str]:
    """The parameters, decoded.

    Raises:
        UnknownParameter: one is not ``known``.
        BadParameter: one is there twice, or no UTF-8.
    """
    given: dict[str, str] = {}
    for pair in query_string.split(b"&") if query_string else ():
        name, _, value = pair.partition(b"=")
        field = _text(name, None)
        if field not in known:
            raise UnknownParameter(field, known)
        if field in given:
            raise BadParameter(field, f"{field} is there twice", fix="send it once; lists are separated by commas")
        given[field] = _text(value, field)
    return given


def of_body(body: bytes, content_type: bytes | None) -> BatchRequest:
    """
    Raises:
        NotJson, BadParameter: as ``of_json``.
    """
    return of_json(body, content_type, BatchRequest, {**_FIX, **_BODY_FIX})


def of_json(body: bytes, content_type: bytes | None, kind: type[Body], fixes: Mapping[str | None, str] = _FIX) -> Body:
    """What a body says; ``fixes`` says by field what to send.

    Raises:
        NotJson: it says so itself.
        BadParameter: it is no JSON, or not that of ``kind``.
    """
    said = (content_type or b"application/json").decode("latin-1")
    if said.partition(";")[0].strip().lower() != "application/json":
        raise NotJson(said)
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise _refused(error, fixes, kind.__struct_fields__) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadParameter(None, f"the body is not JSON: {error}") from error


def query_of(asked: SelectionRequest) -> Query:
    """
    Raises:
        BadParameter: a time that is none, or a similarity without all its parts.
        QueryError: as ``Query``.
    """
    return Query(
        columns=_stripped(asked.columns),
        limit=asked.limit,
        since=_time("since", asked.since),
        until=_time("until", asked.until),
        event_types=_stripped(asked.event_types),
        as_of=_time("as_of", asked.as_of),
        where=asked.where,
        top_k=_top_k(asked),
    )


def deadline_ms(given: bytes | None, otherwise: int) -> int:
    """How long the answer may take: what the header says.

    Raises:
        BadParameter: it is not a whole number of 1 to ``MAX_DEADLINE_MS``.
    """
    if given is None:
        return otherwise
    text = given.decode("latin-1").strip()
    if _DIGITS.fullmatch(text) and 1 <= int(text) <= MAX_DEADLINE_MS:
        return int(text)
    what = f"{DEADLINE_HEADER}: {text!r} is not a whole number from 1 to {MAX_DEADLINE_MS}"
    raise BadParameter(DEADLINE_HEADER, what, fix="send milliseconds, or leave it out")


def _text(encoded: bytes, field: str | None) -> str:
    try:
        # Of Latin-1 every byte is a character, so that what is not encoded is as it was.
        return unquote_plus(encoded.decode("latin-1"), errors="strict")
    except UnicodeDecodeError as error:
        what = f"{field or 'the query string'}: it is not UTF-8, percent-encoded"
        raise BadParameter(field, what, fix=_UTF8_FIX) from error


def _typed(field: str, text: str) -> Any:
    """The JSON value that the text stands for.

    Raises:
        BadParameter: it stands for no number where there has to be one.
    """
    if field in _LISTS:
        return text.split(",")
    if field in _WHOLE:
        if not _INTEGER.fullmatch(text):
            raise BadParameter(field, f"{field}: {excerpt(text, _SHOWN_CHARS)} is not a whole number")
        return int(text)
    if field in _NUMBERS:
        return [_number(field, place, part.strip()) for place, part in enumerate(text.split(","))]
    return text


def _number(field: str, place: int, text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise BadParameter(field, f"{field}[{place}]: {excerpt(text, _SHOWN_CHARS)} is not a finite number")
    return float(text)


def _converted(given: dict[str, Any]) -> SelectionRequest:
    try:
        return msgspec.convert(given, SelectionRequest)
    except msgspec.ValidationError as error:
        raise _refused(error, _FIX, NAMES) from error


def _refused(error: msgspec.ValidationError, fixes: Mapping[str | None, str], fields: tuple[str, ...]) -> BadParameter:
    found = _PATH.match(str(error))
    field, rest, what = (found["field"], found["rest"] or "", found["what"]) if found else (None, "", str(error))
    if field is None and (unknown := _UNKNOWN.search(what)):
        return BadParameter(
            unknown[1], f"there is no field {unknown[1]!r}", fix=instead(unknown[1], fields, "see /docs")
        )
    if field is None and (missing := _MISSING.search(what)):
        return BadParameter(missing[1], f"{missing[1]} is missing", fix=fixes.get(missing[1]))
    return BadParameter(field, f"{field or 'the body'}{rest}: {plain(what)}", fix=fixes.get(field))


def plain(what: str) -> str:
    """What msgspec finds wrong with a value."""
    if types := _TYPE.fullmatch(what):
        expected, got = (_KINDS.get(name, name) for name in types.groups())
        return f"it is {got}, not {expected}"
    if bound := _BOUND.fullmatch(what):
        length, less, most = bound.groups()
        if length and less == ">" and most == "1":
            return "it is empty"
        return f"it is {'longer than' if length else 'above'} {most}" if less == "<" else f"it is below {most}"
    if date := _DATE.fullmatch(what):
        return f"it is no {date[1]}"
    return f"there is no {enum[1]}" if (enum := _ENUM.fullmatch(what)) else what


def _stripped(names: list[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(name.strip() for name in names)


def _time(field: str, text: str | None) -> dt.datetime | None:
    if text is None:
        return None
    if not _TIME.fullmatch(text):
        raise BadParameter(field, f"{field}: {text!r} is no time with a time zone", fix=_TIME_FIX.format(field))
    try:
        return msgspec.convert(text, dt.datetime).astimezone(dt.UTC)
    except (msgspec.ValidationError, OverflowError) as error:
        raise BadParameter(field, f"{field}: there is no time {text!r}", fix=_TIME_FIX.format(field)) from error


def _top_k(asked: SelectionRequest) -> TopK | None:
    if asked.top_k is None:
        for field in ("similar_to", "vector", "metric"):
            if getattr(asked, field) is not None:
                raise BadParameter(field, f"{field} is of no use without top_k", fix="say with top_k how many events")
        return None
    for field in ("similar_to", "vector"):
        if getattr(asked, field) is None:
            raise BadParameter(field, f"top_k needs {field}", fix="send top_k, similar_to and vector together")
    vector = tuple(asked.vector or ())
    if not all(map(math.isfinite, vector)):
        raise BadParameter("vector", "vector: a number of it is not finite")
    return TopK(asked.similar_to or "", vector, asked.top_k, asked.metric or "dot")
