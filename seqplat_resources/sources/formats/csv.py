"""CSV to frames of text. A record's place is its number after the header."""

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import Any, BinaryIO, TypeAlias

import polars as pl

from seqplat_resources.sources.formats.compression import CompressionDamaged
from seqplat_resources.sources.formats.contract import BrokenPiece, Origin, ParsedRows, Sent, no_rows, sent_of
from seqplat_resources.values.isolation import RAISED_BY_VALUES
from sequence_defs.schema import Csv

# Of a file that is larger, so much is in memory at once, about five times as rows.
PIECE_BYTES = 64 << 20
# The slow path keeps each value as a Python object, ten times as large.
_SLOW_TAKES = 8
# Looked back for the end of a record; within a field that is longer, records are told one by one.
_MOST_LINES = 1000

# Fields, bytes, and what is wrong.
_Record: TypeAlias = tuple[list[str], bytes, str]
_NO_CHARACTER = "\ufffd"
_SOMETHING = re.compile(rb"[^\s\xef\xbb\xbf]")


@dataclass(frozen=True)
class _Header:
    names: Sequence[str]
    payload: bytes


def parse(content: bytes, written: Csv = Csv()) -> ParsedRows:
    """All records. Empty fields are null, and so are those that a record lacks at its end.

    A record without any value (a blank line) is left out, but counted. Of columns with one name the first keeps it.

    Raises:
        CompressionDamaged: the header is not UTF-8.
    """
    quick = _at_once(content, written)
    if quick is not None:
        return _without_blank(quick)
    records = _records(io.BytesIO(content), written, limit=len(content))
    header = _header(records)
    return _together(list(enumerate(records)), header)


def parse_blocks(opened: Callable[[], Iterator[bytes]], written: Csv = Csv()) -> Iterator[ParsedRows]:
    """The records of a file of any size, about ``PIECE_BYTES`` at a time; ``opened`` gives its blocks, in UTF-8.

    A file that is larger than a piece is read twice: what is damaged is so before any of its records is given out.

    Raises:
        CompressionDamaged: as ``parse``, or of the blocks.
    """
    blocks = _sliced(opened())
    first = _taken(blocks, PIECE_BYTES)
    following = next(blocks, b"")
    if not following:
        if _SOMETHING.search(first):
            yield parse(first, written)
        else:
            yield no_rows()
        return
    del first, following
    for _ in blocks:
        pass
    blocks = _sliced(opened())
    yield from _pieces(_taken(blocks, PIECE_BYTES), blocks, written)


def parse_alone(file: Iterator[bytes], payloads: Sequence[bytes], written: Csv = Csv()) -> ParsedRows:
    """Records by their bytes, read below the header of ``file``; a record's place is its number among them.

    Raises:
        CompressionDamaged: as ``parse``, or of the blocks of the file.
    """
    with io.BufferedReader(_Stream(file)) as stream:
        header = _header(_records(stream, written, limit=PIECE_BYTES))
    nothing: _Record = ([], b"", "no record")
    alone = (next(_records(io.BytesIO(one), written, limit=len(one)), nothing) for one in payloads)
    return _together(list(enumerate(alone)), header)


def _pieces(start: bytes, blocks: Iterator[bytes], written: Csv) -> Iterator[ParsedRows]:
    """Pieces that end where records end, each read the quick way; from the first odd one on, record by record."""
    start = start.removeprefix(codecs.BOM_UTF8)
    header = _header(_records(io.BytesIO(start), written, limit=len(start)))
    rest, first, ended = start[len(header.payload) :], 0, False
    del start
    while not ended or rest:
        some, size = [rest], len(rest)
        while size < PIECE_BYTES and not ended:
            some.append(next(blocks, b""))
            size, ended = size + len(some[-1]), not some[-1]
        end = len(some[-1]) if ended else _last_end(some, written)
        # NOTE: one copy of the piece; each more would take as long as a tenth of reading it.
        content = b"".join([header.payload, *some[:-1], some[-1][:end]])
        quick = _at_once(content, written) if ended or end else None
        if quick is None:
            yield from _one_by_one(chain(some, blocks), header, written, first)
            return
        rest = some[-1][end:]
        del some
        read = quick.rows.height
        yield _without_blank(_from(quick, content, first, written))
        first += read


def _last_end(blocks: Sequence[bytes], written: Csv) -> int:
    """Where in the last block the last record ends that is followed by another there; 0 where it is not easily told.

    A line within a field in quotes ends no record. Blank lines are not cut at: Polars does not count the outer ones.
    """
    quote, last = written.quote.encode(), blocks[-1]
    parts = blocks if len(quote) == 1 else [b"".join(blocks)]
    inside, end = sum(part.count(quote) for part in parts) % 2, len(last)
    for _ in range(_MOST_LINES):
        at = last.rfind(b"\n", 0, end)
        if at <= 0:
            return 0
        inside, end = (inside + last.count(quote, at + 1, end)) % 2, at
        before = last[max(0, at - 2) : at].rstrip(b"\r")[-1:]
        if not inside and last[at + 1 : at + 2] not in (b"", b"\n", b"\r") and before not in (b"", b"\n"):
            return at + 1
    return 0


def _one_by_one(blocks: Iterable[bytes], header: _Header, written: Csv, first: int) -> Iterator[ParsedRows]:
    """The slow way for what is left of a file, some records at a time."""
    stream = io.BufferedReader(_Stream(chain([header.payload], blocks)))
    records = _records(stream, written, limit=PIECE_BYTES)
    next(records)
    some: list[tuple[int, _Record]] = []
    size = 0
    for offset, record in enumerate(records, first):
        some.append((offset, record))
        size += len(record[1])
        if size >= PIECE_BYTES // _SLOW_TAKES:
            yield _together(some, header)
            some, size = [], 0
    if some:
        yield _together(some, header)


