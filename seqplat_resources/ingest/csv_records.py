"""CSV to frames of text. A record's place is its number after the header."""

import csv
import io
from collections.abc import Iterator, Sequence

import polars as pl

from seqplat_resources.engine.isolation import RAISED_BY_VALUES
from seqplat_resources.ingest.compressed import Damaged
from seqplat_resources.ingest.parsed import Broken, Origin, Parsed, Sent
from sequence_defs.schema import Csv


def parse(content: bytes, written: Csv = Csv()) -> Parsed:
    """All records. Empty fields are null, and so are those that a record lacks at its end.

    A record without any value (a blank line) is left out, but counted. Of columns with one name the first keeps it.

    Raises:
        Damaged: the header is not UTF-8.
    """
    parsed = _at_once(content, written) or _record_by_record(content, written)
    blank = parsed.rows.select(pl.all_horizontal(pl.all().is_null())).to_series()
    offsets = parsed.offsets.filter(~blank)
    return Parsed(parsed.rows.filter(~blank), offsets, Origin(_sent(content, offsets, written)), parsed.broken)


def _at_once(content: bytes, written: Csv) -> Parsed | None:
    """The quick way; None where some record is odd. A carriage return alone ends a line, which Polars does not know."""
    if b"\r" in content and content.count(b"\r") != content.count(b"\r\n"):
        return None
    try:
        rows = pl.read_csv(
            content, separator=written.delimiter, quote_char=written.quote, infer_schema=False, null_values=[""]
        )
    except RAISED_BY_VALUES:
        return None
    if any(written.quote in name for name in rows.columns):
        return None  # Polars leaves a doubled quote in a name doubled
    offsets = pl.int_range(rows.height, dtype=pl.Int64(), eager=True)
    return Parsed(rows, offsets, Origin(_sent(content, offsets, written)))


def _record_by_record(content: bytes, written: Csv) -> Parsed:
    """The slow path: a record that is no CSV, is too long or not UTF-8 is broken; the others are rows."""
    rows: list[list[str | None]] = []
    offsets: list[int] = []
    broken: list[Broken] = []
    records = _records(content, written)
    header, _, problem = next(records, ([], b"", ""))
    if problem:
        raise Damaged(f"its header is {problem}")
    for offset, (record, payload, problem) in enumerate(records):
        if problem:
            broken.append(Broken(offset, payload, problem))
        elif len(record) > len(header):
            broken.append(Broken(offset, payload, f"{len(record)} fields, but the header has {len(header)}"))
        else:
            rows.append([value or None for value in record] + [None] * (len(header) - len(record)))
            offsets.append(offset)
    frame = pl.DataFrame(rows, schema=dict.fromkeys(_named_once(header), pl.String()), orient="row")
    places = pl.Series(offsets, dtype=pl.Int64())
    return Parsed(frame, places, Origin(_sent(content, places, written)), tuple(broken))


def _named_once(header: Sequence[str]) -> list[str]:
    """As Polars names columns of one name."""
    seen: dict[str, int] = {}
    names = []
    for name in header:
        count = seen[name] = seen.get(name, -1) + 1
        names.append(f"{name}_duplicated_{count - 1}" if count else name)
    return names


def _sent(content: bytes, offsets: pl.Series, written: Csv) -> Sent:
    """Records are found again only when somebody asks for their bytes."""

    def find(numbers: pl.Series) -> pl.Series:
        wanted = set(offsets[numbers])
        found = {}
        for offset, (_, payload, _) in enumerate(_records(content, written), -1):  # the header comes first
            if offset in wanted:
                found[offset] = payload
        return pl.Series([found.get(offset, b"") for offset in offsets[numbers]], dtype=pl.Binary())

    return find


def _records(content: bytes, written: Csv) -> Iterator[tuple[list[str], bytes, str]]:
    """Fields of each record, the bytes it was read from, and why it cannot be understood, if it cannot."""
    csv.field_size_limit(max(csv.field_size_limit(), len(content)))  # the fast path has no limit either
    taken: list[str] = []

    def lines() -> Iterator[str]:
        with io.TextIOWrapper(io.BytesIO(content), "utf-8-sig", errors="surrogateescape", newline="") as stream:
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
