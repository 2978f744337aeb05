"""Long histories: 2,000 users of 4,800 events on average and 100,000 at most, late and corrected ones among them.

    python -m benchmarks.long_histories /tmp/bench-long              # or: make bench-long
    python -m benchmarks.long_histories /tmp/bench-long --users 200 --labels 2000

Labels are given all that was known of their users, 16,384 events at most, as pointers; the loader makes NumPy arrays
of them; and a sample is held against an oracle that knows nothing of training sets. Everything is made from a seed, so
others can run the same: what a contestant needs is in ``history/`` (``events``, one file a day, and ``superseded``, the
revisions that gave way) and ``labels.parquet``.
"""

from __future__ import annotations

import argparse
import datetime as dt
import resource
import sys
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.training_sets import DAYS, START, definitions, rows_of
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
from serving.client.training.batches import Batches
from serving.client.training.files import TrainingFiles

LENGTH, MEAN, MOST = 16_384, 4_800, 100_000
COLUMNS = ("event_time", "event_id", "item_id", "price")
_CORRECTED, _LATER = 0.01, pl.duration(hours=2)
_SAMPLE, _BATCH = 50, 32


def prepare(folder: Path, users: int, labels: int) -> None:
    """Histories, as plain files and as the lake of a home; made once."""
    if (folder / "finished").exists():
        return
    random = np.random.default_rng(11)
    share = np.minimum(random.lognormal(0, 1.2, users), MOST / MEAN * np.exp(0.72))
    share[0] = share.sum() / users * MOST / MEAN
    share /= share.sum()
    home = Home(str(folder / "home"), {})
    store = ReleaseStore(home)
    store.move("dev", store.put(lower(Project(definitions(LENGTH), digests()))), by="bench")
    runtime = Runtime(home, store.load("dev"), "")
    plan = EventPlan.of(runtime.loaded, "action")
    for name in ("events", "superseded"):
        (folder / "history" / name).mkdir(parents=True, exist_ok=True)
    for day in range(DAYS):
        rows = rows_of(random, share, users * MEAN // DAYS, day)
        is_corrected = pl.Series(random.random(rows.height) < _CORRECTED)
        late = pl.when(is_corrected).then(_LATER).otherwise(pl.duration())
        now = rows.with_columns(pl.col("available_time") + late, rev=is_corrected.cast(pl.Int64))
        gone = rows.filter(is_corrected).with_columns(
            price=pl.col("price") + 1, superseded_time=pl.col("available_time") + _LATER
        )
        for name, table, of in (
            ("events", tables.events(runtime, plan), now),
            ("superseded", tables.superseded(runtime, plan), gone),
        ):
            fitted = of.select(pl.col(column).cast(dtype) for column, dtype in table.schema.items())
            table.replace({"day": (START + dt.timedelta(days=day)).date()}, [FilePart(fitted)])
            fitted.write_parquet(folder / "history" / name / f"{day:02d}.parquet")
    at = START + pl.Series(random.integers(0, DAYS * 86_400_000_000, labels)).cast(pl.Duration("us"))
    pl.DataFrame({"user": random.choice(users, labels, p=share), "time": at}).write_parquet(folder / "labels.parquet")
    (folder / "finished").touch()


def oracle(folder: Path, user: int, at: dt.datetime) -> tuple[list[str], list[float]]:
    """Ids and prices that were known of a user at a time, newest first: of each event the newest revision of then."""
    of_user = pl.concat(
        [
            pl.scan_parquet(folder / f"history/{name}/*.parquet")
            .filter(pl.col("user_id") == user, pl.col("event_time") < at, pl.col("available_time") <= at)
            .select("event_id", "event_time", "offset", "rev", "price")
            for name in ("events", "superseded")
        ]
    ).collect()
    newest: dict[str, dict[str, Any]] = {}
    for row in of_user.sort("rev").iter_rows(named=True):
        newest[row["event_id"]] = row
    found = sorted(newest.values(), key=lambda row: (row["event_time"], row["offset"]), reverse=True)[:LENGTH]
    return [row["event_id"] for row in found], [row["price"] for row in found]


def timed(what: str, work: Callable[[], int]) -> int:
    """Do it, and print what it cost: of this process and its threads."""
    wall, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    count = work()
    after, seconds = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter() - wall
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"| {what} | {seconds:.1f} | {cpu:.1f} | {after.ru_maxrss / 1000:,.0f} | {count / cpu:,.0f} |", flush=True)
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--users", type=int, default=2_000)
    parser.add_argument("--labels", type=int, default=100_000)
    asked = parser.parse_args()
    folder: Path = asked.folder
    folder.mkdir(parents=True, exist_ok=True)
    maker = get_context("spawn").Process(target=prepare, args=(folder, asked.users, asked.labels))
    maker.start()  # whose memory is none of what is measured
    maker.join()
    home = Home(str(folder / "home"), {})
    runtime = Runtime(home, ReleaseStore(home).load("dev"), "")
    question = TrainingQuestion("actions", query=Query(columns=COLUMNS))
    print("| step | wall s | CPU s | peak memory MB | events a CPU second |\n| --- | ---: | ---: | ---: | ---: |")

    def made() -> int:
        labels = folder / "labels.parquet"
        found = build(runtime, question, labels, folder / "set", form="pointers", replace=True)
        return sum(shard.values for shard in found.manifest.shards)

    def loaded() -> int:
        batches = Batches(TrainingFiles(folder / "set", ("event_time", "item_id", "price")), _BATCH, seed=1)
        return sum(arrays["price"].size for arrays, _ in (each.arrays() for each in batches))

    values = timed(f"{asked.labels:,} labels x {LENGTH:,}: pointers", made)
    read = timed("all of them as NumPy arrays", loaded)
    files = TrainingFiles(folder / "set", ("event_id", "price"))
    size = sum(path.stat().st_size for path in (folder / "set").iterdir()) / 1e6
    wrong, sample = 0, np.random.default_rng(3).integers(0, len(files), _SAMPLE)
    for row in files.examples(sample).frame().iter_rows(named=True):
        wrong += (row["event_id"], row["price"]) != oracle(folder, row["user"], row["time"])
    print(f"\n{values:,} events in {size:,.0f} MB; {wrong} of {_SAMPLE} labels are not as the oracle says")
    sys.exit(bool(wrong) or read != values)


if __name__ == "__main__":
    main()
