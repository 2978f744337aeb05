"""How the bytes of a sample are written: format, encoding, delimiter, header; or why nobody can read them.

>>> from seqplat_resources.clock import SystemClock
>>> from seqplat_resources.sampling.pieces import sample_of
>>> written = laid_out(sample_of("orders/2024-05-01.csv", shop.sources_root, shop.home, SystemClock()))
>>> written.format, written.csv.delimiter, written.names
('csv', ',', ('number', 'member', 'at', 'product', 'amount'))
"""

import codecs
import csv as python_csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from seqplat_resources.sampling.pieces import Sampled, SampleUnusable
from seqplat_resources.sources.formats import csv
from seqplat_resources.sources.formats.compression import CompressionDamaged, utf8
from sequence_defs.schema import Csv

Format = Literal["parquet", "csv", "ndjson", "delta"]
Encoding = Literal["utf-8", "latin-1", "cp1252", "utf-16"]
_DELIMITERS = (",", ";", "\t", "|")
_LINES = 200
# So many a definition may sensibly have.
MOST_COLUMNS = 5000
# What text may begin with as well is told by more than its first letters.
_KINDS = {
    rb"PK\x03\x04": ("a zip archive or an Excel file", "unzip it, or save the sheet as CSV"),
    rb"SQLite format 3\0": ("a SQLite database", "write the table as CSV: sqlite3 -csv -header FILE 'SELECT ...'"),
    rb"%PDF-": ("a PDF", "name a file with rows"),
    rb"\x89PNG": ("a picture", "name a file with rows"),
    rb"\xff\xd8\xff": ("a picture", "name a file with rows"),
    rb"Obj\x01": ("an Avro file", "write it as Parquet or JSON lines"),
    rb"ORC[^ -~]": ("an ORC file", "write it as Parquet"),
    rb"ARROW1": ("an Arrow file", "write it as Parquet: pl.read_ipc(FILE).write_parquet(...)"),
    rb"\x1f\x8b|\x28\xb5\x2f\xfd": ("packed twice", "unpack it once: gunzip, or unzstd"),
    rb"<(\?xml|!|html|[A-Za-z][^,;|\t\n]*>\s*(<|\n|$))": ("HTML or XML", "name the file itself, not a page about it"),
}
_NOT_CP1252 = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")
_VALUE = re.compile(r"\s*[-+]?[\d.,:/ TZ+-]*\d[\d.,:/ TZ+-]*\s*|true|false|null", re.IGNORECASE)


@dataclass(frozen=True)
class FileLayout:
    """How it is written. ``names`` is the header of a CSV as it stands there."""

    format: Format
    csv: Csv = Csv()
    names: tuple[str, ...] = ()

    @property
    def options(self) -> Csv | None:
        """What a source has to say of its CSV; None where it is written as most are."""
        return self.csv if self.format == "csv" and self.csv.model_dump(exclude_defaults=True) else None


def laid_out(
    sample: Sampled,
    *,
    format: Format | None = None,
    delimiter: str | None = None,
    quote: str | None = None,
    encoding: Encoding | None = None,
    has_header: bool | None = None,
) -> FileLayout:
    """What is given is taken; the rest is seen.

    Raises:
        SampleUnusable: it is empty, of a kind that no source reads, or a CSV without names or without rows.
    """
    if sample.is_table:
        return FileLayout("delta")
    head = sample.pieces[0] if sample.pieces else b""
    if not head.strip(b" \t\r\n\xef\xbb\xbf\0"):
        raise SampleUnusable(f"{sample.name} holds nothing, or nothing but white space; name a file that has rows")
    found = format or _format(sample, head)
    if found != "csv":
        return FileLayout(found)
    return _csv(sample, delimiter, quote, encoding or _encoding(sample), has_header)


