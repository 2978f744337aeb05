"""One value written as CSV, JSON lines and Parquet is one cell in all three, or a reject in all three."""

import csv
import datetime as dt
import io
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
from hypothesis import example, given
from hypothesis import strategies as st

from seqplat_resources.sources.decode import decode_files
from seqplat_resources.sources.files import find
from sequence_defs.schema import Column, Source

FORMATS = ("csv", "ndjson", "parquet")
INTEGERS = {f"int{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)}
BITS = (7, 8, 15, 16, 31, 32, 53, 63)
EDGES = [edge + step for bits in BITS for edge in (-(2**bits), 2**bits) for step in (-1, 0, 1)]
REJECT = "reject"

ints = st.sampled_from([value for value in EDGES if -(2**63) <= value < 2**63]) | st.integers(-300, 300)
ODD_FLOATS = (0.0, -0.0, 7.0, 1.5, 1e15, 2.0**53, 2.0**63, -(2.0**63), 1e39, 1e300, 5e-324, math.nan, math.inf)
floats = st.sampled_from((*ODD_FLOATS, -math.inf)) | ints.map(float)
times = st.datetimes(dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59))
NUMBERS = ("7", "7.0", "+7", "1e3", "7.5", "1e400", "0", "1.0", "2", " 7", "007", "1_000", "0x10", "NaN", "Infinity")
TIMES = (
    "2024-05-01",
    "20240501",
    "2024-02-30",
    "0001-01-01",
    "10000-01-01",
    "2024-05-01T10:00:00Z",
    "2024-05-01T10:00:00+02:00",
    "9999-12-31T23:59:59-14:00",
)
WORDS = ("x", "true", "TRUE", "\U0001f600", "a\0b", 'say "hi", twice', "two\nlines", "\ufeff", "\\ud800")
texts = st.sampled_from((*NUMBERS, *TIMES, *WORDS))
KINDS: dict[str, tuple[st.SearchStrategy[Any], pl.DataType]] = {
    "int": (ints, pl.Int64()),
    "float": (floats, pl.Float64()),
    "bool": (st.booleans(), pl.Boolean()),
    "text": (texts, pl.String()),
    "date": (st.dates(), pl.Date()),
    "time": (times, pl.Datetime("us")),
    "decimal": (st.sampled_from(["7.00", "7.50", "0.00", "1.00", "300.00"]).map(Decimal), pl.Decimal(20, 2)),
}
TARGETS = (*INTEGERS, "float32", "float64", "bool", "string", "date", "timestamp")


@st.composite
def columns(draw: st.DrawFn) -> tuple[str, str, list[Any]]:
    """A declared type, the kind of the values, and values of that kind, or null."""
    kind, target = draw(st.sampled_from(sorted(KINDS))), draw(st.sampled_from(TARGETS))
    if target == "string" and kind in ("float", "decimal", "time"):  # formats write these in several ways
        target = "float64"
    return target, kind, draw(st.lists(st.none() | KINDS[kind][0], min_size=1, max_size=6))


@given(columns())
@example(("int64", "float", [7.0, None, 8.0]))
@example(("date", "int", [20261122]))
@example(("timestamp", "int", [1795341600000]))
@example(("int64", "bool", [True, False]))
@example(("int64", "float", [2.0**60, -(2.0**63), 2.0**63, 2.0**53, math.nan, math.inf]))
@example(("bool", "float", [1.0, 2.0, 1.5, 0.0]))
@example(("float32", "float", [1e39, math.inf]))
@example(("string", "text", ["a\0b", "\U0001f600", "\\ud800"]))
def test_a_value_is_judged_alike_in_every_format(case: tuple[str, str, list[Any]]) -> None:
    target, kind, values = case
    with written(kind, values) as folder:
        cells = {format: cells_of(folder, format, target, len(values)) for format in FORMATS}
    assert cells["csv"] == cells["ndjson"] == cells["parquet"], (target, kind, values)
    expected = [None if value is None else cell(value, target) for value in values]
    assert cells["csv"] == [shown(value) for value in expected], (target, kind, values)


