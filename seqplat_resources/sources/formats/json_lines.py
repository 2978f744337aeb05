"""JSON lines to frames of text: no line decides the type of another, and a line that is no row is broken alone.

Chunks whose lines hold nothing but declared fields, each written plainly, are read all at once; any other line by line.
Both ways give the same text of a value, or at least texts of the same value.
"""

import io
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import repeat
from typing import Any

import msgspec
import polars as pl

from seqplat_resources.sources.formats.contract import BrokenPiece, Origin, ParsedRows, sent_of
from seqplat_resources.sources.formats.fields import JsonReader, fields_read, path_of, read_whole
from seqplat_resources.sources.formats.objects import (
    BYTE_ORDER_MARK,
    OBJECT,
    Fields,
    fields_of,
    has_spaced_colons,
    say_names_once,
    text_of,
)
from seqplat_resources.values.isolation import RAISED_BY_VALUES
from sequence_defs.schema import Column, parse_dtype
from sequence_defs.schema.paths import Path

# Objects held at a time while lines are looked at: few enough to stay in the processor's cache.
_SLICE = 500
# A double holds every number of so few digits as it is written, and a point.
_EXACT_CHARS = 16
_ENCODER = msgspec.json.Encoder()


def parse(
    content: bytes, columns: Sequence[Column], chunk_lines: int, *, also: Sequence[str] = ()
) -> Iterator[ParsedRows]:
    """The objects of a file, ``chunk_lines`` at a time; a line's place is its number, blank ones counted.

    Shapes:
        Out: every field of ``columns`` and every one named in ``also`` as text, also where no line has it. The fields
        that ``columns`` do not declare are in ``origin.extras``.
    """
    lines = content.removeprefix(BYTE_ORDER_MARK).split(b"\n")
    for start in range(0, len(lines), chunk_lines):
        chunk = lines[start : start + chunk_lines]
        while chunk and not chunk[-1]:
            chunk.pop()
        yield _parsed(range(start, start + len(chunk)), chunk, columns, also, skips_blank=True)


def parse_records(offsets: Sequence[int], values: Sequence[bytes | None], columns: Sequence[Column]) -> ParsedRows:
    """The objects of a log's messages, one each, whatever white space is in it; otherwise as ``parse``.

    A message without a value (a tombstone) says nothing of an event, so it is broken.
    """
    return _parsed(offsets, values, columns, (), skips_blank=False)


def _parsed(
    offsets: Sequence[int],
    lines: Sequence[bytes | None],
    columns: Sequence[Column],
    also: Sequence[str],
    *,
    skips_blank: bool,
) -> ParsedRows:
    rows = None if also or any(column.field is not None for column in columns) else _all_at_once(lines, columns)
    if rows is not None:
        return ParsedRows(rows, pl.Series(offsets, dtype=pl.Int64()), Origin(sent_of(lambda row: lines[row] or b"")))
    if skips_blank and not all(map(bytes.strip, lines)):  # type: ignore[arg-type]
        written = [number for number, line in enumerate(lines) if line and not line.isspace()]
        offsets, lines = [offsets[number] for number in written], [lines[number] for number in written]
        return _parsed(offsets, lines, columns, also, skips_blank=False)
    apart = None if also else _set_apart(lines, columns)
    if apart is not None and (rows := _all_at_once(apart.lines or lines, columns, with_others=True)) is not None:
        origin = Origin(sent_of(lambda row: lines[row] or b""), apart.extras, apart.unknown)
        return ParsedRows(rows, pl.Series(offsets, dtype=pl.Int64()), origin)
    return _line_by_line(offsets, lines, columns, also)


@dataclass(frozen=True)
class _Apart:
    """Per line what is not declared, as one JSON object, or null; ``lines`` are those to read, if not as they are."""

    extras: pl.Series
    unknown: tuple[str, ...]
    lines: list[bytes] | None


