"""CSV and JSON lines: the quick way of reading and the careful way agree, so one odd line changes no other."""

import csv
import gzip
import io
import json
from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from seqplat_resources.sources.formats import csv as csv_records
from seqplat_resources.sources.formats import json_lines
from seqplat_resources.sources.formats.compression import unpacked, unpacked_blocks, utf8, utf8_blocks
from seqplat_resources.sources.formats.contract import ParsedRows
from seqplat_resources.values.typing import typed
from sequence_defs.schema import Column, Csv

# Without surrogates, which no encoding has, and without a lone carriage return, which is a line end to one reader only.
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), max_size=6)
NAMES = ("a", "b", "c")
COLUMNS = tuple(Column(name=name, dtype="string") for name in NAMES)


@given(records=st.lists(st.lists(TEXTS, min_size=3, max_size=3), max_size=6), quoting=st.sampled_from([0, 1]))
def test_a_csv_record_reads_the_same_with_and_without_an_odd_neighbour(records: list[list[str]], quoting: int) -> None:
    text = io.StringIO()
    csv.writer(text, quoting=quoting, lineterminator="\n").writerows([NAMES, *records])
    content = text.getvalue().encode()
    alone, beside = csv_records.parse(content), csv_records.parse(content + b"1,2,3,4\n")
    assert _placed(beside) == _placed(alone)
    assert [piece.payload for piece in beside.broken] == [b"1,2,3,4\n"]
    values = [tuple(value or None for value in record) for record in records]
    assert _placed(alone) == [(n, record) for n, record in enumerate(values) if any(record)]


LINES = st.sampled_from(
    [
        "1,2,3",
        "",
        ",,",
        ' "a",b,',
        '"x\ny",2,3',
        '"a ""q"" b",,',
        "\u00e4,\U0001f600,",
        "1,2",
        "1,2,3,4",
        '5" nail,2,3',
        '"open,2',
    ]
)


@given(
    lines=st.lists(LINES, min_size=1, max_size=14),
    end=st.sampled_from(["\n", "\r\n"]),
    last=st.booleans(),
    packed=st.sampled_from(["", "gzip", "zstd", "two members"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    piece=st.integers(20, 60),
)
def test_a_csv_file_reads_the_same_whole_and_in_pieces(
    lines: list[str], end: str, last: bool, packed: str, encoding: str, piece: int
) -> None:
    text = end.join(["a,b,c", *lines]) + (end if last else "")
    sent = text.encode(encoding)
    half = len(sent) // 2
    stored = {
        "": lambda: sent,
        "gzip": lambda: gzip.compress(sent),
        "zstd": lambda: zstandard.compress(sent),
        "two members": lambda: gzip.compress(sent[:half]) + gzip.compress(sent[half:]) + b"\0" * 9,
    }[packed]()
    written = Csv(encoding="utf-16" if encoding == "utf-16" else "utf-8")

    def opened() -> Iterator[bytes]:
        return utf8_blocks(unpacked_blocks(stored[at : at + 7] for at in range(0, len(stored), 7)), written.encoding)

    whole = csv_records.parse(utf8(unpacked(stored), written.encoding), written)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_records, "PIECE_BYTES", piece)
        pieces = list(csv_records.parse_blocks(opened, written))
    assert [row for each in pieces for row in _placed(each)] == _placed(whole)
    assert [broken for each in pieces for broken in each.broken] == [*whole.broken]
    payloads = [each.origin.sent(pl.int_range(each.rows.height, dtype=pl.UInt32(), eager=True)) for each in pieces]
    assert [b for each in payloads for b in each] == whole.origin.sent(
        pl.int_range(whole.rows.height, dtype=pl.UInt32(), eager=True)
    ).to_list()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("xy"), inner, max_size=2),
    max_leaves=4,
)
OBJECTS = st.fixed_dictionaries({"a": JSON}, optional={"b": st.integers(-5, 5), "c": JSON})


@given(objects=st.lists(OBJECTS, max_size=6))
def test_a_json_line_reads_the_same_with_and_without_an_odd_neighbour(objects: list[dict[str, Any]]) -> None:
    lines = [json.dumps(value, ensure_ascii=False).encode() for value in objects]
    (alone,) = json_lines.parse(b"\n".join(lines), COLUMNS, 100)
    (beside,) = json_lines.parse(b"\n".join([*lines, b'{"a": 1,']), COLUMNS, 100)
    assert not alone.broken
    assert [piece.payload for piece in beside.broken] == [b'{"a": 1,']
    assert _placed(beside) == _placed(alone)
    for (_, row), value in zip(_placed(alone), objects, strict=True):
        for name, text in zip(NAMES, row, strict=True):
            _assert_said(value.get(name), text)


