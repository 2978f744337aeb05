"""Small files are decoded together, and days of them share a commit: all is told and kept as of each alone."""

import datetime as dt
import json
import tempfile
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqplat_resources.batch.builds import raw
from seqplat_resources.sources import decode as decode_module
from seqplat_resources.sources.decode import DecodedRows, decode_file, decode_files
from seqplat_resources.sources.files import find
from sequence_defs.schema import Column, Source
from tests.budget import examples
from tests.building import days
from tests.sources.orders import COLUMNS, Orders, orders, rejects, rows

LINES = (
    {"member": "ann", "at": "2024-05-01T10:00:00Z", "number": 1},
    {"member": "bob", "at": "2024-05-02T10:00:00Z", "number": "2", "town": {"name": "Bonn"}},
    {"member": None, "at": "2024-05-01T10:00:00Z"},
    {"member": "cat", "at": "soon"},
    {"member": "dan", "at": "2024-05-01T10:00:00Z", "number": -1},
    {"member": "eve", "at": "2024-05-03T10:00:00Z", "number": 2**70, "x": 1},
)
BROKEN = b"{no"
FILTERED = orders("ndjson", filter="number IS NULL OR number > 0")
TYPED = orders("parquet", filter="number IS NULL OR number > 0")


def said(found: list[DecodedRows]) -> tuple[object, ...]:
    """All that is told of files, however it was cut."""
    filtered, unknown = Counter[str](), dict[str, set[str]]()
    for each in found:
        filtered.update(each.filtered)
        for partition, names in each.unknown_fields.items():
            unknown.setdefault(partition, set()).update(names)
    refused = [reject for each in found for reject in each.rejects.rows()]
    order = ("source_partition", "offset")
    return [row for each in found for row in each.rows.rows()], sorted(refused, key=str), +filtered, unknown, order


def write(folder: Path, number: int, source: Source, lines: list[object]) -> None:
    path = folder / f"orders-{number:02}.{source.format}"
    if source.format == "ndjson":
        path.write_bytes(b"\n".join(each if isinstance(each, bytes) else json.dumps(each).encode() for each in lines))
        return
    if lines and lines[0] == BROKEN:
        path.write_bytes(b"no parquet")
        return
    kept = [each for each in lines if isinstance(each, dict) and each["at"] != "soon"]
    names = ["member", "at", "number", *(["town"] if len(lines) > 3 else [])]
    data = {name: [str(v) if (v := each.get(name)) is not None else None for each in kept] for name in names}
    pl.DataFrame(data, schema=dict.fromkeys(names, pl.String())).write_parquet(path)


@given(
    st.lists(st.lists(st.sampled_from([*LINES, BROKEN]), max_size=5), max_size=6),
    st.sampled_from([FILTERED, TYPED]),
    st.sampled_from([1, 3, 1000]),
)
def test_files_together_are_files_alone(files: list[list[object]], source: Source, at_once: int) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patched:
        for number, lines in enumerate(files):
            write(Path(folder), number, source, lines)
        found = find(source.location, folder, source="orders") if files else []
        patched.setattr(decode_module, "ROWS_TOGETHER", at_once)
        alone = [each for file in found for each in decode_files(source, [file], folder)]
        assert said(list(decode_files(source, found, folder))) == said(alone)


def test_many_small_files_are_one_chunk(tmp_path: Path) -> None:
    for number in range(5):
        write(tmp_path, number, TYPED, [LINES[0]])
    found = find(TYPED.location, str(tmp_path), source="orders")
    assert [each.rows.height for each in decode_files(TYPED, found, str(tmp_path))] == [5]
    assert [each.rows.height for file in found for each in decode_file(TYPED, file, [])] == [1] * 5


@settings(max_examples=examples(12))  # each builds up to eight days
@given(st.lists(st.lists(st.sampled_from([*LINES, BROKEN]), max_size=4), min_size=1, max_size=4))
def test_days_together_are_days_alone(files: list[list[object]]) -> None:
    """Facts of each day, and what is in the lake, are those of a run for each day."""
    source = orders("ndjson", location="orders-{day}.ndjson", filter=FILTERED.filter)
    every = days(dt.date(2024, 5, 1), len(files))
    with tempfile.TemporaryDirectory() as folder:
        left = []
        for name in ("together", "alone"):
            at = Path(folder) / name
            at.mkdir()
            shop = Orders(at)
            for day, lines in zip(every, files, strict=True):
                shop.write(
                    f"orders-{day}.ndjson", b"\n".join(e if e == BROKEN else json.dumps(e).encode() for e in lines)
                )
            runtime = shop.runtime(source)
            spans = [every] if name == "together" else [[day] for day in every]
            results = [result for span in spans for result in raw.ingest(runtime, "orders", span)]
            told = [(result.day, result.rows, dict(result.facts)) for result in results]
            stored = [dict(each) for each in rejects(runtime)]
            left.append(
                (told, sorted(rows(runtime, "member", "number", "_partition", "_offset")), sorted(stored, key=str))
            )
        assert left[0] == left[1]


def test_a_file_whose_name_has_two_days_is_read_for_each(tmp_path: Path) -> None:
    """Of each day it is refused what is of the other; read once for both, it would be refused as one of them."""
    source = orders("ndjson", location="*{day}*.ndjson", columns=(*COLUMNS, Column(name="x", dtype="int64")))
    shop = Orders(tmp_path)
    shop.write("2024-05-01_2024-05-02.ndjson", b"\n".join(json.dumps(each).encode() for each in LINES[:2]))
    runtime = shop.runtime(source)
    results = list(raw.ingest(runtime, "orders", days(dt.date(2024, 5, 1), 2)))
    assert [(result.rows, result.facts["rejected_undated"]) for result in results] == [(1, 1), (1, 1)]
