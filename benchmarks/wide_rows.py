"""The newest row of each label where rows are wide: 17,000 rows of 1,000 columns, once asked of Feast in vain.

    python -m benchmarks.wide_rows /tmp/bench-wide                          # ours, of which memory is a setting
    python -m benchmarks.wide_rows /tmp/bench-wide --feast-python PATH      # and Feast's historical features

Whole numbers below 2 ** 17, so 49 MB of Parquet. Each user has one row and one label a day later.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.measure import CommandFailedError, measure
from benchmarks.training_sets import START
from seqplat_resources.batch.inputs import tables
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.engine.registry import digests
from seqplat_resources.home import Home
from seqplat_resources.lake.files import FilePart
from seqplat_resources.release.query import Query
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.release.store import ReleaseStore
from seqplat_resources.training.build import TrainingLimits, build
from seqplat_resources.training.question import TrainingQuestion
from sequence_defs.compiler.lower import lower
from sequence_defs.compiler.project import Project
from sequence_defs.schema import Column, EventType, Sequence, Source, Tenant, Time

ROWS, WIDTH = 17_000, 1_000
MEMORY_BYTES = 2 << 30
_OURS: dict[str, Any] = {"tenant": "bench", "owner": "team:bench"}
_OWN = tuple(Column(name=f"c{number}", dtype="int64") for number in range(WIDTH))


def prepare(folder: Path) -> None:
    """The lake of a home, the same rows as one Parquet file, and labels; made once."""
    if (folder / "finished").exists():
        return
    home, random = Home(str(folder / "home"), {}), np.random.default_rng(7)
    store = ReleaseStore(home)
    store.move("dev", store.put(lower(Project(definitions(), digests()))), by="bench")
    runtime = Runtime(home, store.load("dev"), "")
    table = tables.events(runtime, EventPlan.of(runtime.loaded, "wide"))
    users = pl.Series("user_id", np.arange(ROWS))
    wide = pl.DataFrame({column.name: random.integers(0, 1 << 17, ROWS) for column in _OWN})
    rows = wide.with_columns(
        users,
        event_time=pl.lit(START),
        available_time=pl.lit(START),
        ingest_time=pl.lit(START),
        event_id=users.cast(pl.String),
        id=users.cast(pl.String),
        tenant=pl.lit("bench"),
        event_type=pl.lit("wide"),
        rev=0,
        op=pl.lit("upsert"),
        source_partition=pl.lit("p"),
        offset=users,
        release=pl.lit(""),
        shard=0,
    )
    rows.select("user_id", "event_time", *wide.columns).write_parquet(folder / "rows.parquet")
    ours = rows.select(pl.col(name).cast(dtype) for name, dtype in table.schema.items())
    table.replace({"day": START.date()}, [FilePart(ours)])
    labels = pl.DataFrame({"user": users, "time": START + dt.timedelta(days=1)}, schema_overrides={"user": pl.Int64})
    labels.write_parquet(folder / "labels.parquet")
    (folder / "finished").touch()


def definitions() -> tuple[Any, ...]:
    key = Column(name="id", dtype="string", nullable=False)
    source = Source(
        name="wide",
        columns=(
            key,
            Column(name="user", dtype="int64", nullable=False),
            Column(name="at", dtype="timestamp", nullable=False),
            *_OWN,
        ),
        location="wide/{day}.parquet",
        event_time=Time(sql="at"),
        user_id="user",
        start=START.date(),
        **_OURS,
    )
    event_type = EventType(name="wide", source="wide", natural_key=("id",), columns=(key, *_OWN), **_OURS)
    names = tuple(column.name for column in _OWN)
    sequence = Sequence(name="wide", event_types=("wide",), columns=names, length=1, **_OURS)
    return Tenant(name="bench", tenant="bench"), source, event_type, sequence


def ours(folder: Path, out: Path) -> None:
    home = Home(str(folder / "home"), {})
    runtime = Runtime(home, ReleaseStore(home).load("dev"), "")
    question = TrainingQuestion("wide", query=Query(columns=tuple(column.name for column in _OWN)))
    limits = TrainingLimits(memory_bytes=MEMORY_BYTES)
    made = build(runtime, question, folder / "labels.parquet", out, limits=limits, replace=True)
    print(json.dumps({"values": sum(shard.values for shard in made.manifest.shards)}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--feast-python", default="")
    parser.add_argument("--ours", metavar="OUT", help="Be a contestant.")
    asked = parser.parse_args()
    if asked.ours:
        ours(asked.folder, Path(asked.ours))
        return
    asked.folder.mkdir(parents=True, exist_ok=True)
    prepare(asked.folder)
    out = asked.folder / "out"
    contestants = {"seqplat": [sys.executable, "-m", "benchmarks.wide_rows", str(asked.folder), "--ours", str(out)]}
    if asked.feast_python:
        contestants["feast"] = [asked.feast_python, "-m", "benchmarks.peer_wide_feast", str(asked.folder)]
    print("| contestant | wall s | CPU s | peak memory MB | rows |\n| --- | ---: | ---: | ---: | ---: |")
    for name, command in contestants.items():
        shutil.rmtree(out, ignore_errors=True)  # a set that is there already is not made again
        try:
            cost = measure(command, cwd=Path(__file__).parents[1], timeout_s=1800)
        except CommandFailedError as error:
            print(f"| {name} | after {error.wall_s:.0f} s: {str(error).splitlines()[-1][:100]} |", flush=True)
            continue
        values = json.loads(cost.stdout.splitlines()[-1])["values"]
        print(f"| {name} | {cost.wall_s:.1f} | {cost.cpu_s:.1f} | {cost.peak_rss_mb:,.0f} | {values:,} |", flush=True)


if __name__ == "__main__":
    main()
