"""Training sets of 10 M events of 50 k users: ours, an expert's DuckDB, PySpark and a naive gather, from the same lake.

    python -m benchmarks.training_sets /tmp/bench-training           # all, with ratios
    python -m benchmarks.training_sets /tmp/bench-training --events 1000000 --labels 100000

A contestant is a process of its own. DuckDB and PySpark may be another Python's: --duckdb-python, --spark-python.
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
from seqplat_resources.batch.inputs import tables
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.engine.registry import digests
from seqplat_resources.home import Home
from seqplat_resources.lake.files import FilePart
from seqplat_resources.release.query import Query
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.release.store import ReleaseStore
from seqplat_resources.training.build import build
from seqplat_resources.training.question import TrainingQuestion
from sequence_defs.compiler.lower import lower
from sequence_defs.compiler.project import Project
from sequence_defs.schema import Column, EventType, Sequence, Source, Tenant, Time

START, DAYS, LENGTH = dt.datetime(2026, 1, 1, tzinfo=dt.UTC), 30, 256
COLUMNS = ("event_time", "item_id", "action", "price")
_DAY_US, _HOUR_US = 86_400_000_000, 3_600_000_000
_SPREAD = 1.2  # of the logarithm of a user's activity
_LATE, _PROMPT_US = 0.05, 5_000_000
_OURS: dict[str, Any] = {"tenant": "bench", "owner": "team:bench"}
_OWN = (
    Column(name="item_id", dtype="int64"),
    Column(name="action", dtype="string"),
    Column(name="price", dtype="float64"),
)


def prepare(folder: Path, events: int, users: int, labels: int) -> None:
    """The lake of a home, and labels in two sizes; made once."""
    if (folder / "finished").exists():
        return
    home, random = Home(str(folder / "home"), {}), np.random.default_rng(7)
    store = ReleaseStore(home)
    store.move("dev", store.put(lower(Project(definitions(LENGTH), digests()))), by="bench")
    share = random.lognormal(0, _SPREAD, users)
    share /= share.sum()
    runtime = Runtime(home, store.load("dev"), "")
    plan = EventPlan.of(runtime.loaded, "action")
    table, of_day = tables.events(runtime, plan), events // DAYS
    for day in range(DAYS):
        rows = rows_of(random, share, of_day, day)
        rows = rows.select(pl.col(name).cast(dtype) for name, dtype in table.schema.items())
        table.replace({"day": (START + dt.timedelta(days=day)).date()}, [FilePart(rows)])
    for count in (labels // 10, labels):
        at = START + pl.Series(random.integers(0, DAYS * _DAY_US, count)).cast(pl.Duration("us"))
        pl.DataFrame({"user": random.choice(users, count, p=share), "time": at}).write_parquet(
            folder / f"labels-{count}.parquet"
        )
    (folder / "finished").touch()


def definitions(length: int) -> tuple[Any, ...]:
    source = Source(
        name="actions",
        columns=(
            Column(name="id", dtype="string", nullable=False),
            Column(name="user", dtype="int64", nullable=False),
            Column(name="at", dtype="timestamp", nullable=False),
            *_OWN,
        ),
        location="actions/{day}.parquet",
        event_time=Time(sql="at"),
        user_id="user",
        start=START.date(),
        **_OURS,
    )
    event_type = EventType(
        name="action", source="actions", natural_key=("id",), columns=(source.columns[0], *_OWN), **_OURS
    )
    sequence = Sequence(name="actions", event_types=("action",), columns=COLUMNS[1:], length=length, **_OURS)
    return Tenant(name="bench", tenant="bench"), source, event_type, sequence


def rows_of(random: np.random.Generator, share: np.ndarray, count: int, day: int) -> pl.DataFrame:
    """Events of a day in the order of files."""
    time = day * _DAY_US + random.integers(0, _DAY_US, count)
    late = np.where(random.random(count) < _LATE, _HOUR_US, 0)
    at = START + pl.Series(time).cast(pl.Duration("us"))
    seen = START + pl.Series(time + late + random.integers(1, _PROMPT_US, count)).cast(pl.Duration("us"))
    ids = pl.Series(np.arange(count) + day * count).cast(pl.String)
    rows = pl.DataFrame(
        {"user_id": random.choice(share.size, count, p=share), "event_time": at, "available_time": seen}
    )
    return rows.with_columns(
        event_id=ids,
        id=ids,
        ingest_time=pl.col("available_time"),
        item_id=pl.Series(random.zipf(1.3, count) % 1_000_000),
        action=pl.Series(np.array(["view", "like", "buy"])[random.integers(0, 3, count)]),
        price=pl.Series(np.round(random.lognormal(3, 1, count), 2)),
        tenant=pl.lit("bench"),
        event_type=pl.lit("action"),
        rev=0,
        op=pl.lit("upsert"),
        source_partition=pl.lit("p"),
        offset=pl.int_range(count) + day * count,
        release=pl.lit(""),
        shard=0,
    ).sort("user_id", "event_time", descending=[False, True])


def ours(folder: Path, mode: Any, labels: Path, out: Path) -> None:
    home = Home(str(folder / "home"), {})
    runtime = Runtime(home, ReleaseStore(home).load("dev"), "")
    question = TrainingQuestion("actions", mode, query=Query(columns=COLUMNS))
    made = build(runtime, question, labels, out, replace=True)
    print(json.dumps({"values": sum(shard.values for shard in made.manifest.shards)}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--users", type=int, default=50_000)
    parser.add_argument("--labels", type=int, default=1_000_000)
    parser.add_argument("--duckdb-python", default=sys.executable)
    parser.add_argument("--spark-python", default=sys.executable)
    parser.add_argument("--only", default="", help="Contestants whose name begins so.")
    parser.add_argument("--ours", nargs=3, metavar=("MODE", "LABELS", "OUT"), help="Be a contestant.")
    asked = parser.parse_args()
    if asked.ours:
        mode, labels, out = asked.ours
        ours(asked.folder, mode, Path(labels), Path(out))
        return
    asked.folder.mkdir(parents=True, exist_ok=True)
    prepare(asked.folder, asked.events, asked.users, asked.labels)
    many, few = (asked.folder / f"labels-{count}.parquet" for count in (asked.labels, asked.labels // 10))
    us = [sys.executable, "-m", "benchmarks.training_sets", str(asked.folder), "--ours"]
    peer = ["-m", "benchmarks.peer_training_sets", str(asked.folder)]
    contestants = {
        "seqplat as_corrected": [*us, "as_corrected", str(many)],
        "numpy as_corrected": [sys.executable, *peer, "numpy", str(many)],
        "duckdb as_corrected": [asked.duckdb_python, *peer, "corrected", str(many)],
        "seqplat as_known": [*us, "as_known", str(many)],
        "seqplat as_known, a tenth of the labels": [*us, "as_known", str(few)],
        "duckdb as_known, a tenth of the labels": [asked.duckdb_python, *peer, "known", str(few)],
        "pyspark as_known, a tenth of the labels": [
            *(asked.spark_python, "-m", "benchmarks.peer_training_spark", str(asked.folder), str(few))
        ],
    }
    print("| contestant | wall s | CPU s | peak memory MB | output MB | events in lists |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, command in contestants.items():
        if not name.startswith(asked.only):
            continue
        out = asked.folder / "out" / name.replace(" ", "-").replace(",", "")
        out.parent.mkdir(exist_ok=True)
        shutil.rmtree(out, ignore_errors=True)  # a set that is there already is not made again
        try:
            cost = measure([*command, str(out)], cwd=Path(__file__).parents[1], timeout_s=900)
        except CommandFailedError as error:
            print(f"| {name} | failed: {str(error).splitlines()[-1][:80]} |", flush=True)
            continue
        size = sum(path.stat().st_size for path in [out, *out.rglob("*.parquet")] if path.is_file()) / 1e6
        values = json.loads(cost.stdout.splitlines()[-1])["values"]
        print(
            f"| {name} | {cost.wall_s:.1f} | {cost.cpu_s:.1f} | {cost.peak_rss_mb:,.0f} | {size:,.0f} | {values:,} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
