"""What a backfill takes against what it was planned to take, and a column that is added against building days again.

Each line is a command in a process of its own, as a person runs it. What it takes by the wall depends on who else uses
the machine; what it takes of the processor hardly does.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks import contest, machine, report
from benchmarks.definitions.million_a_day import START
from seqplat_resources.batch.backfill.records import BackfillRecords
from seqplat_resources.home import Home
from tests.building import days as days_of

DEFINITIONS = Path(__file__).parent / "definitions" / "million_a_day.py"
ROWS_A_DAY, USERS = 1_000_000, 100_000


@dataclass(frozen=True)
class Done:
    """One backfill: seconds it was planned to take, those it took, those of the processor, and bytes it wrote."""

    planned_s: float
    took_s: float
    processor_s: float
    bytes: int

    @property
    def off(self) -> str:
        return f"{self.took_s / self.planned_s - 1:+.0%}" if self.planned_s else "not measured before"


def run(*, rows: int, cache: Path, results: Path, keep: bool = False) -> Path:
    """Build days, add two columns one after the other, build the days again; returns the file with the result."""
    folder = contest.scratch(cache) / "backfill"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    days = max(3, rows // ROWS_A_DAY)  # two that are measured first, and another
    _write(folder / "files", days, rows // days)
    first, last = (str(day) for day in (days_of(START, days)[0], days_of(START, days)[-1]))
    load = machine.load_per_core()
    shop = _Shop(folder, [])
    shop.command("publish")
    some = str(days_of(START, 2)[-1])
    lines = {
        "two days, the first there are": shop.done("backfill", first, some, "raw", "events"),
        "the other days": shop.done("backfill", first, last, "raw", "events"),
        "one column more": shop.done("apply", more=1),
        "another column more": shop.done("apply", more=2),
        "the days of events again": shop.done("backfill", first, last, "events", "--again", more=2),
    }
    whole = lines["the days of events again"].bytes
    if not keep:
        shutil.rmtree(folder)
    facts = report.Facts.now(
        "backfill",
        header=(
            f"{rows:,} rows, {days} days",
            "MB written",
            "of a rebuild",
            "processor s",
            "planned s",
            "took s",
            "off",
        ),
        lines=tuple(
            (
                name,
                f"{done.bytes / 1e6:,.1f}",
                f"{done.bytes / whole:.1%}",
                f"{done.processor_s:,.0f}",
                f"{done.planned_s:,.0f}",
                f"{done.took_s:,.0f}",
                done.off,
            )
            for name, done in lines.items()
        ),
        notes=(
            "Planned is what the command said just before, from what was measured until then. Processor seconds are of "
            "the whole command.",
            f"Load per core: {load:.2f} before, {machine.load_per_core():.2f} after.",
        ),
    )
    return report.save(facts, results)


@dataclass(frozen=True)
class _Shop:
    folder: Path
    _seen: list[str]

    def done(self, *command: str, more: int = 0) -> Done:
        """Run a command that builds days."""
        processor_s = self.command(*command, more=more)
        records = BackfillRecords(Home(str(self.folder / "home"), {})).all()
        (new,) = [record for record in records if record.id not in self._seen]
        self._seen.append(new.id)
        return Done(new.planned_s, new.spent_s, processor_s, new.bytes)

    def command(self, *command: str, more: int = 0) -> float:
        """Processor seconds of a command."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.monotonic()
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("SEQPLAT_", "DAGSTER_"))},
            "SEQPLAT_HOME": str(self.folder / "home"),
            "SEQPLAT_SOURCES": str(self.folder / "files"),
            "SEQPLAT_DEFINITIONS": str(DEFINITIONS),
            "SEQPLAT_BENCH_MORE": str(more),
        }
        subprocess.run([sys.executable, "-m", "serving.cli", *command], env=environment, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        print(f"{' '.join(command)}: {time.monotonic() - began:.0f} s", flush=True)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def _write(folder: Path, days: int, rows: int) -> None:
    folder.mkdir(parents=True)
    dice = np.random.default_rng(7)
    for number, day in enumerate(days_of(START, days)):
        frame = pl.DataFrame(
            {
                "user_id": dice.integers(1, USERS, rows),
                "id": np.arange(rows) + number * rows,
                "item_id": dice.integers(1, 200_000, rows),
                "session_id": dice.integers(1, rows, rows),
                "price": dice.integers(50, 50_000, rows) / 100,
                "quantity": dice.integers(1, 6, rows),
                "surface": dice.choice(np.array(["home", "search", "cart"], dtype=object), rows),
                "at": dice.integers(0, 86_400_000_000, rows),
            },
            schema_overrides={"surface": pl.String},
        ).with_columns(at=pl.lit(day).cast(pl.Datetime("us")) + pl.col("at").cast(pl.Duration("us")))
        frame.write_parquet(folder / f"{day}.parquet", compression="zstd")