def _at_once(content: bytes, written: Csv) -> ParsedRows | None:
    """The quick way; None where some record is odd. A carriage return alone ends a line, which Polars does not know."""
    if b"\r" in content and content.count(b"\r") != content.count(b"\r\n"):
        return None
    try:
        rows = pl.read_csv(
            content, separator=written.delimiter, quote_char=written.quote, infer_schema=False, null_values=[""]
        )
    except RAISED_BY_VALUES:
        return None
    if any(written.quote in name or _NO_CHARACTER in name for name in rows.columns):
        return None  # Polars leaves a doubled quote in a name doubled, and takes bytes that are no characters for one
    return _from(ParsedRows(rows, pl.Series(dtype=pl.Int64()), Origin(sent_of(lambda _: b""))), content, 0, written)


def _from(parsed: ParsedRows, content: bytes, first: int, written: Csv) -> ParsedRows:
    """With the places of records of which ``first`` is the first, behind a header."""
    offsets = pl.int_range(first, first + parsed.rows.height, dtype=pl.Int64(), eager=True)
    return ParsedRows(parsed.rows, offsets, Origin(_sent(content, offsets, first, written)))


def _without_blank(parsed: ParsedRows) -> ParsedRows:
    return parsed.only(parsed.rows.select(~pl.all_horizontal(pl.all().is_null())).to_series())


def _together(records: Sequence[tuple[int, _Record]], header: _Header) -> ParsedRows:
    """The slow path: a record that is no CSV, is too long or not UTF-8 is broken; the others are rows."""
    rows: list[list[str | None]] = []
    offsets: list[int] = []
    broken: list[BrokenPiece] = []
    width = len(header.names)
    for offset, (record, payload, problem) in records:
        if problem:
            broken.append(BrokenPiece(offset, payload, problem))
        elif len(record) > width:
            broken.append(BrokenPiece(offset, payload, f"{len(record)} fields, but the header has {width}"))
        else:
            rows.append([value or None for value in record] + [None] * (width - len(record)))
            offsets.append(offset)
    frame = pl.DataFrame(rows, schema=dict.fromkeys(_named_once(header.names), pl.String()), orient="row")
    places, payloads = pl.Series(offsets, dtype=pl.Int64()), {offset: record[1] for offset, record in records}
    sent = sent_of(lambda number: payloads[offsets[number]])
    return _without_blank(ParsedRows(frame, places, Origin(sent), tuple(broken)))


def _header(records: Iterator[_Record]) -> _Header:
    names, payload, problem = next(records, ([], b"", ""))
    if problem:
        raise CompressionDamaged(f"its header is {problem}")
    return _Header(names, payload)


def _sliced(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """No empty blocks, and none that is much of a piece: a packed block may hold any number of bytes."""
    size = max(1, PIECE_BYTES // 4)
    for block in blocks:
        yield from (block[at : at + size] for at in range(0, len(block), size))


def _taken(blocks: Iterator[bytes], size: int) -> bytes:
    """Blocks of about ``size`` bytes together; less where they end."""
    taken, have = [], 0
    for block in blocks:
        taken.append(block)
        have += len(block)
        if have >= size:
            break
    return b"".join(taken)


class _Stream(io.RawIOBase):
    """Blocks as a file."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks, self._rest = blocks, memoryview(b"")  # of which a part is no copy

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            found = next(self._blocks, None)
            if found is None:
                return 0
            self._rest = memoryview(found)
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size


def _named_once(header: Sequence[str]) -> list[str]:
    """As Polars names columns of one name; where it would take one that another has, the next free one."""
    wanted, taken, names = set(header), set[str](), list[str]()
    numbers: dict[str, Iterator[int]] = {}
    for name in header:
        free = name
        while free in taken or (free != name and free in wanted):
            free = f"{name}_duplicated_{next(numbers.setdefault(name, count()))}"
        taken.add(free)
        names.append(free)
    return names


def _sent(content: bytes, offsets: pl.Series, first: int, written: Csv) -> Sent:
    """Records are found again only when somebody asks for their bytes."""

    def find(numbers: pl.Series) -> pl.Series:
        wanted = set(offsets[numbers])
        found = {}
        records = _records(io.BytesIO(content), written, limit=len(content))
        for offset, (_, payload, _) in enumerate(records, first - 1):  # the header comes first
            if offset in wanted:
                found[offset] = payload
        return pl.Series([found.get(offset, b"") for offset in offsets[numbers]], dtype=pl.Binary())

    return find


def _records(content: BinaryIO | io.BufferedReader, written: Csv, *, limit: int) -> Iterator[_Record]:
    """Fields of each record, the bytes it was read from, and why it cannot be understood, if it cannot.

    A field of more than ``limit`` bytes cannot.
    """
    csv.field_size_limit(max(csv.field_size_limit(), limit))  # the fast path has no limit either
    taken: list[str] = []

    def lines() -> Iterator[str]:
        with io.TextIOWrapper(content, "utf-8-sig", errors="surrogateescape", newline="") as stream:
            for line in stream:
                taken.append(line)
                yield line

    reader = csv.reader(lines(), strict=True, delimiter=written.delimiter, quotechar=written.quote)
    while True:
        record, problem = [], ""
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            problem = f"not CSV: {error}"
        payload = "".join(taken).encode(errors="surrogateescape")
        taken.clear()
        yield record, payload, problem or _not_utf8(payload)


def _not_utf8(payload: bytes) -> str:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return "not UTF-8"
    return ""
