"""CSV to frames of text. A record's place is its number after the header."""

import csv
import io
from collections.abc import Iterator

import polars as pl

from seqplat_resources.ingest.parsed import Broken, Parsed


def parse(content: bytes) -> Parsed:
    """All records. Empty fields are null, and so are those that a record lacks at its end.

    A record without any value (a blank line) is left out, but counted.

    Raises:
        PolarsError: there is no header.
    """
    try:
        rows = pl.read_csv(content, infer_schema=False, null_values=[""])
        parsed = Parsed(rows, pl.int_range(rows.height, dtype=pl.Int64(), eager=True))
    except pl.exceptions.PolarsError:
        parsed = _record_by_record(content)
    blank = parsed.rows.select(pl.all_horizontal(pl.all().is_null())).to_series()
    return Parsed(parsed.rows.filter(~blank), parsed.offsets.filter(~blank), parsed.broken)


def _record_by_record(content: bytes) -> Parsed:
    """The slow path: a record that is no CSV, is too long or not UTF-8 is broken; the others are rows."""
    rows: list[list[str | None]] = []
    offsets: list[int] = []
    broken: list[Broken] = []
    records = _records(content)
    header, _, _ = next(records, ([], b"", ""))
    if not header:
        raise pl.exceptions.NoDataError("empty file, not even a header")
    for offset, (record, payload, problem) in enumerate(records):
        if problem:
            broken.append(Broken(offset, payload, problem))
        elif len(record) > len(header):
            broken.append(Broken(offset, payload, f"{len(record)} fields, but the header has {len(header)}"))
        else:
            rows.append([value or None for value in record] + [None] * (len(header) - len(record)))
            offsets.append(offset)
    frame = pl.DataFrame(rows, schema=dict.fromkeys(header, pl.String()), orient="row")
    return Parsed(frame, pl.Series(offsets, dtype=pl.Int64()), tuple(broken))


def _records(content: bytes) -> Iterator[tuple[list[str], bytes, str]]:
    """Fields of each record, the bytes it was read from, and why it cannot be understood, if it cannot."""
    csv.field_size_limit(max(csv.field_size_limit(), len(content)))  # the fast path has no limit either
    taken: list[str] = []

    def lines() -> Iterator[str]:
        with io.TextIOWrapper(io.BytesIO(content), "utf-8-sig", errors="surrogateescape", newline="") as stream:
            for line in stream:
                taken.append(line)
                yield line

    reader = csv.reader(lines(), strict=True)
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