ODD_LINES = (
    b"{}",
    b"5",
    b"null",
    b"[1]",
    b"",
    b"  ",
    b'{"a": 1} ',
    b'\t{"a": true, "b": null}\r',
    b'{"a": NaN}',
    b'{"a": 1e400}',
    b'{"a": 01}',
    b'{"a": -0.0, "b": 1.5e3}',
    b'{"a": 12345678901234567890123}',
    b'{"a": 1, "a": 2}',
    b'{"a": "x", "a": null}',
    b'{"\\u0061": 7}',
    b'{"a": "\\u0061\\ud83d"}',
    b'{"a": "\xff"}',
    b'{"a": "q\x01"}',
    b'{"a": "x\\ny"}',
    b'{"a": {"x": [1, null]}}',
    b'{"a": 1}{"a": 2}',
    b'{"a": 1},{"a": 2}',
    b'{"a": [1',
    b"2]}",
    b'{"a": 1, "z": 2}',
    b'{"a": 1, "b": 2, "a": 3}',
    b'{"a": 1, "\\u0061": 2, "b": "\\u003a"}',
    b'{"a" : 1, "a" :2}',
    b'{"z": 1, "z": 2}',
    b'{"a": {"x": 1, "x": 2}}',
    b'{"a": "\\ud83d\\ude00"}',
    b'{"a": "\\ude00\\ud83d"}',
    b'{"z": "\\udc00"}',
    b'{"a": "\\\\ud800"}',
    b'{"a": "\\u0000"}',
    b'{"a": "\xed\xa0\x80"}',
    b'{"z": "\xc0\x80"}',
    b'{"a": Infinity, "b": -Infinity, "c": "NaN, NaN"}',
    b'{"a": -0, "b": 10000000000.0, "c": 1.10}',
    b'{"a": [10000000000.0, 1e3, true]}',
    b'\xef\xbb\xbf{"a": 1}',
    b'{"a": ' + b"[" * 90 + b"]" * 90 + b"}",
    b'{"z": ' + b'{"x":' * 500 + b"1" + b"}" * 500 + b"}",
    b'{"a": ' + b"9" * 400 + b"}",
    b'{"a": 1e-400}',
    b"\x1f\x8b",
)


KINDS = st.sampled_from(["string", "int64", "float64", "bool", "list[string]", "list[int64]", "timestamp"])
LINES = st.lists(st.sampled_from(ODD_LINES) | OBJECTS.map(lambda value: json.dumps(value).encode()), max_size=4)


@given(lines=LINES, types=st.fixed_dictionaries(dict.fromkeys(NAMES, KINDS)))
def test_lines_read_the_same_all_at_once_and_line_by_line(lines: list[bytes], types: dict[str, str]) -> None:
    """Whatever the short ways do not refuse, the long way reads alike, and finds nothing broken in it."""
    columns = [Column(name=name, dtype=dtype) for name, dtype in types.items()]
    short = json_lines.parse_records(range(len(lines)), lines, columns)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(json_lines, "_all_at_once", lambda *_, **__: None)
        long = json_lines.parse_records(range(len(lines)), lines, columns)
    assert long.offsets.len() + len(long.broken) == len(lines)
    assert (short.broken, short.origin.unknown) == (long.broken, long.origin.unknown)
    fitted = [parsed.rows.select(typed(column, pl.String()) for column in columns) for parsed in (short, long)]
    assert fitted[0].equals(fitted[1]), (fitted, short, long)
    assert short.rows.null_count().row(0) == long.rows.null_count().row(0)
    extras = [[] if parsed.origin.extras is None else parsed.origin.extras.to_list() for parsed in (short, long)]
    assert extras[0] == extras[1]


@given(lines=LINES)
def test_a_line_is_read_by_what_it_says_and_not_by_its_neighbours(lines: list[bytes]) -> None:
    together = json_lines.parse_records(range(len(lines)), lines, COLUMNS)
    for number, line in enumerate(lines):
        alone = json_lines.parse_records([number], [line], COLUMNS)
        assert _placed(alone) == [row for row in _placed(together) if row[0] == number]
        assert alone.broken == tuple(piece for piece in together.broken if piece.offset == number)
    numbers = pl.int_range(together.rows.height, dtype=pl.UInt32(), eager=True)
    assert together.origin.sent(numbers).to_list() == [lines[offset] for offset in together.offsets]


NO_TIMES = ("2024-02-30", "2024-05-01T25:00:00Z", "24-05-01", "999-05-01 10:00Z", "10:00", "20240501", "T", "")
TIMES = st.sampled_from(
    (
        "2024-05-01",
        "2024-05-01 10:00",
        "2024-05-01T10:00:00",
        "2024-05-01 10:00:00.123456",
        "2024-05-01T10:00:00Z",
        "2024-05-01 10:00+02:00",
        "0024-05-01T10:00Z",
        "2024-05-01T10:00:00.5+02:00",
        "2024-05-01 10:00:00-0530",
        "2024-05-01T10:00:00+02",
        "2024-05-01T10:00:00 Z",
        None,
        *NO_TIMES,
    )
)


@given(texts=st.lists(TIMES, min_size=1, max_size=5))
def test_a_text_is_the_same_time_whatever_stands_beside_it(texts: list[str | None]) -> None:
    when = Column(name="at", dtype="timestamp")
    frame = pl.DataFrame({"at": texts}, schema={"at": pl.String})
    together = frame.select(typed(when, pl.String())).to_series()
    assert together.dtype == pl.Datetime("us", "UTC")
    alone = [frame[n : n + 1].select(typed(when, pl.String())).item() for n in range(frame.height)]
    assert together.to_list() == alone
    assert [value is None for value in alone] == [text is None or text in NO_TIMES for text in texts]


def _assert_said(value: Any, text: str | None) -> None:
    """The text of a value: itself, or the JSON it was sent in."""
    assert text == (value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _placed(parsed: ParsedRows) -> list[tuple[int, tuple[str | None, ...]]]:
    return list(zip(parsed.offsets, parsed.rows.select(NAMES).rows(), strict=True))