def _set_apart(lines: Sequence[bytes | None], columns: Sequence[Column]) -> _Apart | None:
    """What many lines say besides the declared columns; None where some line needs to be looked at alone."""
    take, known = _taker(columns), list[bytes]()
    extras, unknown = list[str | None](), set[str]()
    try:
        for start in range(0, len(lines), _SLICE):
            some: Sequence[bytes] = lines[start : start + _SLICE]  # type: ignore[assignment]
            content = b"\n".join(some)
            content.decode()
            objects = list(map(OBJECT.decode, some))
            if not say_names_once(content, objects):
                return None
            known += take(objects)
            unknown.update(*objects)
            extras += [_ENCODER.encode(one).decode() if one else None for one in objects]
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError):
        return None
    others = tuple(sorted(unknown - fields_read(columns)))
    return _Apart(pl.Series(extras, dtype=pl.String()), others, known or None)


def _taker(columns: Sequence[Column]) -> Callable[[Sequence[Fields]], list[bytes]]:
    """Leaves in objects what no column takes whole. Gives them as lines of the declared columns by name; none where
    the columns are called as the fields are, so that the lines can be read as they are."""
    reader, whole = JsonReader([path_of(column) for column in columns]), list(read_whole(columns))
    names, is_plain = [column.name for column in columns], all(column.field is None for column in columns)

    def take(objects: Sequence[Fields]) -> list[bytes]:
        rows = () if is_plain else zip(*reader.columns(objects), strict=True)
        lines = [_ENCODER.encode({name: v for name, v in zip(names, row) if v is not None}) for row in rows]  # noqa: B905
        for one in objects:
            deque(map(one.pop, whole, repeat(None)), maxlen=0)
        return lines

    return take


def _line_by_line(
    offsets: Sequence[int], lines: Sequence[bytes | None], columns: Sequence[Column], also: Sequence[str]
) -> ParsedRows:
    paths: dict[str, Path] = {name: (name,) for name in also} | {column.name: path_of(column) for column in columns}
    names, reader, whole = list(paths), JsonReader(list(paths.values())), read_whole(columns)
    texts: dict[str, list[str | None]] = {name: [] for name in names}
    extras, numbers, broken, unknown = list[str | None](), list[int](), list[BrokenPiece](), set[str]()
    for number, line in enumerate(lines):
        try:
            fields = fields_of(line)
            row = [text_of(value) for value in reader.values(fields)]
        except (ValueError, RecursionError) as error:
            broken.append(BrokenPiece(offsets[number], line or b"", str(error)))
            continue
        for name, text in zip(names, row, strict=True):
            texts[name].append(text)
        more = {name: value for name, value in fields.items() if name not in whole}
        unknown.update(more)
        extras.append(_ENCODER.encode(more).decode() if more else None)
        numbers.append(number)
    rows = pl.DataFrame(texts, schema=dict.fromkeys(names, pl.String()))
    places = pl.Series([offsets[number] for number in numbers], dtype=pl.Int64())
    sent = sent_of(lambda row: lines[numbers[row]] or b"")
    origin = Origin(
        sent, pl.Series(extras, dtype=pl.String()) if unknown else None, tuple(sorted(unknown - fields_read(columns)))
    )
    return ParsedRows(rows, places, origin, tuple(broken))


def _all_at_once(
    lines: Sequence[bytes | None], columns: Sequence[Column], *, with_others: bool = False
) -> pl.DataFrame | None:
    """The rows, if every line is one object of declared fields that Polars reads as it is meant; else None.

    What Polars would not tell is seen before: fields that its schema does not name, names that stand twice, half
    characters, numbers and objects where text is declared (it writes them its own way). ``with_others`` lines have been
    looked at: they may have other fields, and no name twice.
    """
    texts = dict.fromkeys((column.name for column in columns), pl.String())
    if not lines:
        return pl.DataFrame(schema=texts)
    try:
        is_full = _decode(lines, columns, with_others=with_others)
        content = b"\n".join(lines)  # type: ignore[arg-type]
        rows = pl.read_ndjson(io.BytesIO(content), schema=texts)
    except RAISED_BY_VALUES:
        return None
    if rows.height != len(lines) or content.count(b"\n") + 1 != len(lines):
        return None
    if with_others or _names_once(content, rows, is_full) or _written_again(lines, content, columns):
        return rows
    return None


