"""Bytes: the product's columnar tables and online store against one JSON document per user, on disk and when read.

One document per user is read whole whatever is asked for; of the tables, three columns are read. The online store is
weighed in `storage_online.py`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import duckdb
import polars as pl

from benchmarks import api_home, contest, documents, product, report, storage_online
from benchmarks.api_data import Shape
from benchmarks.workload import THREADS
from seqplat_resources.batch.inputs import tables
from seqplat_resources.lake.table import LakeTable

# Enough of the generated events to weigh their columns; the second for a quick look.
GENERATED, FEW = Shape(users=500, long_users=8), Shape(users=50, long_users=1)


@dataclass(frozen=True)
class Home:
    """What is built to be weighed: definitions, their days, and three columns a model might ask for."""

    name: str
    definitions: str
    sources: Path
    first: date
    end: date
    event_type: str
    sequence: str
    columns: tuple[str, str, str]


def demo() -> Home:
    """The bundled demo: six weeks of 300 households, vectors of 8 half floats."""
    return Home(
        name="demo",
        definitions=product.DEMO_DEFINITIONS,
        sources=product.DEMO_DATA,
        first=date(2017, 10, 23),
        end=date(2017, 12, 4),
        event_type="purchase",
        sequence="household_history",
        columns=("user_id", "event_time", "product_id"),
    )


def completejourney(data: Path) -> Home:
    """The last quarter of the year, all households, vectors of 32 floats."""
    return Home(
        name="completejourney",
        definitions=str(product.DEFINITIONS / "completejourney.py"),
        sources=data / "completejourney",
        first=date(2017, 10, 1),
        end=date(2018, 1, 1),
        event_type="purchase",
        sequence="household_history",
        columns=("user_id", "event_time", "product_id"),
    )


def run(*, data: Path, cache: Path, results: Path, most_days: int | None = None, keep: bool = False) -> Path:
    """Build the homes, weigh them, and return the file with the result. `most_days` cuts their ranges short."""
    scratch = contest.scratch(cache)
    out = scratch / "out" / "storage"
    homes = [demo()]
    if (data / "completejourney").is_dir():
        homes.append(completejourney(data))
    else:
        print(f"left out completejourney: {data / 'completejourney'} is not there; name its folder with --data")
    if most_days is not None:
        homes = [replace(home, end=min(home.end, home.first + timedelta(days=most_days))) for home in homes]
    lines: list[Sequence[str]] = [line for home in homes for line in _weighed(home, out / home.name, scratch)]
    generated = api_home.build(cache, FEW if most_days is not None else GENERATED, folder=out / "generated")
    lines += storage_online.lines(
        "12 generated columns", product.runtime(generated.home, generated.sources), generated.folder, scratch
    )
    if not keep:
        shutil.rmtree(out)
    return report.save(
        report.Facts.now(
            "storage",
            header=("", "events", "bytes per event", "times ours", "read per event for 3 columns", "times ours"),
            lines=lines,
            notes=(
                "JSON documents lie in one Parquet file without or with zstd (level 3, ours has 1): neighbours are "
                "compressed together, which a store of single documents cannot do. Read are the column chunks and "
                "the footers, one file a day on our side.",
                storage_online.NOTE,
            ),
        ),
        results,
    )


def _weighed(home: Home, folder: Path, scratch: Path) -> list[Sequence[str]]:
    shutil.rmtree(folder, ignore_errors=True)
    runtime = product.published(folder / "home", home.definitions, home.sources)
    days = product.days(home.first, home.end)
    for layer, name in product.everything(runtime):
        for _ in product.build(runtime, layer, name, days):
            pass
    events = product.events_table(runtime, home.event_type)
    sequence = tables.sequence(runtime, home.sequence)
    lines: list[Sequence[str]] = []
    for label, table, found in (
        (f"events/{home.event_type}", events, documents.of_events(runtime, [home.event_type])),
        (f"sequences/{home.sequence}", sequence, documents.of_sequence(runtime, home.sequence)),
    ):
        lines += _compared(f"{home.name}: {label}", table, found, home.columns, folder)
    return [*lines, *storage_online.lines(home.name, runtime, folder, scratch)]


def _compared(
    label: str, table: LakeTable, found: pl.DataFrame, columns: Sequence[str], folder: Path
) -> list[Sequence[str]]:
    files, count = table.delta().file_uris(), int(found["events"].sum())
    ours, read = sum(Path(file).stat().st_size for file in files), _bytes_to_read(files, columns)
    lines = [(label, f"{count:,}", f"{ours / count:.1f}", "1.0", f"{read / count:.2f}", "1.0")]
    for compression, named in (("uncompressed", "as JSON, one document per user"), ("zstd", "the same with zstd")):
        file = folder / f"{compression}.parquet"
        found.select("user_id", "document").write_parquet(
            file,
            compression=compression,  # type: ignore[arg-type]
            compression_level=3 if compression == "zstd" else None,
        )
        size, whole = file.stat().st_size, _bytes_to_read([str(file)], ["user_id", "document"])
        lines.append(
            (named, "", f"{size / count:.1f}", f"{size / ours:.1f}", f"{whole / count:.2f}", f"{whole / read:.1f}")
        )
    return lines


def _rows(table: LakeTable) -> int:
    return int(table.scan().select(pl.len()).collect().item())


def _bytes_to_read(files: Sequence[str], columns: Sequence[str]) -> int:
    """What no reader can avoid to see every value of some columns: their chunks and the footers."""
    with duckdb.connect(config={"threads": THREADS}) as connection:
        found = connection.execute(
            """SELECT sum(total_compressed_size)::BIGINT FROM parquet_metadata($files)
               WHERE list_contains($columns, split_part(path_in_schema, ', ', 1))""",
            {"files": list(files), "columns": list(columns)},
        ).fetchone()
    assert found is not None  # an aggregate without GROUP BY always gives one row
    return int(found[0]) + sum(map(_footer_bytes, files))


def _footer_bytes(file: str) -> int:
    with open(file, "rb") as stream:
        stream.seek(-8, os.SEEK_END)
        return int.from_bytes(stream.read(4), "little") + 8
