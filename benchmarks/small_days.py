"""What two years of near-empty days cost: as a range, as a backfill, and as a column that is added to all of them.

Each line is a command in a process of its own, as a person runs it, on a home of its own; imports are part of it. What
is written is what Dagster's history grew by, and all files of the home.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import polars as pl

from benchmarks import contest, machine, report
from benchmarks.definitions.small_days import DAYS, START
from benchmarks.measure import MB, Cost, measure
from tests.building import days as days_of

DEFINITIONS = Path(__file__).parent / "definitions" / "small_days.py"
ROWS_A_DAY, USERS = 3, 500
TARGET_S, TARGET_MB = 15.0, 10.0


@dataclass(frozen=True)
class Done:
    """One command: what it cost, and by how many bytes it let Dagster's history grow."""

    cost: Cost
    history_bytes: int


def run(*, repeat: int, cache: Path, results: Path, days: int = DAYS, keep: bool = False) -> Path:
    """Measure each command ``repeat`` times; returns the file with the result."""
    folder = contest.scratch(cache) / "small-days"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    load = machine.load_per_core()
    _write(folder / "files", days)
    first, last = str(START), str(days_of(START, days)[-1])
    rounds = [_round(folder, first, last) for _ in range(repeat)]
    if not keep:
        shutil.rmtree(folder)
    facts = report.Facts.now(
        "small-days",
        header=(f"{days} days of {ROWS_A_DAY} events", "wall s", "CPU s", "Dagster's history MB"),
        lines=tuple(
            (
                name,
                f"{median(each[name].cost.wall_s for each in rounds):.1f}",
                f"{median(each[name].cost.cpu_s for each in rounds):.1f}",
                f"{median(each[name].history_bytes for each in rounds) / MB:.1f}",
            )
            for name in rounds[0]
        ),
        notes=(
            f"Medians of {repeat} run(s). A range should take at most {TARGET_S:.0f} s and leave at most "
            f"{TARGET_MB:.0f} MB.",
            f"Load per core: {load:.2f} before, {machine.load_per_core():.2f} after.",
        ),
    )
    return report.save(facts, results)


def _round(folder: Path, first: str, last: str) -> dict[str, Done]:
    """Each command once, two homes: one for the range, one for the backfill."""
    ranged, filled = _Shop(folder, "range"), _Shop(folder, "backfill")
    ranged.done("publish")
    filled.done("publish")
    return {
        "`seqplat materialize`": ranged.done("materialize", first, last),
        "`seqplat backfill`": filled.done("backfill", first, last),
        "`seqplat apply` of a column more": filled.done("apply", more=1),
    }


@dataclass(frozen=True)
class _Shop:
    folder: Path
    name: str

    def done(self, *command: str, more: int = 0) -> Done:
        """Run a command."""
        home = self.folder / self.name
        if command == ("publish",):
            shutil.rmtree(home, ignore_errors=True)
        dagster = home / "dagster"
        before = _size(dagster)
        cost = measure(
            (sys.executable, "-m", "serving.cli", *command),
            cwd=contest.REPOSITORY,
            extra_env={
                "SEQPLAT_HOME": str(home),
                "SEQPLAT_SOURCES": str(self.folder / "files"),
                "SEQPLAT_DEFINITIONS": str(DEFINITIONS),
                "SEQPLAT_BENCH_MORE": str(more),
                "DAGSTER_HOME": "",
            },
        )
        print(f"{' '.join(command)}: {cost.wall_s:.1f} s, {cost.cpu_s:.1f} s of the processor", flush=True)
        return Done(cost, _size(dagster) - before)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _write(folder: Path, days: int) -> None:
    folder.mkdir(parents=True)
    dice = np.random.default_rng(7)
    for number, day in enumerate(days_of(START, days)):
        frame = pl.DataFrame(
            {
                "user_id": dice.integers(1, USERS, ROWS_A_DAY),
                "id": np.arange(ROWS_A_DAY) + number * ROWS_A_DAY,
                "item_id": dice.integers(1, 1_000, ROWS_A_DAY),
                "price": dice.integers(50, 50_000, ROWS_A_DAY) / 100,
                "at": dice.integers(0, 86_400_000_000, ROWS_A_DAY),
            }
        ).with_columns(at=pl.lit(day).cast(pl.Datetime("us")) + pl.col("at").cast(pl.Duration("us")))
        frame.write_parquet(folder / f"{day}.parquet")
