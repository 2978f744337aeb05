"""Results in and out: one JSON file per benchmark and size, and the Markdown tables the README shows of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import machine
from benchmarks.machine import Machine

RESULTS_DIR = Path(__file__).parent / "results"
README = Path(__file__).parent / "README.md"
BASELINES = (
    "seqplat",
    "direct",
    "seqplat-confluent",
)  # ratios are against it, or against the first contestant where none of them ran

# What the README shows, in this order.
TITLES = {
    "day-build": "One generated day",
    "real-completejourney": "A year of purchases with 20.9 M promotions",
    "real-wyscout_soccer": "A season of football, four event types",
    "stream-throughput": "From Kafka to visible and kept",
    "freshness": "From an action to the answer that shows it",
    "api-serve": "500 events of one user",
    "api-batch": "100 events of each of 100 users",
    "api-long": "16 K events of one user",
    "api-soak": "The API while batch publishes and a stream writes",
    "compare-events": "Two sides of ten million events",
    "compare-datacompy": "Two sides of a million events",
    "compare-sequences": "Two sides of a million sequences",
    "storage": "Bytes",
    "dagster-overhead": "Six weeks through Dagster",
    "console": "Five hundred checks of thirty days on one page",
    "backfill": "A column more, and days built again",
    "small-days": "Two years of near-empty days",
    "seqplat-help": "Command line",
}


@dataclass(frozen=True)
class Run:
    """One measured run of one contestant. `work_s` is what it timed itself, without start-up; sizes are 10**6 bytes.

    `load_per_core_before` is the machine's load average when the run started: a published run has next to none.
    `steps_s` are parts of `work_s` by name, where the contestant says them. `messages` is how many a stream
    had to read; 0 where it is no stream.
    """

    contestant: str
    wall_s: float
    work_s: float
    cpu_s: float
    peak_rss_mb: float
    output_mb: float
    load_per_core_before: float
    versions: dict[str, str]
    steps_s: dict[str, float] = field(default_factory=dict)
    messages: int = 0


@dataclass(frozen=True)
class Result:
    """One contest at one size on one machine; `checked` says in one sentence what was verified about the outputs."""

    benchmark: str
    rows: int
    recorded_on: str
    machine: Machine
    checked: str
    runs: list[Run]

    @classmethod
    def now(cls, benchmark: str, rows: int, checked: str, runs: list[Run]) -> Result:
        """A result of this machine and this day."""
        return cls(benchmark, rows, _today(), machine.describe(), checked, runs)

    @property
    def contestants(self) -> dict[str, list[Run]]:
        """Runs by contestant, in the order they took turns."""
        found: dict[str, list[Run]] = {}
        for run in self.runs:
            found.setdefault(run.contestant, []).append(run)
        return found


@dataclass(frozen=True)
class Facts:
    """A table of its own, for what is no contest: cells as they are shown, and sentences below them.

    ``measured`` is what the cells were made of, for who wants more digits.
    """

    benchmark: str
    header: Sequence[str]
    lines: Sequence[Sequence[str]]
    notes: Sequence[str]
    recorded_on: str
    machine: Machine
    measured: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def now(
        cls,
        benchmark: str,
        *,
        header: Sequence[str],
        lines: Sequence[Sequence[str]],
        notes: Sequence[str],
        measured: Mapping[str, Any] = {},
    ) -> Facts:
        """Facts of this machine and this day."""
        return cls(benchmark, header, lines, notes, _today(), machine.describe(), measured)


def save(found: Result | Facts, folder: Path) -> Path:
    """Write it, replacing an older one of the same benchmark and size; return its file."""
    folder.mkdir(parents=True, exist_ok=True)
    size = f"-{found.rows}" if isinstance(found, Result) else ""
    path = folder / f"{found.benchmark}{size}.json"
    path.write_text(json.dumps(asdict(found), indent=1) + "\n")
    return path


def load(path: Path) -> Result | Facts:
    """Read what `save` wrote."""
    found = json.loads(path.read_text())
    measured_on = Machine(**found.pop("machine"))
    if "runs" not in found:
        return Facts(machine=measured_on, **found)
    return Result(machine=measured_on, runs=[Run(**run) for run in found.pop("runs")], **found)


def table(found: Result | Facts) -> str:
    """One table with the facts a reader needs to judge it."""
    return "\n".join([*(_contest(found) if isinstance(found, Result) else _facts(found)), "", _where(found)])


def refresh_readme(folder: Path, readme: Path = README) -> None:
    """Put the tables of all stored results between the two markers of the README; the text around them stays."""
    begin, end = "<!-- results: begin -->", "<!-- results: end -->"
    before, _, rest = readme.read_text().partition(begin)
    _, _, after = rest.partition(end)
    results = [load(path) for path in folder.glob("*.json")]
    parts = []
    for benchmark, title in TITLES.items():
        found = [each for each in results if each.benchmark == benchmark]
        if found:
            contests = sorted((each for each in found if isinstance(each, Result)), key=lambda each: each.rows)
            parts += [f"### {title}", *map(table, contests or found)]
            parts += [_growth(contests[-2], contests[-1])] if len(contests) > 1 else []
    shown = "\n\n".join(parts) or "No results recorded yet."
    readme.write_text(f"{before}{begin}\n\n{shown}\n\n{end}{after}")


def _contest(result: Result) -> list[str]:
    by_name = result.contestants
    baseline = next((name for name in BASELINES if name in by_name), next(iter(by_name)))
    steps = {name: _steps(runs) for name, runs in by_name.items() if len(runs[0].steps_s) > 1}
    if result.runs[0].messages:
        return [*_streams(result, baseline), "", f"Checked: {result.checked}", *_said(steps)]
    return [
        f"{_rows(result.rows)} raw rows. Medians of {min(map(len, by_name.values()))} run(s); "
        f"in brackets, times the value of {baseline}.",
        "",
        "| contestant | wall s | CPU s | peak memory MB | output MB | work s |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        *(_line(name, runs, by_name[baseline]) for name, runs in by_name.items()),
        "",
        f"Checked: {result.checked}",
        *_said(steps),
    ]


def _streams(result: Result, baseline: str) -> list[str]:
    """Rates, because not every contestant reads as many messages."""
    by_name = result.contestants
    return [
        f"{_rows(result.rows)} messages. Medians of {min(map(len, by_name.values()))} run(s); "
        f"in brackets, times the value of {baseline}.",
        "",
        "| contestant | messages read | messages/s | CPU s per million | peak memory MB | start-up s |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        *(_stream(name, runs, by_name[baseline]) for name, runs in by_name.items()),
    ]


def _stream(name: str, runs: Sequence[Run], baseline: Sequence[Run]) -> str:
    cells = [
        _rows(runs[0].messages),
        _cell(*([run.messages / run.work_s for run in each] for each in (runs, baseline)), digits=0),
        _cell(*([run.cpu_s / run.messages * 1_000_000 for run in each] for each in (runs, baseline)), digits=1),
        _cell(*([run.peak_rss_mb for run in each] for each in (runs, baseline)), digits=0),
        f"{median(run.wall_s - run.work_s for run in runs):.1f}",
    ]
    return f"| {name} | {' | '.join(cells)} |"


def _said(steps: dict[str, str]) -> list[str]:
    return [f"Steps of {name}: {said}." for name, said in steps.items()]


def _line(name: str, runs: Sequence[Run], baseline: Sequence[Run]) -> str:
    cells = [
        _cell([run.wall_s for run in runs], [run.wall_s for run in baseline], digits=1),
        _cell([run.cpu_s for run in runs], [run.cpu_s for run in baseline], digits=1),
        _cell([run.peak_rss_mb for run in runs], [run.peak_rss_mb for run in baseline], digits=0),
        _cell([run.output_mb for run in runs], [run.output_mb for run in baseline], digits=0),
        f"{median(run.work_s for run in runs):.1f}",
    ]
    return f"| {name} | {' | '.join(cells)} |"


def _cell(values: Sequence[float], baseline: Sequence[float], *, digits: int) -> str:
    value, reference = median(values), median(baseline)
    ratio = f"({value / reference:.2f}x)" if reference else "(-)"
    return f"{value:,.{digits}f} {ratio}"


def _steps(runs: Sequence[Run]) -> str:
    return ", ".join(f"{step} {median(run.steps_s[step] for run in runs):.1f} s" for step in runs[0].steps_s)


def _facts(facts: Facts) -> list[str]:
    rows = [facts.header, ["---", *["---:"] * (len(facts.header) - 1)], *facts.lines]
    return [*(f"| {' | '.join(row)} |" for row in rows), "", *facts.notes]


def _growth(small: Result, large: Result) -> str:
    """Wall time of the larger size over that of the smaller, for who ran both."""
    before, after = small.contestants, large.contestants
    lines = [
        f"| {name} | {median(run.wall_s for run in after[name]) / median(run.wall_s for run in before[name]):.2f} |"
        for name in after
        if name in before
    ]
    heading = f"wall s at {_rows(large.rows)} / {_rows(small.rows)} ({large.rows / small.rows:.3g} times the rows)"
    return "\n".join([f"| contestant | {heading} |", "| --- | ---: |", *lines])


def _where(found: Result | Facts) -> str:
    where, versions, load = found.machine, {}, ""
    if isinstance(found, Result):
        for run in found.runs:
            versions |= run.versions
        load = f"; highest load per core before a run {max(run.load_per_core_before for run in found.runs):.2f}"
    tools = "".join(f", {name} {number}" for name, number in sorted((versions or where.packages).items()))
    return (
        f"{where.cpu}, {where.cores} cores, {where.memory_gib} GiB, {where.kernel}, Python {where.python}{tools}; "
        f"{found.recorded_on}{load}."
    )


def _rows(count: int) -> str:
    return f"{count / 1_000_000:.3g} M" if count >= 1_000_000 else f"{count / 1_000:.3g} k"


def _today() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d}"
