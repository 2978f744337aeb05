"""CSV and JSON lines: a line that is no row is a reject with its bytes, position and reason; the others are rows."""

import bz2
import gzip
import json
import math
import struct
import time

import pytest
import zstandard

from seqplat_resources.sources import files
from seqplat_resources.sources.formats import csv
from seqplat_resources.sources.formats.contract import ParsedRows
from sequence_defs.schema import Column
from tests.sources.orders import COLUMNS, UNDATED, Orders, orders, reasons, rejects, rows

HEADER = b"member,at,number,amount\n"
GOOD = b"ann,2024-05-01 10:00:00,1,2.5\n"
AT = "2024-05-01T10:00:00Z"


def line(member: str = '"ann"', number: str = "1", at: str = f'"{AT}"', more: str = "") -> str:
    return f'{{"member": {member}, "at": {at}, "number": {number}{more}}}\n'


# ---- CSV ---------------------------------------------------------------------------------------------------------


def test_csv_records_of_the_wrong_length_are_rejected_with_their_bytes(folder: Orders) -> None:
    """A record with too few fields is one whose last fields are null; one with too many cannot be understood."""
    long = b'bob,2024-05-01 10:00:00,2,2.5,"a, b"\n'
    folder.write("orders.csv", HEADER + GOOD + long + b"cyd,2024-05-01 11:00:00\n" + GOOD)
    runtime = folder.ingest(orders())
    assert rows(runtime, "_offset", "member", "number") == [(0, "ann", 1), (2, "cyd", None), (3, "ann", 1)]
    (reject,) = rejects(runtime)
    assert reject == {
        "stage": "ingest",
        "day": UNDATED,
        "source_partition": "orders.csv",
        "offset": 1,
        "payload": long,
        "reason": "5 fields, but the header has 4",
        "release": runtime.loaded.id,
    }


def test_a_csv_whose_header_is_not_understood_is_refused_whole(folder: Orders) -> None:
    """Although no record is a row of it: what is wrong is said once, with what the header has."""
    folder.write(
        "orders.csv", b"member;at;number;amount\nann;2024-05-01 10:00:00;1;2,5\nbob;2024-05-01 10:00:00;1;2,5\n"
    )
    runtime = folder.ingest(orders())
    (reject,) = rejects(runtime)
    assert reject["offset"] == -1
    assert "has no column ['member', 'at']; it has ['member;at;number;amount']" in reject["reason"]


@pytest.mark.parametrize("header", ["member,at,num\xff", "member,at,num\xff,num\xfe", "\xff,at"])
def test_a_csv_header_that_is_not_utf8_is_no_other_header(folder: Orders, header: str) -> None:
    folder.write("orders.csv", f"{header}\nann,2024-05-01,1\n".encode("latin-1"))
    ((offset, reason),) = reasons(folder.ingest(orders()))
    assert offset == -1
    assert "its header is not UTF-8" in reason


@pytest.mark.parametrize("content", [b"<!DOCTYPE html>", b"code,message\n", b"member\n\n"])
def test_a_csv_that_is_a_header_without_what_is_required_is_refused(folder: Orders, content: bytes) -> None:
    """An error page that was stored in place of a file is no day without rows."""
    folder.write("orders.csv", content)
    ((offset, reason),) = reasons(folder.ingest(orders()))
    assert offset == -1
    assert "has no column [" in reason


