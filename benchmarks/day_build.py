"""The day-build benchmark: make the day, run each contestant, check that all wrote the same, record the costs."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import machine, report, synthetic, verify
from benchmarks.measure import MB, measure
from benchmarks.spark_env import spark_python
from benchmarks.workload import DayInput

REPOSITORY = Path(__file__).parent.parent


@dataclass(frozen=True)
class Folders:
    """Scratch space. Everything below `cache` may be deleted at any time; generated days and outputs live there."""

    cache: Path

    def day(self, rows: int) -> Path:
        return self.cache / f"day-{rows}"

    def output(self, contestant: str) -> Path:
        return self.cache / "out" / contestant

    @property
    def spill(self) -> Path:
        return self.cache / "spill"


@dataclass(frozen=True)
class Contestant:
    """Someone who builds the day: a command that reads `day`, writes Parquet below `out` and ends its output with one
    JSON line `{"work_s": seconds without start-up, "versions": {tool: version}}`.

    `is_globally_sorted` is the promise that is checked: over all files in name order, or only within each file.
    """

    name: str
    command: Callable[[Folders, Path, Path], list[str]]
    is_globally_sorted: bool = True


class WrongAnswerError(RuntimeError):
    """A contestant's output differs from what the generator promises or from the first contestant's."""

    def __init__(self, *, contestant: str, found: list[str], output: Path) -> None:
        self.contestant, self.found = contestant, found
        super().__init__(
            f"contestant {contestant!r} wrote a wrong day: {'; '.join(found)}. "
            f"Its output is kept in {output}; run it alone on a small day (`--rows 20_000`) to find the step."
        )


def _duckdb(memory_limit: str) -> Callable[[Folders, Path, Path], list[str]]:
    def command(folders: Folders, day: Path, out: Path) -> list[str]:
        module = [sys.executable, "-m", "benchmarks.peer_duckdb", str(day), str(out)]
        return [*module, "--memory-limit", memory_limit, "--spill-dir", str(folders.spill)]

    return command


def _spark(folders: Folders, day: Path, out: Path) -> list[str]:
    python = str(spark_python(folders.cache))
    return [python, "-m", "benchmarks.peer_spark", str(day), str(out), "--spill-dir", str(folders.spill)]


CONTESTANTS = {
    contestant.name: contestant
    for contestant in (
        Contestant("duckdb", _duckdb("16GB")),
        Contestant("duckdb-3gb", _duckdb("3GB")),
        Contestant("spark", _spark),
    )
}


def run(*, rows: int, names: list[str], repeat: int, cache: Path, results: Path, keep_outputs: bool = False) -> Path:
    """Measure the named contestants `repeat` times each, in rounds, and return the file with the result.

    Rounds rather than blocks: whatever slows the machine for a minute then slows one run of each.

    Raises:
        WrongAnswerError: an output is not the day the generator promises; nothing is recorded then.
        CommandFailedError: a contestant failed.
    """
    folders = _scratch(cache)
    manifest = synthetic.ensure_day(folders.day(rows), raw_rows=rows)
    runs: list[report.Run] = []
    for _ in range(repeat):
        for name in names:
            runs.append(_measure(CONTESTANTS[name], folders, rows))
            print(
                f"{name}: {runs[-1].wall_s:.1f} s, {runs[-1].cpu_s:.1f} CPU s, {runs[-1].peak_rss_mb:.0f} MB",
                flush=True,
            )
    checked = _check(names, folders, expected_rows=manifest.kept_rows)
    if not keep_outputs:
        shutil.rmtree(folders.cache / "out")
    return report.save(
        report.Result(
            benchmark="day-build",
            rows=rows,
            recorded_on=f"{datetime.now(UTC):%Y-%m-%d}",
            machine=machine.describe(),
            checked=checked,
            runs=runs,
        ),
        results,
    )


def _scratch(cache: Path) -> Folders:
    cache = cache.resolve()
    (cache / "spill").mkdir(parents=True, exist_ok=True)
    (cache / ".gitignore").write_text("*\n")  # gigabytes that no commit may pick up, wherever the folder lies
    return Folders(cache)


def _measure(contestant: Contestant, folders: Folders, rows: int) -> report.Run:
    day, out = folders.day(rows), folders.output(contestant.name)
    shutil.rmtree(out, ignore_errors=True)
    command = contestant.command(folders, day, out)  # may install an environment: before the clock starts
    _warm(DayInput(day))
    os.sync()  # the previous contestant's dirty pages are not this one's cost
    load = machine.load_per_core()
    cost = measure(command, cwd=REPOSITORY)
    said = json.loads(cost.stdout.strip().splitlines()[-1])
    output_bytes = sum(file.stat().st_size for file in out.rglob("*.parquet"))
    return report.Run(
        contestant=contestant.name,
        wall_s=cost.wall_s,
        work_s=said["work_s"],
        cpu_s=cost.cpu_s,
        peak_rss_mb=cost.peak_rss_mb,
        output_mb=round(output_bytes / MB, 1),
        load_per_core_before=load,
        versions=said["versions"],
    )


def _warm(day: DayInput) -> None:
    """Read all input once: every contestant starts from the page cache, none pays for being the first."""
    for path in [*day.raw_dir.glob("*.parquet"), day.versions, day.embeddings]:
        with path.open("rb") as file:
            while file.read(1 << 24):
                pass


def _check(names: list[str], folders: Folders, *, expected_rows: int) -> str:
    first: verify.Fingerprint | None = None
    for name in names:
        found = verify.fingerprint(folders.output(name))
        first = first or replace(found, rows=expected_rows)
        problems = verify.differences(first, found)
        is_sorted = found.is_sorted if CONTESTANTS[name].is_globally_sorted else found.is_sorted_within_files
        if not is_sorted:
            problems.append("rows are not sorted by (user_id, event_ts)")
        if problems:
            raise WrongAnswerError(contestant=name, found=problems, output=folders.output(name))
    return f"all outputs hold the same {expected_rows:,} rows, equal in every column bit by bit, and are sorted."
