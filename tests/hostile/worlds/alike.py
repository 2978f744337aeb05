"""The same rows as NDJSON, CSV and Parquet: each value is the same cell in all of them, or refused in all of them."""

import datetime as dt
import gzip
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import polars as pl
import zstandard

from seqplat_resources.batch.builds import raw
from seqplat_resources.batch.inputs import tables
from seqplat_resources.lake.table import LakeTable
from tests.building import ManualClock, runtime_for
from tests.hostile.material import clocks, int96
from tests.hostile.material import tables as hostile
from tests.hostile.material.draws import Draw
from tests.hostile.material.instants import INSTANTS
from tests.hostile.material.meaning import REJECT, Meaning, allows, meaning
from tests.hostile.material.records import COLUMN_OF
from tests.hostile.material.spelling import (
    CANNOT,
    as_field,
    as_json,
    as_object,
    as_records,
    column,
    physical,
    write_parquet,
)
from tests.hostile.worlds.wide import Row, definitions, in_utc

FORMATS: Final = ("ndjson", "csv", "parquet")
AT: Final = "2024-05-01T12:00:00Z"
MODIFIED: Final = (clocks.NOW.timestamp() - 3600, 0, 315_532_800, 1_893_456_000)  # now, 1970, 1980, 2030


@dataclass(frozen=True)
class Column:
    """Values of one physical type for a column of a declared type: what one file holds."""

    kind: str
    dtype: str
    values: tuple[Any, ...]
    packed: str = ""  # how its text files are compressed
    modified_s: float = MODIFIED[0]
    is_int96: bool = False  # in its Parquet file

    @property
    def name(self) -> str:
        return COLUMN_OF[self.dtype]


def columns_of(kind: str) -> list[Column]:
    """All values of a kind, by physical type; values that only JSON has make one of their own."""
    dtypes, values = hostile.KINDS[kind]
    by_type: dict[str, list[Any]] = {}
    for value in values:
        if not (isinstance(value, str) and len(value) > 10_000):
            by_type.setdefault(repr(physical(value)), []).append(value)
    return [Column(kind, dtype, tuple(same)) for dtype in dtypes for same in by_type.values()]


_OF_SPARK: Final = tuple(value for value in INSTANTS if isinstance(value, dt.datetime))
EVERY: Final = (
    *(column for kind in hostile.KINDS for column in columns_of(kind)),
    *(Column("instants as Spark writes them", dtype, _OF_SPARK, is_int96=True) for dtype in hostile.TIMES),
)


def some_columns(draw: Draw, count: int) -> list[Column]:
    """A few columns with a few of their values each, in files as they come."""
    chosen = []
    for _ in range(count):
        every = draw.of(EVERY)
        values = tuple(draw.of(every.values) for _ in range(draw.number(1, 4)))
        packed, modified = draw.of(("", "", "gz", "zst")), draw.of(MODIFIED)
        chosen.append(replace(every, values=values, packed=packed, modified_s=modified))
    return chosen


Outcome = Any  # a cell, or REJECT
Fates = Mapping[tuple[int, int, str], Outcome]