def _format(sample: Sampled, head: bytes) -> Format:
    if head.startswith(b"PAR1"):
        return "parquet"
    for magic, (kind, way_out) in _KINDS.items():
        if re.match(magic, head.lstrip(), re.IGNORECASE):
            raise SampleUnusable(f"{sample.name} is {kind}, which no source reads; {way_out}")
    _require_text(sample, head)
    start = head.removeprefix(codecs.BOM_UTF8).lstrip()
    if start.startswith(b"["):
        raise SampleUnusable(
            f"{sample.name} is one JSON array; a source reads an object a line: jq -c '.[]' FILE > FILE.jsonl"
        )
    if start.startswith(b"{") or _is_json_lines(start):
        first = start[: start.find(b"\n")].strip() if b"\n" in start else start.strip()
        if first.startswith(b"{") and not first.endswith(b"}"):
            raise SampleUnusable(
                f"{sample.name} is JSON over several lines; a source reads an object a line: jq -c . FILE > FILE.jsonl"
            )
        return "ndjson"
    if sample.topic:
        raise SampleUnusable(f"{sample.name}: its messages are not JSON, but begin with {head[:20]!r}")
    return "csv"


def _is_json_lines(start: bytes) -> bool:
    """Most of the first lines are objects, though the first is none."""
    lines = [line.strip() for line in start[:100_000].split(b"\n")[:_LINES] if line.strip()]
    objects = sum(line.startswith(b"{") for line in lines)
    return objects * 4 > len(lines)


def _require_text(sample: Sampled, head: bytes) -> None:
    if head[:4] in (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE):
        raise SampleUnusable(f"{sample.name} is UTF-32: iconv -f UTF-32 -t UTF-8 FILE > FILE.csv")
    if head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return
    some = head[:4096]
    for first, name in ((0, "UTF-16BE"), (1, "UTF-16LE")):
        if some[first::2].count(0) * 10 > len(some) * 4 and not some[1 - first :: 2].count(0):
            raise SampleUnusable(
                f"{sample.name} seems to be UTF-16 without a byte order mark: iconv -f {name} -t UTF-8 FILE > FILE.csv"
            )
    odd = sum(byte < 9 or 13 < byte < 32 for byte in some)
    if odd * 20 > len(some):
        raise SampleUnusable(
            f"{sample.name} is binary (it begins with {head[:8].hex(' ')}); "
            "sources read CSV, JSON lines, Parquet and Delta"
        )
    if 0 in some:
        raise SampleUnusable(
            f"{sample.name} is text with a zero byte in it, the first in line {some[: some.index(0)].count(10) + 1}; "
            "take these out: tr -d '\\000' < FILE > NEW"
        )
    if not sample.is_whole and b"\n" not in head and b"\r" not in head:
        raise SampleUnusable(
            f"{sample.name} begins with a line of more than {len(head) >> 20} MB; a source reads a row a line"
        )


