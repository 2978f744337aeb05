"""Rows joined to a file by a key that others wrote: each finds what the file says of its key, or is refused."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import polars as pl

from seqplat_resources.sources.decode import decode_files
from seqplat_resources.sources.files import find
from sequence_defs.schema import Column, Join, Source, Time
from tests.building import ManualClock
from tests.hostile.material import clocks
from tests.hostile.material.draws import Draw
from tests.hostile.material.instants import EPOCHS, INSTANTS, TIME_EDGES, TIME_TEXTS
from tests.hostile.material.meaning import REJECT, meaning
from tests.hostile.material.spelling import CANNOT, as_field, as_json, as_records, column, physical, write_parquet
from tests.hostile.material.tables import BIG, NULS, NUMBER_TEXTS, SURROGATES, TEXTS, WHOLE

FORMATS: Final = ("ndjson", "csv", "parquet")
_AT: Final = "2024-05-01T12:00:00Z"
_FEW: Final[Mapping[str, tuple[Any, ...]]] = {
    "int64": (7, 7.0, "7", 8, "8", Decimal("7.00"), 7.5, None),
    "string": ("a", "A", "a ", "é", "e\u0301", None),
    "date": ("2024-05-01", dt.date(2024, 5, 1), "2024-05-01T00:00:00Z", dt.datetime(2024, 5, 1, 12), "24-05-01", None),
    "timestamp": ("2024-05-01", "2024-05-01T00:00:00Z", "2024-05-01T02:00:00+02:00", dt.date(2024, 5, 1), 1714521600),
    "bool": (True, False, "true", "0", 1, 2, None),
}
_ODD: Final[Mapping[str, tuple[Any, ...]]] = {
    "int64": (*NUMBER_TEXTS, *WHOLE, *BIG, True),
    "string": (*TEXTS, *NULS, *SURROGATES),
    "date": (*TIME_TEXTS, *TIME_EDGES, *INSTANTS, *EPOCHS),
    "timestamp": (*TIME_TEXTS, *TIME_EDGES, *INSTANTS, *EPOCHS),
    "bool": ("yes", "2", 0.5, "TRUE", ""),
}


@dataclass(frozen=True)
class Said:
    """A row of the joined file if it has a ``city``, else one of the source. ``is_twice`` says its key twice (JSON)."""

    format: str
    dtype: str
    key: Any
    city: str | None
    is_twice: bool = False

    @property
    def cell(self) -> Any:
        """The key as it is declared, or ``REJECT``."""
        return REJECT if self.is_twice else meaning(self.dtype, self.key)[0]


def sayings(draw: Draw) -> list[Said]:
    """Keys that the rules decide; what a reader may or may not know is another property's."""
    format_, dtype = draw.of(FORMATS), draw.of(tuple(_FEW))
    said = []
    for _ in range(draw.number(2, 14)):
        key = draw.of(_ODD[dtype] if draw.chance(0.3) else _FEW[dtype])
        if key == "" or len(meaning(dtype, key)) > 1:
            key = draw.of(_FEW[dtype][:2])
        city = draw.of((None, "Bonn", "Köln"))
        said.append(Said(format_, dtype, key, city, format_ == "ndjson" and city is None and draw.chance(0.1)))
    return said


def play(said: Sequence[Said], folder: Path) -> None:
    """Read the rows with what is joined to them.

    Raises:
        AssertionError: a row has no fate, two, or another city than its key; or a row of the joined file is lost.
    """
    written = [(number, one) for number, one in enumerate(said) if _write(folder, number, one)]
    rows, side = ([(n, one) for n, one in written if (one.city is None) == is_row] for is_row in (True, False))
    if not rows or not side:
        return
    source = _source(said[0].format, said[0].dtype)
    decoded = list(
        decode_files(source, find(source.location, str(folder), source="s"), str(folder), clock=ManualClock(clocks.NOW))
    )
    found = {row["id"]: row["city"] for each in decoded for row in each.rows.iter_rows(named=True)}
    refused = sorted(place for each in decoded for place in each.rejects["source_partition"])
    cities: dict[Any, set[str | None]] = {}
    for _, one in side:
        cities.setdefault(one.cell, set()).add(one.city)
    expected = {str(n): _city(one, cities) for n, one in rows}
    assert found == {n: city for n, city in expected.items() if city is not REJECT}, ("cities", said, found, expected)
    bad = [_name(n, one) for n, one in rows if expected[str(n)] is REJECT]
    bad += [_name(n, one) for n, one in side if one.cell is REJECT]
    assert refused == sorted(bad), ("refused", said, refused, bad)


def _city(one: Said, cities: Mapping[Any, set[str | None]]) -> Any:
    if one.cell is REJECT or one.cell is None:
        return one.cell
    known = cities.get(one.cell, {None})
    return next(iter(known)) if len(known) == 1 else REJECT


def _source(format_: str, dtype: str) -> Source:
    path = "data.k" if format_ == "ndjson" else None
    columns = (
        *(Column(name=name, dtype="string", nullable=False) for name in ("member", "id")),
        Column(name="at", dtype="timestamp", nullable=False),
        Column(name="k", dtype=dtype, field=path),
        Column(name="city", dtype="string"),
    )
    join = Join(location=f"side-*.{format_}", on={"k": "Key No."}, columns=("city",))
    return Source(
        name="s",
        tenant="shop",
        location=f"rows-*.{format_}",
        format=format_,  # type: ignore[arg-type]
        columns=columns,
        joins=(join,),
        event_time=Time(sql="at"),
        user_id="member",
    )


def _name(number: int, one: Said) -> str:
    return f"{'rows' if one.city is None else 'side'}-{number:03}.{one.format}"


def _write(folder: Path, number: int, one: Said) -> bool:
    """A file of its own for each, so that each has the physical types it likes; false if its format cannot say it."""
    plain: dict[str, Any] = {"member": "ann", "id": str(number), "at": _AT} if one.city is None else {"city": one.city}
    name = "k" if one.city is None else "Key No."
    path = folder / _name(number, one)
    if one.format == "parquet":
        dtype = pl.String() if one.key is None else physical(one.key)
        if dtype is not CANNOT:
            write_parquet(path, [*_texts(plain), column(name, [one.key], dtype)])
        return dtype is not CANNOT
    if one.format == "csv":
        field = as_field(one.key)
        if field is not CANNOT:
            path.write_bytes(as_records([*plain, name], [plain | {name: one.key}]))
        return field is not CANNOT
    if (value := as_json(one.key)) is CANNOT:
        return False
    inner = b'{"k": 1, "k": ' + value + b"}" if one.is_twice else b'{"k": ' + value + b"}"
    said = b'"data": ' + inner if one.city is None else b'"Key No.": ' + value
    path.write_bytes(
        b"{" + b", ".join([*(b'"%s": %s' % (n.encode(), as_json(v)) for n, v in plain.items()), said]) + b"}\n"
    )
    return True


def _texts(plain: Mapping[str, str]) -> Iterator[pl.Series]:
    return (column(name, [value], pl.String()) for name, value in plain.items())
