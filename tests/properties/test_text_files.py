"""CSV and JSON lines: the quick way of reading and the careful way agree, so one odd line changes no other."""

import csv
import io
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from seqplat_resources.ingest import csv_records, json_lines
from seqplat_resources.ingest.parsed import Parsed

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