def test_a_long_field_is_read_in_time_that_grows_with_it_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the bytes that the slow way reads on, none is copied again for each that was taken."""
    stream = csv._Stream(iter([bytes(64 << 20)]))
    buffer, taken = bytearray(8192), 0
    begun = time.process_time()
    while size := stream.readinto(buffer):
        taken += size
    assert taken == 64 << 20
    assert time.process_time() - begun < 5  # 200 seconds where the rest of the block is copied each time


def test_csv_columns_of_one_name_never_take_the_name_of_another(folder: Orders) -> None:
    folder.write(
        "orders.csv", b"member,at,number,number,number_duplicated_0,x\n" + b"ann,2024-05-01,1,2,3,4\n\xff,,,,,\n"
    )
    runtime = folder.ingest(orders())
    assert rows(runtime, "number", "_extra") == [(1, '{"number_duplicated_1":"2","number_duplicated_0":"3","x":"4"}')]


def test_a_csv_header_of_one_name_is_read_as_fast_as_another(folder: Orders) -> None:
    """Looked for in all names before it, each of so many would take minutes."""
    header = ",".join(["member", "at", "number", *["more"] * 3000])
    folder.write("orders.csv", f"{header}\nann,2024-05-01,1{',x' * 3000}\n\xff{',' * 3002}\n".encode("latin-1"))
    runtime = folder.ingest(orders())
    ((number, extra),) = rows(runtime, "number", "_extra")
    assert (number, extra.count('"x"'), '"more_duplicated_2998"' in extra) == (1, 3000, True)


def test_csv_bytes_that_are_not_utf8_are_rejected(folder: Orders) -> None:
    latin = "josé,2024-05-01 10:00:00,2,2.5\n".encode("latin-1")
    folder.write("orders.csv", HEADER + latin + "josé,2024-05-01 10:00:00,3,2.5\n".encode())
    runtime = folder.ingest(orders())
    assert rows(runtime, "_offset", "member") == [(1, "josé")]
    assert [(r["offset"], r["payload"], r["reason"]) for r in rejects(runtime)] == [(0, latin, "not UTF-8")]


@pytest.mark.parametrize("bad", [b"", b"x,y,z,1,2\n", b"\xff\n"])
def test_one_bad_csv_record_changes_nothing_about_the_others(folder: Orders, bad: bytes) -> None:
    """Quotes, line breaks in quotes, blank lines, a byte order mark and Windows line ends are read alike either way."""
    good = (
        b'\xef\xbb\xbfmember,at,number,amount\r\n"a ""b"" c",2024-05-01 10:00:00,1,\r\n'
        b'"two\r\nlines",2024-05-01 10:00:00,2,1e3\r\n\r\n"",2024-05-01 10:00:00,3,0\r\n'
        b"last,2024-05-01 10:00:00,4,5\r\n"
    )
    folder.write("orders.csv", good + bad)
    runtime = folder.ingest(orders())
    assert rows(runtime, "_offset", "number", "member") == [
        (0, 1, 'a "b" c'),
        (1, 2, "two\r\nlines"),
        (4, 4, "last"),  # the blank line is counted
    ]
    assert reasons(runtime)[-1] == (3, "column member: null, but it is required")
    assert [row["payload"] for row in rejects(runtime)][:-1] == ([bad] if bad else [])


def test_csv_with_a_stray_quote_keeps_all_its_bytes(folder: Orders) -> None:
    """What follows an open quote cannot be told apart any more, but it can be read again once it is mended."""
    rest = b'bob,"2024-05-01 10:00:00,2,2.5\n' + GOOD
    folder.write("orders.csv", HEADER + GOOD + b'"a"b,2024-05-01 10:00:00,2,2.5\n' + GOOD + rest)
    runtime = folder.ingest(orders())
    assert rows(runtime, "_offset", "number") == [(0, 1), (2, 1)]
    assert [(r["offset"], r["payload"], r["reason"]) for r in rejects(runtime)] == [
        (1, b'"a"b,2024-05-01 10:00:00,2,2.5\n', "not CSV: ',' expected after '\"'"),
        (3, rest, "not CSV: unexpected end of data"),
    ]


def test_a_long_csv_field_is_a_field(folder: Orders) -> None:
    """The standard library would stop at 131,072 characters."""
    member = "x" * 200_000
    folder.write("orders.csv", HEADER + b"x,y,z,1,2\n" + f"{member},2024-05-01 10:00:00,1,1\n".encode())
    assert rows(folder.ingest(orders()), "member") == [(member,)]


def test_csv_values_that_do_not_fit_are_rejected_one_by_one(folder: Orders) -> None:
    text = (
        "ann,yesterday,1,1\n"  # no time: undated
        "ann,2024-05-01 10:00:00,1.5,1\n"
        "ann,2024-05-01 10:00:00,many,1\n"
        "ann,2024-05-01 10:00:00,99999999999999999999,1\n"
        ",2024-05-01 10:00:00,1,1\n"
        "ann,,1,1\n"
        "ann,2024-05-01 10:00:00,7,nothing\n"
        "ann,2024-05-01 10:00:00,8,NaN\n"
    )
    folder.write("orders.csv", HEADER + text.encode())
    runtime = folder.ingest(orders())
    assert rows(runtime, "_offset", "number") == [(7, 8)]
    assert [(r["day"] == UNDATED, r["offset"], r["reason"]) for r in rejects(runtime)] == [
        (True, 0, "column at: yesterday is not timestamp"),
        (True, 5, "column at: null, but it is required"),
        (False, 1, "column number: 1.5 is not int64"),
        (False, 2, "column number: many is not int64"),
        (False, 3, "column number: 99999999999999999999 is not int64"),
        (False, 4, "column member: null, but it is required"),
        (False, 6, "column amount: nothing is not float64"),
    ]


def test_times_are_read_by_their_own_text_whatever_stands_before_them(folder: Orders) -> None:
    """ISO 8601 in all its spellings in one file; without a zone it is UTC."""
    spellings = [
        "2024-05-01 10:00:00",
        "2024-05-01T10:00:00",
        "2024-05-01T10:00:00Z",
        "2024-05-01T12:00:00+02:00",
        "2024-05-01T05:00:00-0500",
        "2024-05-01 10:00:00.000",
        "2024-05-01T10:00:00.000000+00:00",
        "2024-05-01T10:00",
    ]
    for number, first in enumerate(["", "garbage", "2024-05-01"]):
        text = "".join(f"ann,{at},{n},1\n" for n, at in enumerate([first, *spellings] if first else spellings))
        folder.write("orders.csv", HEADER + text.encode())
        runtime = folder.ingest(orders())
        times = [at.isoformat() for (at,) in rows(runtime, "_event_time")]
        assert times.count("2024-05-01T10:00:00+00:00") == len(spellings), (number, reasons(runtime))
        assert times.count("2024-05-01T00:00:00+00:00") == (first == "2024-05-01")


def test_a_csv_file_with_only_a_header_is_an_empty_day(folder: Orders) -> None:
    folder.write("orders.csv", HEADER)
    assert rows(folder.ingest(orders())) == []


# ---- JSON lines --------------------------------------------------------------------------------------------------


def test_malformed_json_lines_are_rejected_with_their_bytes(folder: Orders) -> None:
    bad = [b'{"member": "ann"', b"[1, 2]", b'"text"', b"{'member': 1}", '{"member": "josé"}'.encode("latin-1")]
    content = line().encode() + b"\n".join(bad) + b"\n\n  \n" + line(number="2").encode()
    folder.write("orders.ndjson", content)
    runtime = folder.ingest(orders("ndjson"))
    assert rows(runtime, "_offset", "number") == [(0, 1), (8, 2)]
    found = rejects(runtime)
    assert [(r["offset"], r["payload"]) for r in found] == [(n + 1, data) for n, data in enumerate(bad)]
    assert [r["reason"].split(":")[0] for r in found] == [
        "not JSON",
        "not a JSON object",
        "not a JSON object",
        "not JSON",
        "not JSON",
    ]
    assert found[1]["reason"] == "not a JSON object: list"


@pytest.mark.parametrize(
    "value", ['"many"', "1.5", "true", '{"a": 1}', "[1, 2]", '[[1], {"a": [2]}]', "123456789012345678901234567890"]
)
def test_a_json_value_of_another_type_is_one_reject(folder: Orders, value: str) -> None:
    """Whatever one line says, its neighbours stay rows."""
    for content in (line(number=value), line(), line()), (line(), line(number=value), "no JSON\n", line()):
        folder.write("orders.ndjson", "".join(content))
        runtime = folder.ingest(orders("ndjson"))
        assert rows(runtime, "number") == [(1,), (1,)]
        shown = value.strip('"')
        assert (content.index(line(number=value)), f"column number: {shown} is not int64") in reasons(runtime)


def test_json_numbers_are_read_as_numbers(folder: Orders) -> None:
    """Whole numbers in any spelling are integers, and a float keeps its last bit."""
    folder.write("orders.ndjson", line(number="1.0") + line(number="2e3", more=', "amount": 0.1') + line(number='"7"'))
    assert rows(folder.ingest(orders("ndjson")), "number", "amount") == [(1, None), (2000, 0.1), (7, None)]


def test_numbers_that_are_no_number_of_their_column_are_their_rows_alone(folder: Orders) -> None:
    """Also those that JSON does not have, though Python writes them, and those that no reader of it takes."""
    huge = "9" * 60
    folder.write("orders.ndjson", "".join(line(number=n) for n in ("1", "NaN", "1e400", huge, "-Infinity", "2")))
    runtime = folder.ingest(orders("ndjson"))
    assert rows(runtime, "_offset", "number") == [(0, 1), (5, 2)]
    values = enumerate(("NaN", "1e400", huge, "-Infinity"), 1)
    assert reasons(runtime) == [(n, f"column number: {value} is not int64") for n, value in values]
    assert rejects(runtime)[0]["payload"] == line(number="NaN").strip().encode()


@pytest.mark.parametrize("value", ["7.00000000000000000001", "123456.00000000000001", "1.0000000000000000001"])
@pytest.mark.parametrize("dtype", ["int64", "bool", "list[int8]"])
@pytest.mark.parametrize("field", [None, "n.inside"])
def test_a_number_is_not_whole_because_a_float_of_it_would_be(
    folder: Orders, value: str, dtype: str, field: str | None
) -> None:
    """Neither in a list, nor where a path leads to it, nor beside fields that nobody declared."""
    column = Column(name="number", dtype=dtype, field=field)
    good, bad = ("[1]", f"[1, {value}]") if dtype.startswith("list") else ("1", value)
    written = [line(number=n, more=f', "n": {{"inside": {n}}}') for n in (good, bad, good)]
    folder.write("orders.ndjson", "".join(written))
    runtime = folder.ingest(orders("ndjson", columns=(*COLUMNS[:2], column)))
    assert [offset for offset, _ in reasons(runtime)] == [1]
    assert rows(runtime, "_offset") == [(0,), (2,)]


def test_numbers_that_json_does_not_have_are_read_in_text_as_in_json(folder: Orders) -> None:
    columns = (
        *COLUMNS[:2],
        Column(name="point", dtype="vector[float32,2]"),
        Column(name="sizes", dtype="list[float64]"),
        Column(name="deep", dtype="string", field="body.user"),
    )
    inside = '"[NaN, 1]"', '"[-Infinity, null]"', json.dumps('{"lost": NaN, "user": "NaN"}')
    texts = "".join(f', "{n}": {v}' for n, v in zip(("point", "sizes", "body"), inside, strict=True))
    bare = ', "point": [NaN, 1], "sizes": [-Infinity, null], "body": {"lost": NaN, "user": "NaN"}'
    folder.write("orders.ndjson", line(more=texts) + line(more=bare))
    runtime = folder.ingest(orders("ndjson", columns=columns))
    assert rows(runtime, "point", "sizes", "deep") == [(struct.pack("<2f", math.nan, 1), [-math.inf, None], "NaN")] * 2


def test_lists_and_vectors_are_read_from_json_arrays(folder: Orders) -> None:
    """Item by item as strict as a single value, whether or not another line is odd."""
    columns = (
        *COLUMNS[:2],
        Column(name="tags", dtype="list[string]"),
        Column(name="sizes", dtype="list[int64]"),
        Column(name="point", dtype="vector[float32,2]"),
        Column(name="codes", dtype="vector[int8,2]"),
    )
    good = ', "tags": ["a", null, "b"], "sizes": [1, 2.0], "point": [0.5, -2], "codes": [1, -128]'
    odd = [
        ("tags", '"a"', "a is not list[string]"),
        ("sizes", "[1.5]", None),
        ("sizes", '["x"]', None),
        ("point", "[1, 2, 3]", None),
        ("point", "[1, null]", None),
        ("point", '["x", 1]', None),
        ("codes", "[1, 300]", None),
        ("codes", "[1, 0.5]", None),
        ("codes", "3", "3 is not vector[int8,2]"),
    ]
    expected = (["a", None, "b"], [1, 2], struct.pack("<2f", 0.5, -2), struct.pack("2b", 1, -128))
    for name, value, said in odd:
        lines = [line(more=good), line(more=f', "{name}": {value}'), line(more=good)]
        folder.write("orders.ndjson", "".join(lines))
        runtime = folder.ingest(orders("ndjson", columns=columns))
        assert rows(runtime, "tags", "sizes", "point", "codes") == [expected, expected], (name, value)
        ((offset, reason),) = reasons(runtime)
        assert (offset, reason.split(":")[0]) == (1, f"column {name}")
        assert said is None or said in reason


def test_json_fields_may_be_absent_or_new_line_by_line(folder: Orders) -> None:
    folder.write("orders.ndjson", line(more=', "amount": 2') + line() + line(more=', "color": "red", "size": {"w": 1}'))
    runtime = folder.ingest(orders("ndjson"))
    assert rows(runtime, "amount", "_extra") == [
        (2.0, None),
        (None, None),
        (None, '{"color":"red","size":{"w": 1}}'),  # as it was sent
    ]


def test_an_empty_json_lines_file_is_an_empty_day(folder: Orders) -> None:
    folder.write("orders.ndjson", b"")
    assert rows(folder.ingest(orders("ndjson"))) == []


def test_an_object_of_very_many_names_is_read_as_fast_as_another(folder: Orders) -> None:
    """An escaped name and a colon in a text make each name be looked at: counting each in all would take minutes."""
    more = "".join(f', "\\u0030{n}": 1' for n in range(60_000))
    folder.write("orders.ndjson", line(more=f', "text": "a:b"{more}'))
    assert rows(folder.ingest(orders("ndjson")), "member") == [("ann",)]


def test_a_name_that_stands_twice_in_an_object_is_a_reject(folder: Orders) -> None:
    """Readers differ in which of the two they take: two users must not become one."""
    twice = [f'{{"member":"ann","member":"bob","at":"{AT}"}}', f'{{"member":"a","at":"{AT}","\\u006dember":"b"}}']
    folder.write("orders.ndjson", "\n".join([*twice, line(more=', "z": {"x": 1, "x": 2}')]))
    runtime = folder.ingest(orders("ndjson"))
    assert rows(runtime, "member", "_extra") == [("ann", '{"z":{"x": 1, "x": 2}}')]
    assert reasons(runtime) == [(n, "not one JSON object: 'member' stands in it 2 times") for n in (0, 1)]
    assert [row["payload"].decode() for row in rejects(runtime)] == twice


def test_text_is_what_was_sent_or_a_reject(folder: Orders) -> None:
    """Half a character would be read as another one; the character NUL is one like others."""
    halves = [r'"a\ud800"', r'"\udc00"', r'"\ude00\ud83d"']
    whole = [r'"\ud83d\ude00"', r'"\\ud800"', r'"a\u0000"']
    content = "".join(line(member=text) for text in (*halves, *whole)).encode()
    content += line(member='"x"').encode().replace(b"x", b"\xed\xa0\x80") + line(more=r', "z": "\ud800"').encode()
    folder.write("orders.ndjson", content)
    runtime = folder.ingest(orders("ndjson"))
    assert rows(runtime, "_offset", "member") == [(3, "\U0001f600"), (4, "\\ud800"), (5, "a\0")]
    assert [offset for offset, _ in reasons(runtime)] == [0, 1, 2, 6, 7]


def test_texts_of_numbers_keep_every_digit_they_were_sent_in(folder: Orders) -> None:
    """An id of a number is not another id because of who wrote it."""
    members = ["12345678901.0", "1e3", "9007199254740993.0", "1.10", "7", "true", '{"a": 1.50}', "[1, 2.0]"]
    folder.write("orders.ndjson", "".join(line(member=member) for member in members))
    assert rows(folder.ingest(orders("ndjson")), "member") == [(member,) for member in members]


@pytest.mark.parametrize("value", ["[" * 100_000 + "]" * 100_000, '{"x":' * 3000 + "1" + "}" * 3000, "9" * 1_000_000])
def test_huge_values_cost_their_row_and_little_time(folder: Orders, value: str) -> None:
    folder.write("orders.ndjson", line() + line(number=value) + line(more=f', "z": {value}') + line())
    runtime = folder.ingest(orders("ndjson"))
    assert {0, 3} <= {offset for (offset,) in rows(runtime, "_offset")} <= {0, 2, 3}
    assert 1 in [offset for offset, _ in reasons(runtime)]


# ---- Packed files ------------------------------------------------------------------------------------------------

PACKED = {"gz": gzip.compress, "zst": zstandard.ZstdCompressor().compress}


@pytest.mark.parametrize("packing", PACKED)
@pytest.mark.parametrize("format", ["csv", "ndjson"])
@pytest.mark.parametrize("named", [True, False])
def test_packed_files_are_known_by_their_bytes(folder: Orders, packing: str, format: str, named: bool) -> None:
    parts = [HEADER + GOOD, GOOD] if format == "csv" else [line().encode(), line().encode()]
    packed = b"".join(PACKED[packing](part) for part in parts)
    folder.write(f"orders.{format}" + (f".{packing}" if named else ""), packed)
    source = orders(format, location=f"orders.{format}*")
    assert rows(folder.ingest(source), "_offset", "member") == [(0, "ann"), (1, "ann")]
    folder.write(f"orders.{format}" + (f".{packing}" if named else ""), packed[:-5])
    runtime = folder.ingest(source)
    assert rows(runtime) == []
    ((offset, reason),) = reasons(runtime)
    assert offset == -1
    assert "compressed, and cannot be unpacked" in reason


@pytest.mark.parametrize("packing", ["", *PACKED])
def test_a_csv_file_of_any_size_is_read_in_pieces(
    folder: Orders, packing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in memory at once does not grow with the file; one that ends too early gives no row of its beginning."""
    monkeypatch.setattr(csv, "PIECE_BYTES", 4000)
    heights = list[int]()
    whole = csv._without_blank

    def counted(parsed: ParsedRows) -> ParsedRows:
        heights.append(parsed.rows.height)
        return whole(parsed)

    monkeypatch.setattr(csv, "_without_blank", counted)
    monkeypatch.setattr(files, "_BLOCK_BYTES", 500)
    text = HEADER + b"".join(GOOD.replace(b",1,", b",%d," % n) for n in range(1000)) + b"ann,never,7,1\n" + GOOD * 200
    packed = PACKED[packing](text) if packing else text
    folder.write("orders.csv", packed)
    runtime = folder.ingest(orders("csv"))
    assert [n for _, n in rows(runtime, "_offset", "number")] == [*range(1000), *[1] * 200]
    assert [offset for offset, _ in reasons(runtime)] == [1000]
    assert [row["payload"] for row in rejects(runtime)] == [b"ann,never,7,1\n"]
    assert len(heights) > 5
    assert max(heights) < 400
    if packing:
        folder.write("orders.csv", packed[:-5])
        assert rows(runtime := folder.ingest(orders("csv"))) == []
        assert [offset for offset, _ in reasons(runtime)] == [-1]


def test_files_that_are_packed_or_encoded_otherwise_say_so(folder: Orders) -> None:
    folder.write("orders-1.csv", bz2.compress(HEADER + GOOD))
    folder.write("orders-2.csv", (HEADER + GOOD).decode().encode("utf-16"))
    folder.write("orders-3.csv", HEADER + GOOD)
    runtime = folder.ingest(orders())
    assert rows(runtime, "_partition") == [("orders-3.csv",)]
    said = [reason for _, reason in reasons(runtime)]
    assert "it is compressed with bzip2; gzip and zstd are read" in said[0]
    assert "it is UTF-16; write it as UTF-8" in said[1]
