"""JSON lines to frames. Declared fields come as text, so that no line decides the type of another."""

import io
import json
import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

import msgspec
import polars as pl

from seqplat_resources.ingest.parsed import Broken, Parsed

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_ABSENT = msgspec.Raw(b"null")


def parse(content: bytes, declared: Sequence[str], chunk_lines: int) -> Iterator[Parsed]:
    """The objects of a file, ``chunk_lines`` at a time; a line's place is its number, blank ones counted.

    Shapes:
        Out: every field of ``declared`` as text, also where no line has it; other fields as Polars infers them, or as
        text where they do not agree.
    """
    lines = content.removeprefix(_BYTE_ORDER_MARK).split(b"\n")
    for start in range(0, len(lines), chunk_lines):
        numbered = enumerate(lines[start : start + chunk_lines], start)
        yield _parsed([(offset, line) for offset, line in numbered if line.strip()], declared)


def parse_records(offsets: Sequence[int], values: Sequence[bytes | None], declared: Sequence[str]) -> Parsed:
    """The objects of a log's messages, one each, whatever white space is in it; otherwise as ``parse``.

    A message without a value (a tombstone) says nothing of an event, so it is broken.
    """
    if (rows := _as_declared(values, declared)) is not None:
        return Parsed(rows, pl.Series(offsets, dtype=pl.Int64()))
    lines, broken, sent = [], [], {}
    for offset, value in zip(offsets, values, strict=True):
        if value is None or not value.strip():
            broken.append(Broken(offset, value or b"", "no value: a tombstone names no event"))
        elif b"\n" in value:
            try:
                lines.append((offset, msgspec.json.format(value, indent=-1)))
                sent[offset] = value
            except (msgspec.DecodeError, RecursionError) as error:
                broken.append(Broken(offset, value, f"not JSON: {error}"))
        else:
            lines.append((offset, value))
    parsed = _parsed(lines, declared)
    as_sent = (replace(piece, payload=sent.get(piece.offset, piece.payload)) for piece in parsed.broken)
    return replace(parsed, broken=(*broken, *as_sent))


def _parsed(lines: list[tuple[int, bytes]], declared: Sequence[str]) -> Parsed:
    if (rows := _as_declared([line for _, line in lines], declared)) is not None:
        return Parsed(rows, _offsets(lines))
    try:
        return Parsed(_inferred([line for _, line in lines], declared), _offsets(lines))
    except pl.exceptions.PolarsError:
        pass  # one line is enough to refuse the chunk, so only now look at each
    fields, good, broken = dict.fromkeys(declared), [], []
    for offset, line in lines:
        try:
            fields |= dict.fromkeys(_checked(line))
            good.append((offset, line))
        except (ValueError, RecursionError) as error:
            broken.append(Broken(offset, line, str(error)))
    frames = list(_as_text(good, list(fields), broken))
    refused = {piece.offset for piece in broken}
    return Parsed(pl.concat(frames), _offsets(line for line in good if line[0] not in refused), tuple(broken))


def _as_declared(lines: Sequence[bytes | None], declared: Sequence[str]) -> pl.DataFrame | None:
    """What ``_inferred`` gives, at half its price, if every line is one object without other fields; else None.

    Polars passes over fields that its schema does not name, so something else has to see that there are none.
    """
    try:
        deque(map(_only(tuple(declared)).decode, lines), maxlen=0)  # type: ignore[arg-type]
        content = b"\n".join(lines)  # type: ignore[arg-type]
        rows = pl.read_ndjson(io.BytesIO(content), schema=dict.fromkeys(declared, pl.String())) if content else None
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError, pl.exceptions.PolarsError):
        return None
    one_each = rows is not None and rows.height == len(lines) == content.count(b"\n") + 1
    return rows if one_each else None


@lru_cache(maxsize=64)
def _only(declared: tuple[str, ...]) -> "msgspec.json.Decoder[msgspec.Struct]":
    """Decodes objects that have no other fields, whatever the values, and refuses everything else."""
    fields = [(f"field_{n}", msgspec.Raw, msgspec.field(name=name, default=_ABSENT)) for n, name in enumerate(declared)]
    return msgspec.json.Decoder(msgspec.defstruct("Line", fields, forbid_unknown_fields=True))


def _inferred(lines: list[bytes], declared: Sequence[str]) -> pl.DataFrame:
    # A first line that names every declared field, or Polars would miss those that are in none.
    named = [json.dumps(dict.fromkeys(declared)).encode(), *lines]
    texts = dict.fromkeys(declared, pl.String())
    return pl.read_ndjson(io.BytesIO(b"\n".join(named)), schema_overrides=texts, infer_schema_length=None)[1:]


def _as_text(lines: list[tuple[int, bytes]], fields: list[str], broken: list[Broken]) -> Iterator[pl.DataFrame]:
    """Every field as text; lines that only Polars refuses are found by halving and added to ``broken``."""
    texts = dict.fromkeys(fields, pl.String())
    try:
        if lines:
            yield pl.read_ndjson(io.BytesIO(b"\n".join(line for _, line in lines)), schema=texts)
        else:
            yield pl.DataFrame(schema=texts)
    except pl.exceptions.PolarsError as error:
        if len(lines) == 1:
            broken.append(Broken(*lines[0], f"not JSON: {error}"))
            yield pl.DataFrame(schema=texts)
            return
        middle = len(lines) // 2
        yield from _as_text(lines[:middle], fields, broken)
        yield from _as_text(lines[middle:], fields, broken)


def _checked(line: bytes) -> dict[str, object]:
    """The object of a line.

    Raises:
        ValueError, RecursionError: it is none; the message says why.
    """
    try:
        value = json.loads(line.decode(), parse_constant=_number, parse_float=_number)
        "".join(value if isinstance(value, dict) else ()).encode()  # a name that is half a character names no column
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"not a JSON object: {type(value).__name__}")
    return value


def _number(text: str) -> float:
    """A JSON number; JSON has no infinity and no NaN, and Polars refuses what is out of range."""
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text} is no number")
    return value


def _offsets(lines: Iterable[tuple[int, bytes]]) -> pl.Series:
    return pl.Series([offset for offset, _ in lines], dtype=pl.Int64())