def _encoding(sample: Sampled) -> Encoding:
    if sample.pieces[0][:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return "utf-16"
    try:
        for piece in sample.pieces:
            piece.decode()
    except UnicodeDecodeError:
        return "latin-1" if any(map(_NOT_CP1252.search, sample.pieces)) else "cp1252"
    return "utf-8"


def in_utf8(sample: Sampled, encoding: Encoding) -> bytes:
    """The head of a text in UTF-8, without a mark.

    Raises:
        SampleUnusable: it is not so encoded.
    """
    try:
        return utf8(sample.pieces[0], encoding).removeprefix(codecs.BOM_UTF8)
    except CompressionDamaged as error:
        raise SampleUnusable(f"{sample.name}: {error}; say which encoding it is in with --encoding") from error


def _csv(
    sample: Sampled, delimiter: str | None, quote: str | None, encoding: Encoding, has_header: bool | None
) -> FileLayout:
    text = in_utf8(sample, encoding).decode(errors="replace")
    quote = quote or _quote(text)
    delimiter = delimiter or _delimiter(text, quote)
    written = Csv(delimiter=delimiter, quote=quote, encoding=encoding)
    lines = list(_records(text, delimiter, quote))
    records = [record for _, record in lines]
    names = records[0] if records else []
    if len(names) > MOST_COLUMNS:
        raise too_wide(sample, len(names))
    _require_width(sample, lines, delimiter)
    _require_header(sample, names, records[1:], has_header)
    try:
        rows = next(csv.parse_blocks(lambda: iter([in_utf8(sample, encoding)]), written)).rows
    except CompressionDamaged as error:
        raise SampleUnusable(f"{sample.name}: {error}; say how it is written with --delimiter, --quote") from error
    if not rows.height:
        raise SampleUnusable(
            f"{sample.name} has a header and no rows ({', '.join(names[:8])}); name a file with some: types "
            "are told by values"
        )
    return FileLayout("csv", written, tuple(names))


def _quote(text: str) -> str:
    """Double quotes, unless fields begin and end with single ones and none with double ones."""
    single = len(re.findall(r"(?:^|[,;\t|])'[^'\n]*'(?=[,;\t|\r\n]|$)", text[:100_000], re.MULTILINE))
    return "'" if single > 5 and '"' not in text[:100_000] else '"'


def _delimiter(text: str, quote: str) -> str:
    """The one by which most lines have as many fields as the first; a comma for a file of one column."""
    best, most = ",", 0.0
    for each in _DELIMITERS:
        widths = Counter(len(record) for _, record in _records(text, each, quote))
        if widths:
            width, lines = widths.most_common(1)[0]
            score = (width - 1) * lines / widths.total() ** 1.0 * (2.0 if lines == widths.total() else 1.0)
            best, most = (each, score) if width > 1 and score > most else (best, most)
    return best


def _records(text: str, delimiter: str, quote: str) -> Iterator[tuple[int, list[str]]]:
    """The first records, each with the number of its last line."""
    python_csv.field_size_limit(max(python_csv.field_size_limit(), len(text)))
    reader = python_csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quotechar=quote)
    try:
        for number, record in enumerate(reader):
            if number >= _LINES:
                return
            if record:
                yield reader.line_num, record
    except python_csv.Error:
        return


def _require_width(sample: Sampled, lines: Sequence[tuple[int, Sequence[str]]], delimiter: str) -> None:
    """The header is as wide as most of what is below it."""
    header = lines[0][1] if lines else []
    widths = Counter(len(record) for _, record in lines[1:])
    width, rows = widths.most_common(1)[0] if widths else (len(header), 0)
    if width == len(header) or rows * 2 <= widths.total():
        return
    first = next(line for line, record in lines if len(record) == width)
    if width == len(header) + 1 and not any(record[-1] for _, record in lines if len(record) == width):
        way_out = f"each row ends with {delimiter!r} once more than the header: sed 's/{delimiter}$//' FILE > NEW"
    elif width > len(header):
        way_out = f"is line {first} the header? Then leave out what is above it: tail -n +{first} FILE > NEW"
    else:
        way_out = "give each row as many fields as the header has, if empty ones, or the header as many as the rows"
    raise SampleUnusable(
        f"{sample.name}: its first line has {len(header)} field(s) ({', '.join(header)[:60]}), most lines below have "
        f"{width}; {way_out}"
    )


def too_wide(sample: Sampled, columns: int) -> SampleUnusable:
    """More columns than a definition has."""
    return SampleUnusable(
        f"{sample.name} has {columns:,} columns, and a definition at most {MOST_COLUMNS:,}; write those that are "
        "needed to a file of their own, and name that"
    )


def _require_header(
    sample: Sampled, names: Sequence[str], rows: Sequence[Sequence[str]], has_header: bool | None
) -> None:
    values = [name for name in names if name and _VALUE.fullmatch(name)]
    doubtful = bool(values) or (bool(rows) and len(names) > 1 and any(list(row) == list(names) for row in rows))
    if has_header is False or (has_header is None and doubtful):
        shown = ", ".join(names[:6])
        raise SampleUnusable(
            f"{sample.name} seems to have no header: its first line is {shown!r}. A source finds columns by names: "
            f"put a line of {len(names)} names before it, or say --header if these are names"
        )


def without_repeated(rows: pl.DataFrame, names: Sequence[str]) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Without the columns whose name another had before, which no source reads; and these names."""
    repeated = tuple(name for name, count in Counter(names).items() if count > 1)
    return rows.drop([name for name in rows.columns if name not in set(names)]), repeated