def _decode(lines: Sequence[bytes | None], columns: Sequence[Column], *, with_others: bool) -> bool:
    """Look at every line; tells whether every one has all columns.

    Raises:
        MsgspecError, TypeError, RecursionError: some line is not plain.
    """
    if _are(lines, _plain(_types(columns), is_full=True, with_others=with_others)):
        return True
    deque(map(_plain(_types(columns), is_full=False, with_others=with_others).decode, lines), maxlen=0)  # type: ignore[arg-type]
    return False


def _are(lines: Sequence[bytes | None], plain: "msgspec.json.Decoder[msgspec.Struct]") -> bool:
    try:
        deque(map(plain.decode, lines), maxlen=0)  # type: ignore[arg-type]
    except msgspec.ValidationError:
        return False
    return True


def _names_once(content: bytes, rows: pl.DataFrame, is_full: bool) -> bool:
    """Whether there are no more pairs than cells, so that no name stands twice in a line. False may mean nothing."""
    absent = 0 if is_full else sum(column.null_count() for column in rows)
    if content.count(b'":') != rows.height * rows.width - absent or (absent and b"null" in content):
        return False
    return not has_spaced_colons(content)


def _written_again(lines: Sequence[bytes | None], content: bytes, columns: Sequence[Column]) -> bool:
    """Whether nothing is lost when lines are read and written again: of two pairs with one name a colon would be.

    A value is written as it was; an escaped colon could make up for a lost one.
    """
    decode, colons = _plain(_types(columns), is_full=False, with_others=False).decode, 0
    for start in range(0, len(lines), _SLICE):
        some = list(map(decode, lines[start : start + _SLICE]))  # type: ignore[arg-type]
        colons += _ENCODER.encode_lines(some).count(b":")
    return colons == content.count(b":") and b"\\u003" not in content


def _types(columns: Sequence[Column]) -> tuple[tuple[str, str], ...]:
    return tuple((column.name, column.dtype) for column in columns)


@lru_cache(maxsize=64)
def _plain(
    columns: tuple[tuple[str, str], ...], *, is_full: bool, with_others: bool
) -> "msgspec.json.Decoder[msgspec.Struct]":
    """Decodes objects that have all of these fields if ``is_full``, and no others unless ``with_others``; refuses
    everything else."""
    fields: list[Any] = []
    for number, (name, dtype) in enumerate(columns):
        default = msgspec.NODEFAULT if is_full else msgspec.UNSET
        kind = _read_as(dtype) if is_full else _read_as(dtype) | msgspec.UnsetType
        fields.append((f"field_{number}", kind, msgspec.field(name=name, default=default)))
    line = msgspec.defstruct("Line", fields, forbid_unknown_fields=not with_others, gc=False)
    return msgspec.json.Decoder(line, float_hook=_exact)


def _read_as(dtype: str) -> Any:
    parsed = parse_dtype(dtype)
    if parsed.item.startswith("int") or parsed.item == "bool":
        return Any  # not as it is written, so that ``_exact`` is asked
    if parsed.item not in ("string", "binary"):
        return msgspec.Raw
    item = str | int | bool | None
    return list[item] | item if parsed.kind == "list" else item


def _exact(number: str) -> float:
    """A number with a point or an exponent, of a column of whole ones. Polars reads it as a double.

    Raises:
        ValueError: it may lose digits there, and be whole only then.
    """
    if len(number) > _EXACT_CHARS:
        raise ValueError(number)
    return float(number)