@dataclass
class Files:
    """A home with the same source three times, in a format each."""

    folder: Path
    columns: Sequence[Column]
    said: dict[tuple[str, str], list[int]] = field(default_factory=dict)

    def fates(self) -> Fates:
        """By column, value and format what became of a value: its cell, or ``REJECT``."""
        found: dict[tuple[int, int, str], Outcome] = {}
        for kind in FORMATS:
            folder = self.folder / kind
            folder.mkdir(parents=True)
            for number, each in enumerate(self.columns):
                self._write(folder, kind, number, each)
            if any(said == kind for said, _ in self.said):
                found |= {(number, value, kind): fate for number, value, fate in self._ingested(folder, kind)}
        return found

    def _write(self, folder: Path, kind: str, number: int, each: Column) -> None:
        sayable = {"ndjson": as_json, "csv": as_field, "parquet": physical}[kind]
        is_spark = each.is_int96 and kind == "parquet"
        kept = [place for place, value in enumerate(each.values) if is_spark or sayable(value) is not CANNOT]
        if not kept:
            return
        rows = [self._row(number, place, each) for place in kept]
        name = f"{number:04}.{kind}"
        if is_spark:
            int96.write(folder / name, {field: [row[field] for row in rows] for field in rows[0]})
        elif kind == "parquet":
            types = {"member": pl.String(), "id": pl.String(), "at": pl.String()}
            plain = [column(field, [row[field] for row in rows], dtype) for field, dtype in types.items()]
            hostile_one = column(each.name, [row[each.name] for row in rows], physical(rows[0][each.name]))
            write_parquet(folder / name, [*plain, hostile_one])
        else:
            data = as_records(list(rows[0]), rows) if kind == "csv" else b"\n".join(map(as_object, rows)) + b"\n"
            name, data = _packed(name, data, each.packed)
            (folder / name).write_bytes(data)
        os.utime(folder / name, (each.modified_s, each.modified_s))
        self.said[kind, name] = kept

    def _row(self, number: int, place: int, each: Column) -> Row:
        return {"member": "ann", "id": f"{number}-{place}", "at": AT, each.name: each.values[place]}

    def _ingested(self, folder: Path, kind: str) -> Iterator[tuple[int, int, Outcome]]:
        source = definitions(location=f"*.{kind}*", format=kind, topic="")
        runtime = runtime_for(folder / "home", source, folder, clock=ManualClock(clocks.NOW))
        wide = runtime.release.sources["wide"]
        list(raw.ingest(runtime, "wide", [clocks.DAYS[0]]))
        placed: dict[tuple[str, int], list[Outcome]] = {}
        for row in in_utc(tables.raw(runtime, wide).scan().collect()):
            number = int(row["_partition"].split(".")[0])
            placed.setdefault((row["_partition"], row["_offset"]), []).append(row[self.columns[number].name])
        for place in _refused(tables.rejects(runtime, "wide")):
            placed.setdefault(place, []).append(REJECT)
        for (said, partition), kept in self.said.items():
            if said == kind:
                for offset, place in enumerate(kept):
                    fates = placed.pop((partition, offset), [])
                    assert len(fates) == 1, (f"{len(fates)} fates", partition, offset, self.columns[int(partition[:4])])
                    yield int(partition[:4]), place, fates[0]
        assert not placed, ("rows that nobody sent", list(placed)[:3])


def _refused(table: LakeTable) -> list[tuple[str, int]]:
    return table.scan().select("source_partition", "offset").collect().rows() if table.exists() else []


def _packed(name: str, data: bytes, how: str) -> tuple[str, bytes]:
    pack: Callable[[bytes], bytes] = {"gz": gzip.compress, "zst": zstandard.compress}.get(how, bytes)
    return (f"{name}.{how}" if how else name), pack(data)


def judge(columns: Sequence[Column], fates: Fates) -> list[tuple[str, Column, Any, Any]]:
    """What is wrong: cells that a value cannot be, and formats that do not agree."""
    wrong: list[tuple[str, Column, Any, Any]] = []
    for number, each in enumerate(columns):
        for place, value in enumerate(each.values):
            mine = {kind: fates[number, place, kind] for kind in FORMATS if (number, place, kind) in fates}
            allowed = meaning(each.dtype, value)
            bad = {kind: fate for kind, fate in mine.items() if not allows(allowed, fate)}
            if bad:
                wrong.append((f"{each.kind}: {each.dtype} in {'+'.join(sorted(bad))}", each, value, mine))
            elif not _agree(allowed, list(mine.values())):
                wrong.append((f"{each.kind}: {each.dtype} not alike", each, value, mine))
    return wrong


def _agree(allowed: Meaning, fates: Sequence[Outcome]) -> bool:
    return all(allows((fates[0],), fate) for fate in fates[1:])


def play(columns: Sequence[Column], folder: Path) -> None:
    """Write, read and compare.

    Raises:
        AssertionError: a value has another cell than it says, or another one in another format.
    """
    wrong = judge(columns, Files(folder, columns).fates())
    assert not wrong, (wrong[0][0], *wrong[0][1:])