def cell(value: Any, target: str) -> Any:
    """What a value is in a column of the type, by the rules as docs/values.md tells them."""
    text = value if isinstance(value, str) else None
    if target == "string":
        return str(value).lower() if isinstance(value, bool) else str(value)
    if target in ("date", "timestamp"):
        return _time(value, target)
    number = _number(value) if not isinstance(value, bool) else None
    if target == "bool":
        known = {"true": True, "false": False}.get(text.lower()) if text else value if isinstance(value, bool) else None
        return known if known is not None else bool(number) if number in (0, 1) else REJECT
    if number is None:
        return REJECT
    if target in INTEGERS:
        low, high = INTEGERS[target]
        if not math.isfinite(number) or number != int(number):
            return REJECT
        whole = int(Decimal(str(number)))  # of a large float, the digits that it is written in
        return whole if low <= whole <= high else REJECT
    return REJECT if text == "1e400" else _float(number, target)


def _number(value: Any) -> Any:
    if not isinstance(value, str):
        return value if isinstance(value, int | float | Decimal) else None
    try:
        return None if "_" in value or value != value.strip() else int(value) if value.isdigit() else float(value)
    except ValueError:
        return None


def _float(number: Any, target: str) -> Any:
    if isinstance(number, float) and not math.isfinite(number):
        return number
    narrow = pl.Series([float(number)]).cast(pl.Float32 if target == "float32" else pl.Float64)[0]
    return narrow if math.isfinite(narrow) else REJECT


def _time(value: Any, target: str) -> Any:
    if isinstance(value, str):
        try:
            value = dt.datetime.fromisoformat(value) if "-" in value and "T" in value else dt.date.fromisoformat(value)
            if isinstance(value, dt.date) and not isinstance(value, dt.datetime) and "-" not in str(value):
                return REJECT
        except ValueError:
            return REJECT
    if isinstance(value, dt.datetime):
        try:
            utc = value.replace(tzinfo=value.tzinfo or dt.UTC).astimezone(dt.UTC)
        except OverflowError:
            return REJECT
        return utc.date() if target == "date" else utc
    if not isinstance(value, dt.date):
        return REJECT
    return value if target == "date" else dt.datetime.combine(value, dt.time(), dt.UTC)


@contextmanager
def written(kind: str, values: list[Any]) -> Iterator[str]:
    """A folder with the values as ``x.csv``, ``x.ndjson`` and ``x.parquet``, each beside its row's number."""
    with TemporaryDirectory() as folder:
        frame = pl.DataFrame({"row": range(len(values)), "v": pl.Series(values, dtype=KINDS[kind][1])})
        frame.write_parquet(f"{folder}/x.parquet")
        table = io.StringIO(newline="")
        rows = csv.writer(table, lineterminator="\n")
        rows.writerows([("row", "v"), *((n, "" if v is None else _said(v)) for n, v in enumerate(values))])
        Path(f"{folder}/x.csv").write_bytes(table.getvalue().encode())
        lines = [json.dumps({"row": n, "v": v}, default=_said_in_json) for n, v in enumerate(values)]
        Path(f"{folder}/x.ndjson").write_text("\n".join(lines))
        yield folder


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, dt.date) else str(value)


def _said_in_json(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value.isoformat()


def cells_of(folder: str, format: str, target: str, count: int) -> list[str]:
    """Per value its cell as text, so that NaN equals itself; "reject" for a reject, of which there is one."""
    declared = (Column(name="row", dtype="int64"), Column(name="v", dtype=target))
    source = Source(name="s", tenant="t", location=f"x.{format}", format=format, columns=declared)  # type: ignore[arg-type]
    cells, refused = dict[int, str](), list[int]()
    for decoded in decode_files(source, find(source.location, folder, source="s"), folder):
        cells |= {row: shown(value) for row, value in decoded.rows.select("row", "v").iter_rows()}
        refused += decoded.rejects["offset"].to_list()
    assert len(refused) == len(set(refused))
    assert not set(refused) & set(cells)
    return [cells.get(n, REJECT if n in refused else "lost") for n in range(count)]


def shown(value: Any) -> str:
    return "0.0" if value == 0 and isinstance(value, float) else str(value)
