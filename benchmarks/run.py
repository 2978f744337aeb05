"""Command line of the benchmarks: `python -m benchmarks.run day-build --rows 10_000_000`, from the repository root."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from benchmarks import day_build, report

DEFAULT_CACHE = Path(__file__).parent.parent / ".bench"


def main(arguments: list[str] | None = None) -> None:
    """Parse `arguments` (default: the command line's) and run one subcommand."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    day = commands.add_parser("day-build", help="build one day of enriched events, against each peer")
    day.add_argument("--rows", type=int, default=10_000_000, help="raw rows of the generated day")
    day.add_argument("--peers", type=_names, default=list(day_build.NAMES), help=f"of {', '.join(day_build.NAMES)}")
    day.add_argument("--repeat", type=int, default=3, help="runs per contestant; the table shows medians")
    day.add_argument("--keep-outputs", action="store_true", help="leave the written days in the cache folder")
    day.add_argument("--results", type=Path, default=report.RESULTS_DIR, help="folder for the result as JSON")
    day.add_argument(
        "--cache",
        type=Path,
        default=Path(os.environ.get("SEQPLAT_BENCH_CACHE", DEFAULT_CACHE)),
        help="scratch folder for generated days, outputs, and a PySpark environment if none is installed",
    )
    day.set_defaults(act=_day_build)

    tables = commands.add_parser("tables", help="put the tables of all stored results into the README")
    tables.set_defaults(act=lambda _: report.refresh_readme())

    options = parser.parse_args(arguments)
    options.act(options)


def _day_build(options: argparse.Namespace) -> None:
    stored = day_build.run(
        rows=options.rows,
        names=options.peers,
        repeat=options.repeat,
        cache=options.cache,
        results=options.results,
        keep=options.keep_outputs,
    )
    print(report.table(report.load(stored)))


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in day_build.NAMES]:
        raise argparse.ArgumentTypeError(f"unknown {unknown}; choose from {', '.join(day_build.NAMES)}")
    return names


if __name__ == "__main__":
    main()
