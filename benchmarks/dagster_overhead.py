"""What scheduling costs: the demo's six weeks through Dagster, against the same builds and checks called directly.

Both are one fresh process that begins with a published release and an empty lake. The Dagster one is the command people
run, on a SQLite instance with the settings we ship.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from importlib.metadata import version
from pathlib import Path
from statistics import median

import polars as pl

from benchmarks import contest, product, report
from benchmarks.contest import Command, Contestant, Preparation, WrongAnswerError
from benchmarks.product import DEMO_DATA, DEMO_DEFINITIONS
from seqplat_resources.batch.upkeep.layouts import layouts
from seqplat_resources.lake.compact import facts
from seqplat_resources.quality.availability import availability
from seqplat_resources.quality.completeness import completeness
from seqplat_resources.quality.coverage import coverage
from seqplat_resources.quality.frame import PASSED
from seqplat_resources.quality.identity import identity
from seqplat_resources.quality.rejects import rejects
from seqplat_resources.quality.schema import schema
from seqplat_resources.release.runtime import Runtime
from serving.cli.main import root

Measure = Callable[[Runtime, str, Sequence[date]], pl.DataFrame]

FIRST, LAST = date(2017, 10, 23), date(2017, 12, 3)
TARGET = 1.5  # times the wall time of the direct calls
HELP_TARGET_S = 0.4
HELP_RUNS = 10


def run(*, repeat: int, cache: Path, results: Path, keep: bool = False) -> list[Path]:
    """Measure both and the help text; return the files with the results.

    Raises:
        WrongAnswerError: the two did not build the same tables. CommandFailedError: one failed.
    """
    out = contest.scratch(cache) / "out"
    contestants = [
        _contestant("direct", out, (sys.executable, "-m", "benchmarks.dagster_overhead", "direct")),
        _contestant("dagster", out, (sys.executable, "-m", "benchmarks.dagster_overhead", "dagster")),
    ]
    runs = contest.measure_rounds(contestants, repeat=repeat)
    sizes = [_sizes(out / f"home-{each.name}") for each in contestants]
    if sizes[0] != sizes[1]:
        unlike = sorted(name for name in {*sizes[0], *sizes[1]} if sizes[0].get(name) != sizes[1].get(name))
        raise WrongAnswerError(contestant="dagster", found=[f"other rows or days in {unlike}"], output=out)
    if not keep:
        contest.discard(contestants)
    total = sum(rows for _, rows in sizes[0].values())
    checked = (
        f"both built the same {len(sizes[0])} tables, {total:,} rows; Dagster's factor should be at most {TARGET}."
    )
    result = report.Result.now("dagster-overhead", _raw_rows(), checked, runs)
    return [report.save(result, results), report.save(_help_facts(), results)]


def _contestant(name: str, out: Path, command: Command) -> Contestant:
    home = out / f"home-{name}"
    publish = (sys.executable, "-m", "benchmarks.product", "publish", *_places(home), "--definitions", DEMO_DEFINITIONS)
    return Contestant(
        name=name,
        command=(*command, *_places(home)),
        reads=(DEMO_DATA,),
        clears=(home / "lake", home / "online", home / "dagster"),
        output=home / "lake",
        compared=home / "lake",
        prepare=Preparation(home, (publish,)),
    )


def _places(home: Path) -> Command:
    return ("--home", str(home), "--sources", str(DEMO_DATA))


def direct(runtime: Runtime, days: Sequence[date]) -> Iterator[bool]:
    """Build and check everything as the assets do; whether each day passed each check."""
    for layer, name in product.everything(runtime):
        for _ in product.build(runtime, layer, name, days):
            pass
        for measure in _checks(runtime, layer, name):
            yield from measure(runtime, name, days)[PASSED]


def _checks(runtime: Runtime, layer: str, name: str) -> list[Measure]:
    if layer == "events":
        enriched = runtime.release.event_types[name].enrichments
        return [schema, identity, completeness, *([coverage] if enriched else [])]
    return {"raw": [rejects], "enrichments": [availability]}.get(layer, [])


def _sizes(home: Path) -> dict[str, tuple[int, int]]:
    """Days and rows of each table."""
    found = {name: facts(layout.table) for name, layout in layouts(product.runtime(home, DEMO_DATA)).items()}
    return {name: (each.buckets, each.rows) for name, each in found.items() if each}


def _raw_rows() -> int:
    return int(pl.scan_parquet(DEMO_DATA / "transactions.parquet").select(pl.len()).collect().item())


def _help_facts() -> report.Facts:
    seconds = []
    for _ in range(HELP_RUNS):
        started = time.perf_counter()
        subprocess.run(_seqplat("--help"), check=True, stdout=subprocess.DEVNULL, cwd=contest.REPOSITORY)
        seconds.append(time.perf_counter() - started)
    return report.Facts.now(
        "seqplat-help",
        header=("`seqplat --help`", "wall s"),
        lines=(("best", f"{min(seconds):.2f}"), ("median", f"{median(seconds):.2f}")),
        notes=(f"Of {HELP_RUNS} runs, interpreter start included; it should stay below {HELP_TARGET_S} s.",),
    )


def _seqplat(*arguments: str) -> Command:
    script = Path(sys.executable).parent / "seqplat"
    return (str(script), *arguments) if script.exists() else (sys.executable, "-m", "serving.cli", *arguments)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("how", choices=("direct", "dagster"))
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--sources", type=Path, required=True)
    options = parser.parse_args()
    started = time.perf_counter()
    versions = product.versions()
    if options.how == "direct":
        days = product.days(FIRST, LAST + timedelta(days=1))
        passed = list(direct(product.runtime(options.home, options.sources), days))
        print(f"{sum(passed)} of {len(passed)} checks passed")
    else:
        os.environ |= {"SEQPLAT_HOME": str(options.home), "SEQPLAT_SOURCES": str(options.sources)}
        os.environ.pop("DAGSTER_HOME", None)
        root(["materialize", str(FIRST), str(LAST)], standalone_mode=False)
        versions |= {"dagster": version("dagster")}
    print(json.dumps({"work_s": round(time.perf_counter() - started, 3), "versions": versions}))


if __name__ == "__main__":
    main()
