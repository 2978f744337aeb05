"""CSV and JSON lines: the quick way of reading and the careful way agree, so one odd line changes no other."""

import csv
import io
import json
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqplat_resources.engine.typing import typed
from seqplat_resources.ingest import csv_records, json_lines
from seqplat_resources.ingest.parsed import Parsed
from sequence_defs.schema import Column

# Without surrogates, which no encoding has, and without a lone carriage return, which is a line end to one reader only.
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), max_size=6)
NAMES = ("a", "b", "c")


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
    (alone,) = json_lines.parse(b"\n".join(lines), NAMES, 100)
    (beside,) = json_lines.parse(b"\n".join([*lines, b'{"a": 1,']), NAMES, 100)
    assert not alone.broken
    assert [piece.payload for piece in beside.broken] == [b'{"a": 1,']
    assert _placed(beside) == _placed(alone)
    for (offset, row), value in zip(_placed(alone), objects, strict=True):
        assert lines[offset] == json.dumps(value, ensure_ascii=False).encode()
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
)


@given(lines=st.lists(st.sampled_from(ODD_LINES) | OBJECTS.map(lambda value: json.dumps(value).encode()), max_size=4))
def test_lines_without_other_fields_read_the_same_the_short_way(lines: list[bytes]) -> None:
    """Whatever the short way does not refuse, the long way reads alike, and finds nothing broken in it."""
    short = json_lines._as_declared(lines, NAMES)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(json_lines, "_as_declared", lambda *_: None)
        long = json_lines.parse_records(range(len(lines)), lines, NAMES)
    if short is not None:
        assert not long.broken
        assert long.rows.equals(short)


NO_TIMES = ("2024-02-30", "2024-05-01T25:00:00Z", "2024-05-01 10:00+02:00", "10:00", "20240501", "T", "")
TIMES = st.sampled_from(
    (
        "2024-05-01",
        "2024-05-01 10:00",
        "2024-05-01T10:00:00",
        "2024-05-01 10:00:00.123456",
        "2024-05-01T10:00:00Z",
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
    """The text of a value: itself, or JSON that says the same."""
    if value is None or isinstance(value, str):
        assert text == value
    elif isinstance(value, dict | list):
        assert text is not None
        assert text[0] in "[{"
    else:
        assert type(value)(json.loads(text or "")) == value


def _placed(parsed: Parsed) -> list[tuple[int, tuple[str | None, ...]]]:
    return list(zip(parsed.offsets, parsed.rows.select(NAMES).rows(), strict=True))
