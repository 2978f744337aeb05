"""Command line of the benchmarks, from the repository root: `python -m benchmarks.run all`, or one of them."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import (
    api,
    backfill,
    compare,
    console,
    dagster_overhead,
    day_build,
    freshness,
    real_data,
    report,
    small_days,
    storage,
    stream_throughput,
)
from benchmarks.spark_env import NoJavaError, spark_python
from tests import kafka_broker

REPOSITORY = Path(__file__).parent.parent
DEFAULT_CACHE = REPOSITORY / ".bench"
DEFAULT_DATA = REPOSITORY.parent / "shared" / "data"

# Rows of the day build with repetitions and who takes part. Spark is left out where it would take a quarter of an hour.
SIZES = {
    10_000_000: (3, day_build.NAMES),
    30_000_000: (1, ("seqplat", "seqplat-files", "duckdb", "duckdb-3gb")),
}
QUICK_SIZES = {
    100_000: (1, tuple(name for name in day_build.NAMES if name != "spark")),
    200_000: (1, ("seqplat", "seqplat-files", "duckdb", "duckdb-3gb")),
}
QUICK_DAYS = 14
MESSAGES, QUICK_MESSAGES = 3_000_000, 100_000
MINUTES, QUICK_MINUTES = 10.0, 1.0
STREAM_REPEAT = 3
OVERHEAD_REPEAT = 3
SMALL_DAYS_REPEAT, QUICK_SMALL_DAYS = 3, 60
BACKFILL_ROWS, QUICK_BACKFILL_ROWS = 10_000_000, 40_000


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse `arguments` (default: the command line's) and run one subcommand."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    everything = commands.add_parser("all", help="run everything and rewrite the tables of the README")
    everything.add_argument("--quick", action="store_true", help="little data, to see that it runs; README untouched")
    everything.set_defaults(act=_all)

    day = commands.add_parser("day-build", help="build one generated day of enriched events, against each peer")
    day.add_argument("--rows", type=int, default=10_000_000, help="raw rows of the generated day")
    day.add_argument("--names", type=_names, default=list(day_build.NAMES), help=f"of {', '.join(day_build.NAMES)}")
    day.set_defaults(act=_day_build)

    real = commands.add_parser("real-data", help="build all days of a real data set, against DuckDB")
    real.add_argument("data_sets", nargs="*", help=f"of {', '.join(real_data.DATA_SETS)}; all without one")
    real.add_argument("--days", type=int, help="only the first so many days")
    real.set_defaults(act=_real_data)

    stream = commands.add_parser("stream-throughput", help="from Kafka to visible and kept, against each peer")
    stream.add_argument("--messages", type=int, default=MESSAGES, help="in the topic")
    stream.add_argument("--names", type=_stream_names, default=list(stream_throughput.NAMES), help="as in day-build")
    stream.set_defaults(act=_stream_throughput)

    fresh = commands.add_parser("freshness", help="from an action to the answer that shows it, re-seal included")
    fresh.add_argument("--minutes", type=float, default=MINUTES, help="of measuring")
    fresh.add_argument("--quick", action="store_true", help=f"{QUICK_MINUTES:.0f} minute, to see that it runs")
    fresh.set_defaults(act=_freshness)

    asked = commands.add_parser("api", help="the sequence API under load, against Feast")
    asked.add_argument("parts", nargs="*", help=f"of {', '.join(api.PARTS)}; all without one")
    asked.add_argument("--names", type=_api_names, default=list(api.NAMES), help="as in day-build")
    asked.add_argument("--minutes", type=float, default=api.SOAK_MINUTES, help="of the soak")
    asked.add_argument("--quick", action="store_true", help="few users, seconds, to see that it runs")
    asked.set_defaults(act=_api)

    sides = commands.add_parser("compare", help="two sides of events or sequences, against DuckDB and datacompy")
    sides.add_argument("parts", nargs="*", help=f"of {', '.join(compare.PARTS)}; all without one")
    sides.add_argument("--quick", action="store_true", help="little data, to see that it runs")
    sides.set_defaults(act=_compare)

    weigh = commands.add_parser("storage", help="weigh tables and online store against JSON and Feast")
    weigh.add_argument("--quick", action="store_true", help=f"{QUICK_DAYS} days, to see that it runs")
    weigh.set_defaults(act=_storage)
    overhead = commands.add_parser("dagster-overhead", help="the demo through Dagster, against direct calls")
    overhead.set_defaults(act=_dagster_overhead)
    shown = commands.add_parser("console", help="500 checks of 30 days on one page, against Dagster's GraphQL")
    shown.set_defaults(act=_console)
    filled = commands.add_parser("backfill", help="a column that is added, and days built again; planned and measured")
    filled.add_argument("--rows", type=int, default=BACKFILL_ROWS, help="of all days")
    filled.set_defaults(act=_backfill)
    small = commands.add_parser("small-days", help="two years of near-empty days: a range, a backfill, a column more")
    small.add_argument("--quick", action="store_true", help=f"{QUICK_SMALL_DAYS} days, to see that it runs")
    small.set_defaults(act=_small_days)
    for command in commands.choices.values():
        _common(command)

    options = parser.parse_args(arguments)
    if getattr(options, "quick", False):
        options.results = options.cache / "results-quick"
    for path in options.act(options):
        print(report.table(report.load(path)), end="\n\n", flush=True)
        if options.results == report.RESULTS_DIR:
            report.refresh_readme(options.results)


def _common(command: argparse.ArgumentParser) -> None:
    command.add_argument("--repeat", type=int, help="runs per contestant; tables show medians")
    command.add_argument("--keep", action="store_true", help="leave what was written in the cache folder")
    command.add_argument("--results", type=Path, default=report.RESULTS_DIR, help="folder of the results as JSON")
    command.add_argument(
        "--cache",
        type=Path,
        default=Path(os.environ.get("SEQPLAT_BENCH_CACHE", DEFAULT_CACHE)),
        help="scratch folder: generated days, outputs, and a PySpark environment if none is installed",
    )
    command.add_argument(
        "--data",
        type=Path,
        default=Path(os.environ.get("SEQPLAT_BENCH_DATA", DEFAULT_DATA)),
        help="folder that holds the real data sets",
    )


def _all(options: argparse.Namespace) -> Iterator[Path]:
    for rows, (repeat, names) in (QUICK_SIZES if options.quick else SIZES).items():
        yield from _day(options, rows, _runnable(names, options.cache), repeat)
    yield from _real(options, list(real_data.DATA_SETS), QUICK_DAYS if options.quick else None)
    yield from _streams(options)
    options.parts, options.names, options.minutes = [], list(api.NAMES), api.SOAK_MINUTES
    yield from _api(options)
    options.parts = []
    yield from _compare(options)
    yield from _storage(options)
    yield from _dagster_overhead(options)
    yield from _console(options)
    yield from _backfill(options)
    yield from _small_days(options)


def _streams(options: argparse.Namespace) -> Iterator[Path]:
    if not os.environ.get("SEQPLAT_KAFKA_BOOTSTRAP") and (missing := kafka_broker.why_not()):
        print(f"left out stream-throughput and freshness: {missing}")
        return
    options.messages = QUICK_MESSAGES if options.quick else MESSAGES
    options.names, options.minutes = list(stream_throughput.NAMES), MINUTES
    yield from _stream_throughput(options)
    yield from _freshness(options)


def _stream_throughput(options: argparse.Namespace) -> Iterator[Path]:
    yield stream_throughput.run(
        count=options.messages,
        names=options.names,
        repeat=options.repeat or (1 if getattr(options, "quick", False) else STREAM_REPEAT),
        cache=options.cache,
        results=options.results,
        keep=options.keep,
    )


def _freshness(options: argparse.Namespace) -> Iterator[Path]:
    minutes = QUICK_MINUTES if options.quick else options.minutes
    yield freshness.run(minutes=minutes, cache=options.cache, results=options.results, keep=options.keep)


def _day_build(options: argparse.Namespace) -> Iterator[Path]:
    yield from _day(options, options.rows, options.names, 3)


def _day(options: argparse.Namespace, rows: int, names: Sequence[str], repeat: int) -> Iterator[Path]:
    yield day_build.run(
        rows=rows,
        names=names,
        repeat=options.repeat or repeat,
        cache=options.cache,
        results=options.results,
        keep=options.keep,
    )


def _real_data(options: argparse.Namespace) -> Iterator[Path]:
    yield from _real(options, options.data_sets or list(real_data.DATA_SETS), options.days)


def _real(options: argparse.Namespace, data_sets: Sequence[str], most_days: int | None) -> Iterator[Path]:
    for name in data_sets:
        stored = real_data.run(
            name,
            data=options.data,
            names=real_data.NAMES,
            repeat=options.repeat or 1,
            cache=options.cache,
            results=options.results,
            most_days=most_days,
            keep=options.keep,
        )
        if stored is not None:
            yield stored


def _api(options: argparse.Namespace) -> Iterator[Path]:
    if unknown := [part for part in options.parts if part not in api.PARTS]:
        raise SystemExit(f"unknown {unknown}; choose from {', '.join(api.PARTS)}")
    yield from api.run(
        parts=options.parts or list(api.PARTS),
        names=options.names,
        quick=options.quick,
        minutes=options.minutes,
        repeat=options.repeat,
        cache=options.cache,
        results=options.results,
        keep=options.keep,
    )


def _compare(options: argparse.Namespace) -> Iterator[Path]:
    if unknown := [part for part in options.parts if part not in compare.PARTS]:
        raise SystemExit(f"unknown {unknown}; choose from {', '.join(compare.PARTS)}")
    yield from compare.run(
        parts=options.parts or list(compare.PARTS),
        quick=options.quick,
        repeat=options.repeat or 1,
        cache=options.cache,
        results=options.results,
    )


def _storage(options: argparse.Namespace) -> Iterator[Path]:
    quick = getattr(options, "quick", False)
    days = QUICK_DAYS if quick else None
    yield storage.run(
        data=options.data, cache=options.cache, results=options.results, most_days=days, keep=options.keep
    )


def _dagster_overhead(options: argparse.Namespace) -> Iterator[Path]:
    repeat = options.repeat or (1 if getattr(options, "quick", False) else OVERHEAD_REPEAT)
    yield from dagster_overhead.run(repeat=repeat, cache=options.cache, results=options.results, keep=options.keep)


def _console(options: argparse.Namespace) -> Iterator[Path]:
    yield console.run(cache=options.cache, results=options.results, keep=options.keep)


def _backfill(options: argparse.Namespace) -> Iterator[Path]:
    rows = QUICK_BACKFILL_ROWS if getattr(options, "quick", False) else BACKFILL_ROWS
    rows = getattr(options, "rows", rows)
    yield backfill.run(rows=rows, cache=options.cache, results=options.results, keep=options.keep)


def _small_days(options: argparse.Namespace) -> Iterator[Path]:
    quick = getattr(options, "quick", False)
    yield small_days.run(
        repeat=options.repeat or (1 if quick else SMALL_DAYS_REPEAT),
        days=QUICK_SMALL_DAYS if quick else small_days.DAYS,
        cache=options.cache,
        results=options.results,
        keep=options.keep,
    )


def _runnable(names: Sequence[str], cache: Path) -> list[str]:
    """Without Spark where there is no Java, and a line that says so."""
    try:
        if "spark" in names:
            spark_python(cache)
    except NoJavaError as error:
        print(f"left out spark: {error}")
        return [name for name in names if name != "spark"]
    return list(names)


def _stream_names(text: str) -> list[str]:
    return _known(text, stream_throughput.NAMES)


def _api_names(text: str) -> list[str]:
    return _known(text, api.NAMES)


def _names(text: str) -> list[str]:
    return _known(text, (*day_build.NAMES, *day_build.VARIANTS))


def _known(text: str, known: Sequence[str]) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in known]:
        raise argparse.ArgumentTypeError(f"unknown {unknown}; choose from {', '.join(known)}")
    return names


if __name__ == "__main__":
    main()
