"""Bytes: the product's columnar tables and online store against one JSON document per user, on disk and when read.

The documents hold what a reader would want of an event, not what the tables keep besides (tenant, revision, position,
statuses), and their vectors only as many digits as the stored type has: both is in favour of JSON. One document per
user is read whole whatever is asked for; of the tables, three columns are read.
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

from benchmarks import contest, product, report
from benchmarks.workload import THREADS
from seqplat_resources.batch import tables
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.lakehouse.table import LakeTable
from seqplat_resources.runtime import Runtime
from sequence_defs.compiler.project import status_column
from sequence_defs.schema import parse_dtype

# Decimal digits that tell apart any two values of the type.
DIGITS = {"int8": 3, "float16": 5, "float32": 9}
KEPT_SYSTEM_COLUMNS = ("event_id", "event_time")


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
    out = contest.scratch(cache) / "out" / "storage"
    homes = [demo()]
    if (data / "completejourney").is_dir():
        homes.append(completejourney(data))
    else:
        print(f"left out completejourney: {data / 'completejourney'} is not there; name its folder with --data")
    if most_days is not None:
        homes = [replace(home, end=min(home.end, home.first + timedelta(days=most_days))) for home in homes]
    lines = [line for home in homes for line in _weighed(home, out / home.name)]
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
            ),
        ),
        results,
    )


def _weighed(home: Home, folder: Path) -> list[Sequence[str]]:
    shutil.rmtree(folder, ignore_errors=True)
    runtime = product.published(folder / "home", home.definitions, home.sources)
    days = product.days(home.first, home.end)
    for layer, name in product.everything(runtime):
        for _ in product.build(runtime, layer, name, days):
            pass
    events = product.events_table(runtime, home.event_type)
    sequence = tables.sequence(runtime, home.sequence)
    lines: list[Sequence[str]] = []
    for label, table, documents in (
        (f"events/{home.event_type}", events, _event_documents(runtime, [home.event_type])),
        (f"sequences/{home.sequence}", sequence, _sequence_documents(runtime, home.sequence)),
    ):
        lines += _compared(f"{home.name}: {label}", table, documents, home.columns, folder)
    every = list(runtime.release.event_types)
    online = sum(file.stat().st_blocks * 512 for file in (folder / "home" / "online").rglob("*"))
    count = sum(_rows(product.events_table(runtime, name)) for name in every)
    plain = _event_documents(runtime, every)["document"].str.len_bytes().sum()
    lines.append((f"{home.name}: online store, all event types", f"{count:,}", f"{online / count:.1f}", "1.0", "", ""))
    lines.append(
        ("as JSON, one document per user", f"{count:,}", f"{plain / count:.1f}", f"{plain / online:.1f}", "", "")
    )
    return lines


def _compared(
    label: str, table: LakeTable, documents: pl.DataFrame, columns: Sequence[str], folder: Path
) -> list[Sequence[str]]:
    files, count = table.delta().file_uris(), int(documents["events"].sum())
    ours, read = sum(Path(file).stat().st_size for file in files), _bytes_to_read(files, columns)
    lines = [(label, f"{count:,}", f"{ours / count:.1f}", "1.0", f"{read / count:.2f}", "1.0")]
    for compression, named in (("uncompressed", "as JSON, one document per user"), ("zstd", "the same with zstd")):
        file = folder / f"{compression}.parquet"
        documents.select("user_id", "document").write_parquet(
            file,
            compression=compression,  # type: ignore[arg-type]
            compression_level=3 if compression == "zstd" else None,
        )
        size, whole = file.stat().st_size, _bytes_to_read([str(file)], ["user_id", "document"])
        lines.append(
            (named, "", f"{size / count:.1f}", f"{size / ours:.1f}", f"{whole / count:.2f}", f"{whole / read:.1f}")
        )
    return lines


def _event_documents(runtime: Runtime, event_types: Sequence[str]) -> pl.DataFrame:
    """Per user, every event as an object with its own columns, newest first: `user_id`, `events`, `document`."""
    parts = []
    for name in event_types:
        plan = EventPlan.of(runtime.loaded, name)
        system = {column.name for column in plan.system_columns} - set(KEPT_SYSTEM_COLUMNS)
        statuses = {status_column(enrichment.name) for _, enrichment in plan.attachments}
        wanted = {c.name: c.dtype for c in plan.columns if c.name not in system | statuses}
        values = [_readable(column, dtype) for column, dtype in wanted.items()]
        scan = product.events_table(runtime, name).scan()
        parts.append(
            scan.select(
                pl.col("user_id").cast(pl.String),
                "event_time",
                pl.struct(pl.lit(name).alias("event_type"), *values).struct.json_encode().alias("object"),
            ).collect()
        )
    ordered = pl.concat(parts).sort("user_id", "event_time", descending=[False, True])
    return ordered.group_by("user_id", maintain_order=True).agg(
        pl.len().alias("events"), pl.format("[{}]", pl.col("object").str.join(",")).alias("document")
    )


def _sequence_documents(runtime: Runtime, name: str) -> pl.DataFrame:
    """Per user, the columns of a sequence as arrays, newest first: the form in which names are written once."""
    declared = {out: next(iter(by_type.values())) for out, by_type in runtime.release.sequence_columns(name).items()}
    dtypes = {"event_time": "timestamp", "event_type": "string", "event_id": "string"}
    dtypes |= {out: column.dtype for out, column in declared.items() if out not in ("user_id", *dtypes)}
    rows = tables.sequence(runtime, name).scan().select("user_id", "day", *dtypes).collect()
    items = rows.sort("user_id", "day", descending=[False, True]).explode(list(dtypes))
    folded = items.group_by("user_id", maintain_order=True).agg(_readable(out, dtype) for out, dtype in dtypes.items())
    return folded.select(
        pl.col("user_id").cast(pl.String),
        pl.col("event_time").list.len().alias("events"),
        pl.struct(list(dtypes)).struct.json_encode().alias("document"),
    )


def _readable(name: str, dtype: str) -> pl.Expr:
    """A column as JSON would have it: vectors as numbers, instants as text to the second."""
    value, parsed = product.plain(name, dtype), parse_dtype(dtype)
    if parsed.kind == "vector":
        return value.list.eval(pl.element().round_sig_figs(DIGITS[parsed.item])).alias(name)
    return value.dt.to_string("%Y-%m-%dT%H:%M:%SZ").alias(name) if dtype == "timestamp" else value


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
